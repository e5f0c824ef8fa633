"""MQTT packets by hand: a blocking connection that sends what it is told, right or wrong, and shows what comes back.

No checking, no keep-alive, no automatic acknowledgement: a test decides each packet. Written from the specification, apart from
the broker's own codec, so that the two check each other.
"""

import collections
import socket
import struct
import time

from .clock import DEADLINE

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = 8, 9, 10, 11, 12, 13, 14, 15

PROPERTIES = {
    "payload_format": (0x01, "u8"),
    "message_expiry": (0x02, "u32"),
    "content_type": (0x03, "text"),
    "response_topic": (0x08, "text"),
    "correlation_data": (0x09, "blob"),
    "subscription_id": (0x0B, "varint"),
    "session_expiry": (0x11, "u32"),
    "assigned_client_id": (0x12, "text"),
    "server_keep_alive": (0x13, "u16"),
    "auth_method": (0x15, "text"),
    "auth_data": (0x16, "blob"),
    "request_problem": (0x17, "u8"),
    "will_delay": (0x18, "u32"),
    "request_response": (0x19, "u8"),
    "response_information": (0x1A, "text"),
    "server_reference": (0x1C, "text"),
    "reason_string": (0x1F, "text"),
    "receive_max": (0x21, "u16"),
    "topic_alias_max": (0x22, "u16"),
    "topic_alias": (0x23, "u16"),
    "qos_max": (0x24, "u8"),
    "retain_available": (0x25, "u8"),
    "user_property": (0x26, "pair"),
    "packet_bytes_max": (0x27, "u32"),
    "wildcard_available": (0x28, "u8"),
    "subscription_id_available": (0x29, "u8"),
    "shared_available": (0x2A, "u8"),
}
REPEATABLE = ("user_property", "subscription_id")
BY_NUMBER = {number: (name, kind) for name, (number, kind) in PROPERTIES.items()}


class Closed(Exception):
    """The peer closed the connection."""


# ---- encoding


def varint(value):
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def blob(value):
    if isinstance(value, str):
        value = value.encode()
    return struct.pack("!H", len(value)) + value


ENCODERS = {
    "u8": lambda value: struct.pack("!B", value),
    "u16": lambda value: struct.pack("!H", value),
    "u32": lambda value: struct.pack("!I", value),
    "varint": varint,
    "text": blob,
    "blob": blob,
    "pair": lambda value: blob(value[0]) + blob(value[1]),
}


def properties(values):
    out = bytearray()
    for name, value in (values or {}).items():
        number, kind = PROPERTIES[name]
        for one in value if name in REPEATABLE and isinstance(value, list) else [value]:
            out += bytes([number]) + ENCODERS[kind](one)
    return varint(len(out)) + bytes(out)


def packet(kind, flags, body):
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def connect(client_id="", version=5, clean=True, keep_alive=0, props=None, will=None, user=None, password=None):
    """WILL is (topic, payload, qos, retain, properties)."""
    flags = 0x02 if clean else 0
    body = bytearray()
    if will:
        flags |= 0x04 | will[2] << 3 | (0x20 if will[3] else 0)
    if user is not None:
        flags |= 0x80
    if password is not None:
        flags |= 0x40
    body += blob("MQIsdp" if version == 3 else "MQTT") + bytes([version, flags]) + struct.pack("!H", keep_alive)
    if version == 5:
        body += properties(props)
    body += blob(client_id)
    if will:
        body += (properties(will[4]) if version == 5 else b"") + blob(will[0]) + blob(will[1])
    for field in (user, password):
        if field is not None:
            body += blob(field)
    return packet(CONNECT, 0, bytes(body))


def publish(topic, payload, qos=0, packet_id=None, retain=False, dup=False, version=5, props=None):
    flags = (8 if dup else 0) | qos << 1 | (1 if retain else 0)
    body = blob(topic) + (struct.pack("!H", packet_id) if qos else b"") + (properties(props) if version == 5 else b"")
    return packet(PUBLISH, flags, body + (payload.encode() if isinstance(payload, str) else payload))


