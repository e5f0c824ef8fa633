"""Several workers: publishers and subscribers sit on different ones, and nobody can tell.

QoS 1 and 2 between all of them arrive without loss, repetition or reordering per publisher. With the thread sanitizer these
tests are what looks for races between workers.
"""

import collections

import harness
from harness import session, wire

WORKERS = 4


class Workers(harness.Case):
    options = {"workers": WORKERS, "limits": {"queued_messages": 100000}}

    def run_all(self, consumers, producers):
        for one in consumers + producers:
            self.keep(one)
            one.open()
        for one in consumers + producers:
            one.start()
        session.wait_all(producers + consumers)
        for one in consumers:
            one.settle()

    def producers(self, count, qos, messages, version=5):
        return [session.Producer(self.server.address, self.name("p%d" % i), self.name("from/%d" % i), messages, qos, version)
                for i in range(count)]

    def assertExact(self, consumer, producers, messages):
        numbers = session.numbers_by_topic(consumer)
        self.assertEqual(len(numbers), producers)
        for topic, got in numbers.items():
            self.assertEqual(session.difference(got, messages), "", "%s at %s" % (topic, consumer.client_id))

    def test_every_subscriber_gets_everything_in_order(self):
        for qos in (1, 2):
            messages, count = 60, 8
            consumers = [session.Consumer(self.server.address, self.name("c%d%d" % (qos, i)), [(self.name("from/+"), qos)],
                                          messages * count, version=4 + i % 2) for i in range(8)]
            producers = self.producers(count, qos, messages, version=4 + qos % 2)
            for producer in producers:
                producer.client_id += " QoS %d" % qos
            self.run_all(consumers, producers)
            for consumer in consumers:
                self.assertExact(consumer, count, messages)
                consumer.stop()
            for producer in producers:
                producer.stop()

    def test_qos_0_is_not_lost_or_reordered_when_nobody_is_slow(self):
        messages, count = 200, 6
        consumers = [session.Consumer(self.server.address, self.name("c%d" % i), [(self.name("from/+"), 0)], messages * count)
                     for i in range(6)]
        self.run_all(consumers, self.producers(count, 1, messages))
        for consumer in consumers:
            self.assertExact(consumer, count, messages)

    def test_pairs_do_not_mix(self):
        messages = 200
        consumers = [session.Consumer(self.server.address, self.name("c%d" % i), [(self.name("from/%d" % i), 2)], messages)
                     for i in range(12)]
        self.run_all(consumers, self.producers(12, 2, messages))
        for i, consumer in enumerate(consumers):
            self.assertEqual(consumer.handed_on, [(self.name("from/%d" % i), b"%d" % n) for n in range(messages)])

    def test_a_shared_group_over_workers_gets_each_message_once(self):
        messages, count = 100, 6
        group = [session.Consumer(self.server.address, self.name("m%d" % i), [("$share/g/" + self.name("from/+"), 2)], None)
                 for i in range(6)]
        for one in group:
            self.keep(one).open()
            one.start()
        producers = self.producers(count, 2, messages)
        for one in producers:
            self.keep(one).open()
            one.start()
        session.wait_all(producers)
        total = messages * count
        harness.wait_until(lambda: sum(len(one.handed_on) for one in group) >= total, "all are given out")
        for one in group:
            one.settle()
        got = collections.Counter(message for one in group for message in one.handed_on)
        self.assertEqual(got, collections.Counter(
            {(self.name("from/%d" % i), b"%d" % n): 1 for i in range(count) for n in range(messages)}))
        for one in group:
            for topic, numbers in session.numbers_by_topic(one).items():
                self.assertEqual(numbers, sorted(numbers), "%s at %s" % (topic, one.client_id))

    def test_subscribing_while_messages_flow_misses_nothing_after_suback(self):
        sender = self.keep(wire.Wire(self.server.address))
        sender.connect()
        for i in range(40):
            late = wire.Wire(self.server.address)
            late.connect()
            late.subscribe((self.name(), 1))
            sender.publish(self.name(), b"%d" % i, 1)
            self.assertEqual(late.read(wire.PUBLISH).payload, b"%d" % i)
            late.send(wire.unsubscribe(9, [self.name()]))
            while not isinstance(late.read(), wire.Suback):
                pass
            sender.publish(self.name(), b"unwanted", 1)
            self.assertEqual(late.ping(), [])
            late.close()

    def test_retained_and_live_leave_no_gap(self):
        """A value that is set again and again: a subscriber that comes in between sees a suffix of its history."""
        messages = 400
        producer = self.keep(session.Producer(self.server.address, self.name("p"), self.name("value"), messages, 1, retain=True))
        producer.open()
        producer.start()
        seen = []
        while not producer.done.is_set() or len(seen) < 5:
            late = wire.Wire(self.server.address)
            late.connect()
            late.subscribe((self.name("value"), 1))
            numbers = []
            while len(numbers) < 6 and numbers[-1:] != [messages - 1]:
                message = late.read(wire.PUBLISH)
                late.send(wire.ack(wire.PUBACK, message.packet_id))
                numbers.append(int(message.payload))
            late.close()
            seen.append(numbers)
        session.wait_all([producer])
        for numbers in seen:
            self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))

    def test_clients_that_come_and_go_disturb_nobody(self):
        messages = 200
        consumer = session.Consumer(self.server.address, self.name("c"), [(self.name("from/+"), 2)], messages * 2)
        producers = self.producers(2, 2, messages)
        for one in [consumer] + producers:
            self.keep(one).open()
            one.start()
        while not all(one.done.is_set() for one in producers):
            visitor = wire.Wire(self.server.address)
            visitor.connect("", will=(self.name("wills"), "x", 0, False, None))
            visitor.subscribe((self.name("#"), 0), ("$share/v/" + self.name("from/+"), 1))
            visitor.abort()
        session.wait_all(producers + [consumer])
        consumer.settle()
        self.assertExact(consumer, 2, messages)


if __name__ == "__main__":
    harness.main()
