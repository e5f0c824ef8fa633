"""Messages that expire: in a queue, retained, in a will."""

import harness
from harness import wire
from harness.timed import TimedCase


class MessageExpiry(TimedCase):
    def test_messages_expire_in_the_queue_and_those_behind_them_do_not(self):
        props = {"session_expiry": 100}
        self.client("queue", props=props).subscribe((self.name(), 2))
        away = self.client("queue", clean=False, props=props)
        away.send(wire.disconnect())
        away.read_to_end()  # what is published before the broker has seen it go is under way, and comes again
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
