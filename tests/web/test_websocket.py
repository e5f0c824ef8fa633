"""MQTT over WebSocket, byte by byte (RFC 6455): handshake, frames of every kind and cut, close codes, pings, and that MQTT packets care for
none of it."""

import base64
import hashlib
import os
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import HOST, PROGRAM, Case, Gateway, request, wait_until  # noqa: E402

KEY = base64.b64encode(b"0123456789abcdef")
UPGRADE = (b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY +
           b"\r\n")
OFFER = b"Sec-WebSocket-Protocol: mqtt\r\n"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(opcode, payload=b"", final=True, mask=b"\x01\x02\x03\x04", reserved=0):
    first = (0x80 if final else 0) | reserved << 4 | opcode
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head = bytes([first, bit | len(payload)])
    elif len(payload) < 65536:
        head = struct.pack(">BBH", first, bit | 126, len(payload))
    else:
        head = struct.pack(">BBQ", first, bit | 127, len(payload))
    if mask:
        payload = bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))
    return head + mask + payload


def string(text):
    return struct.pack(">H", len(text)) + text


def packet(kind, body=b""):
    length = b""
    rest = len(body)
    while True:
        length += bytes([rest & 127 | (128 if rest > 127 else 0)])
        rest >>= 7
        if not rest:
            return bytes([kind]) + length + body


def connect(client_id, keep_alive=0):
    return packet(0x10, string(b"MQTT") + b"\x04\x02" + struct.pack(">H", keep_alive) + string(client_id))


def publish(topic, payload, qos=0, number=1):
    return packet(0x30 | qos << 1, string(topic) + (struct.pack(">H", number) if qos else b"") + payload)


def subscribe(topic, qos=0):
    return packet(0x82, b"\x00\x01" + string(topic) + bytes([qos]))


PINGREQ, PINGRESP, CONNACK, DISCONNECT = b"\xc0\x00", b"\xd0\x00", b"\x20\x02\x00\x00", b"\xe0\x00"


