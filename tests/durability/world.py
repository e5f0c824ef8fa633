"""One thread that turns all clients of a test, and may strike the gateway at any moment.

    world = World(gateway, random.Random(seed))
    ... actors add themselves (actors.py) ...
    world.run(condition, "what for")      turns until the condition holds
    world.strike_at(moment)               from then on run() ends with Struck: the gateway was killed, and whatever it had sent was read

The clients keep the record of what they were told, and are not killed: what is wrong after the restart is a `problem`.
"""

import collections
import selectors
import socket
import time

from gateway import DEADLINE, wire

# an acknowledgement, with its type
Answer = collections.namedtuple("Answer", "kind packet_id reason props")

KINDS = ("lost", "duplicated", "resurrected", "disordered", "wrong")


class Struck(Exception):
    """The gateway was killed."""


class Stuck(AssertionError):
    """What was waited for did not come."""


class Link:
    """A connection of an actor, which is given packets, or answers, as they come."""

    def __init__(self, world, actor, address):
        self.world = world
        self.actor = actor
        self.is_open = True
        self.sock = wire.open_socket(address)
        self.buffer = bytearray()
        self.local_port = self.sock.getsockname()[1]
        world.links.add(self)
        world.selector.register(self.sock, selectors.EVENT_READ, self)

    def put(self, data):
        """Send; if the connection has broken nothing happens, reading will tell."""
        if self.is_open and data:
            try:
                self.sock.sendall(data)
            except OSError:
                pass

    def arrived(self):
        """There is something to read, or the end."""
        try:
            data = self.sock.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop()
            self.actor.on_lost(self)
            return
        self.buffer += data
        while self.is_open:
            pkt = self.cut()
            if pkt is None:
                return
            self.actor.on_packet(self, pkt)

    def drop(self):
        """Close, without a word to the actor."""
        if self.is_open:
            self.is_open = False
            self.world.links.discard(self)
            self.world.selector.unregister(self.sock)
            self.sock.close()


class MqttLink(Link):
    def __init__(self, world, actor, version=5):
        super().__init__(world, actor, world.gateway.address)
        self.version = version
        self.last_id = 0

    def id(self):
        self.last_id += 1
        return self.last_id

    def cut(self):
        pkt = wire.Wire._cut(self)
        if pkt is None:
            return None
        decoded = wire.decode(pkt, self.version)
        return Answer(pkt.kind, *decoded) if isinstance(decoded, wire.Ack) else decoded


class WebLink(Link):
    """HTTP/1.1, one request at a time. An answer is (status, headers, body)."""

    def __init__(self, world, actor):
        super().__init__(world, actor, world.gateway.web)

    def request(self, method, path, body=b"", headers=()):
        lines = ["%s %s HTTP/1.1" % (method, path), "Host: localhost", "Content-Length: %d" % len(body), *headers, "", ""]
        self.put("\r\n".join(lines).encode() + body)

    def cut(self):
        head, end, _ = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return None
        lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        total = len(head) + 4 + int(headers.get("content-length", "0"))
        if len(self.buffer) < total:
            return None
        body = bytes(self.buffer[len(head) + 4:total])
        del self.buffer[:total]
        return int(lines[0].split()[1]), headers, body


class World:
    def __init__(self, gateway, random, on_strike=None):
        self.gateway = gateway
        self.random = random
        self.on_strike = on_strike or (lambda: None)
        self.selector = selectors.DefaultSelector()
        self.links = set()
        self.actors = []
        self.publishers = {}  # stream -> who publishes it
        self.problems = []  # (kind, text)
        self.counts = collections.Counter()
        self.strike_time = None
        self.struck = 0.0  # when it was last
        self.loading = False  # actors make new operations
        self.keep_journal = False

    def problem(self, kind, text, *args):
        self.counts[kind] += 1
        self.problems.append((kind, text % args))

    def strike_at(self, moment):
        """Strike at the first turn after MOMENT (time.monotonic()); None: never."""
        self.strike_time = moment

    def run(self, condition, what, deadline=2 * DEADLINE):
        end = time.monotonic() + deadline
        while not condition():
            self.turn()
            if time.monotonic() > end:
                raise Stuck("gave up waiting until " + what)

    def run_for(self, seconds):
        """Load: this is no wait for a state."""
        end = time.monotonic() + seconds
        self.run(lambda: time.monotonic() >= end, "time has passed", seconds + DEADLINE)

    def turn(self):
        now = time.monotonic()
        if self.strike_time is not None and now >= self.strike_time:
            self.strike()
        for key, _ in self.selector.select(0.002):
            if key.data.is_open:
                key.data.arrived()
        for actor in self.actors:
            actor.drive(now)

    def strike(self):
        """Kill the gateway, and read what it had sent before."""
        self.strike_time = None
        self.on_strike()
        self.struck = time.monotonic()
        self.loading = False
        self.read_to_ends()
        raise Struck()

    def read_to_ends(self):
        for link in list(self.links):
            while link.is_open:
                link.arrived()

    def close(self):
        for link in list(self.links):
            link.drop()
        self.selector.close()
