#!/usr/bin/env python3
"""At full size: a million queued messages are not in memory, and with a million retained values beside them a start takes three seconds.

DURABILITY_FULL=1 runs it, on a gateway without sanitizers; it takes a minute or two, and some 2 GB of disk. DURABILITY_SCALE=10 is a tenth of it.
"""

import os
import unittest

from gateway import DEADLINE, Gateway, MIB, need_program, sanitizer_of, wire

import harness

SCALE = int(os.environ.get("DURABILITY_SCALE", "1"))
SESSIONS = 1000 // SCALE
EACH = 1000
RETAINED = 1000000 // SCALE
PAYLOAD = 256
RSS_ANON = 200 * MIB
READY_S = 3.0
SENDERS = 8
PUBACK_BYTES = 4


def payload(number):
    return (b"%d|" % number + b"x" * PAYLOAD)[:PAYLOAD]


class Sender:
    """A connection of MQTT 3.1.1 that sends batches, whose acknowledgements are just counted."""

    def __init__(self, gateway):
        self.link = wire.Wire(gateway.address, 4)
        assert self.link.connect("", clean=True).reason == 0
        self.due = 0

    def send(self, packets):
        self.link.send(b"".join(packets))
        self.due += len(packets) * PUBACK_BYTES

    def wait(self):
        self.link.sock.settimeout(4 * DEADLINE)
        while self.due:
            more = self.link.sock.recv(min(self.due, 65536))
            assert more, "the connection ended"
            self.due -= len(more)


def publish_all(gateway, batches):
    """BATCHES of packets, each by a sender that has heard everything of the batch before."""
    senders = [Sender(gateway) for _ in range(SENDERS)]
    for at, batch in enumerate(batches):
        sender = senders[at % SENDERS]
        sender.wait()
        sender.send(batch)
    for sender in senders:
        sender.wait()
        sender.link.close()


def queue_batch(session):
    return [wire.publish("queue/%d" % session, payload(n), 1, n + 1, version=4) for n in range(EACH)]


def retained_batch(first):
    return [wire.publish("value/%d" % n, payload(n), 1, n - first + 1, True, version=4) for n in range(first, min(first + 1000, RETAINED))]


@unittest.skipUnless(os.environ.get("DURABILITY_FULL") == "1", "DURABILITY_FULL=1 runs it")
@unittest.skipIf(sanitizer_of(), "memory and time are those of a build without sanitizers")
class FullSize(unittest.TestCase):
    def test_a_million_and_a_million(self):
        gateway = Gateway(size=16384 * MIB)
        self.addCleanup(gateway.close)
        gateway.start()
        for session in range(SESSIONS):
            link = wire.Wire(gateway.address, 4)
            self.assertEqual(link.connect("session-%d" % session, clean=False).reason, 0)
            link.subscribe(("queue/%d" % session, 1))
            link.send(wire.disconnect())
            link.close()
        before = gateway.status_bytes("RssAnon")
        publish_all(gateway, (queue_batch(session) for session in range(SESSIONS)))
        queued = gateway.status_bytes("RssAnon")
        print("%d queued messages of %d bytes: RssAnon %.0f MB (%.0f MB before)" % (SESSIONS * EACH, PAYLOAD, queued / MIB, before / MIB))
        publish_all(gateway, (retained_batch(first) for first in range(0, RETAINED, 1000)))
        print("and %d retained values: RssAnon %.0f MB, store %.0f MB" % (
            RETAINED, gateway.status_bytes("RssAnon") / MIB,
            sum(os.stat(os.path.join(gateway.store, name)).st_blocks * 512 for name in os.listdir(gateway.store)) / MIB))
        gateway.kill()
        gateway.start(deadline=60)
        killed = gateway.ready_s
        print("ready %.2f s after a kill, RssAnon %.0f MB" % (killed, gateway.status_bytes("RssAnon") / MIB))
        self.check(gateway)
        self.assertEqual(gateway.stop(), 0)
        gateway.start(deadline=60)
        print("ready %.2f s after a clean stop" % gateway.ready_s)
        self.assertLessEqual(queued, RSS_ANON)
        self.assertLessEqual(killed, READY_S)
        self.assertLessEqual(gateway.ready_s, READY_S)

    def check(self, gateway):
        """A sample is there, whole and in order."""
        for session in (0, SESSIONS // 2, SESSIONS - 1):
            link = wire.Wire(gateway.address, 4)
            self.assertTrue(link.connect("session-%d" % session, clean=False).session_present)
            for number in range(EACH):
                pkt = link.read(wire.PUBLISH)
                self.assertEqual((pkt.topic, pkt.payload), ("queue/%d" % session, payload(number)))
                link.send(wire.ack(wire.PUBACK, pkt.packet_id))
            link.ping()
            link.close()
        link = wire.Wire(gateway.address, 4)
        link.connect("", clean=True)
        wanted = {"value/%d" % n: payload(n) for n in (0, RETAINED // 2, RETAINED - 1)}
        link.subscribe(*[(topic, 0) for topic in wanted])
        for _ in wanted:
            pkt = link.read(wire.PUBLISH)
            self.assertEqual(pkt.payload, wanted[pkt.topic])
        link.close()


if __name__ == "__main__":
    need_program()
    harness.main()
