"""Clients whose sessions, subscriptions and wills come and go until the gateway is killed."""

import time

from actors import Actor, Client, Operation, SESSION_S, payload_of
from gateway import wire
from world import MqttLink

FILTERS = 6
LEAVE_S = 0.3  # after which a DISCONNECT, which nobody acknowledges, has taken effect
LATE_S = 6.0  # by how much a will may be late on a loaded machine
NO_LOCAL, RETAIN_AS_PUBLISHED = 0x04, 0x08


class Subscriptions(Client):
    """Subscribes and unsubscribes, one packet at a time; then is asked what it has (kill.py probes each filter)."""

    def setup(self, name, version=5):
        Client.setup(self, "subs-" + name, version, [("end/subs-" + name, 2)])
        self.name = name
        self.settled = [None] * FILTERS  # (options, identifier) that a SUBACK or UNSUBACK confirmed
        self.pending = {}  # filter -> what was asked for and not confirmed
        self.ends = set()
        self.seen = {}  # filter -> (QoS, retain, identifiers) of the probe
        self.heard_itself = set()
        self.unreleased = set()

    # ---- the record

    def note_asked(self, when, wanted):
        self.pending = dict(wanted)

    def note_confirmed(self, when):
        for at, value in self.pending.items():
            self.settled[at] = value
        self.pending = {}

    def note_found(self, when, at, value):
        self.settled[at] = value
        self.pending.pop(at, None)

    # ---- what it does

    def topic(self, at):
        return "s/%s/%d" % (self.name, at)

    def drive(self, now):
        if self.ready and self.world.loading and not self.pending:
            self.ask()

    def ask(self):
        dice = self.world.random
        chosen = dice.sample(range(FILTERS), dice.choice((1, 1, 2, 3)))
        if dice.random() < 0.4:
            self.note("asked", {at: None for at in chosen})
            self.link.put(wire.unsubscribe(9, [self.topic(at) for at in chosen], self.version))
            return
        identifier = dice.choice((None, dice.randrange(1, 1000000))) if self.version == 5 else None
        more = (0, NO_LOCAL, RETAIN_AS_PUBLISHED, NO_LOCAL | RETAIN_AS_PUBLISHED) if self.version == 5 else (0,)
        wanted = {at: (dice.choice((1, 2)) | dice.choice(more), identifier) for at in chosen}
        self.note("asked", wanted)
        self.link.put(wire.subscribe(9, [(self.topic(at), wanted[at][0]) for at in chosen], self.version,
                                     {"subscription_id": identifier} if identifier else None))

    def on_suback(self, link, pkt):
        if pkt.packet_id == 9:
            self.note("confirmed", port=link.local_port)
        else:
            Client.on_suback(self, link, pkt)

    def on_packet(self, link, pkt):
        if isinstance(pkt, wire.Suback) and link is self.link and pkt.packet_id == 9 and 0x11 in pkt.reasons:
            pkt = pkt._replace(reasons=[0])  # no subscription existed
        if isinstance(pkt, wire.Publish) or isinstance(pkt, (wire.Connack, wire.Suback, wire.Disconnect, wire.Packet)):
            Client.on_packet(self, link, pkt)
        elif link is self.link:
            if pkt.kind == wire.PUBREL:
                link.put(wire.ack(wire.PUBCOMP, pkt.packet_id))
            elif pkt.kind == wire.PUBREC:
                link.put(wire.ack(wire.PUBREL, pkt.packet_id))

    def on_publish(self, link, pkt):
        if pkt.topic.startswith("end/"):
            self.ends.add(pkt.payload)
        elif pkt.payload == b"self":
            self.heard_itself.add(int(pkt.topic.rsplit("/", 1)[1]))
        else:
            self.seen[int(pkt.topic.rsplit("/", 1)[1])] = (pkt.qos, pkt.retain, tuple(pkt.props.get("subscription_id", ())))
        if pkt.qos:
            link.put(wire.ack(wire.PUBREC if pkt.qos == 2 else wire.PUBACK, pkt.packet_id))

    # ---- what the gateway is asked, and what is made of the answers

    def probe(self, prober, mark):
        """Publish once to each filter as itself, and once as PROBER, then MARK."""
        self.seen, self.heard_itself = {}, set()
        for at in range(FILTERS):
            self.link.put(wire.publish(self.topic(at), b"self", 1, 100 + at, version=self.version))
            prober.publish(self.topic(at), b"", retain=True)
        prober.publish("end/subs-" + self.name, mark)

    def judge(self):
        for at in range(FILTERS):
            allowed = [self.settled[at]] + ([self.pending[at]] if at in self.pending else [])
            matching = [value for value in allowed if self.looks_like(at, value)]
            if not matching:
                kind = "resurrected" if allowed == [None] else "lost"
                self.world.problem(kind, "%s: subscription %d, confirmed as %s, asked for %s, shows itself as %s, to itself %s", self.name,
                                   at, self.settled[at], self.pending.get(at), self.seen.get(at), at in self.heard_itself)
            self.note("found", at, matching[0] if matching else self.settled[at])

    def looks_like(self, at, value):
        seen = self.seen.get(at)
        if value is None or seen is None:
            return value is None and seen is None and at not in self.heard_itself
        options, identifier = value
        return seen == (options & 3, bool(options & RETAIN_AS_PUBLISHED), (identifier,) if identifier else ()) and \
            (at in self.heard_itself) != bool(options & NO_LOCAL)