class WebSocket:
    def __init__(self, gateway, offer=OFFER):
        self.connection = gateway.connect()
        self.connection.send(request(b"GET", b"/mqtt", UPGRADE + offer))
        status, self.headers = self.connection.head()
        assert status == 101, status
        self.bytes = b""  # of MQTT, received and not taken
        self.controls = []  # (opcode, payload) of control frames

    def send(self, *frames):
        self.connection.send(b"".join(frames))

    def mqtt(self, *packets):
        self.send(frame(BINARY, b"".join(packets)))

    def read_frame(self):
        first, second = self.connection.take(2)
        assert first & 0x70 == 0 and second & 0x80 == 0, "reserved bits or a mask from the server"
        length = second & 127
        if length == 126:
            length = struct.unpack(">H", self.connection.take(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", self.connection.take(8))[0]
        payload = self.connection.take(length)
        opcode = first & 15
        if opcode >= CLOSE:
            assert first & 0x80
            self.controls.append((opcode, payload))
            if opcode == PING:
                self.send(frame(PONG, payload))
        else:
            assert opcode == BINARY and first & 0x80, first
            self.bytes += payload

    def take(self, length):
        while len(self.bytes) < length:
            self.read_frame()
        data, self.bytes = self.bytes[:length], self.bytes[length:]
        return data

    def control(self, opcode):
        """The payload of the next control frame of this kind."""
        while True:
            for i, (kind, payload) in enumerate(self.controls):
                if kind == opcode:
                    del self.controls[i]
                    return payload
            self.read_frame()

    def begin(self, client_id=b"", keep_alive=0):
        self.mqtt(connect(client_id, keep_alive))
        assert self.take(4) == CONNACK
        return self

    def close_code(self):
        """Wait for a close frame, answer it, and see the connection end."""
        payload = self.control(CLOSE)
        self.send(frame(CLOSE, payload))
        assert self.connection.is_closed()
        return struct.unpack(">H", payload[:2])[0] if payload else None


class Sockets(Case):
    program = PROGRAM

    def open(self, offer=OFFER):
        web_socket = WebSocket(self.gateway, offer)
        self.addCleanup(web_socket.connection.socket.close)
        return web_socket


class Handshake(Sockets):
    def test_accepts_with_the_right_hash_and_sub_protocol(self):
        headers = self.open().headers
        digest = hashlib.sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        self.assertEqual(headers["sec-websocket-accept"], base64.b64encode(digest).decode())
        self.assertEqual((headers["upgrade"].lower(), headers["connection"].lower()), ("websocket", "upgrade"))
        self.assertEqual(headers["sec-websocket-protocol"], "mqtt")
        self.assertNotIn("sec-websocket-extensions", headers)

    def test_searches_the_list_of_sub_protocols(self):
        for offer, chosen in ((b"mqttv3.1", "mqttv3.1"), (b"foo, mqtt", "mqtt"), (b"foo,bar,mqttv3.1,mqtt", "mqttv3.1"),
                              (b"  mqtt  , x", "mqtt"), (b"a\r\nSec-WebSocket-Protocol: mqtt", "mqtt")):
            headers = self.open(b"Sec-WebSocket-Protocol: " + offer + b"\r\n").headers
            self.assertEqual(headers["sec-websocket-protocol"], chosen, offer)

    def test_offers_of_compression_are_declined(self):
        offer = OFFER + b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
        web_socket = self.open(offer)
        self.assertNotIn("sec-websocket-extensions", web_socket.headers)
        web_socket.begin()

    def test_refusals_have_an_honest_status(self):
        good = UPGRADE + OFFER
        cases = (
            (400, UPGRADE), (400, UPGRADE + b"Sec-WebSocket-Protocol: wamp, http, (http)\r\n"),
            (400, UPGRADE + b"Sec-WebSocket-Protocol: MQTT\r\n"), (400, UPGRADE + b"Sec-WebSocket-Protocol: mqtt/\r\n"),
            (400, UPGRADE + b"Sec-WebSocket-Protocol: " + b"a," * 100 + b"mqtt\r\n"),
            (426, good.replace(b"13", b"8")), (426, good.replace(b"13", b"013")), (426, good.replace(b"Sec-WebSocket-Version: 13\r\n", b"")),
            (400, good.replace(KEY, KEY[:-4])), (400, good.replace(KEY, b"!" * 24)), (400, good.replace(KEY, b"a" * 200)),
            (400, good.replace(b"Sec-WebSocket-Key: " + KEY + b"\r\n", b"")),
            (400, good.replace(b"keep-alive, Upgrade", b"keep-alive")), (400, good.replace(b"keep-alive, Upgrade", b"up")),
            (403, good + b"Origin: https://evil.example\r\n"), (400, good + b"Content-Length: 3\r\n"),
        )
        for status, headers in cases:
            with self.gateway.connect() as connection:
                connection.send(request(b"GET", b"/mqtt", headers))
                answer = connection.answer()
                self.assertEqual(answer.status, status, headers)
                self.assertEqual(answer.json()["status"], status)
                if status == 426:
                    self.assertEqual(answer.headers["sec-websocket-version"], "13")
                self.assertTrue(connection.is_closed())
        for status, method, path, host, version in (
                (405, b"POST", b"/mqtt", HOST, b"1.1"), (405, b"PUT", b"/mqtt", HOST, b"1.1"), (404, b"GET", b"/", HOST, b"1.1"),
                (404, b"GET", b"/mqtt/x", HOST, b"1.1"), (421, b"GET", b"/mqtt", b"Host: evil.example\r\n", b"1.1"),
                (400, b"GET", b"/mqtt", HOST, b"1.0"), (400, b"GET", b"/mqtt", b"", b"1.1")):
            with self.gateway.connect() as connection:
                body = None if method == b"GET" else b""
                connection.send(request(method, path, good, host=host, version=version, body=body))
                self.assertEqual(connection.answer().status, status, (method, path, host, version))
        self.assertEqual(self.ask(b"GET", b"/mqtt").status, 426)
        self.assertEqual(self.ask(b"DELETE", b"/mqtt").status, 405)

    def test_same_origin_is_allowed(self):
        self.open(OFFER + b"Origin: http://localhost\r\n").begin()

    def test_frames_in_the_segment_of_the_request(self):
        with self.gateway.connect() as connection:
            connection.send(request(b"GET", b"/mqtt", UPGRADE + OFFER) + frame(BINARY, connect(b"")) + frame(BINARY, PINGREQ))
            self.assertEqual(connection.head()[0], 101)
            self.assertEqual(connection.take(8).replace(b"\x82\x02", b""), b"\x82\x06" + CONNACK + PINGRESP)

    def test_after_other_requests_on_the_connection(self):
        with self.gateway.connect() as connection:
            connection.send(request(b"GET", b"/healthz") * 3 + request(b"GET", b"/mqtt", UPGRADE + OFFER))
            for _ in range(3):
                self.assertEqual(connection.answer().status, 200)
            self.assertEqual(connection.head()[0], 101)


class Frames(Sockets):
    def test_a_session_at_every_cut(self):
        data = (frame(BINARY, connect(b"")) + frame(BINARY, subscribe(b"cut")) + frame(PING, b"between") +
                frame(BINARY, publish(b"cut", b"x" * 150)) + frame(BINARY, PINGREQ))
        expected = CONNACK + b"\x90\x03\x00\x01\x00" + publish(b"cut", b"x" * 150) + PINGRESP
        for first in range(1, len(data), 40):
            opened = []
            for cut in range(first, min(first + 40, len(data)), 5):
                web_socket = self.open()
                web_socket.send(data[:cut])
                opened.append((cut, web_socket))
            for cut, web_socket in opened:
                web_socket.send(data[cut:])
                # every one of them is subscribed: others' messages may come in between
                rest = web_socket.take(len(expected))
                self.assertTrue(rest.startswith(expected[:9]), cut)
                self.assertEqual(web_socket.control(PONG), b"between")
                web_socket.connection.socket.close()

    def test_one_byte_at_a_time(self):
        web_socket = self.open()
        for byte in frame(BINARY, connect(b"")) + frame(PING, b"p") + frame(BINARY, PINGREQ):
            web_socket.send(bytes([byte]))
        self.assertEqual(web_socket.take(6), CONNACK + PINGRESP)

    def test_packets_across_frames_and_many_in_one(self):
        web_socket = self.open()
        packets = connect(b"") + subscribe(b"many") + b"".join(publish(b"many", b"%d" % i) for i in range(50)) + PINGREQ
        for i in range(0, len(packets), 3):
            web_socket.send(frame(BINARY, packets[i:i + 3]))
        expected = CONNACK + b"\x90\x03\x00\x01\x00" + b"".join(publish(b"many", b"%d" % i) for i in range(50)) + PINGRESP
        got = web_socket.take(len(expected))
        self.assertEqual(got.replace(PINGRESP, b""), expected.replace(PINGRESP, b""))
        web_socket.mqtt(*([PINGREQ] * 100))
        self.assertEqual(web_socket.take(200), PINGRESP * 100)

    def test_fragments_with_control_frames_between(self):
        web_socket = self.open()
        data = connect(b"") + PINGREQ
        web_socket.send(frame(BINARY, data[:4], final=False), frame(PING, b"1"), frame(CONTINUATION, b"", final=False),
                        frame(PONG, b"unasked"), frame(CONTINUATION, data[4:7], final=False), frame(PING, b""),
                        frame(CONTINUATION, data[7:]))
        self.assertEqual(web_socket.take(6), CONNACK + PINGRESP)
        self.assertEqual(web_socket.control(PONG), b"1")

    def test_empty_frames_mean_nothing(self):
        web_socket = self.open()
        web_socket.send(frame(BINARY), frame(BINARY, b"", final=False), frame(CONTINUATION), frame(BINARY, connect(b"")), frame(BINARY))
        self.assertEqual(web_socket.take(4), CONNACK)

    def test_all_masks(self):
        for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1", b"\x82\x00\x82\x00"):
            web_socket = self.open()
            web_socket.send(frame(BINARY, connect(b"") + publish(b"m", bytes(range(256)) * 9), mask=mask), frame(BINARY, PINGREQ, mask=mask))
            self.assertEqual(web_socket.take(6), CONNACK + PINGRESP)

    def test_lengths_around_the_limits_of_each_form(self):
        web_socket = self.open().begin()
        web_socket.mqtt(subscribe(b"len"))
        web_socket.take(5)
        for size in (0, 1, 120, 125, 126, 127, 128, 500, 750, 768, 1024, 4096, 65530, 65535, 65536, 70000, 300000):
            message = publish(b"len", bytes([size % 256]) * size)
            web_socket.mqtt(message)
            self.assertEqual(web_socket.take(len(message)), message, size)

    def test_longest_forms_of_short_lengths_are_read(self):
        web_socket = self.open().begin()
        web_socket.send(b"\x82\xfe\x00\x02\0\0\0\0" + PINGREQ, b"\x82\xff" + b"\0" * 7 + b"\x02\0\0\0\0" + PINGREQ)
        self.assertEqual(web_socket.take(4), PINGRESP * 2)

    def test_announced_gigabytes_take_no_memory(self):
        opened = [self.open().begin(b"giga%d" % i) for i in range(30)]
        for web_socket in opened:
            web_socket.send(b"\x82\xff" + struct.pack(">Q", (1 << 62) + 5) + b"\0\0\0\0" + PINGREQ)
            self.assertEqual(web_socket.take(2), PINGRESP)
        with open("/proc/%d/status" % self.gateway.process.pid) as status:
            self.assertLess(int(next(line for line in status if line.startswith("VmRSS")).split()[1]), 300000)

    def test_ping_before_connect(self):
        web_socket = self.open()
        web_socket.send(frame(PING, b"x" * 125))
        self.assertEqual(web_socket.control(PONG), b"x" * 125)
        web_socket.begin()

    def test_floods_of_pings_do_no_harm(self):
        web_socket = self.open().begin()
        for _ in range(20):
            web_socket.send(frame(PING, b"f" * 100) * 500)
        web_socket.mqtt(PINGREQ)
        self.assertEqual(web_socket.take(2), PINGRESP)


class Endings(Sockets):
    def ends(self, code, *frames):
        web_socket = self.open().begin()
        web_socket.send(*frames)
        self.assertEqual(web_socket.close_code(), code, frames)

    def test_text_is_refused_with_1003(self):
        self.ends(1003, frame(TEXT, b"\xc0\x00"))
        self.ends(1003, frame(TEXT, b""))
        self.ends(1003, frame(TEXT, b"a", final=False))
        web_socket = self.open()
        web_socket.send(frame(TEXT, b"before connect"))
        self.assertEqual(web_socket.close_code(), 1003)

    def test_breaches_of_the_protocol_are_1002(self):
        self.ends(1002, frame(CONTINUATION, b"x"))
        self.ends(1002, frame(BINARY, b"", final=False), frame(BINARY, b"x"))
        self.ends(1002, frame(PING, b"", final=False))
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            self.ends(1002, frame(opcode, b"x"))
        for reserved in (1, 2, 4, 7):
            self.ends(1002, frame(BINARY, PINGREQ, reserved=reserved))

    def test_frames_without_a_mask_and_lengths_without_sense_are_1002(self):
        for wrong in (frame(BINARY, PINGREQ, mask=b""), frame(PING, b"", mask=b""), frame(CLOSE, b"", mask=b""),
                      b"\x82\xff" + b"\xff" * 8 + b"\0\0\0\0", b"\x89\xfe\x00\x7e\0\0\0\0" + b"x" * 126,
                      b"\x88\xfe\x00\x7e\0\0\0\0" + b"x" * 126, b"\x8a\xff"):
            web_socket = self.open().begin()
            web_socket.send(wrong)
            self.assertEqual(web_socket.control(CLOSE), struct.pack(">H", 1002), wrong)
            self.assertTrue(web_socket.connection.is_closed())
        self.check_alive()

    def test_close_is_answered_with_its_code(self):
        for code in (1000, 1001, 1003, 1007, 1011, 3000, 4999):
            web_socket = self.open().begin()
            web_socket.send(frame(CLOSE, struct.pack(">H", code) + b"bye"))
            self.assertEqual(web_socket.control(CLOSE)[:2], struct.pack(">H", code))
            self.assertTrue(web_socket.connection.is_closed())
        web_socket = self.open()
        web_socket.send(frame(CLOSE))
        self.assertEqual(web_socket.control(CLOSE), b"")
        self.assertTrue(web_socket.connection.is_closed())

    def test_close_codes_that_none_may_send_are_1002(self):
        for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535):
            web_socket = self.open().begin()
            web_socket.send(frame(CLOSE, struct.pack(">H", code)))
            self.assertEqual(web_socket.control(CLOSE)[:2], struct.pack(">H", 1002), code)
        self.ends(1002, frame(CLOSE, b"x"))

    def test_close_reason_that_is_no_utf_8_is_1007(self):
        for reason in (b"\xff", b"a\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82"):
            self.ends(1007, frame(CLOSE, struct.pack(">H", 1000) + reason))

    def test_mqtt_disconnect_ends_the_connection(self):
        web_socket = self.open().begin()
        web_socket.mqtt(DISCONNECT)
        self.assertEqual(web_socket.close_code(), 1000)

    def test_nonsense_instead_of_mqtt_ends_the_connection(self):
        for nonsense in (b"\x00" * 10, b"\xff" * 100, PINGREQ, b"GET / HTTP/1.1\r\n\r\n"):
            web_socket = self.open()
            web_socket.mqtt(nonsense)
            self.assertEqual(web_socket.close_code(), 1000)

    def test_take_over_ends_the_older_one(self):
        older = self.open().begin(b"twice")
        self.open().begin(b"twice")
        self.assertEqual(older.close_code(), 1000)

    def test_will_is_published_when_the_socket_breaks(self):
        watcher = self.open().begin()
        watcher.mqtt(subscribe(b"will/#"))
        watcher.take(5)
        for how in range(3):
            dying = self.open()
            dying.mqtt(packet(0x10, string(b"MQTT") + b"\x04\x06\x00\x00" + string(b"") + string(b"will/%d" % how) + string(b"gone")))
            self.assertEqual(dying.take(4), CONNACK)
            if how == 0:
                dying.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif how == 1:
                dying.send(frame(CLOSE, struct.pack(">H", 1001)))
            if how == 2:
                dying.send(frame(TEXT, b"x"))
            else:
                dying.connection.socket.close()
            message = publish(b"will/%d" % how, b"gone")
            self.assertEqual(watcher.take(len(message)), message)


class Traffic(Sockets):
    options = {"limits": {"output_bytes": 1048576, "queued_messages": 100000, "queued_bytes": 268435456, "packet_bytes": 4194304}}

    def test_slow_reader_gets_all_of_qos_1_and_others_do_not_wait(self):
        slow, sender, other = (self.open().begin(name) for name in (b"slow", b"sender", b"other"))
        slow.mqtt(subscribe(b"flood", 1))
        slow.take(5)
        payload = b"y" * 150000
        for i in range(100):
            sender.mqtt(publish(b"flood", b"%03d" % i + payload, qos=1, number=i + 1))
        for i in range(100):
            self.assertEqual(sender.take(4), b"\x40\x02" + struct.pack(">H", i + 1))
        for _ in range(20):
            other.mqtt(PINGREQ)
            self.assertEqual(other.take(2), PINGRESP)
        self.check_idle()
        for i in range(100):
            head = packet(0x32, b"\0" * (2 + 5 + 2 + 3 + len(payload)))[:-(2 + 5 + 2 + 3 + len(payload))]
            self.assertEqual(slow.take(len(head)), head)
            body = slow.take(2 + 5 + 2 + 3 + len(payload))
            self.assertEqual(body[9:12], b"%03d" % i)
            slow.mqtt(b"\x40\x02" + body[7:9])

    def test_native_and_web_clients_talk(self):
        web_socket = self.open().begin()
        web_socket.mqtt(subscribe(b"from/tcp"))
        web_socket.take(5)
        with socket.create_connection(("127.0.0.1", self.gateway.mqtt_port)) as native:
            native.settimeout(20)
            native.sendall(connect(b"native") + subscribe(b"from/web"))
            self.assertEqual(native.recv(9, socket.MSG_WAITALL), CONNACK + b"\x90\x03\x00\x01\x00")
            native.sendall(publish(b"from/tcp", b"hello"))
            message = publish(b"from/tcp", b"hello")
            self.assertEqual(web_socket.take(len(message)), message)
            web_socket.mqtt(publish(b"from/web", b"hello"))
            message = publish(b"from/web", b"hello")
            self.assertEqual(native.recv(len(message), socket.MSG_WAITALL), message)

    def test_many_clients_over_all_workers(self):
        opened = [self.open().begin(b"n%d" % i) for i in range(60)]
        for web_socket in opened:
            web_socket.mqtt(subscribe(b"all"))
            web_socket.take(5)
        for i in range(10):
            opened[i].mqtt(publish(b"all", b"%d" % i))
        message = publish(b"all", b"0")
        for web_socket in opened:
            got = web_socket.take(len(message) * 10)
            self.assertEqual(sorted(got[i + len(message) - 1:i + len(message)] for i in range(0, len(got), len(message))),
                             [b"%d" % i for i in range(10)])


class Pings(Sockets):
    options = {"http": {"websocket_ping_s": 1}}

    def test_silent_clients_are_pinged_and_stay_if_they_answer(self):
        web_socket = self.open().begin()
        for _ in range(3):
            self.assertEqual(web_socket.control(PING), b"alive?")
        web_socket.mqtt(PINGREQ)
        self.assertEqual(web_socket.take(2), PINGRESP)

    def test_clients_that_do_not_answer_are_closed(self):
        web_socket = self.open().begin()
        web_socket.connection.rest()


class Deadlines(Sockets):
    options = {"limits": {"connect_timeout_ms": 500, "write_stall_timeout_ms": 500}}

    def test_connect_must_come_in_time(self):
        web_socket = self.open()
        self.assertEqual(web_socket.close_code(), 1000)

    def test_peer_that_takes_nothing_is_closed(self):
        watcher = self.open().begin(b"watch")
        watcher.mqtt(subscribe(b"$SYS/broker/clients/connected"), subscribe(b"will"))
        stuck = self.open()
        stuck.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.mqtt(packet(0x10, string(b"MQTT") + b"\x04\x06\x00\x00" + string(b"stuck") + string(b"will") + string(b"stuck")),
                   subscribe(b"fill"))
        sender = self.open().begin(b"sender")
        for _ in range(40):
            sender.mqtt(publish(b"fill", b"z" * 200000))
        sender.mqtt(PINGREQ)
        sender.take(2)
        wait_until(lambda: b"stuck" in watcher.bytes or watcher.read_frame(), "the stuck client's will")


class Stopping(unittest.TestCase):
    def test_clients_are_told_and_closed(self):
        gateway = Gateway(PROGRAM)
        idle = WebSocket(gateway)
        connected = WebSocket(gateway).begin(b"c")
        five = WebSocket(gateway)
        five.mqtt(packet(0x10, string(b"MQTT") + b"\x05\x02\x00\x00\x00" + string(b"five")))
        five.take(4)
        gateway.stop()
        for web_socket in (idle, connected, five):
            try:
                web_socket.control(CLOSE)
            except (EOFError, ConnectionResetError):
                pass
        self.assertIn(b"\xe0", five.bytes)


if __name__ == "__main__":
    unittest.main()
