"""Who publishes, who receives, and what has to be right after a restart.

    load     publishers of QoS 1 and 2, MQTT 3.1.1 and 5.0, and HTTP, with and without Idempotency-Key; retained values that are set, cleared
             and set again; sessions, subscriptions and wills that come and go. Sessions are away, slow, or acknowledge at once.
    settle   everybody comes back, sends again what was not acknowledged, receives what there is, up to a mark that is
             published last; then the record of each is held against what it was told.
"""

import json
import time

from actors import HttpPublisher, Prober, Publisher, Subscriber
from churn import Sessions, Subscriptions, Wills
from gateway import DEADLINE, wire
from world import Stuck

EXPIRIES = (None, None, None, 1, 1000)
GRACE_S = 1


class Scene:
    def __init__(self, world, wills=True, churn=True, rate=1.0, grace=GRACE_S):
        self.world = world
        self.marks = 0
        self.publishers = [
            Publisher(world, "q1v4", 1, 4, rate=100 * rate),
            Publisher(world, "q1v5", 1, 5, rate=100 * rate, expiries=EXPIRIES),
            Publisher(world, "q2v4", 2, 4, rate=100 * rate),
            Publisher(world, "q2v5", 2, 5, rate=100 * rate, expiries=EXPIRIES),
            Publisher(world, "big", 1, 5, rate=4 * rate, window=3, sizes=(20000, 70000, 200000)),
            Publisher(world, "few", 2, 5, rate=30 * rate),
            HttpPublisher(world, "http", 1, rate=60 * rate),
            HttpPublisher(world, "keyed", 2, rate=60 * rate, keyed=True),
        ]
        every = [one.stream for one in self.publishers]
        self.shared = [
            Publisher(world, "sh1", 1, 4, rate=40 * rate, topics=["sh/1"]),
            Publisher(world, "sh2", 2, 5, rate=40 * rate, topics=["sh/2"]),
        ]
        self.retainers = [
            Publisher(world, "ret1", 1, 4, rate=40 * rate, retain=True, topics=["r/1/%d" % i for i in range(4)]),
            Publisher(world, "ret2", 2, 5, rate=40 * rate, retain=True, topics=["r/2/%d" % i for i in range(4)], expiries=EXPIRIES),
            HttpPublisher(world, "reth", 1, rate=30 * rate, retain=True, topics=["r/3/%d" % i for i in range(3)]),
        ]
        self.away = [
            Subscriber(world, "away5", 5, [("d/#", 2, 7)], every, identifier=7),
            Subscriber(world, "away4", 4, [("d/#", 2)], every, mode="lazy"),
            Subscriber(world, "away1", 5, [("d/#", 1)], every, receive_max=20, qos=1),
        ]
        self.online = [
            Subscriber(world, "eager5", 5, [("d/#", 2, 9)], every, identifier=9),
            Subscriber(world, "lazy4", 4, [("d/#", 1)], every, mode="lazy", qos=1),
            Subscriber(world, "slow5", 5, [("d/few", 2), ("d/q2v5", 2)], ["few", "q2v5"], mode="lazy", receive_max=5),
        ]
        # it stays away until the very end: every message of `few` is kept for it alone
        self.absent = Subscriber(world, "absent", 5, [("d/few", 2)], ["few"])
        self.group = [
            Subscriber(world, "member1", 5, [("$share/g/sh/#", 2)], group="g"),
            Subscriber(world, "member2", 4, [("$share/g/sh/#", 2)], mode="lazy", group="g"),
            Subscriber(world, "member3", 5, [("$share/g/sh/#", 2)], group="g"),
        ]
        self.shared_judged = {}
        self.away.append(self.group[2])
        self.online += self.group[:2]
        self.prober = Prober(world, "scene")
        self.churners = [Subscriptions(world, "four", 4), Subscriptions(world, "five", 5)] if churn else []
        self.sessions = Sessions(world, "x") if churn else None
        self.wills = Wills(world, grace) if wills else None
        self.watcher = None
        if wills:
            self.watcher = Subscriber(world, "wills", 5, [("w/#", 2)])
            self.online.append(self.watcher)

    @property
    def everyone(self):
        """All that settle."""
        return self.publishers + self.shared + self.retainers + self.away + self.online + self.churners + [self.prober]

    @property
    def receivers(self):
        return self.away + self.online

    # ---- before the strike

    def prepare(self):
        """All sessions and subscriptions are made."""
        self.absent.open()
        for one in self.everyone:
            one.open()
        if self.sessions:
            self.sessions.open()
        clients = [one for one in self.everyone if not isinstance(one, HttpPublisher)]
        self.world.run(lambda: self.absent.ready and all(one.ready for one in clients), "all have subscribed")
        self.absent.leave()

    def load(self):
        for one in self.away:
            one.leave()
        if self.wills:
            self.wills.make()
        self.world.loading = True

    def leave_some(self):
        """In the middle of the load."""
        if self.wills:
            for one in self.wills.members:
                one.go()

    # ---- after it

    def settle(self):
        """Everybody is back, and everything that was promised is there, or it is a problem."""
        world = self.world
        if self.wills:
            self.wills.on_restarted()
        self.check_retained()
        for one in self.everyone:
            one.open()
        if self.sessions:
            self.sessions.open()
        world.run(lambda: all(one.is_settled for one in self.publishers + self.shared + self.retainers + [self.prober]) and
                  all(one.ready for one in self.receivers + self.churners) and (not self.sessions or self.sessions.is_settled),
                  "all are back, and have published what they had to publish again")
        for one in self.publishers:
            if isinstance(one, HttpPublisher) and one.keyed:
                one.repeat_answered(10)
        self.reach_mark(self.receivers, self.churners)
        world.run(lambda: all(one.is_settled for one in self.publishers), "keys were used again")
        self.check_retained()
        now = time.monotonic()
        for one in self.receivers:
            one.judge(now)
        self.judge_group(now)
        for one in self.churners:
            one.judge()
        if self.wills:
            self.wills.judge(self.watcher)

    def reach_mark(self, receivers, churners=()):
        """Publish a mark to each, and wait for it: what was queued before has come then."""
        self.marks += 1
        mark1, mark2 = b"1-%d" % self.marks, b"2-%d" % self.marks
        for one in receivers:
            self.prober.publish("end/" + one.name, mark1, qos=1)
            self.prober.publish("end/" + one.name, mark2, qos=2)
        for one in churners:
            one.probe(self.prober, mark2)
        try:
            self.world.run(lambda: all({mark1, mark2} <= one.ends for one in receivers) and all(mark2 in one.ends for one in churners),
                           "the marks have come")
        except Stuck:
            late = [one.name for one in receivers if not {mark1, mark2} <= one.ends] + [one.name for one in churners if mark2 not in one.ends]
            raise Stuck("marks that were published last did not come to " + ", ".join(late)) from None

    def finish(self):
        """The one that was away all the time, and the wills that are still to come."""
        world = self.world
        self.absent.open()
        world.run(lambda: self.absent.ready, "the absent one is back")
        self.reach_mark([self.absent])
        self.absent.judge(time.monotonic())
        if self.wills:
            try:
                world.run(lambda: not self.wills.missing(self.watcher), "all wills are published")
            except Stuck:
                pass  # judge() tells
            self.reach_mark([self.watcher])
            self.wills.judge(self.watcher)

    # ---- judgement of what several share

    def judge_group(self, now):
        for publisher in self.shared:
            for op in publisher.operations[self.shared_judged.get(publisher.stream, 0):]:
                key = (publisher.stream, op.number)
                came = sum(one.count(key) for one in self.group)
                if op.promised is not None and came == 0:
                    self.world.problem("lost", "the shared subscription: %s", key)
                if publisher.qos == 2 and came > 1 and all(one.count(key) < 2 for one in self.group):
                    self.world.problem("duplicated", "the shared subscription: %s came to %s", key,
                                       [one.name for one in self.group if one.count(key)])
            self.shared_judged[publisher.stream] = len(publisher.operations)

    def check_retained(self):
        """The retained values are what they may be: over HTTP, then with MQTT."""
        status, _, body = self.world.gateway.ask("GET", "/topics?filter=r/%23")
        if status != 200:
            self.world.problem("wrong", "GET /topics is answered %d", status)
            return
        values = {}
        for line in body.splitlines():
            item = json.loads(line)
            values[item["topic"]] = item["payload"].encode()
        by_mqtt = self.retained_by_mqtt(len(values))
        self.judge_retained(values, "over HTTP")
        self.judge_retained(by_mqtt, "to a subscriber")

    def retained_by_mqtt(self, count):
        """What a new subscriber gets, up to COUNT values; fewer if they expire meanwhile."""
        link = wire.Wire(self.world.gateway.address)
        values = {}
        try:
            link.connect()
            link.send(wire.subscribe(1, [("r/#", 1)]))
            end = time.monotonic() + DEADLINE
            deadline = end
            while len(values) < count and time.monotonic() < deadline:
                try:
                    pkt = link.read(timeout=0.2)
                except TimeoutError:
                    deadline = min(end, deadline, time.monotonic() + 2)
                    continue
                if isinstance(pkt, wire.Publish):
                    values[pkt.topic] = pkt.payload
                    if not pkt.retain:
                        self.world.problem("wrong", "%s came as retained without RETAIN", pkt.topic)
        finally:
            link.close()
        return values

    def judge_retained(self, values, how):
        now = time.monotonic()
        for publisher in self.retainers:
            for topic in publisher.topics:
                value = values.pop(topic, None)
                allowed, may_be_nothing = publisher.last_of(topic)
                fitting = [op for op in allowed if value == (publisher.payload(op) or None)]
                if value is None:
                    fitting += [op for op in allowed if op.has_expired(now)]
                if not fitting and not (value is None and may_be_nothing):
                    kind = "lost" if value is None else "resurrected" if allowed and allowed[-1].empty else "lost"
                    self.world.problem(kind, "the retained value of %s %s is %r, last acknowledged was number %s", topic, how,
                                       value and value[:30], [op.number for op in allowed][-1:])
                elif value is not None and all(op.must_have_expired(now) for op in fitting):
                    self.world.problem("resurrected", "the retained value of %s %s has expired", topic, how)
        for topic in values:
            self.world.problem("wrong", "there is a retained value of %s", topic)
