"""paho-mqtt in MQTT 3.1, 3.1.1 and 5.0: every callback, every property, every subscription option."""

import harness
from harness import pahos, wire
from harness.pahos import V5, V31, V311, PacketTypes, SubscribeOptions, properties

ALL_PUBLISH = {
    "PayloadFormatIndicator": 1,
    "ContentType": "application/json",
    "ResponseTopic": "answer/to",
    "CorrelationData": b"\x00\xff\x01",
    "UserProperty": [("first", "1"), ("second", "zwei"), ("first", "again")],
}


class AnyVersion(harness.Case):
    def client(self, version=V5, suffix="", **options):
        return self.keep(pahos.Client(self.server, self.name(suffix + str(version)), version, **options))

    def test_calls_back_for_every_step(self):
        for version in (V31, V311, V5):
            client = self.client(version)
            self.assertEqual(client.connect()[0], False)
            self.assertEqual(client.subscribe((self.name(), 2), (self.name("other"), 1)), [2, 1])
            for qos in range(3):
                client.publish(self.name(), b"m%d" % qos, qos)
                message = client.message()
                self.assertEqual((message.topic, message.payload, message.qos, message.retain), (self.name(), b"m%d" % qos, qos, False))
            client.unsubscribe(self.name())
            client.publish(self.name(), b"unwanted", 1)
            client.publish(self.name("other"), b"end", 1)
            self.assertEqual(client.message().payload, b"end")
            client.disconnect()

    def test_versions_talk_to_each_other(self):
        clients = {version: self.client(version) for version in (V31, V311, V5)}
        for client in clients.values():
            client.connect()
            client.subscribe((self.name(), 2))
        for version, client in clients.items():
            client.publish(self.name(), b"from %d" % version, 2, retain=version == V311)
        for client in clients.values():
            self.assertEqual(sorted(one.payload for one in client.take(3)), sorted(b"from %d" % v for v in clients))

    def test_keeps_order_of_a_thousand_messages_at_each_qos(self):
        sub, pub = self.client(suffix="sub"), self.client(V311, suffix="pub")
        sub.connect()
        pub.connect()
        for qos in range(3):
            topic = self.name(str(qos))
            sub.subscribe((topic, qos))
            infos = [pub.paho.publish(topic, b"%d" % i, qos) for i in range(1000)]
            self.assertEqual([int(one.payload) for one in sub.take(1000)], list(range(1000)))
            for info in infos:
                info.wait_for_publish(harness.DEADLINE)

    def test_a_session_of_3_1_1_is_present_when_it_comes_back(self):
        first = pahos.Client(self.server, "comes-back", V311, clean=False)
        self.assertFalse(first.connect()[0])
        first.subscribe((self.name(), 1))
        first.disconnect()
        other = self.client(V311)
        other.connect()
        other.publish(self.name(), b"queued", 1)
        again = self.keep(pahos.Client(self.server, "comes-back", V311, clean=False))
        self.assertTrue(again.connect()[0])
        self.assertEqual(again.message().payload, b"queued")

    def test_clean_session_of_3_1_1_starts_afresh(self):
        first = pahos.Client(self.server, "afresh", V311, clean=False)
        first.connect()
        first.disconnect()
        clean = pahos.Client(self.server, "afresh", V311, clean=True)
        self.assertFalse(clean.connect()[0])
        clean.disconnect()
        last = self.keep(pahos.Client(self.server, "afresh", V311, clean=False))
        self.assertFalse(last.connect()[0])

    def test_survives_topics_and_payloads_of_every_kind(self):
        client = self.client()
        client.connect()
        client.subscribe((self.name("#"), 1))
        topics = [self.name(part) for part in ("", "/", "//", "ä/ö/ü", "日本/語", " ", "a b", "\U0001f980", "x" * 60000)]
        topics[0] += "/"
        for topic in topics:
            client.publish(topic, topic.encode(), 1)
            message = client.message()
            self.assertEqual((message.topic, message.payload), (topic, topic.encode()))


