"""MQTT over WebSocket as both specifications demand it: binary frames alone, borders of frames mean nothing, subprotocol "mqtt"."""

import harness
from harness import websocket, wire
from harness.websocket import BINARY, CONTINUATION, TEXT

VERSIONS = (4, 5)
PAYLOAD = b"x" * 1000


def dialogue(topic, version):
    """All that a client sends which subscribes to TOPIC, publishes to it and pings."""
    packets = (
        wire.connect(version=version),
        wire.subscribe(1, [(topic, 1)], version=version),
        wire.publish(topic, PAYLOAD, 1, 2, version=version),
        wire.PING,
    )
    return b"".join(packets)


class WebSocket(harness.Case):
    options = {"http": True}

    def websocket(self, version, **options):
        return self.keep(websocket.WebSocket((self.server.host, self.server.http_port), version, **options))

    @harness.not_mosquitto("Mosquitto takes text frames")
    def test_text_frame_closes_the_connection_mqtt_6_0_0_1_mqtt311_6_0_0_1(self):
        for version in VERSIONS:
            watcher = self.keep(wire.Wire(self.server.address, version))
            watcher.connect()
            watcher.subscribe(self.name())
            data = wire.publish(self.name(), b"in a text frame", version=version)
            for frames in (((TEXT, data),), ((TEXT, data[:4], False), (CONTINUATION, data[4:]))):
                client = self.websocket(version)
                client.connect()
                client.send_frames(*frames)
                self.assertEqual([told for told in client.read_to_end() if not isinstance(told, wire.Disconnect)], [])
                self.assertIn(client.sock.close_code, (None, websocket.CLOSE_UNSUPPORTED_DATA))
            first = self.websocket(version)
            first.send_frames((TEXT, wire.connect(version=version)))
            self.assertEqual(first.read_to_end(), [])
            self.assertEqual(watcher.ping(), [])

    def test_packets_may_be_cut_into_frames_anywhere_mqtt_6_0_0_2_mqtt311_6_0_0_2(self):
        for version in VERSIONS:
            topic = self.name(str(version))
            stream = dialogue(topic, version)
            for size in (1, 2, 3, 7, 100, len(stream)):
                with self.subTest(version=version, size=size):
                    client = self.websocket(version)
                    for at in range(0, len(stream), size):
                        client.send_frames((BINARY, stream[at : at + size]))
                    self.assertAnswered(client, topic)

    def test_packets_may_be_cut_into_fragments_anywhere_mqtt_6_0_0_2_mqtt311_6_0_0_2(self):
        for version in VERSIONS:
            topic = self.name(str(version))
            stream = dialogue(topic, version)
            for size in (3, 100):
                with self.subTest(version=version, size=size):
                    client = self.websocket(version)
                    parts = [stream[at : at + size] for at in range(0, len(stream), size)]
                    last = len(parts) - 1
                    client.send_frames(
                        *((CONTINUATION if at else BINARY, part, at == last) for at, part in enumerate(parts))
                    )
                    self.assertAnswered(client, topic)

    def assertAnswered(self, client, topic):
        self.assertEqual(client.read(wire.CONNACK).reason, 0)
        self.assertEqual(client.read(wire.SUBACK).reasons, [1])
        rest = [client.read() for _ in range(2)]
        published = [told for told in rest if isinstance(told, wire.Publish)]
        self.assertEqual([(told.topic, told.payload) for told in published], [(topic, PAYLOAD)])
        self.assertEqual([told.packet_id for told in rest if isinstance(told, wire.Ack)], [2])
        self.assertEqual(client.read_packet().kind, wire.PINGRESP)

    def test_server_selects_subprotocol_mqtt_mqtt_6_0_0_4_mqtt311_6_0_0_4(self):
        for version in VERSIONS:
            for offers in (("mqtt",), ("chat", "mqtt"), ("mqtt", "chat")):
                client = self.websocket(version, offers=offers)
                self.assertEqual(client.subprotocol, "mqtt")
                self.assertEqual(client.connect().reason, 0)


if __name__ == "__main__":
    harness.main()
