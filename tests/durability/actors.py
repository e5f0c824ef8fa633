"""Clients that keep a record of what the gateway told them, and hold it to that after it was killed.

Whatever changes a client's record is a *note*: a method note_x(when, ...) that does nothing else. With world.keep_journal each is kept with
its time, so that replay() can make the client as it was at any moment: what power_cut.py compares a store with that was cut then.

Payloads say which publication they are: `stream|number|`, and filling that follows from these.
"""

import collections
import time


from gateway import wire
from world import Answer, MqttLink, WebLink

SESSION_S = 100000
SLACK_S = 1.5  # by how much an expiry may be off: a second of rounding, and a loaded machine


def payload_of(stream, number, size):
    head = b"%s|%d|" % (stream.encode(), number)
    return (head * (size // len(head) + 1))[:max(size, len(head))]


def read_payload(payload):
    """(stream, number), or None if it is not what such a publication is."""
    parts = payload.split(b"|", 2)
    if len(parts) != 3 or not parts[1].isdigit():
        return None
    stream, number = parts[0].decode(errors="replace"), int(parts[1])
    return (stream, number) if payload == payload_of(stream, number, len(payload)) else None


class Actor:
    """What is common: a record, and to be turned by its world."""

    def __init__(self, world, *args, **kwargs):
        self.world = world
        self.journal = []  # (when, local port of the connection that told it or None, name, arguments)
        world.actors.append(self)
        self.setup(*args, **kwargs)

    def note(self, name, *args, port=None):
        now = time.monotonic()
        if self.world.keep_journal:
            self.journal.append((now, port, name, args))
        return getattr(self, "note_" + name)(now, *args)

    def replay(self, journal, moment):
        """Know what the client of JOURNAL knew at MOMENT; for one that was made with the same arguments and has done nothing."""
        for when, _, name, values in journal:
            if when > moment:
                break
            getattr(self, "note_" + name)(when, *values)

    def drive(self, now):
        """Once a turn."""


class Client(Actor):
    """An MQTT client with a session that stays."""

    keeps_session = True

    def setup(self, client_id, version=5, filters=(), expiry=SESSION_S, receive_max=None):
        """FILTERS are (filter, options byte) or (filter, options byte, identifier)."""
        self.client_id = client_id
        self.version = version
        self.filters = list(filters)
        self.expiry = expiry
        self.receive_max = receive_max
        self.link = None
        self.connected = False
        self.tried = False  # a CONNECT was sent: there may be a session
        self.has_session = False  # a CONNACK said so
        self.granted = 0  # filters whose SUBACK came
        self.connects = 0

    # ---- the record

    def note_tried(self, when):
        self.tried = self.keeps_session

    def note_connected(self, when, session_present):
        self.has_session = self.keeps_session
        self.connects += 1

    def note_lost(self, when):
        self.granted = 0

    def note_granted(self, when, count):
        self.granted = count

    # ---- life

    @property
    def ready(self):
        return self.connected and self.granted == len(self.filters)

    def open(self):
        self.connected = False
        if self.link is not None:
            self.link.drop()
        props = None
        if self.version == 5 and self.keeps_session:
            props = {"session_expiry": self.expiry}
            if self.receive_max:
                props["receive_max"] = self.receive_max
        self.may_have_session = self.tried
        self.note("tried")
        self.link = MqttLink(self.world, self, self.version)
        self.link.put(wire.connect(self.client_id, self.version, not self.keeps_session, props=props, will=self.will()))

    def will(self):
        return None

    def leave(self):
        """DISCONNECT; the session stays."""
        if self.connected:
            self.link.put(wire.disconnect() if self.version < 5 else wire.disconnect(props={"session_expiry": self.expiry}))
            self.link.drop()
            self.connected = False
            self.on_lost(self.link)

    def cut(self):
        """Close without a word."""
        if self.link is not None and self.link.is_open:
            self.link.drop()
            self.on_lost(self.link)

    def on_lost(self, link):
        if link is self.link:
            self.connected = False

    def on_packet(self, link, pkt):
        if link is not self.link:
            return
        if isinstance(pkt, wire.Connack):
            self._connack(link, pkt)
        elif isinstance(pkt, wire.Suback):
            if any(reason >= 0x80 for reason in pkt.reasons):
                self.world.problem("wrong", "%s: SUBSCRIBE is refused with %s", self.client_id, pkt.reasons)
            self.on_suback(link, pkt)
        elif isinstance(pkt, wire.Publish):
            self.on_publish(link, pkt)
        elif isinstance(pkt, wire.Disconnect):
            self.world.problem("wrong", "%s: DISCONNECT 0x%02x", self.client_id, pkt.reason)
        elif isinstance(pkt, wire.Packet):
            self.on_other(link, pkt)
        else:
            raise AssertionError(pkt)

    def _connack(self, link, pkt):
        if pkt.reason != 0:
            self.world.problem("wrong", "%s: CONNECT is refused with 0x%02x", self.client_id, pkt.reason)
            return
        if self.has_session and not pkt.session_present:
            self.world.problem("lost", "%s: its session", self.client_id)
            self.note("lost", port=link.local_port)
        if pkt.session_present and not self.may_have_session:
            self.world.problem("resurrected", "%s: a session of its name", self.client_id)
        self.note("connected", pkt.session_present, port=link.local_port)
        self.connected = True
        self.on_connected(link)
        if self.granted < len(self.filters):
            self._subscribe(link)

    def _subscribe(self, link):
        name, options, *identifier = self.filters[self.granted]
        props = {"subscription_id": identifier[0]} if identifier else None
        link.put(wire.subscribe(link.id(), [(name, options)], self.version, **({"props": props} if props else {})))

    def on_suback(self, link, pkt):
        self.note("granted", self.granted + 1, port=link.local_port)
        if self.granted < len(self.filters):
            self._subscribe(link)

    def on_connected(self, link):
        pass

    def on_publish(self, link, pkt):
        pass

    def on_other(self, link, pkt):
        raise AssertionError(pkt)


class Operation:
    """One publication. Times are of time.monotonic(), None: not yet."""

    __slots__ = ("number", "topic", "size", "expiry", "empty", "sent", "received", "released", "acked", "packet_id", "resent",
                 "refused", "key", "answer")

    def __init__(self, number, topic, size, expiry=None, empty=False, key=None):
        self.number = number
        self.topic = topic
        self.size = size
        self.expiry = expiry
        self.empty = empty
        self.key = key
        self.sent = self.received = self.released = self.acked = None
        self.packet_id = 0
        self.resent = False
        self.refused = None
        self.answer = None

    @property
    def promised(self):
        """When the gateway said that it has it."""
        return self.acked if self.received is None else self.received

    def has_expired(self, now):
        return self.expiry is not None and now > self.sent + self.expiry - 0.5

    def must_have_expired(self, now):
        return self.expiry is not None and self.promised is not None and not self.resent and \
            now > self.promised + self.expiry + SLACK_S


class Stream:
    """Mixed into who publishes: makes numbered operations, `rate` a second."""

    def setup_stream(self, stream, rate, sizes, expiries, retain, topics):
        self.stream = stream
        self.rate = rate
        self.sizes = sizes
        self.expiries = expiries
        self.retain = retain
        self.topics = topics
        self.operations = []
        self.loaded_since = None
        self.debt = 0.0
        self.world.publishers[stream] = self

    def payload(self, op):
        return b"" if op.empty else payload_of(self.stream, op.number, op.size)

    def due(self, now):
        """How many new operations there should be by now."""
        if not self.world.loading:
            self.loaded_since = None
            return 0
        if self.loaded_since is not None:
            self.debt = min(self.debt + (now - self.loaded_since) * self.rate, 50)
        self.loaded_since = now
        count = int(self.debt)
        return count

    def plan(self):
        """Arguments of the next operation, decided by the dice."""
        self.debt -= 1
        dice = self.world.random
        number = len(self.operations)
        topic = dice.choice(self.topics)
        size = dice.choice(self.sizes)
        expiry = dice.choice(self.expiries)
        return (number, topic, size, expiry, self.retain and dice.random() < 0.3)

    def last_of(self, topic):
        """(operations of TOPIC that may be its retained value, whether it may have none)."""
        allowed = []
        for op in reversed(self.operations):
            if op.topic != topic or op.refused is not None:
                continue
            allowed.append(op)
            if op.promised is not None:
                return allowed, False
        return allowed, True

    def note_sent(self, when, *plan):
        op = Operation(*plan)
        op.sent = when
        self.operations.append(op)
        return op


class Publisher(Client, Stream):
    """Publishes with QoS 1 or 2, a window open, and sends again after a restart what was not acknowledged."""

    def setup(self, stream, qos, version=5, rate=100, window=20, sizes=(60, 200), expiries=(None,), retain=False, topics=None):
        Client.setup(self, "pub-" + stream, version)
        self.setup_stream(stream, rate, sizes, expiries, retain, topics or ["d/" + stream])
        self.qos = qos
        self.window = window
        self.under_way = collections.OrderedDict()  # packet id -> operation
        self.last_id = 0

    # ---- the record

    def note_sent(self, when, packet_id, *plan):
        op = Stream.note_sent(self, when, *plan)
        op.packet_id = self.last_id = packet_id
        self.under_way[packet_id] = op

    def note_resent(self, when, packet_id):
        self.under_way[packet_id].resent = True

    def note_received(self, when, packet_id):
        self.under_way[packet_id].received = when

    def note_released(self, when, packet_id):
        self.under_way[packet_id].released = when

    def note_acked(self, when, packet_id):
        self.under_way.pop(packet_id).acked = when

    def note_refused(self, when, packet_id, reason):
        self.under_way.pop(packet_id).refused = reason

    # ---- what it does

    def packet(self, op, dup=False):
        props = None
        if self.version == 5:
            props = {"user_property": [("n", str(op.number))]}
            if op.expiry is not None:
                props["message_expiry"] = op.expiry
        return wire.publish(op.topic, self.payload(op), self.qos, op.packet_id, self.retain, dup, self.version, props)

    def drive(self, now):
        if not self.connected:
            return
        out = bytearray()
        for _ in range(min(self.due(now), self.window - len(self.under_way))):
            packet_id = self.last_id
            while True:
                packet_id = packet_id % 65535 + 1
                if packet_id not in self.under_way:
                    break
            self.note("sent", packet_id, *self.plan())
            out += self.packet(self.operations[-1])
        if out:
            self.link.put(bytes(out))

    def on_connected(self, link):
        out = bytearray()
        for packet_id, op in self.under_way.items():
            if op.received is not None:
                out += wire.ack(wire.PUBREL, packet_id)
            else:
                self.note("resent", packet_id)
                out += self.packet(op, dup=True)
        link.put(bytes(out))

    def on_packet(self, link, pkt):
        if not isinstance(pkt, Answer):
            Client.on_packet(self, link, pkt)
            return
        if link is not self.link:
            return
        packet_id = pkt.packet_id
        op = self.under_way.get(packet_id)
        if op is None:
            self.world.problem("wrong", "%s: an acknowledgement of packet id %d, which is not open", self.client_id, packet_id)
        elif pkt.kind == wire.PUBREC and pkt.reason < 0x80:
            if op.received is None:
                self.note("received", packet_id, port=link.local_port)
            self.note("released", packet_id)
            link.put(wire.ack(wire.PUBREL, packet_id))
        elif pkt.kind == wire.PUBCOMP and pkt.reason == 0x92 and op.acked is None:
            # it had released the id before it was killed
            self.note("acked", packet_id, port=link.local_port)
        elif pkt.reason >= 0x80:
            self.note("refused", packet_id, pkt.reason, port=link.local_port)
            self.on_refused(op, pkt.reason)
        else:
            self.note("acked", packet_id, port=link.local_port)

    def on_refused(self, op, reason):
        self.world.problem("wrong", "%s: publication %d is refused with 0x%02x", self.client_id, op.number, reason)

    @property
    def is_settled(self):
        return self.ready and not self.under_way


class HttpPublisher(Actor, Stream):
    """POSTs to one topic; or with RETAIN, PUTs and DELETEs. With KEYED, each has an Idempotency-Key, and is repeated until it is answered."""

    def setup(self, stream, qos, rate=30, sizes=(60, 200), expiries=(None,), retain=False, topics=None, keyed=False):
        self.setup_stream(stream, rate, sizes, expiries, retain, topics or ["d/" + stream])
        self.qos = qos
        self.keyed = keyed
        self.link = None
        self.waiting = None  # number of the operation whose answer is due
        self.repeats = collections.deque()  # answered ones that are asked again

    # ---- the record

    def note_sent(self, when, *plan):
        Stream.note_sent(self, when, *plan)
        self.waiting = len(self.operations) - 1

    def note_resent(self, when, number):
        self.operations[number].resent = True

    def note_acked(self, when, number, answer):
        self.operations[number].acked = when
        self.operations[number].answer = answer
        self.waiting = None

    # ---- what it does

    def open(self):
        if self.link is not None:
            self.link.drop()
        self.link = WebLink(self.world, self)
        if self.waiting is not None and not self.keyed:
            self.waiting = None  # nobody will know
        if self.waiting is not None:
            self.note("resent", self.waiting)
            self.request(self.operations[self.waiting])

    def repeat_answered(self, count):
        """Ask again for the last COUNT operations that were answered: the answers have to be the same."""
        self.repeats.extend([op for op in self.operations if op.acked is not None][-count:])

    def request(self, op):
        query = "?qos=%d" % self.qos
        if op.expiry is not None:
            query += "&messageExpiry=%d" % op.expiry
        headers = ["Content-Type: application/octet-stream"]
        if self.keyed:
            headers.append("Idempotency-Key: %s-%d" % (self.stream, op.number))
        method = "POST" if not self.retain else "DELETE" if op.empty else "PUT"
        path = "/topics/" + op.topic
        if method == "DELETE":
            self.link.request(method, path, headers=headers)
        else:
            self.link.request(method, path + query, self.payload(op), headers)

    def drive(self, now):
        if self.link is None or not self.link.is_open or self.waiting is not None:
            return
        if self.repeats:
            self.waiting = self.repeats[0].number
            self.request(self.repeats[0])
        elif self.due(now):
            self.note("sent", *self.plan())
            self.request(self.operations[-1])

    def on_lost(self, link):
        pass

    def on_packet(self, link, answer):
        status, headers, body = answer
        op = self.operations[self.waiting]
        self.waiting = None
        if status not in (200, 202, 204) and not (op.empty and status == 404):
            self.on_refused(op, status, body)
            return
        if op.acked is None:
            self.note("acked", op.number, (status, body), port=link.local_port)
            return
        self.repeats.popleft()
        if (status, body) != op.answer or headers.get("idempotency-replayed") != "true":
            self.world.problem("wrong", "%s: %d asked again is answered %s, not %s", self.stream, op.number, (status, body), op.answer)

    def on_refused(self, op, status, body):
        op.refused = status
        self.world.problem("wrong", "%s: publication %d is refused with %d: %s", self.stream, op.number, status, body)

    @property
    def is_settled(self):
        return self.link is not None and self.link.is_open and self.waiting is None and not self.repeats


class Subscriber(Client):
    """Receives. What it hands on is counted by stream and number.

    mode   "eager" acknowledges at once, "lazy" some time later, in order
    """

    def setup(self, name, version=5, filters=(), streams=(), mode="eager", receive_max=None, identifier=None, qos=2, group=None):
        """STREAMS are those that FILTERS match, at QOS."""
        own = [("end/" + name, 2)]
        Client.setup(self, "sub-" + name, version, own + list(filters), receive_max=receive_max)
        self.name = name
        self.streams = list(streams)
        self.mode = mode
        self.qos = qos
        self.identifier = identifier
        self.group = group
        self.counts = collections.defaultdict(bytearray)  # stream -> how often each number was handed on
        self.newest = collections.defaultdict(lambda: -1)  # stream -> highest number handed on that its publisher sent once
        self.judged = collections.Counter()  # stream -> numbers below it are judged
        self.unacked = {}  # QoS 1: (stream, number) -> packet id under which it came last, not acknowledged
        self.unreleased = {}  # QoS 2: packet id -> (stream, number)
        self.answers = collections.deque()  # (due, packet, what it acknowledges for good): lazy
        self.ends = set()
        self.times = {} if name == "wills" else None  # when each was handed on
        self.repeats = 0

    # ---- the record

    def count(self, key):
        stream, number = key
        counts = self.counts[stream]
        return counts[number] if number < len(counts) else 0

    def note_handed_on(self, when, key, qos, packet_id, once):
        stream, number = key
        counts = self.counts[stream]
        if number >= len(counts):
            counts.extend(bytes(number + 1 - len(counts)))
        counts[number] = min(255, counts[number] + 1)
        if once:
            self.newest[stream] = max(self.newest[stream], number)
        if qos == 1:
            self.unacked[key] = packet_id
        elif qos == 2:
            self.unreleased[packet_id] = key
        if self.times is not None:
            self.times.setdefault(key, when)

    def note_acked(self, when, key):
        self.unacked.pop(key, None)

    def note_released(self, when, packet_id):
        self.unreleased.pop(packet_id, None)

    def note_end(self, when, mark):
        self.ends.add(mark)

    # ---- what it does

    def on_connected(self, link):
        self.answers.clear()

    def drive(self, now):
        while self.answers and self.answers[0][0] <= now and self.connected:
            self.send_answer(self.link, *self.answers.popleft()[1:])

    def answer(self, link, packet, key=None):
        if self.mode == "eager":
            self.send_answer(link, packet, key)
            return
        dice = self.world.random
        due = time.monotonic() + (dice.random() * 0.2 if dice.random() < 0.2 else 0)
        self.answers.append((max(due, self.answers[-1][0]) if self.answers else due, packet, key))

    def send_answer(self, link, packet, key):
        if key is not None:
            self.note("acked", key)
        link.put(packet)

    def on_packet(self, link, pkt):
        if link is self.link and isinstance(pkt, Answer):
            # PUBREL, the only one of these that comes here
            self.note("released", pkt.packet_id, port=link.local_port)
            self.answer(link, wire.ack(wire.PUBCOMP, pkt.packet_id))
            return
        Client.on_packet(self, link, pkt)

    def on_publish(self, link, pkt):
        if pkt.topic.startswith("end/"):
            if pkt.qos == 2 and self.unreleased.get(pkt.packet_id) != ("end", 0):
                self.note("handed_on", ("end", 0), 2, pkt.packet_id, False, port=link.local_port)
            self.note("end", pkt.payload, port=link.local_port)
            link.put(wire.ack(wire.PUBREC if pkt.qos == 2 else wire.PUBACK, pkt.packet_id))
            return
        key = read_payload(pkt.payload)
        if key is None:
            self.world.problem("wrong", "%s: a payload that nobody sent: %r", self.name, pkt.payload[:60])
            return
        op = self.check_content(pkt, key)
        if pkt.qos == 2:
            self.on_qos2(link, pkt, key, op)
        elif pkt.qos == 1:
            self.on_qos1(link, pkt, key, op)
        else:
            self.world.problem("wrong", "%s: %s came with QoS 0", self.name, key)

    def check_content(self, pkt, key):
        publisher = self.world.publishers.get(key[0])
        if publisher is None or key[1] >= len(publisher.operations):
            self.world.problem("wrong", "%s: %s, which nobody has sent", self.name, key)
            return None
        op = publisher.operations[key[1]]
        now = time.monotonic()
        if op.topic != pkt.topic or len(pkt.payload) != len(publisher.payload(op)):
            self.world.problem("wrong", "%s: %s came with another topic or length", self.name, key)
        # what comes with DUP may have been under way when it expired, and the gateway cannot know that it was not
        if op.must_have_expired(now) and not pkt.dup:
            self.world.problem("resurrected", "%s: %s came %.1f s after it had expired", self.name, key,
                               now - op.promised - op.expiry)
        if self.version == 5:
            if self.identifier and pkt.props.get("subscription_id") != [self.identifier]:
                self.world.problem("wrong", "%s: %s has Subscription Identifiers %s", self.name, key, pkt.props)
            if getattr(publisher, "version", 3) == 5 and pkt.props.get("user_property") != [("n", str(key[1]))]:
                self.world.problem("wrong", "%s: %s has properties %s", self.name, key, pkt.props)
            left = pkt.props.get("message_expiry")
            if (left is None) != (op.expiry is None) or (left is not None and left > op.expiry):
                self.world.problem("wrong", "%s: %s expires in %s, not %s", self.name, key, left, op.expiry)
        return op

    def on_qos1(self, link, pkt, key, op):
        before = self.count(key)
        sent_once = op is not None and not op.resent
        if before:
            self.repeats += 1
            if not pkt.dup and sent_once:
                self.world.problem("wrong", "%s: %s came again without DUP", self.name, key)
            if pkt.dup and sent_once and key in self.unacked and self.unacked[key] != pkt.packet_id:
                self.world.problem("wrong", "%s: %s came again under another packet id", self.name, key)
            if key[1] < self.judged[key[0]] and key not in self.unacked and not pkt.dup:
                self.world.problem("duplicated", "%s: %s (QoS 1) long after it was acknowledged", self.name, key)
        self.check_order(pkt, key, op, before, sent_once)
        self.note("handed_on", key, 1, pkt.packet_id, sent_once, port=link.local_port)
        self.answer(link, wire.ack(wire.PUBACK, pkt.packet_id), key)

    def on_qos2(self, link, pkt, key, op):
        if pkt.packet_id in self.unreleased:
            self.repeats += 1
            if self.unreleased[pkt.packet_id] != key:
                self.world.problem("wrong", "%s: packet id %d has another message before it was released", self.name, pkt.packet_id)
            if not pkt.dup:
                self.world.problem("wrong", "%s: %s came again without DUP", self.name, key)
        else:
            before = self.count(key)
            if before:
                self.world.problem("duplicated", "%s: %s (QoS 2, packet id %d, DUP %d)", self.name, key, pkt.packet_id, pkt.dup)
            self.check_order(pkt, key, op, before, op is not None)
            self.note("handed_on", key, 2, pkt.packet_id, True, port=link.local_port)
        self.answer(link, wire.ack(wire.PUBREC, pkt.packet_id))

    def check_order(self, pkt, key, op, before, once):
        if pkt.dup and op is not None and op.has_expired(time.monotonic()):
            return  # it had been passed over as expired, which was not on disk yet
        if key[0] in self.streams and not before and once and key[1] < self.newest[key[0]]:
            self.world.problem("disordered", "%s: %s after %d", self.name, key, self.newest[key[0]])

    def judge(self, now, upto=None):
        """Everything that was promised has come."""
        for stream in self.streams:
            operations = self.world.publishers[stream].operations
            counts = self.counts[stream]
            for op in operations[self.judged[stream]:]:
                if op.promised is not None and not op.empty and not op.has_expired(now) and \
                        not (op.number < len(counts) and counts[op.number]):
                    self.world.problem("lost", "%s: (%r, %d), acknowledged %.3f s before the end%s", self.name, stream, op.number,
                                       self.world.struck - op.promised, ", sent twice" if op.resent else "")
            self.judged[stream] = len(operations)


class Prober(Client):
    """Publishes what it is told to, one after the other; whatever was under way it publishes again on a new connection."""

    keeps_session = False

    def setup(self, name):
        Client.setup(self, "probe-" + name)
        self.todo = collections.deque()
        self.waiting = None

    def publish(self, topic, payload, qos=2, retain=False):
        self.todo.append((topic, payload, qos, retain))

    def drive(self, now):
        if self.connected and self.waiting is None and self.todo:
            topic, payload, qos, retain = self.todo[0]
            self.waiting = self.link.id()
            self.link.put(wire.publish(topic, payload, qos, self.waiting, retain))

    def on_connected(self, link):
        self.waiting = None

    def on_packet(self, link, pkt):
        if not isinstance(pkt, Answer):
            Client.on_packet(self, link, pkt)
        elif link is self.link and pkt.packet_id == self.waiting:
            if pkt.kind == wire.PUBREC:
                link.put(wire.ack(wire.PUBREL, pkt.packet_id))
            elif pkt.reason != 0x92:
                self.todo.popleft()
                self.waiting = None

    @property
    def is_settled(self):
        return self.connected and not self.todo

