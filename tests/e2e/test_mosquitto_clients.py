"""mosquitto_pub and mosquitto_sub, in each protocol version and at each QoS."""

import harness
from harness import tools, wire

VERSIONS = ("mqttv31", "mqttv311", "mqttv5")
MEBIBYTE = 1024 * 1024


class Delivery(harness.Case):
    # a subscriber that prints each line may fall behind by more than the default queue holds, when the machine is busy
    options = {"limits": {"queued_messages": 10000}}

    def test_delivers_every_qos_between_every_pair_of_versions(self):
        for receiver in VERSIONS:
            topic = self.name(receiver)
            sub = self.keep(tools.Subscriber(
                self.server, "-V", receiver, "-t", topic + "/#", "-q", "2", "-F", "%t %q %p"))
            expected = set()
            for sender in VERSIONS:
                for qos in "012":
                    tools.publish(self.server, "-V", sender, "-q", qos, "-t", "%s/%s/%s" % (topic, sender, qos), "-m", "hello")
                    expected.add("%s/%s/%s %s hello" % (topic, sender, qos, qos))
            self.assertEqual(set(sub.take(len(expected))), expected)

    def test_delivers_at_the_lower_qos_of_publisher_and_subscriber(self):
        subs = {qos: self.keep(tools.Subscriber(self.server, "-t", self.name(), "-q", qos, "-F", "%q %p")) for qos in "012"}
        for qos in "012":
            tools.publish(self.server, "-t", self.name(), "-q", qos, "-m", "m" + qos)
        for limit, sub in subs.items():
            self.assertEqual(sorted(sub.take(3)), sorted("%s m%s" % (min(limit, qos), qos) for qos in "012"))

    def test_hash_matches_all_topics_but_not_those_with_dollar(self):
        sub = self.keep(tools.Subscriber(self.server, "-t", "#", "-v"))
        dollar = self.keep(tools.Subscriber(self.server, "-t", "$own/#", "-v"))
        tools.publish(self.server, "-t", "$own/" + self.name(), "-m", "hidden")
        tools.publish(self.server, "-t", self.name("deep/er"), "-m", "seen")
        self.assertEqual(dollar.line(), "$own/%s hidden" % self.name())
        while True:
            line = sub.line()
            self.assertFalse(line.startswith("$"), line)
            if line == self.name("deep/er") + " seen":
                break

    def test_filters_with_plus_and_hash_choose(self):
        sub = self.keep(tools.Subscriber(
            self.server, "-v", "-t", self.name("+/temperature"), "-t", self.name("attic/#"), "-q", "1"))
        for topic in ("kitchen/temperature", "kitchen/humidity", "attic", "attic/a/b", "kitchen/x/temperature", "end/temperature"):
            tools.publish(self.server, "-q", "1", "-t", self.name(topic), "-m", "x")
        self.assertEqual(sub.take(4), [self.name(topic) + " x" for topic in (
            "kitchen/temperature", "attic", "attic/a/b", "end/temperature")])

    def test_unsubscribes_at_once(self):
        sub = self.keep(tools.Subscriber(self.server, "-v", "-t", self.name("a"), "-t", self.name("b"), "-U", self.name("a")))
        # -U goes out right behind SUBSCRIBE, before the SUBACK that the constructor saw; a round trip behind it is the proof
        tools.publish(self.server, "-q", "1", "-t", self.name("b"), "-m", "first")
        sub.line()
        tools.publish(self.server, "-q", "1", "-t", self.name("a"), "-m", "unwanted")
        tools.publish(self.server, "-q", "1", "-t", self.name("b"), "-m", "second")
        self.assertEqual(sub.line(), self.name("b") + " second")

    def test_carries_a_mebibyte_unchanged_at_every_qos(self):
        pattern = bytes(33 + i % 89 for i in range(4093)).replace(b"\n", b"x")
        payload = (pattern * (MEBIBYTE // len(pattern) + 1))[:MEBIBYTE]
        for qos in "012":
            sub = self.keep(tools.Subscriber(self.server, "-t", self.name(qos), "-q", qos, "-C", "1"))
            tools.publish(self.server, "-q", qos, "-t", self.name(qos), payload=payload)
            self.assertEqual(sub.line().encode(), payload)

    def test_carries_an_empty_payload(self):
        sub = self.keep(tools.Subscriber(self.server, "-t", self.name(), "-F", "%t %l", "-q", "1"))
        tools.publish(self.server, "-q", "1", "-t", self.name(), "-n")
        self.assertEqual(sub.line(), self.name() + " 0")

    def test_keeps_the_order_of_many_lines(self):
        lines = [b"line %d" % i for i in range(2000)]
        for qos in "012":
            sub = self.keep(tools.Subscriber(self.server, "-t", self.name(qos), "-q", qos))
            tools.publish(self.server, "-q", qos, "-t", self.name(qos), "-l", payload=b"\n".join(lines) + b"\n")
            self.assertEqual(sub.take(len(lines)), [line.decode() for line in lines])

    def test_serves_many_topics(self):
        sub = self.keep(tools.Subscriber(self.server, "-t", self.name("+/+/value"), "-q", "1", "-F", "%t"))
        sender = self.keep(wire.Wire(self.server.address, version=4))
        sender.connect()
        topics = [self.name("%d/%d/value" % (i % 50, i)) for i in range(3000)]
        sender.send(b"".join(wire.publish(topic, b"x", version=4) for topic in topics))
        self.assertEqual(sub.take(len(topics)), topics)


class Retained(harness.Case):
    def test_gives_the_last_retained_value_to_a_new_subscriber(self):
        for version in VERSIONS:
            topic = self.name(version)
            for value in ("old", "new"):
                tools.publish(self.server, "-V", version, "-q", "1", "-r", "-t", topic, "-m", value)
            sub = self.keep(tools.Subscriber(self.server, "-V", version, "-t", topic, "-F", "%t %r %p", "-C", "1"))
            self.assertEqual(sub.rest(), [topic + " 1 new"])

    def test_live_messages_do_not_carry_the_retain_flag(self):
        sub = self.keep(tools.Subscriber(self.server, "-t", self.name(), "-F", "%r %p"))
        tools.publish(self.server, "-r", "-t", self.name(), "-m", "x")
        self.assertEqual(sub.line(), "0 x")

    def test_clearing_leaves_nothing_for_new_subscribers(self):
        for name in ("kept", "cleared"):
            tools.publish(self.server, "-q", "1", "-r", "-t", self.name(name), "-m", name)
        tools.publish(self.server, "-q", "1", "-r", "-n", "-t", self.name("cleared"))
        sub = self.keep(tools.Subscriber(self.server, "-t", self.name("#"), "-v"))
        tools.publish(self.server, "-q", "1", "-t", self.name("z"), "-m", "live")
        self.assertEqual(sub.take(2), [self.name("kept") + " kept", self.name("z") + " live"])

    def test_remove_retained_clears_what_it_sees(self):
        for i in range(20):
            tools.publish(self.server, "-q", "1", "-r", "-t", self.name(str(i)), "-m", "x")
        watcher = self.keep(tools.Subscriber(self.server, "-t", self.name("#"), "-q", "1", "-F", "%t %r %l"))
        names = {self.name(str(i)) for i in range(20)}
        self.assertEqual(set(watcher.take(20)), {name + " 1 1" for name in names})
        self.keep(tools.Subscriber(self.server, "-t", self.name("#"), "--remove-retained", "-q", "1"))
        self.assertEqual(set(watcher.take(20)), {name + " 0 0" for name in names})
        late = self.keep(tools.Subscriber(self.server, "-t", self.name("#"), "-v"))
        tools.publish(self.server, "-q", "1", "-t", self.name("live"), "-m", "x")
        self.assertEqual(late.line(), self.name("live") + " x")

    def test_finds_all_of_a_thousand_retained_topics(self):
        sender = self.keep(wire.Wire(self.server.address))
        sender.connect()
        topics = {self.name("%d/%d" % (i % 10, i)) for i in range(1000)}
        sender.send(b"".join(wire.publish(topic, topic, retain=True) for topic in sorted(topics)))
        sender.ping()
        sub = self.keep(tools.Subscriber(self.server, "-t", self.name("#"), "-q", "1", "-F", "%t %p %r", "-C", "1000"))
        self.assertEqual(set(sub.rest()), {"%s %s 1" % (topic, topic) for topic in topics})


if __name__ == "__main__":
    harness.main()
