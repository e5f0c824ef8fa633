"""mosquitto_pub and mosquitto_sub with sessions: offline queue, last will, shared subscriptions, properties, refusals."""

import collections

import harness
from harness import tools, wire

VERSIONS = ("mqttv31", "mqttv311", "mqttv5")


class Sessions(harness.Case):
    def test_queues_for_a_persistent_session_that_is_away(self):
        for version in VERSIONS:
            topic, client = self.name(version), "away-" + version
            options = ("-V", version, "-c", "-i", client, "-t", topic, "-q", "2", "-F", "%q %p")
            tools.Subscriber(self.server, *options).close()
            for i in range(30):
                tools.publish(self.server, "-V", version, "-q", str(1 + i % 2), "-t", topic, "-m", "m%d" % i)
            sub = self.keep(tools.Subscriber(self.server, *options))
            tools.publish(self.server, "-q", "1", "-t", topic, "-m", "live")
            lines = sub.take(31)
            # mosquitto_sub hands QoS 2 on when it is released, so the order between the two is its own
            self.assertEqual([line for line in lines if line[0] == "1"], ["1 m%d" % i for i in range(0, 30, 2)] + ["1 live"])
            self.assertEqual([line for line in lines if line[0] == "2"], ["2 m%d" % i for i in range(1, 30, 2)])

    def test_does_not_queue_qos_0_for_a_session_that_is_away(self):
        options = ("-c", "-i", "away-qos0", "-t", self.name(), "-q", "1")
        tools.Subscriber(self.server, *options).close()
        tools.publish(self.server, "-q", "0", "-t", self.name(), "-m", "lost")
        tools.publish(self.server, "-q", "1", "-t", self.name(), "-m", "kept")
        self.assertEqual(self.keep(tools.Subscriber(self.server, *options)).line(), "kept")

    def test_a_clean_session_forgets(self):
        persistent = ("-c", "-i", "forgets", "-t", self.name("old"), "-q", "1", "-v")
        tools.Subscriber(self.server, *persistent).close()
        tools.publish(self.server, "-q", "1", "-t", self.name("old"), "-m", "queued")
        sub = self.keep(tools.Subscriber(self.server, "-i", "forgets", "-t", self.name("new"), "-q", "1", "-v"))
        tools.publish(self.server, "-q", "1", "-t", self.name("old"), "-m", "unwanted")
        tools.publish(self.server, "-q", "1", "-t", self.name("new"), "-m", "wanted")
        self.assertEqual(sub.line(), self.name("new") + " wanted")

    def test_publishes_the_will_of_a_client_that_vanishes(self):
        for version in VERSIONS:
            watcher = self.keep(tools.Subscriber(self.server, "-t", self.name(version), "-q", "2", "-F", "%q %r %p"))
            doomed = tools.Subscriber(
                self.server, "-V", version, "-t", "none", "--will-topic", self.name(version),
                "--will-payload", "gone", "--will-qos", "2", "--will-retain")
            doomed.close()
            self.assertEqual(watcher.line(), "2 0 gone")
            late = self.keep(tools.Subscriber(self.server, "-t", self.name(version), "-q", "2", "-F", "%q %r %p", "-C", "1"))
            self.assertEqual(late.rest(), ["2 1 gone"])

    def test_publishes_no_will_after_a_disconnect(self):
        watcher = self.keep(tools.Subscriber(self.server, "-t", self.name()))
        leaving = self.keep(tools.Subscriber(
            self.server, "-t", "none", "--will-topic", self.name(), "--will-payload", "unwanted"))
        leaving.stop()
        tools.publish(self.server, "-t", self.name(), "-m", "end")
        self.assertEqual(watcher.line(), "end")

    def test_a_shared_subscription_gives_each_message_to_one_member(self):
        members = [self.keep(tools.Subscriber(self.server, "-V", "mqttv5", "-t", "$share/crew/" + self.name("#"), "-q", "1"))
                   for _ in range(3)]
        plain = self.keep(tools.Subscriber(self.server, "-t", self.name("#"), "-q", "1"))
        count = 120
        tools.publish(self.server, "-q", "1", "-t", self.name("job"), "-l",
                      payload=b"".join(b"%d\n" % i for i in range(count)))
        self.assertEqual(plain.take(count), [str(i) for i in range(count)])
        harness.wait_until(lambda: sum(member.lines.qsize() for member in members) >= count, "all jobs are given out")
        got = collections.Counter()
        for member in members:
            lines = member.take(member.lines.qsize())
            self.assertGreater(len(lines), 0, "a member got nothing")
            self.assertEqual(lines, sorted(lines, key=int), "a member got them out of order")
            got.update(lines)
        self.assertEqual(got, collections.Counter(str(i) for i in range(count)))

    def test_two_shared_groups_each_get_every_message(self):
        subs = [self.keep(tools.Subscriber(self.server, "-t", "$share/%s/%s" % (group, self.name()), "-q", "2"))
                for group in ("one", "two")]
        tools.publish(self.server, "-q", "2", "-t", self.name(), "-l", payload=b"a\nb\nc\n")
        for sub in subs:
            self.assertEqual(sub.take(3), ["a", "b", "c"])


