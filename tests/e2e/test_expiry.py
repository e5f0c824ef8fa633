"""Sessions and wills that end by the clock."""

import time

import harness
from harness import wire
from harness.server import IS_MOSQUITTO
from harness.timed import LATE_S, TimedCase


class Expiry(TimedCase):
    def test_a_will_waits_for_its_delay(self):
        watcher = self.watcher("two", "one", "none")
        left = time.monotonic()
        for suffix, delay in (("two", 2), ("one", 1), ("none", 0)):
            self.leave_will(suffix, delay)
        for suffix, delay in (("none", 0), ("one", 1), ("two", 2)):
            will = watcher.read(wire.PUBLISH)
            late = time.monotonic() - left - delay
            self.assertEqual(will.payload.decode(), suffix)
            self.assertTrue(-0.01 <= late < LATE_S, late)

    @harness.not_mosquitto("keeps the will for the whole delay")
    def test_a_will_waits_no_longer_than_its_session(self):
        watcher = self.watcher("short", "none")
        self.leave_will("none", 100, expiry_s=0)
        self.assertEqual(watcher.read(wire.PUBLISH).payload, b"none")
        left = self.leave_will("short", 100, expiry_s=1)
        self.assertEqual(watcher.read(wire.PUBLISH).payload, b"short")
        self.assertTrue(0.99 <= time.monotonic() - left < 1 + LATE_S)

    def test_a_client_that_comes_back_in_time_takes_its_will_back(self):
        watcher = self.watcher("back", "clock")
        self.leave_will("back", 1, client_id="back")
        self.client("back", clean=False, props={"session_expiry": 100})
        self.leave_will("clock", 2)
        self.assertEqual(watcher.read(wire.PUBLISH).payload, b"clock")

    @harness.not_mosquitto("forgets the will")
    def test_a_clean_start_ends_the_old_session_and_sends_its_will(self):
        watcher = self.watcher("old")
        self.leave_will("old", 100, client_id="starts clean")
        self.client("starts clean", clean=True)
        self.assertEqual(watcher.read(wire.PUBLISH).payload, b"old")

    def test_a_disconnect_with_will_sends_it_and_a_normal_one_does_not(self):
        watcher = self.watcher("will")
        for reason in (0, 4):
            client = self.client(will=(self.name("will"), "reason %d" % reason, 1, False, None))
            client.send(wire.disconnect(reason))
            self.assertEqual(client.read_to_end(), [])
        self.assertEqual(watcher.read(wire.PUBLISH).payload, b"reason 4")

    def test_a_session_ends_with_its_expiry_and_not_before(self):
        for client_id, expiry in (("short", 1), ("long", 100), ("none", 0), ("for ever", 0xFFFFFFFF)):
            client = self.client(client_id, props={"session_expiry": expiry})
            client.subscribe((self.name(), 1))
            client.send(wire.disconnect())
            client.read_to_end()
        for client_id, present in (("none", False), ("short", True)):
            self.client(client_id, clean=False, props={"session_expiry": 1}).abort()
            self.assertEqual(self.answer.session_present, present, client_id)
        self.wait_s(2)
        for client_id, present in (("short", False), ("long", True), ("for ever", True)):
            self.client(client_id, clean=False)
            self.assertEqual(self.answer.session_present, present, client_id)

    def test_a_disconnect_may_change_the_expiry(self):
        for client_id, first, then in (("shorter", 100, 0), ("longer", 1, 100)):
            client = self.client(client_id, props={"session_expiry": first})
            client.send(wire.disconnect(0, {"session_expiry": then}))
            self.assertEqual(client.read_to_end(), [])
        self.client("shorter", clean=False)
        self.assertFalse(self.answer.session_present)
        self.wait_s(2)
        self.client("longer", clean=False)
        self.assertTrue(self.answer.session_present)

    def test_a_disconnect_may_not_raise_an_expiry_of_0(self):
        client = self.client("raises")
        client.send(wire.disconnect(0, {"session_expiry": 10}))
        told = client.read_to_end()
        if not IS_MOSQUITTO:
            self.assertEqual([one.reason for one in told], [0x82])
        self.client("raises", clean=False)
        self.assertFalse(self.answer.session_present)

    def test_a_session_of_3_1_1_does_not_expire(self):
        self.client("old timer", version=4, clean=False).close()
        self.wait_s(1)
        self.client("old timer", version=4, clean=False)
        self.assertTrue(self.answer.session_present)


if __name__ == "__main__":
    harness.main()
