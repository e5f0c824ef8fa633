"""MQTT packets by hand (wire.py) in WebSocket frames by hand, cut as the test says. Written from RFC 6455, apart from the gateway's library.

The handshake and the frames that come are checked: what carries MQTT is a whole, unmasked, binary message. Pings are answered.
"""

import base64
import hashlib
import os

from . import wire

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE_UNSUPPORTED_DATA = 1003


def frame(opcode, payload, fin=True):
    """A frame as clients send it, masked."""
    mask = os.urandom(4)
    head = bytes([opcode | (0x80 if fin else 0)])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        head += bytes([0x80 | 126]) + len(payload).to_bytes(2, "big")
    else:
        head += bytes([0x80 | 127]) + len(payload).to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class Frames:
    """A socket whose recv() and sendall() are a stream of bytes in binary frames."""

    def __init__(self, sock):
        self.sock = sock
        self.raw = bytearray()
        self.close_code = None  # of the peer's Close frame

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def sendall(self, data):
        self.sock.sendall(frame(BINARY, data))

    def _fill(self, size):
        """Read until SIZE bytes are there. False at the end of the stream."""
        while len(self.raw) < size:
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return False
            self.raw += more
        return True

    def _take(self, size):
        part = bytes(self.raw[:size])
        del self.raw[:size]
        return part

    def _frame(self):
        """The next frame, or None."""
        if not self._fill(2):
            return None
        assert self.raw[0] & 0x70 == 0, "reserved bits are set"
        assert self.raw[1] < 0x80, "a server must not mask"
        extra = {126: 2, 127: 8}.get(self.raw[1], 0)
        if not self._fill(2 + extra):
            return None
        size = int.from_bytes(self.raw[2 : 2 + extra], "big") if extra else self.raw[1]
        if not self._fill(2 + extra + size):
            return None
        first = self._take(2 + extra)[0]
        return first & 0x80 != 0, first & 15, self._take(size)

    def recv(self, size):
        """The payload of the next frame that has one (SIZE is not kept to), b"" at the end."""
        del size
        while self.close_code is None:
            found = self._frame()
            if found is None:
                return b""
            fin, opcode, payload = found
            if opcode == PING:
                self.sock.sendall(frame(PONG, payload))
            elif opcode == CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005
            elif opcode != PONG:
                assert fin and opcode == BINARY, "expected a whole binary message, got opcode %d" % opcode
                if payload:
                    return payload
        return b""


class WebSocket(wire.Wire):
    """A wire.Wire through /mqtt of ADDRESS. `subprotocol` is what the server chose."""

    def __init__(self, address, version=5, offers=("mqtt",)):
        super().__init__(address, version)
        self.subprotocol = None
        try:
            self._handshake(address, offers)
        except Exception:
            self.sock.close()
            raise

    def _handshake(self, address, offers):
        key = base64.b64encode(os.urandom(16))
        lines = [
            "GET /mqtt HTTP/1.1",
            "Host: %s:%d" % address,
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: " + key.decode(),
        ]
        if offers:
            lines.append("Sec-WebSocket-Protocol: " + ", ".join(offers))
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = bytearray()
        while b"\r\n\r\n" not in answer:
            more = self.sock.recv(4096)
            if not more:
                raise wire.Closed()
            answer += more
        head, rest = bytes(answer).split(b"\r\n\r\n", 1)
        status, *fields = head.decode().split("\r\n")
        if status.split(" ")[1] != "101":
            raise Refused(int(status.split(" ")[1]))
        headers = {name.lower(): value.strip() for name, value in (field.split(":", 1) for field in fields)}
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        assert headers["sec-websocket-accept"] == accept, headers
        assert "sec-websocket-extensions" not in headers, headers
        self.subprotocol = headers.get("sec-websocket-protocol")
        self.sock = Frames(self.sock)
        self.sock.raw += rest

    def send_frames(self, *frames):
        """Send frames, each (opcode, payload, fin), as they stand."""
        self.sock.sock.sendall(b"".join(frame(*one) for one in frames))


class Refused(Exception):
    """The handshake was answered by this status."""