class Properties(harness.Case):
    def test_forwards_every_publish_property(self):
        sub = self.keep(tools.Subscriber(
            self.server, "-V", "mqttv5", "-t", self.name(), "-q", "1",
            "-F", "%A|%C|%D|%F|%R|%P|%p", "-D", "subscribe", "subscription-identifier", "77"))
        tools.publish(
            self.server, "-V", "mqttv5", "-q", "1", "-t", self.name(), "-m", "{}",
            "-D", "publish", "content-type", "application/json",
            "-D", "publish", "correlation-data", "abc",
            "-D", "publish", "payload-format-indicator", "1",
            "-D", "publish", "response-topic", "answers/here",
            "-D", "publish", "user-property", "k1", "v1",
            "-D", "publish", "user-property", "k2", "v2")
        alias, content, correlation, utf8, response, user, payload = sub.line().split("|")
        self.assertEqual(
            (content, correlation, utf8, response, payload), ("application/json", "abc", "1", "answers/here", "{}"))
        self.assertEqual(user.split(), ["k1:v1", "k2:v2"])
        self.assertEqual(alias, "", "an alias that nobody asked for")

    def test_counts_down_the_expiry_of_a_retained_message(self):
        tools.publish(self.server, "-V", "mqttv5", "-q", "1", "-r", "-t", self.name(), "-m", "x",
                      "-D", "publish", "message-expiry-interval", "1000")
        sub = self.keep(tools.Subscriber(self.server, "-V", "mqttv5", "-t", self.name(), "-F", "%E", "-C", "1"))
        (left,) = sub.rest()
        self.assertTrue(900 < int(left) <= 1000, left)

    def test_an_alias_from_the_publisher_is_resolved(self):
        sub = self.keep(tools.Subscriber(self.server, "-t", self.name(), "-v"))
        tools.publish(self.server, "-V", "mqttv5", "-t", self.name(), "-m", "x", "-D", "publish", "topic-alias", "4")
        self.assertEqual(sub.line(), self.name() + " x")

    def test_gives_a_will_its_properties(self):
        watcher = self.keep(tools.Subscriber(self.server, "-V", "mqttv5", "-t", self.name(), "-F", "%C|%P|%p"))
        doomed = tools.Subscriber(
            self.server, "-V", "mqttv5", "-t", "none", "--will-topic", self.name(), "--will-payload", "gone",
            "-D", "will", "content-type", "text/plain", "-D", "will", "user-property", "why", "killed")
        doomed.close()
        self.assertEqual(watcher.line(), "text/plain|why:killed|gone")


class Answers(harness.Case):
    def test_invents_an_id_for_a_client_without_one(self):
        for version in (4, 5):
            client = self.keep(wire.Wire(self.server.address, version))
            answer = client.connect("")
            self.assertEqual(answer.reason, 0)
            self.assertEqual("assigned_client_id" in answer.props, version == 5)

    def test_sys_topics_tell_about_the_broker(self):
        sub = self.keep(tools.Subscriber(self.server, "-t", "$SYS/#", "-F", "%t"))
        seen = set()
        while not {"$SYS/broker/version", "$SYS/broker/uptime", "$SYS/broker/clients/connected"} <= seen:
            seen.add(sub.line())

    def test_sys_topics_are_not_for_clients_to_write(self):
        # whatever it answers, the value stays the broker's own
        tools.publish(self.server, "-r", "-q", "1", "-t", "$SYS/broker/version", "-m", "forged", check=False)
        sub = self.keep(tools.Subscriber(self.server, "-t", "$SYS/broker/version"))
        self.assertNotEqual(sub.line(), "forged")


Answers.options = {"config": {"sys_interval_s": 1}}


if __name__ == "__main__":
    harness.main()
