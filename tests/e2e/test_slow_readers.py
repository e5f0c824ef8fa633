"""Clients that do not read, and limits on how many there may be: the others never notice."""

import threading

import harness
from harness import session, wire

MEBIBYTE = 1024 * 1024


class SlowReaders(harness.Case):
    options = {"workers": 2, "limits": {"queued_messages": 500, "queued_bytes": MEBIBYTE, "output_bytes": MEBIBYTE},
               "environment": harness.SMALL_QUARANTINE}

    def flood(self, topic, qos, stop, payload):
        """Publish to TOPIC until STOP is set, at most 20 unacknowledged; counts in self.flooded."""
        sender = wire.Wire(self.server.address)
        sender.connect()
        batch = b"".join(wire.publish(topic, payload, qos, i + 1) for i in range(20))
        while not stop.is_set():
            sender.send(batch)
            self.flooded += len(batch)
            for _ in range(20 if qos else 0):
                sender.read(wire.PUBACK)
            if not qos:
                sender.ping()
        sender.close()

    def bystanders_lose_nothing_while_one_does_not_read(self, qos):
        sleeper = self.keep(wire.Wire(self.server.address, receive_buffer=4096))
        sleeper.connect("sleeper")
        sleeper.subscribe((self.name("flood"), qos))
        stop = threading.Event()
        self.flooded = 0
        before = self.server.rss_bytes()
        flood = threading.Thread(target=self.flood, args=(self.name("flood"), qos, stop, b"x" * 8192))
        flood.start()
        try:
            count = 400
            pairs = []
            for i in range(4):
                topic = self.name("calm/%d" % i)
                consumer = self.keep(session.Consumer(self.server.address, self.name("c%d" % i), [(topic, i % 3)], count))
                producer = self.keep(session.Producer(self.server.address, self.name("p%d" % i), topic, count, 1 + i % 2))
                consumer.open()
                producer.open()
                consumer.start()
                producer.start()
                pairs += [consumer, producer]
            session.wait_all(pairs)
            for consumer in pairs[::2]:
                self.assertEqual([int(payload) for _topic, payload in consumer.handed_on], list(range(count)))
            harness.wait_until(lambda: self.flooded > 16 * MEBIBYTE, "the flood is a flood")
        finally:
            stop.set()
            flood.join()
        # the sleeper's queue and output are bounded
        self.assertLess(self.server.rss_bytes() - before, harness.memory(16 * MEBIBYTE))

    def test_bystanders_lose_nothing_while_one_does_not_read_qos_0(self):
        self.bystanders_lose_nothing_while_one_does_not_read(0)

    @harness.not_mosquitto("acknowledges too slowly for a flood")
    def test_bystanders_lose_nothing_while_one_does_not_read_qos_1(self):
        self.bystanders_lose_nothing_while_one_does_not_read(1)

    @harness.not_mosquitto("drops the newest instead of the oldest")
    def test_one_that_wakes_up_gets_what_its_queue_holds_in_order(self):
        sleeper = self.keep(wire.Wire(self.server.address, receive_buffer=4096))
        sleeper.connect("wakes up")
        sleeper.subscribe((self.name(), 1))
        sender = self.keep(wire.Wire(self.server.address))
        sender.connect()
        for i in range(1000):
            sender.publish(self.name(), b"%d" % i + b" " * 4000, 1)
        numbers = []
        while not numbers or numbers[-1] != 999:
            message = sleeper.read(wire.PUBLISH)
            sleeper.send(wire.ack(wire.PUBACK, message.packet_id))
            numbers.append(int(message.payload))
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertLess(len(numbers), 1000, "the queue has no bound")
        self.assertGreater(len(numbers), 100)

    def test_a_peer_that_does_not_read_its_answers_does_not_grow_the_broker(self):
        sender = self.keep(wire.Wire(self.server.address))
        sender.connect()
        sender.publish(self.name("kept"), b"x" * 256 * 1024, 1, retain=True)
        # two bytes of answer for two of request in pings, a quarter of a mebibyte for some 70 in subscriptions
        for request, total in ((wire.PING * 10000, 8 * MEBIBYTE), (wire.subscribe(1, [(self.name("kept"), 0)]), 400 * 64)):
            deaf = self.keep(wire.Wire(self.server.address, receive_buffer=4096))
            deaf.connect()
            before = self.server.rss_bytes()
            deaf.sock.settimeout(0.5)
            sent = 0
            try:
                while sent < total:
                    sent += deaf.sock.send(request)
            except OSError:
                pass  # it stopped reading from us, or closed: both bound it
            sender.ping()
            self.assertLess(self.server.rss_bytes() - before, harness.memory(16 * MEBIBYTE))

    @harness.not_mosquitto("drops QoS 0 above its queue")
    def test_retained_messages_wait_for_a_subscriber_that_reads_slowly(self):
        sender = self.keep(wire.Wire(self.server.address))
        sender.connect()
        count = 300
        for i in range(count):
            sender.send(wire.publish(self.name("%03d" % i), b"%d" % i + b" " * 16384, retain=True))
        sender.ping()
        sleeper = self.keep(wire.Wire(self.server.address, receive_buffer=4096))
        sleeper.connect()
        sleeper.send(wire.subscribe(1, [(self.name("#"), 0)]))
        sender.ping()
        self.assertEqual(sleeper.read(wire.SUBACK).reasons, [0])
        topics = [sleeper.read(wire.PUBLISH).topic for _ in range(count)]
        self.assertEqual(sorted(topics), [self.name("%03d" % i) for i in range(count)])


