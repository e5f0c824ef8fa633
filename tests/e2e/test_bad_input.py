"""Bytes that no client should send: the connection ends, the broker and everybody else go on.

A bystander pair of clients exchanges a message after each attack; it must arrive on connections that were there before.
"""

import random
import socket
import time

import harness
from harness import wire

MEBIBYTE = 1024 * 1024
SEED = 20240607


class BadInput(harness.Case):
    options = {"limits": {"connect_timeout_ms": 60000}}

    def setUp(self):
        self.receiver = self.keep(wire.Wire(self.server.address))
        self.receiver.connect()
        self.receiver.subscribe((self.name(), 1))
        self.sender = self.keep(wire.Wire(self.server.address, version=4))
        self.sender.connect()

    def tearDown(self):
        self.assertBystandersServed()

    def assertBystandersServed(self):
        self.sender.publish(self.name(), b"still served", 1)
        message = self.receiver.read(wire.PUBLISH)
        self.receiver.send(wire.ack(wire.PUBACK, message.packet_id))
        self.assertEqual(message.payload, b"still served")

    def raw(self, data):
        """Send DATA on a new connection; returns what the broker says until it closes."""
        client = wire.Wire(self.server.address)
        try:
            try:
                client.send(data)
            except OSError:
                pass  # it closed before it had everything
            told = []
            while True:
                pkt = client.read_packet()
                # nobody knows the version of a client that made no sense
                told.append(wire.decode(pkt, 4 if len(pkt.body) == 2 else 5))
        except wire.Closed:
            return told
        finally:
            client.close()

    def connected(self, version=5):
        client = self.keep(wire.Wire(self.server.address, version))
        client.connect()
        return client

    def assertRefused(self, data, version=5):
        """DATA on a connected client ends the connection, in 5.0 with a reason."""
        client = self.connected(version)
        try:
            client.send(data)
        except OSError:
            pass
        told = client.read_to_end()
        self.assertTrue(all(isinstance(one, wire.Disconnect) and version == 5 and one.reason >= 0x80 for one in told),
                        (data[:40], told))
        client.close()

    def test_garbage_before_connect_is_not_answered_with_success(self):
        dice = random.Random(SEED)
        for length in (1, 2, 5, 100, 5000):
            for _ in range(10):
                data = bytes(dice.randrange(256) for _ in range(length))
                client = wire.Wire(self.server.address)
                try:
                    client.send(data)
                    client.sock.shutdown(socket.SHUT_WR)
                    for one in client.read_to_end():
                        self.assertFalse(isinstance(one, wire.Connack) and one.reason == 0, data)
                except OSError:
                    pass
                client.close()

    def test_other_protocols_are_closed(self):
        tls_hello = bytes.fromhex("16030100a5010000a10303") + bytes(154)
        for hello in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", tls_hello, b"\x00" * 64, b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"):
            for one in self.raw(hello):
                self.assertGreaterEqual(one.reason, 1)

    def test_mutations_of_good_packets_do_no_harm(self):
        dice = random.Random(SEED + 1)
        good = [
            wire.publish("a/b", b"payload", 1, 1, props={"content_type": "x", "user_property": [("a", "b")], "message_expiry": 5}),
            wire.subscribe(2, [("a/+", 1), ("$share/g/x", 2)], props={"subscription_id": 5}),
            wire.unsubscribe(3, ["a/+", "b"]),
            wire.ack(wire.PUBREL, 9),
            wire.publish("c", b"q2", 2, 4),
            wire.PING,
        ]
        for round_number in range(60):
            data = bytearray(wire.connect("mutant%d" % round_number, props={"session_expiry": 0}))
            if round_number % 3:
                data += b"".join(good)
            for _ in range(dice.randrange(1, 4)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            client = wire.Wire(self.server.address)
            try:
                client.send(bytes(data))
                client.sock.shutdown(socket.SHUT_WR)
                while client.sock.recv(65536):
                    pass
            except OSError:
                pass
            client.close()

    def test_packets_before_connect_end_the_connection(self):
        for packet in (wire.PING, wire.publish("a", b"x"), wire.subscribe(1, [("a", 0)]), wire.disconnect(), wire.packet(wire.AUTH, 0, b"")):
            told = self.raw(packet + wire.connect("late"))
            self.assertFalse(any(isinstance(one, wire.Connack) and one.reason == 0 for one in told), packet)

    def test_a_second_connect_ends_the_connection(self):
        for version in (4, 5):
            self.assertRefused(wire.connect("again", version=version), version)

    @harness.not_mosquitto("is more lenient")
    def test_packets_that_only_a_server_sends_end_the_connection(self):
        for kind in (wire.CONNACK, wire.SUBACK, wire.UNSUBACK, wire.PINGRESP):
            body = b"" if kind == wire.PINGRESP else b"\x00\x01\x00\x00"
            with self.subTest(kind=kind):
                self.assertRefused(wire.packet(kind, 0, body))

    @harness.not_mosquitto("is more lenient")
    def test_malformed_packets_end_the_connection(self):
        for data in (
            b"\x00\x00",
            b"\x36\x03\x00\x01a",
            b"\x30\xff\xff\xff\xff\x01",
            b"\x30\x80\x80\x80\x80\x00",
            b"\xc0\x01\x00",
            b"\xc1\x00",
            wire.publish("a", b"x", 1, 0),
            wire.subscribe(0, [("a", 0)]),
            wire.subscribe(1, []),
            wire.subscribe(1, [("a", 3)]),
            wire.subscribe(1, [("a/#/b", 0)]),
            wire.subscribe(1, [("a", 0), ("a+", 0)]),
            wire.subscribe(1, [("", 0)]),
            wire.unsubscribe(1, ["a/#/b"]),
            wire.unsubscribe(1, []),
            wire.publish("a", b"x", props={"topic_alias": 0}),
            wire.publish("", b"x", props={"topic_alias": 3}),
            wire.publish("a", b"x", props={"topic_alias": 65535}),
            wire.publish("a", b"x", props={"session_expiry": 1}),
            wire.publish("a", b"x", props={"subscription_id": 1}),
            wire.packet(wire.PUBLISH, 0, wire.blob("a") + b"\x7f"),
            wire.packet(wire.PUBLISH, 0, b"\xff\xff"),
            wire.packet(wire.PUBREL, 0, b"\x00\x01"),
            wire.packet(wire.SUBSCRIBE, 0, b"\x00\x01\x00\x00\x01a\x00"),
        ):
            with self.subTest(data=data):
                self.assertRefused(data)

    @harness.not_mosquitto("is more lenient")
    def test_faulty_connects_are_refused(self):
        good = wire.connect("id")
        for data in (
            good[:9] + b"\x03" + good[10:],
            wire.packet(wire.CONNECT, 0, wire.blob("MQTT") + b"\x05\x02"),
            wire.packet(wire.CONNECT, 0, wire.blob("MQTT") + b"\x06\x02\x00\x00\x00\x00\x00"),
            wire.packet(wire.CONNECT, 0, wire.blob("NOPE") + b"\x04\x02\x00\x00\x00\x00"),
            wire.packet(wire.CONNECT, 1, wire.blob("MQTT") + b"\x04\x02\x00\x00\x00\x00"),
            wire.packet(wire.CONNECT, 0, wire.blob("MQTT") + b"\x04\x03\x00\x00\x00\x00"),
            wire.packet(wire.CONNECT, 0, wire.blob("MQTT") + b"\x04\x1e\x00\x00\x00\x00"),
            wire.packet(wire.CONNECT, 0, wire.blob("MQTT") + b"\x04\x02\x00\x00\x00\x00left over"),
            wire.connect("", version=4, clean=False),
            wire.connect("id", props={"receive_max": 0}),
            wire.connect("id", props={"packet_bytes_max": 0}),
            wire.connect("id", will=("a/#", b"", 0, False, None)),
            wire.connect("id\x00"),
        ):
            with self.subTest(data=data):
                told = self.raw(data)
                self.assertLess(len(told), 2)
                for one in told:
                    self.assertIsInstance(one, wire.Connack)
                    self.assertTrue(one.reason > 0 and not one.session_present, one)

    def test_acknowledgements_of_nothing_do_no_harm(self):
        for kind in (wire.PUBACK, wire.PUBREC, wire.PUBREL, wire.PUBCOMP):
            client = self.connected()
            client.send(wire.ack(kind, 1234))
            try:
                client.ping()
            except (wire.Closed, OSError):
                pass

    def test_half_packets_cost_nothing_when_the_peer_goes(self):
        packet = wire.connect("half") + wire.publish("a", b"x" * 300, 1, 1) + wire.subscribe(1, [("a", 1)])
        for at in list(range(1, 40)) + list(range(40, len(packet), 17)):
            client = wire.open_socket(self.server.address)
            client.sendall(packet[:at])
            client.close()

    def test_a_connect_byte_by_byte_is_understood(self):
        client = self.keep(wire.Wire(self.server.address))
        for byte in wire.connect("slow", props={"user_property": [("k", "v")]}):
            client.send(bytes([byte]))
        self.assertEqual(client.read(wire.CONNACK).reason, 0)
        for byte in wire.publish("a/b", b"slow", 1, 1) + wire.PING:
            client.send(bytes([byte]))
        self.assertEqual(client.read(wire.PUBACK).packet_id, 1)
        self.assertEqual(client.read(wire.PINGRESP).kind, wire.PINGRESP)

    @harness.not_mosquitto("is more lenient")
    def test_a_packet_larger_than_announced_is_refused(self):
        client = self.keep(wire.Wire(self.server.address))
        top = client.connect().props["packet_bytes_max"]
        try:
            client.send(wire.packet(wire.PUBLISH, 0, bytes(top + 1))[:100])
            told = client.read_to_end()
        except OSError:
            told = []
        self.assertTrue(all(one.reason == 0x95 for one in told), told)

    @harness.not_mosquitto("is more lenient")
    def test_more_in_flight_than_the_receive_maximum_is_refused(self):
        client = self.keep(wire.Wire(self.server.address))
        top = client.connect().props.get("receive_max", 65535)
        try:
            client.send(b"".join(wire.publish("a", b"x", 2, i + 1) for i in range(top + 1)))
            told = [one for one in client.read_to_end() if isinstance(one, wire.Disconnect)]
        except OSError:
            told = []
        self.assertEqual([one.reason for one in told], [0x93])

    def test_resets_in_the_middle_of_everything_do_no_harm(self):
        for i in range(60):
            client = wire.Wire(self.server.address)
            client.connect("reset", clean=False, props={"session_expiry": 5})
            client.send(wire.subscribe(1, [("r/#", 2)]) + b"".join(wire.publish("r/%d" % j, b"x" * 200, j % 3, j + 1) for j in range(i)))
            client.abort()


class Announced(harness.Case):
    """Lengths that are only announced cost nothing."""

    options = {"limits": {"connect_timeout_ms": 60000}}

    def test_256_mb_announced_on_60_connections_costs_no_memory(self):
        before = self.server.rss_bytes()
        clients = []
        for _ in range(60):
            client = wire.Wire(self.server.address)
            self.keep(client)
            try:
                client.send(b"\x10\xff\xff\xff\x7f" + wire.blob("MQTT") + b"\x05\x02\x00\x00\x00\x00\x0a")
            except OSError:
                pass
            clients.append(client)
        witness = self.keep(wire.Wire(self.server.address))
        witness.connect()
        witness.ping()
        self.assertLess(self.server.rss_bytes() - before, harness.memory(8 * MEBIBYTE))

    def test_256_mb_announced_by_a_connected_client_costs_no_memory(self):
        before = self.server.rss_bytes()
        for _ in range(60):
            client = self.keep(wire.Wire(self.server.address))
            client.connect()
            try:
                client.send(b"\x30\xff\xff\xff\x7f\x00\x01a\x00payload")
            except OSError:
                pass
        witness = self.keep(wire.Wire(self.server.address))
        witness.connect()
        witness.ping()
        self.assertLess(self.server.rss_bytes() - before, harness.memory(8 * MEBIBYTE))


@harness.not_mosquitto("has no such deadline")
class Deadline(harness.Case):
    options = {"limits": {"connect_timeout_ms": 1000}}

    def test_a_connection_without_a_whole_connect_is_closed_in_time(self):
        packet = wire.connect("never")
        begun = time.monotonic()
        clients = []
        for at in (0, 1, 2, len(packet) - 1):
            sock = wire.open_socket(self.server.address)
            self.addCleanup(sock.close)
            sock.sendall(packet[:at])
            clients.append(sock)
        for sock in clients:
            while sock.recv(100):
                pass
        self.assertTrue(0.99 <= time.monotonic() - begun < 7)

    def test_bytes_that_trickle_do_not_extend_the_deadline(self):
        sock = wire.open_socket(self.server.address)
        self.addCleanup(sock.close)
        begun = time.monotonic()
        packet = wire.connect("trickles" * 100)
        sock.settimeout(0.1)
        for byte in packet:
            try:
                sock.sendall(bytes([byte]))
                if not sock.recv(100):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            self.fail("it waited for the whole packet")
        self.assertTrue(0.99 <= time.monotonic() - begun < 7)

    def test_it_ends_with_the_connect(self):
        client = self.keep(wire.Wire(self.server.address))
        client.connect()
        other = wire.open_socket(self.server.address)
        self.addCleanup(other.close)
        self.assertEqual(other.recv(100), b"")
        self.assertEqual(client.ping(), [])


if __name__ == "__main__":
    harness.main()
