#!/usr/bin/env python3
"""What only shows if the kill comes at one certain moment: kill.py meets it now and then, these each time."""

import time
import unittest

from gateway import DEADLINE, Gateway, need_program, wire
from power_cut import preload, recording_problem

import harness

SESSION = {"session_expiry": 100000}


class Restart(unittest.TestCase):
    def gateway(self, **options):
        gateway = Gateway(**options)
        self.addCleanup(gateway.close)
        gateway.start()
        return gateway

    def link(self, gateway, client_id="", clean=True, props=None, will=None):
        link = wire.Wire(gateway.address)
        self.addCleanup(link.close)
        self.answer = link.connect(client_id, clean=clean, props=props, will=will)
        self.assertEqual(self.answer.reason, 0)
        return link

    def restart(self, gateway):
        gateway.kill()
        gateway.start()

    def test_a_will_waits_out_its_grace_although_a_second_kill_comes_before_that(self):
        gateway = self.gateway(limits={"restart_will_grace_s": 3})
        watcher = self.link(gateway, "watcher", clean=False, props=SESSION)
        watcher.subscribe(("will", 1))
        self.link(gateway, "client", props=SESSION, will=("will", "gone", 1, False, {"will_delay": 0}))
        killed = time.monotonic()
        self.restart(gateway)
        self.restart(gateway)
        watcher = self.link(gateway, "watcher", clean=False, props=SESSION)
        self.assertEqual(watcher.read(wire.PUBLISH).payload, b"gone")
        self.assertGreater(time.monotonic() - killed, 2.9)

    def test_a_client_that_is_back_after_two_kills_has_no_will_published(self):
        gateway = self.gateway(limits={"restart_will_grace_s": 1})
        watcher = self.link(gateway, "watcher", clean=False, props=SESSION)
        watcher.subscribe(("will", 1), ("clock", 1))
        self.link(gateway, "client", props=SESSION, will=("will", "gone", 1, False, None))
        self.link(gateway, "clock", props=SESSION, will=("clock", "later", 1, False, {"will_delay": 2}))
        self.restart(gateway)
        back = self.link(gateway, "client", clean=False, props=SESSION)
        back.send(wire.disconnect())
        back.read_to_end()
        self.restart(gateway)
        watcher = self.link(gateway, "watcher", clean=False, props=SESSION)
        # the other will says when the first one would have come
        self.assertEqual(watcher.read(wire.PUBLISH).payload, b"later")
        self.assertEqual(watcher.ping(), [])

    def test_an_exchange_of_qos_2_ends_although_its_message_has_expired(self):
        """Or else the client keeps the packet id as one that is under way, and swallows the next message that has it."""
        problem = recording_problem()
        if problem:
            self.skipTest(problem)
        gateway = self.gateway()
        link = self.link(gateway, "client", clean=False, props=SESSION)
        link.subscribe(("topic", 2))
        self.link(gateway).publish("topic", b"value", 2, props={"message_expiry": 1000})
        packet_id = link.read(wire.PUBLISH).packet_id
        gateway.environment = {"LD_PRELOAD": preload(), "RECORDER_CLOCK": "5000"}
        self.restart(gateway)
        link = self.link(gateway, "client", clean=False, props=SESSION)
        pkt = link.read(timeout=DEADLINE)
        self.assertEqual(pkt.packet_id, packet_id)
        if isinstance(pkt, wire.Publish):
            self.assertTrue(pkt.dup)
            link.send(wire.ack(wire.PUBREC, packet_id))
            self.assertEqual(link.read(wire.PUBREL).packet_id, packet_id)


if __name__ == "__main__":
    need_program()
    harness.main()