class Properties(harness.Case):
    def client(self, suffix="", **options):
        client = self.keep(pahos.Client(self.server, self.name(suffix), V5, **options))
        return client

    def test_forwards_every_publish_property_unchanged(self):
        client = self.client()
        client.connect()
        client.subscribe((self.name(), 2))
        for qos in range(3):
            client.publish(self.name(), b"{}", qos, MessageExpiryInterval=60, **ALL_PUBLISH)
            got = client.message().properties
            for name, value in ALL_PUBLISH.items():
                self.assertEqual(getattr(got, name), value, name)
            self.assertIn(got.MessageExpiryInterval, (59, 60))

    def test_keeps_every_property_of_a_retained_message(self):
        client = self.client()
        client.connect()
        client.publish(self.name(), b"{}", 1, retain=True, **ALL_PUBLISH)
        client.subscribe((self.name(), 1))
        message = client.message()
        self.assertTrue(message.retain)
        for name, value in ALL_PUBLISH.items():
            self.assertEqual(getattr(message.properties, name), value, name)

    def test_keeps_every_property_of_a_queued_message(self):
        expiry = properties(PacketTypes.CONNECT, SessionExpiryInterval=60)
        away = pahos.Client(self.server, self.name("away"), V5)
        away.connect(props=expiry)
        away.subscribe((self.name(), 2), props=properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=5))
        away.disconnect()
        sender = self.client("sender")
        sender.connect()
        for qos in (1, 2):
            sender.publish(self.name(), b"m%d" % qos, qos, **ALL_PUBLISH)
        back = self.keep(pahos.Client(self.server, self.name("away"), V5, clean=False))
        self.assertTrue(back.connect(props=expiry)[0])
        for qos in (1, 2):
            message = back.message()
            self.assertEqual((message.payload, message.qos), (b"m%d" % qos, qos))
            for name, value in {**ALL_PUBLISH, "SubscriptionIdentifier": [5]}.items():
                self.assertEqual(getattr(message.properties, name), value, name)

    def test_gives_a_will_its_properties(self):
        watcher, doomed = self.client("watcher"), self.client("doomed")
        watcher.connect()
        watcher.subscribe((self.name(), 2))
        doomed.paho.will_set(self.name(), b"gone", 2, False, properties=properties(PacketTypes.WILLMESSAGE, **ALL_PUBLISH))
        doomed.connect()
        doomed.disconnect(reason=pahos.ReasonCodes(PacketTypes.DISCONNECT, identifier=4))
        message = watcher.message()
        self.assertEqual((message.payload, message.qos), (b"gone", 2))
        for name, value in ALL_PUBLISH.items():
            self.assertEqual(getattr(message.properties, name), value, name)

    def test_resolves_aliases_and_does_not_forward_them(self):
        client = self.client()
        _present, answer = client.connect()
        top = answer.TopicAliasMaximum
        self.assertGreaterEqual(top, 2)
        client.subscribe((self.name("#"), 1))
        client.publish(self.name("one"), b"a", 1, TopicAlias=1)
        client.publish(self.name("two"), b"b", 0, TopicAlias=top)
        client.publish("", b"c", 1, TopicAlias=1)
        client.publish("", b"d", 0, TopicAlias=top)
        client.publish(self.name("three"), b"e", 0, TopicAlias=1)
        client.publish("", b"f", 0, TopicAlias=1)
        got = client.take(6)
        self.assertEqual([(one.topic[len(self.name()) + 1:], one.payload) for one in got],
                         [("one", b"a"), ("two", b"b"), ("one", b"c"), ("two", b"d"), ("three", b"e"), ("three", b"f")])
        self.assertFalse(any(hasattr(one.properties, "TopicAlias") for one in got))

    def test_tells_a_message_which_subscription_it_is_for(self):
        client = self.client()
        client.connect()
        for number, name in ((3, "a"), (268435455, "+"), (7, "b")):
            client.subscribe((self.name(name), 1), props=properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=number))
        client.publish(self.name("a"), b"x", 1)
        client.publish(self.name("c"), b"y", 1)
        ids = []
        while True:
            message = client.message()
            if message.payload == b"y":
                self.assertEqual(message.properties.SubscriptionIdentifier, [268435455])
                break
            ids += message.properties.SubscriptionIdentifier
        self.assertEqual(sorted(ids), [3, 268435455])

    def test_a_repeated_subscription_replaces_its_identifier(self):
        client = self.client()
        client.connect()
        for number in (1, 2):
            client.subscribe((self.name(), 1), props=properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=number))
        client.subscribe((self.name("plain"), 1))
        client.publish(self.name(), b"x", 1)
        client.publish(self.name("plain"), b"y", 1)
        first, second = client.take(2)
        self.assertEqual(first.properties.SubscriptionIdentifier, [2])
        self.assertFalse(hasattr(second.properties, "SubscriptionIdentifier"))

    def test_no_local_keeps_own_messages_away(self):
        own, other = self.client("own"), self.client("other")
        own.connect()
        other.connect()
        own.subscribe((self.name(), SubscribeOptions(qos=1, noLocal=True)))
        own.publish(self.name(), b"own", 1)
        other.publish(self.name(), b"other", 1)
        self.assertEqual(own.message().payload, b"other")

    def test_retain_as_published_keeps_the_flag(self):
        client = self.client()
        client.connect()
        client.subscribe((self.name("as"), SubscribeOptions(qos=1, retainAsPublished=True)),
                         (self.name("not"), SubscribeOptions(qos=1)))
        for name in ("as", "not"):
            for retain in (True, False):
                client.publish(self.name(name), b"x", 1, retain=retain)
        self.assertEqual([one.retain for one in client.take(4)], [True, False, False, False])

    def test_retain_handling_decides_what_a_subscription_gets_at_once(self):
        client = self.client()
        client.connect()
        client.publish(self.name(), b"retained", 1, retain=True)
        expected = []
        # first subscription, then the same again
        for handling, times in ((0, 2), (1, 1), (2, 0)):
            for _ in range(2):
                client.subscribe((self.name(), SubscribeOptions(qos=1, retainHandling=handling)))
                client.publish(self.name(), b"live %d" % handling, 1)
            expected.append(times)
            client.unsubscribe(self.name())
        client.subscribe((self.name("end"), 1))
        client.publish(self.name("end"), b"end", 1)
        got = {0: 0, 1: 0, 2: 0}
        retained = 0
        while True:
            message = client.message()
            if message.payload == b"end":
                break
            if message.retain:
                retained += 1
            else:
                got[int(message.payload[5:])] += 1
        self.assertEqual(got, {0: 2, 1: 2, 2: 2})
        self.assertEqual(retained, sum(expected))

    @harness.not_mosquitto("sends retained messages to shared subscriptions")
    def test_no_retained_message_for_a_shared_subscription(self):
        client = self.client()
        client.connect()
        client.publish(self.name(), b"retained", 1, retain=True)
        client.subscribe(("$share/group/" + self.name(), SubscribeOptions(qos=1)))
        client.publish(self.name(), b"live", 1)
        self.assertEqual(client.message().payload, b"live")

    @harness.not_mosquitto("closes without DISCONNECT")
    def test_the_old_connection_is_told_of_the_take_over(self):
        old = wire.Wire(self.server.address)
        old.connect(self.name())
        new = self.client()
        new.connect()
        (told,) = old.read_to_end()
        old.close()
        self.assertEqual(told.reason, 0x8E)

    def test_never_sends_a_packet_larger_than_the_client_takes(self):
        client = self.client()
        client.connect(props=properties(PacketTypes.CONNECT, MaximumPacketSize=200))
        client.subscribe((self.name(), 2))
        sender = self.client("sender")
        sender.connect()
        for qos in range(3):
            sender.publish(self.name(), b"x" * 300, qos)
            sender.publish(self.name(), b"fits", qos)
            self.assertEqual(client.message().payload, b"fits")

    def test_request_problem_information_0_brings_no_reason_strings(self):
        client = self.keep(wire.Wire(self.server.address))
        client.connect(self.name(), props={"request_problem": 0})
        client.send(wire.unsubscribe(1, ["never/subscribed"]))
        answer = client.read(wire.UNSUBACK)
        self.assertEqual((answer.reasons, answer.props), ([0x11], {}))

    def test_connack_tells_what_the_broker_can_do(self):
        client = self.keep(wire.Wire(self.server.address))
        props = client.connect("").props
        for name, default in (("retain_available", 1), ("wildcard_available", 1), ("subscription_id_available", 1), ("shared_available", 1)):
            self.assertEqual(props.get(name, default), 1, name)
        self.assertIn(props.get("qos_max", 2), (2,))
        self.assertTrue(props["assigned_client_id"])

    def test_invalid_utf8_and_wildcards_in_topics_end_the_connection(self):
        for topic in (b"a/\xff", b"a/+", b"#", b"", b"nul\x00"):
            client = self.keep(wire.Wire(self.server.address))
            client.connect("")
            client.send(wire.publish(topic, b"x"))
            ends = client.read_to_end()
            self.assertTrue(all(isinstance(one, wire.Disconnect) and one.reason >= 0x80 for one in ends), (topic, ends))


if __name__ == "__main__":
    harness.main()