class Sessions(Actor):
    """Makes and ends sessions of several names, one after the other; each CONNACK is a promise."""

    def setup(self, name, names=4):
        self.name = name
        self.state = {"%s-%d" % (name, i): "none" for i in range(names)}  # none, kept, short
        self.since = {}
        self.asked = None  # (client id, what it will be)
        self.link = None
        self.checks = []  # client ids that are still to be looked at
        self.checking = False

    def note_asked(self, when, client_id, wanted):
        self.asked = (client_id, wanted)

    def note_confirmed(self, when):
        client_id, wanted = self.asked
        self.state[client_id] = wanted
        self.since[client_id] = when
        self.asked = None

    def note_unsure(self, when):
        """What was asked was not confirmed before the end: either is right."""
        if self.asked:
            self.state[self.asked[0]] = "unsure"
            self.asked = None

    def open(self):
        self.note("unsure")
        self.link = None
        self.checks = sorted(self.state)
        self.checking = True

    def drive(self, now):
        if self.link is not None or self.world.gateway.process.poll() is not None:
            return
        dice = self.world.random
        version = dice.choice((4, 5))
        if self.checks:
            # what is looked at stays: clean start 0 makes what is missing
            self.connect(self.checks[0], "kept", version)
        elif self.checking:
            self.checking = False
        elif self.world.loading:
            self.connect(dice.choice(sorted(self.state)), dice.choice(("kept", "none", "short") if version == 5 else ("kept", "none")),
                         version)

    def connect(self, client_id, wanted, version):
        self.note("asked", client_id, wanted)
        clean = wanted == "none"
        expiry = {"none": 0, "kept": SESSION_S, "short": 1}[wanted]
        self.link = MqttLink(self.world, self, version)
        self.link.put(wire.connect(client_id, version, clean, props={"session_expiry": expiry} if version == 5 else None))

    def on_lost(self, link):
        if link is self.link:
            self.link = None

    def on_packet(self, link, pkt):
        if link is not self.link or not isinstance(pkt, wire.Connack):
            return
        client_id, _ = self.asked
        if self.checks:
            self.check(client_id, pkt.session_present)
            self.checks.pop(0)
        self.note("confirmed", port=link.local_port)
        link.drop()
        self.link = None

    def check(self, client_id, session_present):
        state = self.state[client_id]
        if state == "kept" and not session_present:
            self.world.problem("lost", "session %s", client_id)
        elif state == "none" and session_present:
            self.world.problem("resurrected", "session %s", client_id)
        elif state == "short" and session_present and time.monotonic() > max(self.since[client_id], self.world.gateway.started) + 4:
            self.world.problem("resurrected", "session %s, which has expired", client_id)

    @property
    def is_settled(self):
        return not self.checking


