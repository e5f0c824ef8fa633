"""Connections that break: what was not acknowledged is sent again, in order, and QoS 2 stays exactly once."""

import harness
from harness import pahos, session, wire
from harness.pahos import V5, V311, PacketTypes, properties

EXPIRY = {"session_expiry": 300}
CUTS = 25


class FromTheBroker(harness.Case):
    """Redelivery to a subscriber that comes back."""

    def subscriber(self, version, key="", **props):
        """A subscriber whose session exists already, so that it can come back to it under the same KEY."""
        client = wire.Wire(self.server.address, version)
        extra = {"props": {**EXPIRY, **props}} if version == 5 else {}
        client.connect(self.name("%d%s" % (version, key)), clean=version == 5, **extra)
        client.subscribe((self.name("%d%s" % (version, key)), 2))
        client.abort()
        return self.come_back(version, key, **props)

    def come_back(self, version, key="", **props):
        client = self.keep(wire.Wire(self.server.address, version))
        extra = {"props": {**EXPIRY, **props}} if version == 5 else {}
        answer = client.connect(self.name("%d%s" % (version, key)), clean=False, **extra)
        # 3.1 has no bit for it
        self.assertTrue(answer.session_present or version == 3)
        return client

    def publish(self, version, payloads, qos, key=""):
        sender = wire.Wire(self.server.address)
        sender.connect()
        for payload in payloads:
            sender.publish(self.name("%d%s" % (version, key)), payload, qos)
        sender.close()

    def test_sends_unacknowledged_messages_again_with_dup_the_same_id_and_in_order(self):
        for version in (3, 4, 5):
            for qos in (1, 2):
                key = " QoS %d" % qos
                sub = self.subscriber(version, key)
                self.publish(version, [b"%d" % i for i in range(5)], qos, key)
                first = [sub.read(wire.PUBLISH) for _ in range(5)]
                self.assertEqual([one.payload for one in first], [b"%d" % i for i in range(5)])
                self.assertFalse(any(one.dup for one in first))
                sub.abort()
                back = self.come_back(version, key)
                again = [back.read(wire.PUBLISH) for _ in range(5)]
                self.assertEqual([(one.payload, one.packet_id, one.qos) for one in again],
                                 [(one.payload, one.packet_id, qos) for one in first])
                self.assertTrue(all(one.dup for one in again))
                back.abort()

    def test_sends_acknowledged_messages_no_more(self):
        sub = self.subscriber(5)
        self.publish(5, [b"a", b"b", b"c"], 1)
        got = [sub.read(wire.PUBLISH) for _ in range(3)]
        sub.send(wire.ack(wire.PUBACK, got[1].packet_id))
        sub.ping()
        sub.abort()
        back = self.come_back(5)
        self.assertEqual([back.read(wire.PUBLISH).payload for _ in range(2)], [b"a", b"c"])
        self.publish(5, [b"d"], 1)
        self.assertEqual(back.read(wire.PUBLISH).payload, b"d")

    def test_goes_on_with_pubrel_after_pubrec(self):
        for version in (3, 4, 5):
            sub = self.subscriber(version)
            self.publish(version, [b"a", b"b"], 2)
            first, second = sub.read(wire.PUBLISH), sub.read(wire.PUBLISH)
            sub.send(wire.ack(wire.PUBREC, first.packet_id))
            self.assertEqual(sub.read(wire.PUBREL).packet_id, first.packet_id)
            sub.abort()
            back = self.come_back(version)
            released, repeated = sorted((back.read(), back.read()), key=lambda one: isinstance(one, wire.Publish))
            self.assertEqual(released.packet_id, first.packet_id)
            self.assertEqual((repeated.packet_id, repeated.payload, repeated.dup), (second.packet_id, b"b", True))
            back.send(wire.ack(wire.PUBCOMP, first.packet_id))
            back.send(wire.ack(wire.PUBREC, second.packet_id))
            self.assertEqual(back.read(wire.PUBREL).packet_id, second.packet_id)
            back.send(wire.ack(wire.PUBCOMP, second.packet_id))
            self.assertEqual(back.ping(), [])
            back.abort()
            self.assertEqual(self.come_back(version).ping(), [])

    @harness.not_mosquitto("sends more than the Receive Maximum")
    def test_fills_no_more_than_the_receive_maximum(self):
        for qos in (1, 2):
            sub = self.subscriber(5, receive_max=3)
            self.publish(5, [b"%d" % i for i in range(10)], qos)
            window = [sub.read(wire.PUBLISH) for _ in range(3)]
            self.assertEqual(sub.ping(), [])
            for i in range(3, 10):
                oldest = window.pop(0)
                if qos == 1:
                    sub.send(wire.ack(wire.PUBACK, oldest.packet_id))
                else:
                    sub.send(wire.ack(wire.PUBREC, oldest.packet_id))
                    self.assertEqual(sub.read(wire.PUBREL).packet_id, oldest.packet_id)
                    self.assertEqual(sub.ping(), [], "PUBREC gives no room before PUBCOMP")
                    sub.send(wire.ack(wire.PUBCOMP, oldest.packet_id))
                window.append(sub.read(wire.PUBLISH))
                self.assertEqual(window[-1].payload, b"%d" % i)
                self.assertEqual(sub.ping(), [])
            sub.abort()

    @harness.not_mosquitto("sends more than the Receive Maximum")
    def test_a_smaller_receive_maximum_after_a_reconnect_holds(self):
        sub = self.subscriber(5, receive_max=10)
        self.publish(5, [b"%d" % i for i in range(10)], 1)
        for _ in range(10):
            sub.read(wire.PUBLISH)
        sub.abort()
        back = self.come_back(5, receive_max=2)
        for i in range(0, 10, 2):
            pair = [back.read(wire.PUBLISH) for _ in range(2)]
            self.assertEqual([one.payload for one in pair], [b"%d" % i, b"%d" % (i + 1)])
            self.assertEqual(back.ping(), [])
            back.send(b"".join(wire.ack(wire.PUBACK, one.packet_id) for one in pair))

    def test_a_refusal_by_the_receiver_ends_a_qos_2_message(self):
        sub = self.subscriber(5, receive_max=1)
        self.publish(5, [b"refused", b"next"], 2)
        refused = sub.read(wire.PUBLISH)
        sub.send(wire.ack(wire.PUBREC, refused.packet_id, 0x97))
        self.assertEqual(sub.read(wire.PUBLISH).payload, b"next")
        sub.abort()
        back = self.come_back(5)
        self.assertEqual(back.read(wire.PUBLISH).payload, b"next")


