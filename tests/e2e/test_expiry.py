"""What ends by the clock: sessions, delayed wills, messages.

Time passes with the events of the broker itself: the will of a client that is gone, delayed by so many seconds, arrives when
they are over. Nothing may come early; late is allowed as much as a loaded machine needs.
"""

import time

import harness
from harness import wire
from harness.server import IS_MOSQUITTO

LATE_S = 6.0


class Expiry(harness.Case):
    def client(self, client_id="", version=5, **options):
        client = self.keep(wire.Wire(self.server.address, version))
        self.answer = client.connect(client_id, **options)
        self.assertEqual(self.answer.reason, 0)
        return client

    def watcher(self, *suffixes):
        watcher = self.client()
        watcher.subscribe(*((self.name(one), 1) for one in suffixes))
        return watcher

    def leave_will(self, suffix, delay_s, expiry_s=100, client_id=""):
        """A client that breaks its connection; its will says SUFFIX after DELAY_S. Returns when it left."""
        client = self.client(client_id, props={"session_expiry": expiry_s},
                             will=(self.name(suffix), suffix, 1, False, {"will_delay": delay_s}))
        left = time.monotonic()
        client.abort()
        return left

    def wait_s(self, seconds):
        """A clock that the broker keeps."""
        watcher = self.watcher("clock")
        left = self.leave_will("clock", seconds)
        watcher.read(wire.PUBLISH)
        self.assertGreaterEqual(time.monotonic() - left, seconds - 0.01)
        watcher.close()

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

    def test_messages_expire_in_the_queue_and_those_behind_them_do_not(self):
        props = {"session_expiry": 100}
        self.client("queue", props=props).subscribe((self.name(), 2))
        self.client("queue", clean=False, props=props).close()
        sender = self.client()
        for payload, qos, expiry in (("short 1", 1, 1), ("kept 1", 1, 100), ("short 2", 2, 1), ("kept 2", 2, None), ("last", 1, 0xFFFFFFFF)):
            sender.publish(self.name(), payload, qos, props={} if expiry is None else {"message_expiry": expiry})
        self.wait_s(2)
        back = self.client("queue", clean=False, props=props)
        got = [back.read(wire.PUBLISH) for _ in range(3)]
        self.assertEqual([one.payload for one in got], [b"kept 1", b"kept 2", b"last"])
        self.assertTrue(90 < got[0].props["message_expiry"] <= 98, got[0].props)
        self.assertNotIn("message_expiry", got[1].props)
        self.assertTrue(0xFFFFFFFF - 20 < got[2].props["message_expiry"] <= 0xFFFFFFFF - 2)

    def test_retained_messages_expire_and_tell_what_is_left(self):
        sender = self.client()
        for suffix, expiry in (("short", 1), ("long", 100)):
            sender.publish(self.name(suffix), suffix, 1, retain=True, props={"message_expiry": expiry})
        self.wait_s(2)
        late = self.client()
        late.subscribe((self.name("#"), 1))
        message = late.read(wire.PUBLISH)
        self.assertEqual(message.payload, b"long")
        self.assertTrue(90 < message.props["message_expiry"] <= 98)

    def test_a_will_message_expires_only_after_it_was_sent(self):
        watcher = self.watcher("will")
        client = self.client(props={"session_expiry": 100},
                             will=(self.name("will"), "x", 1, False, {"will_delay": 2, "message_expiry": 1}))
        client.abort()
        self.assertEqual(watcher.read(wire.PUBLISH).props["message_expiry"], 1)


if __name__ == "__main__":
    harness.main()
