"""The same client id again and again from new connections, on any worker, while messages flow.

The session moves from worker to worker. Nothing may be lost, QoS 2 must stay exactly once, and what one publisher sends must
stay in order.
"""

import harness
from harness import session, wire

WORKERS = 4
TAKEOVERS = 30
PUBLISHERS = 3


class Takeover(harness.Case):
    options = {"workers": WORKERS, "limits": {"queued_messages": 100000}}

    def storm(self, qos, version, move_consumer=True, move_producers=False):
        consumer = self.keep(session.Consumer(
            self.server.address, self.name("c%d" % version), [(self.name("%d/+" % version), 2)], None, version))
        senders = [self.keep(session.Producer(
            self.server.address, self.name("p%d%d" % (version, i)), self.name("%d/%d" % (version, i)), None, qos, version))
            for i in range(PUBLISHERS)]
        session.keep_pace(consumer, senders)
        for one in [consumer] + senders:
            one.open()
        for one in [consumer] + senders:
            one.start()
        for move in range(TAKEOVERS):
            # each move waits for messages that came over the connection before, so that they flow in between
            seen = len(consumer.handed_on)
            harness.wait_until(lambda: len(consumer.handed_on) > seen or consumer.error, "messages flow", every=0.001)
            if move_consumer:
                consumer.open()
            if move_producers:
                senders[move % PUBLISHERS].open()
        for one in senders:
            one.finish()
        session.wait_all(senders)
        total = sum(one.count for one in senders)
        try:
            harness.wait_until(lambda: len(consumer.different) >= total or consumer.error, "the last messages came")
        except AssertionError:
            pass  # what is missing is said below
        self.assertIsNone(consumer.error)
        consumer.settle()
        numbers = session.numbers_by_topic(consumer)
        for one in senders:
            got = numbers.pop(one.topic)
            if qos == 1:
                got = session.first_occurrences(got)
            self.assertEqual(session.difference(got, one.count), "", one.topic)
        self.assertEqual(numbers, {})

    def test_a_subscriber_that_moves_loses_nothing_at_qos_1(self):
        for version in (4, 5):
            self.storm(1, version)

    def test_a_subscriber_that_moves_gets_qos_2_exactly_once(self):
        for version in (4, 5):
            self.storm(2, version)

    def test_a_publisher_that_moves_delivers_qos_2_exactly_once(self):
        for version in (4, 5):
            self.storm(2, version, move_consumer=False, move_producers=True)

    def test_all_that_move_at_once_stay_exactly_once(self):
        self.storm(2, 5, move_producers=True)

    @harness.not_mosquitto("closes without DISCONNECT")
    def test_the_old_connection_is_told_in_5_0_and_closed(self):
        for version in (3, 4, 5):
            connections = []
            for _ in range(TAKEOVERS):
                connection = self.keep(wire.Wire(self.server.address, version))
                self.assertEqual(connection.connect(self.name(str(version)), clean=True).reason, 0)
                connections.append(connection)
            for old in connections[:-1]:
                told = [one.reason for one in old.read_to_end() if isinstance(one, wire.Disconnect)]
                self.assertEqual(told, [0x8E] if version == 5 else [])
            self.assertEqual(connections[-1].ping(), [])

    @harness.not_mosquitto("closes without DISCONNECT")
    def test_of_many_at_once_exactly_one_stays(self):
        """All send CONNECT before any reads its answer."""
        connections = [self.keep(wire.Wire(self.server.address)) for _ in range(24)]
        for connection in connections:
            connection.send(wire.connect(self.name(), clean=False, props={"session_expiry": 100}))
        accepted = 0
        for connection in connections:
            answer = connection.read(wire.CONNACK)
            # 0x8E is no code of CONNACK: one that is replaced before it is in hears "server unavailable"
            self.assertIn(answer.reason, (0, 0x88))
            accepted += answer.reason == 0
        self.assertGreater(accepted, 0)
        # of those that got in all but one are told to leave; the next one ends that one too
        last = self.keep(wire.Wire(self.server.address))
        answer = last.connect(self.name(), clean=False, props={"session_expiry": 100})
        self.assertEqual((answer.reason, answer.session_present), (0, True))
        told = [one.reason for connection in connections for one in connection.read_to_end()]
        self.assertEqual(told, [0x8E] * accepted)
        self.assertEqual(last.ping(), [])

    def test_a_clean_start_takes_the_connection_but_not_the_session(self):
        for _ in range(10):
            first = self.keep(wire.Wire(self.server.address))
            first.connect(self.name(), clean=True, props={"session_expiry": 100})
            first.subscribe((self.name(), 1))
            second = self.keep(wire.Wire(self.server.address))
            self.assertFalse(second.connect(self.name(), clean=True, props={"session_expiry": 100}).session_present)
            second.publish(self.name(), b"unwanted", 1)
            self.assertEqual(second.ping(), [])

    @harness.not_mosquitto("sends more than the Receive Maximum")
    def test_subscriptions_and_window_move_along(self):
        """What was sent and not acknowledged comes again on the new connection, what was held back comes after it."""
        props = {"session_expiry": 100, "receive_max": 5}
        first = self.keep(wire.Wire(self.server.address))
        first.connect(self.name(), clean=True, props=props)
        first.subscribe((self.name("a"), 1), (self.name("b"), 2))
        sender = self.keep(wire.Wire(self.server.address))
        sender.connect()
        for i in range(20):
            sender.publish(self.name("a"), b"%d" % i, 1)
        ids = [first.read(wire.PUBLISH).packet_id for _ in range(5)]
        connection = first
        for taken in range(10):
            connection = self.keep(wire.Wire(self.server.address))
            self.assertTrue(connection.connect(self.name(), clean=False, props=props).session_present)
            window = [connection.read(wire.PUBLISH) for _ in range(5)]
            self.assertEqual([int(one.payload) for one in window], list(range(taken, taken + 5)))
            if taken == 0:
                self.assertEqual([one.packet_id for one in window], ids)
            self.assertTrue(all(one.dup for one in window))
            connection.send(wire.ack(wire.PUBACK, window[0].packet_id))
            following = connection.read(wire.PUBLISH)
            self.assertEqual((int(following.payload), following.dup), (taken + 5, False))
        sender.publish(self.name("b"), b"b", 2)
        self.assertEqual(connection.ping(), [])


if __name__ == "__main__":
    harness.main()