class ToTheBroker(harness.Case):
    """A publisher that comes back and repeats itself."""

    def watcher(self):
        watcher = self.keep(wire.Wire(self.server.address))
        watcher.connect()
        watcher.subscribe((self.name(), 0))
        return watcher

    def test_a_repeated_qos_2_publish_is_delivered_once(self):
        watcher = self.watcher()
        for version in (3, 4, 5):
            options = {"props": EXPIRY} if version == 5 else {}
            pub = self.keep(wire.Wire(self.server.address, version))
            pub.connect(self.name(str(version)), clean=version == 5, **options)
            pub.close()
            for _ in range(3):
                pub = self.keep(wire.Wire(self.server.address, version))
                pub.connect(self.name(str(version)), clean=False, **options)
                pub.send(wire.publish(self.name(), b"once", 2, 7, dup=True, version=version))
                self.assertEqual(pub.read(wire.PUBREC).packet_id, 7)
                pub.abort()
            pub = self.keep(wire.Wire(self.server.address, version))
            pub.connect(self.name(str(version)), clean=False, **options)
            for _ in range(2):
                pub.send(wire.ack(wire.PUBREL, 7))
                self.assertEqual(pub.read(wire.PUBCOMP).packet_id, 7)
            pub.publish(self.name(), b"end", 1)
            self.assertEqual([watcher.read(wire.PUBLISH).payload for _ in range(2)], [b"once", b"end"])

    def test_a_new_qos_2_publish_with_a_released_id_is_new(self):
        watcher = self.watcher()
        pub = self.keep(wire.Wire(self.server.address))
        pub.connect(self.name())
        for payload in (b"a", b"b"):
            pub.next_id = 6
            pub.publish(self.name(), payload, 2)
        self.assertEqual([watcher.read(wire.PUBLISH).payload for _ in range(2)], [b"a", b"b"])

    def test_a_clean_start_forgets_the_ids_of_the_old_session(self):
        watcher = self.watcher()
        pub = self.keep(wire.Wire(self.server.address))
        pub.connect(self.name(), clean=True, props=EXPIRY)
        pub.send(wire.publish(self.name(), b"begun", 2, 1))
        pub.read(wire.PUBREC)
        pub.abort()
        pub = self.keep(wire.Wire(self.server.address))
        pub.connect(self.name(), clean=True, props=EXPIRY)
        pub.publish(self.name(), b"new", 2)
        # a broker may deliver what was begun, at PUBLISH or at PUBREL; the new message with the same id must come
        while watcher.read(wire.PUBLISH).payload != b"new":
            pass


