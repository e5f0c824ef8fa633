"""Readers of /events over raw sockets, so that a test can cut, stall and resume them as it likes."""

import json
import socket
import urllib.parse

import harness


class Refused(Exception):
    """The answer is no stream. args: status, headers, body"""


def target(filters, **query):
    pairs = [("filter", f) for f in ([filters] if isinstance(filters, str) else filters)]
    return "/events?" + urllib.parse.urlencode(pairs + list(query.items()))


class Event:
    """One event: its name ("message" for messages), id (None: none), data (a JSON object), comment."""

    def __init__(self, name, ident, data):
        self.name, self.id, self.data = name, ident, data

    def __repr__(self):
        return "Event(%r, %r, %r)" % (self.name, self.id, self.data)

    @property
    def payload(self):
        return self.data["payload"]

    @property
    def number(self):
        return int(self.payload.split()[0])


class Stream:
    """A reader of an event stream. `last_id` is what a browser would give back."""

    def __init__(self, server, filters, headers=None, receive_buffer=None, last_id=None, **query):
        self.last_id = last_id
        self.retry = None
        self.comments = 0
        self.text = b""  # decoded, not yet taken
        self.raw = b""  # as received
        self.is_complete = False  # the last chunk has come
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(harness.DEADLINE)
        self.sock.connect((server.host, server.http_port))
        self.peer = "%s:%d" % self.sock.getsockname()  # as the server's log calls us
        lines = ["GET %s HTTP/1.1" % target(filters, **query), "Host: localhost"]
        more = dict(headers or {})
        if last_id is not None:
            more["Last-Event-ID"] = last_id
        lines += ["%s: %s" % pair for pair in more.items()]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._read_head()

    def _receive(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.raw += data

    def _read_head(self):
        while b"\r\n\r\n" not in self.raw:
            self._receive()
        head, self.raw = self.raw.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        status = int(lines[0].split()[1])
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        if status != 200:
            length = int(self.headers.get("content-length", 0))
            while len(self.raw) < length:
                self._receive()
            body, self.raw = self.raw[:length], b""
            self.close()
            raise Refused(status, self.headers, body)
        assert self.headers["transfer-encoding"] == "chunked", self.headers

    def _unchunk(self):
        """Move whole chunks from raw to text."""
        while b"\r\n" in self.raw and not self.is_complete:
            size, rest = self.raw.split(b"\r\n", 1)
            length = int(size, 16)
            if length == 0:
                self.is_complete = True
                return
            if len(rest) < length + 2:
                return
            self.text += rest[:length]
            self.raw = rest[length + 2:]

    def _block(self, end):
        """The next run of text up to END."""
        while True:
            self._unchunk()
            if end in self.text:
                block, self.text = self.text.split(end, 1)
                return block.decode()
            if self.is_complete:
                raise EOFError
            self._receive()

    def event(self):
        """The next event; comments and blocks without data are taken notice of on the way. EOFError at the end."""
        while True:
            fields = {}
            for line in self._block(b"\n\n").split("\n"):
                name, _, value = line.partition(":")
                if name == "":
                    self.comments += 1
                else:
                    fields[name] = value.removeprefix(" ")
            if "retry" in fields:
                self.retry = int(fields["retry"])
            if "id" in fields:
                self.last_id = fields["id"]
            if "data" in fields:
                return Event(fields.get("event", "message"), fields.get("id"), json.loads(fields["data"]))

    def message(self):
        """The next event, which must be a message."""
        event = self.event()
        assert event.name == "message", event
        return event

    def until(self, name):
        """All events up to the one called NAME, which is left out."""
        events = []
        while True:
            event = self.event()
            if event.name == name:
                return events
            events.append(event)

    def cut(self):
        """End the connection the hard way."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self):
        self.sock.close()


class Lines(Stream):
    """A reader of lines of JSON."""

    def __init__(self, server, filters, **more):
        headers = {"Accept": "application/x-ndjson", **more.pop("headers", {})}
        super().__init__(server, filters, headers=headers, **more)

    def event(self):
        value = json.loads(self._block(b"\n"))
        self.last_id = value.get("id", self.last_id)
        return Event(value.pop("event", "message"), value.pop("id", None), value)


def poll(server, filters, accept=None, method="GET", **query):
    """One request for /events that ends. Returns status, headers and the list of what came."""
    import http.client

    connection = http.client.HTTPConnection(server.host, server.http_port, timeout=harness.DEADLINE)
    try:
        connection.request(method, target(filters, **query), headers={"Accept": accept} if accept else {})
        answer = connection.getresponse()
        body = answer.read().decode()
        if answer.status >= 400:
            return answer.status, answer.headers, json.loads(body)
        if accept == "application/json":
            return answer.status, answer.headers, json.loads(body) if body else []
        return answer.status, answer.headers, [json.loads(line) for line in body.splitlines()]
    finally:
        connection.close()