@harness.not_mosquitto("waits for ever")
class WriteStall(harness.Case):
    options = {"limits": {"write_stall_timeout_ms": 1000, "queued_bytes": 64 * MEBIBYTE}}

    def test_a_peer_that_takes_nothing_is_closed_and_its_will_is_sent(self):
        watcher = self.keep(wire.Wire(self.server.address))
        watcher.connect()
        watcher.subscribe((self.name("will"), 0))
        stalled = self.keep(wire.Wire(self.server.address, receive_buffer=4096))
        stalled.connect("stalled", will=(self.name("will"), "stalled", 0, False, None))
        stalled.subscribe((self.name("flood"), 0))
        sender = self.keep(wire.Wire(self.server.address))
        sender.connect()
        # more than the sockets hold, so that something waits in the broker
        for _ in range(16):
            sender.publish(self.name("flood"), b"x" * 512 * 1024)
        sender.ping()
        self.assertEqual(watcher.read(wire.PUBLISH).payload, b"stalled")


@harness.not_mosquitto("accepts more than its max_connections")
class ConnectionLimit(harness.Case):
    options = {"limits": {"connections": 20}}

    def test_connections_above_the_limit_are_refused_and_those_below_are_served(self):
        inside = []
        for i in range(20):
            # the probe that found the broker ready may not be counted out yet
            inside.append(harness.wait_until(self.enter, "connection %d is let in" % i))
            self.keep(inside[-1])
        inside[0].subscribe((self.name(), 1))
        for _ in range(5):
            self.assertFalse(self.is_welcome(), "one too many")
        inside[1].publish(self.name(), b"x", 1)
        self.assertEqual(inside[0].read(wire.PUBLISH).payload, b"x")
        inside[19].close()
        harness.wait_until(self.is_welcome, "there is room again")

    def enter(self):
        """A connected client, or None if it is refused."""
        client = None
        try:
            client = wire.Wire(self.server.address)
            if client.connect().reason == 0:
                return client
        except (wire.Closed, OSError):
            pass
        if client:
            client.close()
        return None

    def is_welcome(self):
        client = self.enter()
        if client:
            client.close()
        return client is not None


if __name__ == "__main__":
    harness.main()