class Broken(harness.Case):
    """Clients whose socket is cut again and again while messages flow."""

    options = {"limits": {"queued_messages": 100000}}

    def test_paho_loses_nothing_when_its_socket_is_cut(self):
        for version, qos in ((V311, 1), (V311, 2), (V5, 1), (V5, 2)):
            topic = self.name("%d/%d" % (version, qos))
            expiry = properties(PacketTypes.CONNECT, SessionExpiryInterval=300) if version == V5 else None
            sub = pahos.Client(self.server, "%d%d sub" % (version, qos), version, clean=False)
            pub = pahos.Client(self.server, "%d%d pub" % (version, qos), version, clean=False)
            self.keep(sub).connect(props=expiry)
            sub.subscribe((topic, qos))
            self.keep(pub).connect(props=expiry)
            count = 150
            open_mids = set()
            for i in range(count):
                # paho keeps no window of its own after a reconnect
                while len(open_mids) >= 10:
                    open_mids.discard(pahos.get(pub.published, "acknowledgement"))
                open_mids.add(pub.paho.publish(topic, b"%d" % i, qos).mid)
                if i % 30 == 15:
                    (sub if i % 60 == 15 else pub).cut()
            while open_mids:
                open_mids.discard(pahos.get(pub.published, "acknowledgement"))
            numbers = []
            while len(set(numbers)) < count:
                numbers.append(int(sub.message().payload))
            self.assertEqual(sorted(set(numbers)), list(range(count)))
            if qos == 2:
                self.assertEqual(len(numbers), count, "a QoS 2 message came twice")

    def test_a_subscriber_that_keeps_reconnecting_loses_nothing(self):
        self.reconnect_storm(cut_consumer=True, cut_producer=False)

    def test_a_publisher_that_keeps_reconnecting_loses_nothing(self):
        self.reconnect_storm(cut_consumer=False, cut_producer=True)

    def test_both_sides_reconnecting_lose_nothing(self):
        self.reconnect_storm(cut_consumer=True, cut_producer=True)

    def reconnect_storm(self, cut_consumer, cut_producer):
        for version, qos in ((4, 1), (5, 2)):
            topic = self.name("%d" % qos)
            consumer = self.keep(session.Consumer(
                self.server.address, self.name("sub%d" % qos), [(topic, 2)], None, version))
            producer = self.keep(session.Producer(
                self.server.address, self.name("pub%d" % qos), topic, None, qos, version, window=10))
            session.keep_pace(consumer, [producer])
            consumer.open()
            producer.open()
            consumer.start()
            producer.start()
            for _ in range(CUTS):
                # the next cut comes when something has moved since the last, so no clock decides what is under way
                seen = len(consumer.handed_on)
                harness.wait_until(lambda: len(consumer.handed_on) > seen + 5 or consumer.error, "messages flow", every=0.001)
                if cut_consumer:
                    consumer.cut()
                if cut_producer:
                    producer.cut()
            producer.finish()
            session.wait_all([producer])
            harness.wait_until(lambda: len(consumer.different) >= producer.count or consumer.error, "the last message came")
            self.assertIsNone(consumer.error)
            consumer.settle()
            numbers = session.numbers_by_topic(consumer)[topic]
            got = numbers if qos == 2 else session.first_occurrences(numbers)
            self.assertEqual(session.difference(got, producer.count), "")


if __name__ == "__main__":
    harness.main()
