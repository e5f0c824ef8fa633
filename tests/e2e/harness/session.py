"""Clients with a session of their own that outlives connections, as a careful application has it.

Consumer: receives, acknowledges, and remembers the ids of QoS 2 messages that are not released yet, so that what it
hands on is exactly once for QoS 2 and at least once for QoS 1.
Producer: numbers its messages, keeps a window open, and repeats after a reconnect what was not acknowledged.

Each is one thread that the test starts; take_over() moves it to a new connection at any time, with the same client id.
"""

import collections
import threading
import time

from . import wire
from .clock import DEADLINE, wait_until

SESSION_EXPIRY = 300


class Consumer(threading.Thread):
    """Receives for ever; `done` is set when `expect` different messages have been handed on (None: never)."""

    def __init__(self, address, client_id, filters, expect, version=5, props=None):
        super().__init__(daemon=True)
        self.address = address
        self.client_id = client_id
        self.filters = filters
        self.expect = expect
        self.version = version
        self.props = props
        self.handed_on = []  # (topic, payload)
        self.different = set()  # the same without repeats
        self.repeats = 0  # PUBLISH packets with DUP
        self.unreleased = set()
        self.ponged = threading.Event()
        self.done = threading.Event()
        self.stopping = False
        self.error = None
        self.lock = threading.Lock()  # of `connection`
        self.opening = threading.Lock()  # held while a new connection is made, which ends the one before
        self.connection = None
        self.connects = 0

    def open(self):
        """Connect, the first time to a new session that it subscribes for, later to the same one. Any thread."""
        with self.opening:
            self._open()

    def _open(self):
        connection = wire.Wire(self.address, self.version)
        first = self.connects == 0
        props = {"session_expiry": SESSION_EXPIRY, "receive_max": 50, **(self.props or {})} if self.version == 5 else None
        answer = connection.connect(self.client_id, clean=first and self.version == 5, props=props)
        assert answer.reason == 0, answer
        assert self.version == 3 or answer.session_present != first, "session present is %r" % answer.session_present
        if first:
            reasons = connection.subscribe(*self.filters)
            assert all(reason < 3 for reason in reasons), reasons
        with self.lock:
            old, self.connection = self.connection, connection
            self.connects += 1
        if old is not None:
            old.close_quietly()

    def settle(self):
        """A round trip on the connection in use: what the broker had sent before has been handed on."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            self.ponged.clear()
            try:
                self.connection.send(wire.PING)
            except OSError:
                pass  # it was cut, and is about to be replaced
            if self.ponged.wait(0.5):
                return
        raise AssertionError("no PINGRESP came")

    def run(self):
        try:
            while not self.stopping:
                with self.lock:
                    connection = self.connection
                try:
                    self._receive(connection)
                except (wire.Closed, OSError):
                    with self.opening:
                        if self.connection is connection and not self.stopping:
                            self._open()
                connection.close()
        except Exception as error:  # shown by the test, which waits for `done`
            self.error = error
            self.done.set()

    def _receive(self, connection):
        while not self.stopping:
            pkt = connection.read_packet()
            with self.lock:
                if self.connection is not connection:
                    return  # what came on a connection that was replaced was never acknowledged
                answer = self._answer(pkt)
            if answer:
                connection.send(answer)

    def _answer(self, pkt):
        if pkt.kind == wire.PUBREL:
            packet_id = wire.decode(pkt, self.version).packet_id
            self.unreleased.discard(packet_id)
            return wire.ack(wire.PUBCOMP, packet_id)
        if pkt.kind == wire.PINGRESP:
            self.ponged.set()
        if pkt.kind in (wire.DISCONNECT, wire.PINGRESP):
            return None
        assert pkt.kind == wire.PUBLISH, pkt
        message = wire.decode(pkt, self.version)
        self.repeats += message.dup
        if message.qos < 2 or message.packet_id not in self.unreleased:
            self.handed_on.append((message.topic, message.payload))
            self.different.add((message.topic, message.payload))
            if len(self.different) == self.expect:
                self.done.set()
        if message.qos == 0:
            return None
        if message.qos == 1:
            return wire.ack(wire.PUBACK, message.packet_id)
        self.unreleased.add(message.packet_id)
        return wire.ack(wire.PUBREC, message.packet_id)

    def cut(self):
        """End the connection as a broken network does; the thread connects again by itself."""
        with self.lock:
            if self.connection:
                self.connection.close_quietly()

    def stop(self):
        self.stopping = True
        self.cut()
        if self.ident:
            self.join(DEADLINE)
        elif self.connection:
            self.connection.close()

    close = stop


class Producer(threading.Thread):
    """Publishes COUNT messages "0".."COUNT-1" to TOPIC at QOS; `done` is set when all are acknowledged.

    With COUNT None it goes on until finish() is called; then `count` says how many there were. `pace`, if set, is called
    before each batch and may wait: a receiver written in Python is slower than a broker, whose queues are bounded."""

    def __init__(self, address, client_id, topic, count, qos, version=5, window=20, retain=False):
        super().__init__(daemon=True)
        self.address = address
        self.client_id = client_id
        self.topic = topic
        self.count = count
        self.qos = qos
        self.version = version
        self.window = window
        self.retain = retain
        self.pace = None
        self.finishing = False
        self.open_ids = collections.OrderedDict()  # packet id -> (number, released)
        self.next = 0
        self.last_id = 0
        self.done = threading.Event()
        self.stopping = False
        self.error = None
        self.lock = threading.Lock()  # of `connection`
        self.opening = threading.Lock()  # held while a new connection is made, which ends the one before
        self.connection = None
        self.connects = 0

    def open(self):
        """Connect, the first time to a new session, later to the same one. Any thread."""
        with self.opening:
            self._open()

    def _open(self):
        connection = wire.Wire(self.address, self.version)
        first = self.connects == 0
        props = {"session_expiry": SESSION_EXPIRY} if self.version == 5 else None
        answer = connection.connect(self.client_id, clean=first and self.version == 5, props=props)
        assert answer.reason == 0 and (self.version == 3 or answer.session_present != first), answer
        with self.lock:
            old, self.connection = self.connection, connection
            self.connects += 1
        if old is not None:
            old.close_quietly()

    def publish(self, number, packet_id, dup=False):
        return wire.publish(self.topic, b"%d" % number, self.qos, packet_id, self.retain, dup, self.version)

    def run(self):
        try:
            while not self.stopping and not self.done.is_set():
                with self.lock:
                    connection = self.connection
                try:
                    self._repeat(connection)
                    self._send(connection)
                except (wire.Closed, OSError):
                    with self.opening:
                        if self.connection is connection and not self.stopping:
                            self._open()
                connection.close()
        except Exception as error:
            self.error = error
            self.done.set()

    def finish(self):
        """Stop after the messages that are under way. Any thread."""
        self.finishing = True

    def _repeat(self, connection):
        again = bytearray()
        for packet_id, (number, released) in self.open_ids.items():
            if released:
                again += wire.ack(wire.PUBREL, packet_id)
            else:
                again += self.publish(number, packet_id, dup=True)
        connection.send(bytes(again))

    def _send(self, connection):
        while not self.stopping:
            out = bytearray()
            if self.pace:
                self.pace()
            if self.finishing and self.count is None:
                self.count = self.next
            while self.next != self.count and len(self.open_ids) < self.window:
                packet_id = None
                if self.qos:
                    packet_id = self._new_id()
                    self.open_ids[packet_id] = (self.next, False)
                out += self.publish(self.next, packet_id)
                self.next += 1
            connection.send(bytes(out))
            if not self.open_ids and self.next == self.count:
                self.done.set()
                return
            self._acknowledged(connection, connection.read_packet())

    def _new_id(self):
        while True:
            self.last_id = self.last_id % 65535 + 1
            if self.last_id not in self.open_ids:
                return self.last_id

    def _acknowledged(self, connection, pkt):
        if pkt.kind == wire.DISCONNECT:
            return
        answer = wire.decode(pkt, self.version)
        assert answer.reason in (0, 0x10, 0x92), answer
        if pkt.kind == wire.PUBREC:
            self.open_ids[answer.packet_id] = (self.open_ids[answer.packet_id][0], True)
            connection.send(wire.ack(wire.PUBREL, answer.packet_id))
        else:
            assert pkt.kind == (wire.PUBACK if self.qos == 1 else wire.PUBCOMP), pkt
            del self.open_ids[answer.packet_id]

    def cut(self):
        """End the connection as a broken network does; the thread connects again by itself."""
        with self.lock:
            if self.connection:
                self.connection.close_quietly()

    def stop(self):
        self.stopping = True
        self.cut()
        if self.ident:
            self.join(DEADLINE)
        elif self.connection:
            self.connection.close()

    close = stop


def wait_all(threads, deadline=DEADLINE):
    """Wait until every producer or consumer is done; fails with the first error, or the first that is late."""
    for thread in threads:
        late = not thread.done.wait(deadline)
        if thread.error:
            raise AssertionError("%s: %r" % (thread.client_id, thread.error)) from thread.error
        if late:
            if isinstance(thread, Consumer):
                got, wanted = len(thread.different), thread.expect
            else:
                got, wanted = thread.next - len(thread.open_ids), thread.count
            raise AssertionError("%s is not done; it has %s of %s" % (thread.client_id, got, wanted))


def keep_pace(consumer, producers, ahead=5000):
    """Let PRODUCERS be no more than AHEAD messages before CONSUMER."""

    def wait():
        wait_until(lambda: sum(one.next for one in producers) - len(consumer.different) < ahead or consumer.error,
                   "the consumer has kept up", every=0.002)

    for one in producers:
        one.pace = wait


def numbers_by_topic(consumer):
    """topic -> the numbers handed on, in order."""
    out = collections.defaultdict(list)
    for topic, payload in consumer.handed_on:
        out[topic].append(int(payload))
    return out


def difference(got, count):
    """What is wrong with GOT, which should be 0..COUNT-1; "" if nothing is."""
    if got == list(range(count)):
        return ""
    at = next((i for i, number in enumerate(got) if number != i), len(got))
    return "missing %s, repeated %s, out of order from position %d: %s" % (
        sorted(set(range(count)) - set(got)), sorted(n for n, times in collections.Counter(got).items() if times > 1),
        at, got[max(0, at - 5) : at + 30])


def first_occurrences(numbers):
    """NUMBERS without repeats."""
    return list(dict.fromkeys(numbers))
