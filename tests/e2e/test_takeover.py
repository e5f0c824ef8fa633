"""The same client id again and again from new connections, on any worker, while messages flow.

The session moves from worker to worker. Nothing may be lost, QoS 2 must stay exactly once, and what one publisher sends must
stay in order.
"""

import harness
from harness import session, wire

WORKERS = 4
TAKEOVERS = 30


class Takeover(harness.Case):
    options = {"workers": WORKERS, "limits": {"queued_messages": 100000}}

    def storm(self, qos, version, messages=400, producers=3, move_consumer=True, move_producers=False):
        consumer = self.keep(session.Consumer(
            self.server.address, self.name("c%d" % version), [(self.name("%d/+" % version), 2)], messages * producers, version))
        senders = [self.keep(session.Producer(
            self.server.address, self.name("p%d%d" % (version, i)), self.name("%d/%d" % (version, i)), messages, qos, version))
            for i in range(producers)]
        for one in [consumer] + senders:
            one.open()
        for one in [consumer] + senders:
            one.start()
        moves = 0
        while not all(one.done.is_set() for one in senders):
            # each move waits for messages that came over the new connection, so that they flow in between
            seen = len(consumer.handed_on)
            harness.wait_until(lambda: len(consumer.handed_on) > seen or consumer.error or all(one.done.is_set() for one in senders),
                               "messages flow", every=0.001)
            if consumer.error:
                break
            if move_consumer:
                consumer.open()
            if move_producers:
                senders[moves % producers].open()
            moves += 1
        session.wait_all(senders + [consumer])
        consumer.settle()
        numbers = session.numbers_by_topic(consumer)
        self.assertEqual(len(numbers), producers)
        for topic, got in numbers.items():
            if qos == 2:
                self.assertEqual(got, list(range(messages)), topic)
            else:
                self.assertEqual(session.first_occurrences(got), list(range(messages)), topic)
        self.assertGreater(moves, 5, "nothing moved")

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

    def test_of_many_at_once_exactly_one_stays(self):
        """All send CONNECT before any reads its answer."""
        connections = [self.keep(wire.Wire(self.server.address)) for _ in range(24)]
        for connection in connections:
            connection.send(wire.connect(self.name(), clean=False, props={"session_expiry": 100}))
        # a later one ends all of them, so each can be read to its end
        last = self.keep(wire.Wire(self.server.address))
        answer = last.connect(self.name(), clean=False, props={"session_expiry": 100})
        self.assertEqual((answer.reason, answer.session_present), (0, True))
        for connection in connections:
            for one in connection.read_to_end():
                if isinstance(one, wire.Connack):
                    self.assertIn(one.reason, (0, 0x8E))
                else:
                    self.assertEqual(one.reason, 0x8E)
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
