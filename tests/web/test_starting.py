"""While the store is read: who is told what, who waits, and who is turned away."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import SERVER, Connection, Gateway, request  # noqa: E402

UPGRADE = (b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n")
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c"
CONNACK = b"\x20\x02\x00\x00"


class Starting(unittest.TestCase):
    def setUp(self):
        self.gateway = Gateway(SERVER, workers=2, environment={"SLOW_START": "1"})
        self.addCleanup(self.gateway.stop)

    def ask(self, *args, **kwargs):
        with self.gateway.connect() as connection:
            connection.send(request(*args, **kwargs))
            return connection.answer()

    def tell(self, query):
        self.assertEqual(self.ask(b"GET", b"/recovery?" + query).status, 204)

    def test_readyz_tells_how_far_it_is(self):
        answer = self.ask(b"GET", b"/readyz")
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
        self.assertNotIn("total", answer.json())
        self.tell(b"done=1500&total=2000")
        answer = self.ask(b"GET", b"/readyz")
        self.assertEqual((answer.status, answer.headers["content-type"]), (503, "application/problem+json"))
        self.assertEqual((answer.json()["done"], answer.json()["total"]), (1500, 2000))
        self.assertEqual(answer.headers["retry-after"], "1")
        self.tell(b"done=2000&total=2000&end=true")
        answer = self.ask(b"GET", b"/readyz")
        self.assertEqual((answer.status, answer.json()), (200, {"status": "ready"}))

    def test_nothing_else_is_served_before_it_is_ready(self):
        refused = [self.ask(b"POST", b"/topics/a?retain=true", body=b"x"), self.ask(b"GET", b"/describe/x"),
                   self.ask(b"GET", b"/api/v1/stats"), self.ask(b"GET", b"/nowhere"), self.ask(b"GET", b"/mqtt", UPGRADE)]
        for answer in refused:
            self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
            self.assertIn("starting", answer.json()["detail"])
        self.assertEqual(self.ask(b"GET", b"/metrics").status, 200)
        self.tell(b"end=true")
        self.assertEqual(self.ask(b"POST", b"/topics/a?retain=true", body=b"x").status, 200)
        self.assertEqual(self.ask(b"GET", b"/nowhere").status, 404)
        with self.gateway.connect() as connection:
            connection.send(request(b"GET", b"/mqtt", UPGRADE))
            self.assertEqual(connection.head()[0], 101)

    def test_strangers_are_told_nothing_all_the_same(self):
        answer = self.ask(b"GET", b"/describe/x", b"Origin: http://other.example\r\n")
        self.assertEqual(answer.status, 403)

    def test_mqtt_clients_wait_until_it_is_ready(self):
        with Connection(self.gateway.mqtt_port) as client:
            client.send(CONNECT)
            self.assertEqual(self.ask(b"GET", b"/readyz").status, 503)  # a worker had its turn
            client.socket.setblocking(False)
            self.assertRaises(BlockingIOError, client.socket.recv, 1)
            client.socket.setblocking(True)
            self.tell(b"end=true")
            self.assertEqual(client.take(4), CONNACK)

    def test_it_can_be_stopped_meanwhile(self):
        with Connection(self.gateway.mqtt_port) as client:
            client.send(CONNECT)
            self.assertEqual(self.ask(b"GET", b"/readyz").status, 503)
        # the cleanup sees that it ends well


if __name__ == "__main__":
    unittest.main()