def subscribe(packet_id, filters, version=5, props=None):
    """FILTERS are (filter, options); the options byte of 3.x is the QoS."""
    body = struct.pack("!H", packet_id) + (properties(props) if version == 5 else b"")
    return packet(SUBSCRIBE, 2, body + b"".join(blob(name) + bytes([options]) for name, options in filters))


def unsubscribe(packet_id, filters, version=5):
    body = struct.pack("!H", packet_id) + (properties(None) if version == 5 else b"")
    return packet(UNSUBSCRIBE, 2, body + b"".join(blob(name) for name in filters))


def ack(kind, packet_id, reason=0):
    body = struct.pack("!H", packet_id) + (bytes([reason]) if reason else b"")
    return packet(kind, 2 if kind == PUBREL else 0, body)


def disconnect(reason=0, props=None):
    if not reason and props is None:
        return packet(DISCONNECT, 0, b"")
    return packet(DISCONNECT, 0, bytes([reason]) + properties(props))


PING = packet(PINGREQ, 0, b"")

# ---- decoding


class Reader:
    def __init__(self, body):
        self.body = body
        self.at = 0

    def take(self, count):
        part = self.body[self.at : self.at + count]
        assert len(part) == count, "packet ends too early"
        self.at += count
        return part

    def left(self):
        return len(self.body) - self.at

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return struct.unpack("!H", self.take(2))[0]

    def u32(self):
        return struct.unpack("!I", self.take(4))[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def blob(self):
        return bytes(self.take(self.u16()))

    def text(self):
        return self.blob().decode()

    def pair(self):
        return (self.text(), self.text())

    def properties(self):
        out = {}
        end = self.varint()
        end += self.at
        while self.at < end:
            name, kind = BY_NUMBER[self.varint()]
            value = getattr(self, kind)()
            if name in REPEATABLE:
                out.setdefault(name, []).append(value)
            else:
                assert name not in out, name + " came twice"
                out[name] = value
        assert self.at == end, "properties overrun their length"
        return out


Packet = collections.namedtuple("Packet", "kind flags body")
Connack = collections.namedtuple("Connack", "session_present reason props")
Publish = collections.namedtuple("Publish", "topic payload qos retain dup packet_id props")
Ack = collections.namedtuple("Ack", "packet_id reason props")
Suback = collections.namedtuple("Suback", "packet_id reasons props")
Disconnect = collections.namedtuple("Disconnect", "reason props")


def decode(pkt, version):
    """The named tuple for a packet that a server sends."""
    reader = Reader(pkt.body)
    if pkt.kind == CONNACK:
        present, reason = reader.u8(), reader.u8()
        out = Connack(bool(present), reason, reader.properties() if version == 5 else {})
    elif pkt.kind == PUBLISH:
        qos = pkt.flags >> 1 & 3
        topic = reader.text()
        packet_id = reader.u16() if qos else None
        props = reader.properties() if version == 5 else {}
        payload = bytes(reader.take(reader.left()))
        out = Publish(topic, payload, qos, bool(pkt.flags & 1), bool(pkt.flags & 8), packet_id, props)
    elif pkt.kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        packet_id = reader.u16()
        reason = reader.u8() if reader.left() else 0
        out = Ack(packet_id, reason, reader.properties() if reader.left() else {})
    elif pkt.kind in (SUBACK, UNSUBACK):
        packet_id = reader.u16()
        props = reader.properties() if version == 5 else {}
        out = Suback(packet_id, list(reader.take(reader.left())), props)
    elif pkt.kind == DISCONNECT:
        reason = reader.u8() if reader.left() else 0
        out = Disconnect(reason, reader.properties() if reader.left() else {})
    else:
        return pkt
    assert reader.left() == 0, "bytes left over in %r" % (pkt,)
    return out


# ---- a connection


def open_socket(address, timeout=DEADLINE, receive_buffer=None):
    """ADDRESS: (host, port), or the path of a unix socket. RECEIVE_BUFFER bounds what the kernel keeps for a peer that reads nothing."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(timeout)
    try:
        sock.connect(address)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        sock.close()
        raise
    return sock


class Wire:
    def __init__(self, address, version=5, receive_buffer=None):
        self.version = version
        self.sock = open_socket(address, receive_buffer=receive_buffer)
        self.buffer = bytearray()
        self.next_id = 0

    def close(self):
        self.sock.close()

    def __del__(self):
        if hasattr(self, "sock"):
            self.sock.close()

    def close_quietly(self):
        """End the connection from another thread than the one that reads, which sees the end of the stream."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the peer was faster

    def abort(self):
        """Close without a DISCONNECT and, with a reset, without waiting for what is under way."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def read_packet(self, timeout=None):
        """The next packet; Closed at the end of the stream, TimeoutError at the deadline."""
        end = time.monotonic() + (timeout or DEADLINE)
        while True:
            found = self._cut()
            if found:
                return found
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("no packet came")
            self.sock.settimeout(left)
            try:
                more = self.sock.recv(262144)
            except ConnectionResetError:
                more = b""
            finally:
                self.sock.settimeout(DEADLINE)
            if not more:
                raise Closed()
            self.buffer += more

    def _cut(self):
        length = shift = 0
        for at in range(1, min(5, len(self.buffer))):
            length |= (self.buffer[at] & 0x7F) << shift
            shift += 7
            if self.buffer[at] < 0x80:
                end = at + 1 + length
                if len(self.buffer) < end:
                    return None
                found = Packet(self.buffer[0] >> 4, self.buffer[0] & 15, bytes(self.buffer[at + 1 : end]))
                del self.buffer[:end]
                return found
        assert len(self.buffer) < 5, "length of more than four bytes"
        return None

    def read(self, kind=None, timeout=None):
        """The next packet, decoded; fails if it is not of KIND."""
        pkt = self.read_packet(timeout)
        assert kind is None or pkt.kind == kind, "expected packet type %d, got %r" % (kind, pkt)
        return decode(pkt, self.version)

    def read_to_end(self, timeout=None):
        """Packets up to the end of the stream, decoded."""
        out = []
        try:
            while True:
                out.append(self.read(timeout=timeout))
        except Closed:
            return out

    def id(self):
        self.next_id = self.next_id % 65535 + 1
        return self.next_id

    # ---- small dialogues

    def connect(self, client_id="", **options):
        self.send(connect(client_id, version=self.version, **options))
        return self.read(CONNACK)

    def subscribe(self, *filters, **options):
        """Filters are strings (QoS 0) or (filter, options byte); returns the reason codes."""
        filters = [(one, 0) if isinstance(one, str) else one for one in filters]
        self.send(subscribe(self.id(), filters, version=self.version, **options))
        return self.read(SUBACK).reasons

    def publish(self, topic, payload, qos=0, **options):
        """Send, and for QoS 1 and 2 wait for the end of the exchange; returns the first acknowledgement."""
        packet_id = self.id() if qos else None
        self.send(publish(topic, payload, qos, packet_id, version=self.version, **options))
        if qos == 0:
            return None
        first = self.read(PUBACK if qos == 1 else PUBREC)
        assert first.packet_id == packet_id
        if qos == 2 and first.reason < 0x80:
            self.send(ack(PUBREL, packet_id))
            assert self.read(PUBCOMP).packet_id == packet_id
        return first

    def ping(self):
        """A round trip: all that the broker sent before has been read; returns it, decoded."""
        self.send(PING)
        out = []
        while True:
            pkt = self.read_packet()
            if pkt.kind == PINGRESP:
                return out
            out.append(decode(pkt, self.version))
