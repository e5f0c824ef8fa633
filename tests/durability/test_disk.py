#!/usr/bin/env python3
"""What the gateway answers when the disk does not do what it should: never an acknowledgement of what is not kept."""

import contextlib
import glob
import http.client
import os
import random
import shutil
import subprocess
import tempfile
import time
import unittest

from gateway import (DEADLINE, Gateway, MIB, PROGRAM, RecoveryFailed, free_port, limit_file_size, need_program,
                     program_for_others, wire)
from power_cut import MARK, SYNC_END, preload, read_log, recording_problem

import harness

SESSION = {"session_expiry": 100000}
NOBODY = 65534
SET_SCHEMA = os.path.join(os.path.dirname(PROGRAM), "tests", "durability", "set_schema")


def value(number, size=2000):
    """A payload that says which one it is, and cannot be compressed to less than it says."""
    return (b"value|%d|" % number + b"." * size)[:size]


def number_of(payload):
    return int(payload.split(b"|")[1])


class Disk(unittest.TestCase):
    def gateway(self, **options):
        gateway = Gateway(**options)
        self.addCleanup(gateway.close)
        return gateway

    def link(self, gateway, client_id="", version=5, **options):
        link = wire.Wire(gateway.address, version)
        self.addCleanup(link.close)
        self.assertEqual(link.connect(client_id, **options).reason, 0)
        return link

    def queue(self, gateway, client_id="away"):
        """A session that is away, and gets what is published to `queue`."""
        link = self.link(gateway, client_id, clean=False, props=SESSION)
        self.assertEqual(link.subscribe(("queue", 1)), [1])
        link.send(wire.disconnect())
        link.read_to_end()

    def fill(self, gateway, numbers, window=10, topic="queue"):
        """Publish with QoS 1 until it is refused or the connection ends: (numbers acknowledged, reason or None)."""
        link = self.link(gateway)
        acked, under_way, refused = [], {}, None
        numbers = iter(numbers)
        with contextlib.suppress(wire.Closed, OSError):
            while refused is None:
                while len(under_way) < window:
                    number = next(numbers, None)
                    if number is None:
                        break
                    packet_id = link.id()
                    under_way[packet_id] = number
                    link.send(wire.publish(topic, value(number), 1, packet_id))
                if not under_way:
                    break
                answer = link.read()
                if isinstance(answer, wire.Disconnect):
                    refused = answer.reason
                elif answer.reason < 0x80:
                    acked.append(under_way.pop(answer.packet_id))
                else:
                    refused = answer.reason
        link.close()
        return acked, refused

    def drain(self, gateway, wanted, client_id="away"):
        """Receive and acknowledge until all WANTED have come; returns all that came."""
        link = self.link(gateway, client_id, clean=False, props=SESSION)
        got, missing = [], set(wanted)
        try:
            while missing:
                pkt = link.read(timeout=DEADLINE)
                if isinstance(pkt, wire.Publish):
                    got.append(number_of(pkt.payload))
                    missing.discard(got[-1])
                    link.send(wire.ack(wire.PUBACK, pkt.packet_id))
        except TimeoutError:
            self.fail("%d of %d acknowledged messages are lost: %s" % (len(missing), len(set(wanted)), sorted(missing)[:20]))
        link.ping()
        return got

    def refused_to_start(self, gateway):
        """Start it; it must exit by itself, not by a signal and not with 0; returns its log."""
        gateway.port, gateway.http_port = free_port(), free_port()
        gateway.launch()
        try:
            code = gateway.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.fail("it started:\n" + gateway.log())
        self.assertGreater(code, 0, gateway.log())
        return gateway.log()

    # ---- at the start

    def test_a_second_gateway_on_the_same_store_is_refused_and_the_first_goes_on(self):
        first = self.gateway()
        first.start()
        self.queue(first)
        second = self.gateway(store=first.store)
        self.assertIn(first.store, self.refused_to_start(second))
        acked, refused = self.fill(first, range(20))
        self.assertEqual((len(acked), refused), (20, None))
        first.kill()
        # the lock went with the process, and nothing needs to be removed by hand
        second.start()
        self.assertEqual(sorted(set(self.drain(second, acked))), list(range(20)))

    def as_other(self, gateway):
        """Let GATEWAY run as an account that is not root, where it can."""
        if os.getuid() != 0:
            return gateway
        os.chmod(gateway.folder, 0o755)
        with open(gateway.folder + "/log1", "w"):
            pass
        gateway.prepare = lambda: (os.setgid(NOBODY), os.setuid(NOBODY))
        gateway.program, more = program_for_others()
        gateway.environment.update(more)
        return gateway

    def test_a_folder_that_cannot_be_written_is_refused(self):
        gateway = self.as_other(self.gateway())
        os.mkdir(gateway.store, 0o555)
        self.assertIn(gateway.store, self.refused_to_start(gateway))
        self.assertEqual(os.listdir(gateway.store), [])

    def test_a_folder_that_cannot_be_made_is_refused(self):
        gateway = self.as_other(self.gateway())
        parent = os.path.join(gateway.folder, "closed")
        os.mkdir(parent, 0o555)
        gateway.store = os.path.join(parent, "store")
        self.assertIn(gateway.store, self.refused_to_start(gateway))

    def test_a_store_of_another_owner_is_refused_and_left_as_it_is(self):
        if os.getuid() != 0:
            self.skipTest("only root can make files of another owner")
        first = self.gateway()
        first.start()
        self.queue(first)
        acked, _ = self.fill(first, range(5))
        first.kill()
        second = self.as_other(self.gateway(store=first.store))
        os.chmod(first.folder, 0o755)
        os.chmod(first.store, 0o777)
        self.assertIn(first.store, self.refused_to_start(second))
        os.chmod(first.store, 0o700)
        first.start()
        self.drain(first, acked)

    def data_file(self, gateway):
        return max(glob.glob(gateway.store + "/*"), key=lambda path: os.path.getsize(path) if os.path.isfile(path) else 0)

    def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(self):
        if not os.access(SET_SCHEMA, os.X_OK):
            self.skipTest(SET_SCHEMA + " is not built")
        gateway = self.gateway()
        gateway.start()
        self.queue(gateway)
        acked, _ = self.fill(gateway, range(5))
        self.assertEqual(gateway.stop(), 0)
        path = self.data_file(gateway)
        shutil.copy(path, gateway.folder + "/kept")
        subprocess.run([SET_SCHEMA, path, "4000000000"], check=True)
        with open(path, "rb") as file:
            before = file.read()
        log = self.refused_to_start(gateway)
        self.assertIn("4000000000", log)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), before)
        shutil.copy(gateway.folder + "/kept", path)
        gateway.start()
        self.drain(gateway, acked)

    def test_a_damaged_message_costs_nothing_but_itself_and_is_reported(self):
        gateway = self.gateway()
        gateway.start()
        self.queue(gateway)
        acked, _ = self.fill(gateway, range(200))
        self.assertEqual(len(acked), 200)
        self.assertEqual(gateway.stop(), 0)
        path = self.data_file(gateway)
        with open(path, "r+b") as file:
            data = file.read()
            damaged = (17, 60, 111)
            for number in damaged:
                at = data.find(value(number)[:60])
                while at >= 0:
                    file.seek(at + 50)
                    file.write(b"!")
                    at = data.find(value(number)[:60], at + 1)
        gateway.start()
        got = self.drain(gateway, set(acked) - set(damaged))
        self.assertEqual(set(got) & set(damaged), set())
        self.assertIn("damaged", gateway.log())
        self.assertTrue(gateway.process.poll() is None)

    def test_bits_that_flip_anywhere_crash_nothing(self):
        """The tree's own pages have no checksum; whatever is made of them, it is no crash, and no wrong payload."""
        gateway = self.gateway()
        gateway.start()
        self.queue(gateway)
        self.fill(gateway, range(300))
        self.assertEqual(gateway.stop(), 0)
        path = self.data_file(gateway)
        with open(path, "rb") as file:
            good = file.read()
        seed = int(os.environ.get("DURABILITY_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
        print("seed", seed)
        dice = random.Random(seed)
        for _ in range(int(os.environ.get("DURABILITY_FLIPS", "8"))):
            bad = bytearray(good)
            for _ in range(dice.choice((1, 10))):
                bad[dice.randrange(8192, len(bad))] ^= 1 << dice.randrange(8)
            with open(path, "wb") as file:
                file.write(bad)
            try:
                gateway.start()
            except RecoveryFailed as error:
                self.assertGreater(gateway.process.returncode, 0, error)
                continue
            link = self.link(gateway, "away", clean=False, props=SESSION)
            end = time.monotonic() + 1
            while time.monotonic() < end:
                try:
                    pkt = link.read(timeout=0.2)
                except TimeoutError:
                    break
                if isinstance(pkt, wire.Publish):
                    self.assertEqual(pkt.payload, value(number_of(pkt.payload)))
                    link.send(wire.ack(wire.PUBACK, pkt.packet_id))
            self.assertIsNone(gateway.process.poll(), gateway.log()[-3000:])
            gateway.kill()

    # ---- while it runs

    def test_a_full_store_refuses_and_drains_and_takes_messages_again(self):
        gateway = self.gateway(size=8 * MIB)
        gateway.start()
        self.queue(gateway)
        acked, refused = self.fill(gateway, range(100000))
        self.assertEqual(refused, 0x97)
        self.assertGreater(len(acked), 500)
        # the same by HTTP, and for 3.1.1, which knows no reason: the connection ends
        status, headers, _ = gateway.ask("POST", "/topics/queue?qos=1", value(1000000))
        self.assertEqual(status, 507)
        old = self.link(gateway, "old", version=4)
        old.send(wire.publish("queue", value(1000001), 1, 1, version=4))
        with self.assertRaises(wire.Closed):
            while True:
                self.assertFalse(isinstance(old.read(), wire.Ack))
        # what nobody is promised goes on
        hears = self.link(gateway)
        hears.subscribe(("live", 1))
        hears.send(wire.publish("live", b"a"))
        self.assertEqual(hears.read(wire.PUBLISH).payload, b"a")
        # a kill loses nothing of a full store
        gateway.kill()
        gateway.start()
        got = self.drain(gateway, acked)
        self.assertEqual(set(got) & {1000000, 1000001}, set())
        harness.wait_until(lambda: gateway.ask("POST", "/topics/queue?qos=1", value(7000000))[0] == 200, "there is room again")
        again, refused = self.fill(gateway, range(8000000, 8000300))
        self.assertEqual((len(again), refused), (300, None))
        self.drain(gateway, again + [7000000])

    def full_disk(self, make_room, **options):
        """The disk is full: no false acknowledgement, whether the gateway refuses or ends; with room again nothing is missing."""
        gateway = self.gateway(size=256 * MIB, **options)
        gateway.start()
        self.queue(gateway)
        acked, refused = self.fill(gateway, range(100000))
        self.assertTrue(100 < len(acked) < 100000, len(acked))
        if gateway.process.poll() is None and refused is not None:
            self.assertEqual(refused, 0x97)
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.assertEqual(gateway.ask("POST", "/topics/queue?qos=1", value(1000000))[0], 507)
            print("refuses")
        else:
            self.assertGreater(gateway.process.wait(DEADLINE), 0, gateway.log()[-3000:])
            print("ends")
        if gateway.process.poll() is None:
            gateway.kill()
        make_room(gateway)
        gateway.start()
        self.drain(gateway, acked)
        return gateway

    def test_a_full_disk_is_never_an_acknowledgement(self):
        if os.getuid() != 0:
            self.skipTest("only root can mount a small disk")
        folder = tempfile.mkdtemp(prefix="tidegate-small-disk-")
        self.addCleanup(shutil.rmtree, folder, True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", folder], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("tmpfs cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", folder])
        self.full_disk(lambda _: subprocess.run(["mount", "-o", "remount,size=200m", folder], check=True), store=folder + "/store")

    def test_a_limit_of_the_file_s_size_is_never_a_false_acknowledgement(self):
        def lift(gateway):
            gateway.prepare = None

        self.full_disk(lift, prepare=limit_file_size(32 * MIB))

    def recorded(self, **environment):
        problem = recording_problem()
        if problem:
            self.skipTest(problem)
        gateway = self.gateway()
        gateway.store = os.path.realpath(gateway.folder) + "/store"
        gateway.environment = {"LD_PRELOAD": preload(), "RECORDER_LOG": gateway.folder + "/recording", "RECORDER_FOLDER": gateway.store,
                               **environment}
        return gateway

    def test_a_sync_that_fails_ends_the_gateway_and_nothing_is_acknowledged_after_it(self):
        gateway = self.recorded(RECORDER_FAIL_SYNC="40")
        gateway.start()
        self.queue(gateway)
        acked, refused = self.fill(gateway, range(100000))
        self.assertGreater(gateway.process.wait(DEADLINE), 0, gateway.log()[-3000:])
        entries = read_log(gateway.folder + "/recording")
        failed = next(index for index, entry in enumerate(entries) if entry.kind == SYNC_END and entry.extra != 0)
        before = {int(number) for entry in entries[:failed] for _, number in MARK.findall(entry.content)}
        last_good = max(index for index, entry in enumerate(entries[:failed]) if entry.kind == SYNC_END)
        synced = {int(number) for entry in entries[:last_good] for _, number in MARK.findall(entry.content)}
        self.assertLessEqual(set(acked), before)
        self.assertLessEqual(set(acked), synced)
        gateway.environment = {}
        gateway.start()
        self.drain(gateway, acked)

    def test_a_clock_that_jumps_neither_loses_nor_prolongs(self):
        gateway = self.recorded()
        gateway.start()
        self.queue(gateway)
        link = self.link(gateway)
        link.publish("queue", value(1), 1)
        link.publish("queue", value(2), 1, props={"message_expiry": 1000})
        link.publish("keep", value(3), 1, retain=True, props={"message_expiry": 1000})
        link.publish("keep2", value(4), 1, retain=True)
        for offset, alive in ((-86400, True), (86400, False)):
            gateway.kill()
            gateway.environment["RECORDER_CLOCK"] = str(offset)
            gateway.start()
            reader = self.link(gateway)
            reader.subscribe(("keep", 0), ("keep2", 0))
            found = {}
            while "keep2" not in found or (alive and "keep" not in found):
                pkt = reader.read(wire.PUBLISH)
                found[pkt.topic] = pkt.props.get("message_expiry", 0)
            self.assertEqual("keep" in found, alive)
            self.assertLessEqual(found.get("keep", 0), 1000)
        # the queue is looked at by a clock that is a day ahead: what expires has gone, the rest and the session have not
        away = self.link(gateway, "away", clean=False, props=SESSION)
        self.assertEqual(number_of(away.read(wire.PUBLISH).payload), 1)
        self.assertEqual(away.ping(), [])


if __name__ == "__main__":
    need_program()
    harness.main()