class Will(Client):
    """Connected with a will when the gateway is killed; then it comes back, or it does not.

    verdict   whether the will has to be published: "must", "must not", or "either"
    """

    def setup(self, number, version, delay, keeps_session, end):
        """END: "killed"; "back", and that before the will is due; "left", with DISCONNECT and before the kill."""
        Client.setup(self, "will-%d" % number, version)
        self.keeps_session = keeps_session
        self.number = number
        self.delay = delay if version == 5 and keeps_session else 0
        self.end = end
        self.verdict = "either"
        self.left = None
        self.struck = False
        self.not_before = self.not_after = None
        self.judged = False

    def will(self):
        if self.connects:
            return None
        wills = self.world.wills
        return ("w/" + self.client_id, wills.payload(wills.operations[self.number]), 2, False,
                {"will_delay": self.delay} if self.version == 5 else None)

    def on_connected(self, link):
        if self.connects > 1:
            if self.verdict == "must":
                self.verdict = "must not" if time.monotonic() < self.not_before else "either"
            self.leave()

    def go(self):
        if self.end == "left" and self.connected:
            self.leave()
            self.left = time.monotonic()

    def on_killed(self, struck, grace):
        wait = max(self.delay, grace)
        if not self.struck and self.left is not None and self.left < struck - LEAVE_S:
            self.verdict = "must not"
        self.struck = True
        if self.connected and self.connects == 1:
            self.verdict = "must"
            self.not_before = struck + wait
        self.not_after = time.monotonic() + wait + LATE_S

    def on_restarted(self, grace):
        self.not_after = time.monotonic() + max(self.delay, grace) + LATE_S


class Wills:
    """All of them: a stream, whose operation N is the will of Will N; a Subscriber is to get it."""

    stream = "wills"
    version = 3  # wills have no user property here

    def __init__(self, world, grace):
        self.world = world
        self.grace = grace
        self.operations = []
        self.members = []
        world.publishers[self.stream] = self
        world.wills = self

    def payload(self, op):
        return payload_of(self.stream, op.number, op.size)

    def make(self):
        """One of each kind, connecting."""
        for version, delay, keeps_session, end in ((4, 0, False, "killed"), (4, 0, True, "back"), (5, 0, True, "killed"),
                                                   (5, 2, True, "killed"), (5, 2, True, "back"), (5, 0, True, "left")):
            number = len(self.operations)
            self.operations.append(Operation(number, "w/will-%d" % number, 40))
            self.members.append(Will(self.world, number, version, delay, keeps_session, end))
            self.members[-1].open()

    def on_killed(self):
        for one in self.members:
            one.on_killed(self.world.struck, self.grace)

    def on_restarted(self):
        for one in self.members:
            one.on_restarted(self.grace)
            if one.end == "back" and one.verdict == "must":
                one.open()

    def judge(self, watcher):
        now = time.monotonic()
        for one in self.members:
            key = (self.stream, one.number)
            came = watcher.count(key)
            what = "the will of client %d (MQTT %d, delay %d, %s)" % (one.number, one.version, one.delay, one.end)
            if came and one.verdict == "must not":
                self.world.problem("resurrected", "%s", what)
            elif came and one.not_before is not None and watcher.times[key] < one.not_before - 0.3:
                self.world.problem("wrong", "%s came %.1f s too early", what, one.not_before - watcher.times[key])
            elif not came and one.verdict == "must" and now > one.not_after:
                self.world.problem("lost", "%s", what)
            elif not came and one.verdict != "must not":
                continue
            if came or now > one.not_after:
                self.forget(one)

    def forget(self, one):
        if one.link is not None:
            one.link.drop()
        self.members.remove(one)
        self.world.actors.remove(one)

    def missing(self, watcher):
        """How many are still to be published."""
        return sum(one.verdict == "must" and not watcher.count((self.stream, one.number)) for one in self.members)
