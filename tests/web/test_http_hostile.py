"""Requests that are meant to harm: each attack on the library underneath that lws_guard.h names, and what else a stranger may send. None of
them may stop the gateway, make it spin, or get more than an error."""

import os
import random
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import HOST, PROGRAM, Case, request  # noqa: E402


class Hostile(Case):
    def statuses(self, data, count):
        """What the first COUNT answers to DATA say."""
        with self.gateway.connect() as connection:
            connection.send(data)
            return [connection.answer().status for _ in range(count)]

    def refused(self, data, status):
        """DATA is answered with STATUS, and the connection closed."""
        with self.gateway.connect() as connection:
            connection.send(data)
            answer = connection.answer()
            self.assertEqual(answer.status, status, data[:100])
            self.assertEqual(answer.headers["content-type"], "application/problem+json")
            self.assertEqual(answer.json()["status"], status)
            self.assertEqual(answer.headers["connection"], "close")
            self.assertTrue(connection.is_closed())

    def test_89_bytes_that_hung_the_library(self):
        head = request(b"GET", b"/stats") + b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: "
        self.assertEqual(self.statuses(head + b"5\r\n\r\nabcde", 2), [200, 200])
        self.assertEqual(self.statuses(head + b"5\r\n\r\nabcde" + request(b"GET", b"/stats"), 3), [200, 200, 200])
        connections = [self.connect() for _ in range(20)]
        for connection in connections:
            connection.send(head + b"5000\r\n\r\nabcde")
            self.assertEqual(connection.answer().status, 200)
        self.check_idle()
        for connection in connections:
            connection.send(b"x" * 4995)
            self.assertEqual(connection.answer().body, b"abcde" + b"x" * 4995)

    def test_a_body_is_one_plain_number_of_bytes(self):
        for length in (b"-1", b"+5", b"0x5", b"5 5", b"5,5", b" ", b"1234567890", b"99999999999999999999", b"5;", b"a", b"5.0"):
            for method in (b"POST", b"GET"):
                self.refused(method + b" /echo HTTP/1.1\r\n" + HOST + b"Content-Length: " + length + b"\r\n\r\nabcde", 400)
        self.refused(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", 400)
        self.refused(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", 400)

    def test_transfer_encoding_is_refused(self):
        for method in (b"GET", b"POST", b"PUT", b"DELETE"):
            for value in (b"chunked", b"identity", b"gzip, chunked", b"xchunked"):
                self.refused(method + b" /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: " + value +
                             b"\r\n\r\n0\r\n\r\n", 411)
        self.refused(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411)

    def test_http_1_0_has_to_say_how_long_a_body_is(self):
        for method in (b"POST", b"PUT", b"PATCH"):
            self.refused(method + b" /echo HTTP/1.0\r\n" + HOST + b"\r\n", 411)

    def test_bytes_behind_a_body_that_was_not_announced_are_no_body(self):
        with self.gateway.connect() as connection:
            connection.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"\r\n")
            self.assertEqual(connection.answer().body, b"")
            connection.send(b"abcde\r\n\r\n")
            self.assertEqual(connection.answer().status, 501)
            self.assertTrue(connection.is_closed())

    def test_nothing_hides_a_length(self):
        for name in (b"Accep", b"X", b"Content-Lengt", b"Xx"):
            for colon in (b": ", b":"):
                head = b"POST /echo HTTP/1.1\r\n" + HOST + name + colon + b"x\r\nContent-Length: 45\r\n\r\n"
                body = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n".ljust(45)
                with self.gateway.connect() as connection:
                    connection.send(head + body + request(b"GET", b"/stats"))
                    self.assertEqual(connection.answer().body, body)
                    self.assertIn("handled", connection.answer().json())
        for name in (b"Con\0", b"", b"a b", b"Transfer\rEncoding"):
            self.refused(b"GET /stats HTTP/1.1\r\n" + HOST + name + b": x\r\nContent-Length: 45\r\n\r\n" +
                         b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n", 400)
        for name in (b"Content-Length ", b"Content-Length\t", b" Content-Length", b"Transfer-Encoding ", b"\tTransfer-Encoding"):
            self.refused(b"GET /stats HTTP/1.1\r\n" + HOST + b"Xx: y\r\n" + name + b": 45\r\n\r\n" +
                         b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n", 400)

    def test_unknown_methods_and_other_protocols(self):
        for data in (b"FOO / HTTP/1.1\r\n", b"TRACE / HTTP/1.1\r\n",
                     b"CONNECT a:443 HTTP/1.1\r\n", b"SSH-2.0-x\r\n",
                     b"quit\r\n"):
            self.refused(data + HOST + b"\r\n", 501)
        self.refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 501)
        for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x10\x0c\x00\x04MQTT\x04\x02\x00<\x00\x00", b"\0",
                     b"get /stats HTTP/1.1\r\n", b"Post /echo HTTP/1.1\r\n"):
            self.refused(data + HOST + b"\r\n", 400)

    def test_targets_that_are_no_path(self):
        for target in (b"http://localhost/stats", b"*", b"stats", b"/%zz", b"/%2", b"/%", b"/a%0xb", b"/stats?a=%4"):
            self.refused(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400)
        for target in (b"/a%00b", b"/%00abc", b"/stats?a=%00"):
            self.assertEqual(self.ask(b"GET", target).status, 400, target)

    def test_versions(self):
        for version in (b"2.0", b"1.2", b"0.9", b"1.1x", b""):
            self.refused(b"GET /stats HTTP/" + version + b"\r\n" + HOST + b"\r\n", 505)

    def test_head_too_large_or_too_many_headers(self):
        for bomb in (b"Xx: " + b"a" * 20000, b"Xx: y\r\n" * 5000, b"Cookie: a\r\n" * 2000, b"\r\n".join(b"Zz%d: b" % i for i in range(4000))):
            self.refused(b"GET /stats HTTP/1.1\r\n" + HOST + bomb + b"\r\n\r\n", 431)
        self.refused(b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431)
        self.refused(b"GET /stats?" + b"a=b&" * 4000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431)
        self.assertEqual(self.ask(b"GET", b"/stats", b"Xx: " + b"a" * 7000 + b"\r\n").status, 200)

    def test_names_of_hosts(self):
        for host in (b"", b"Host: \r\n", b"Host: localhost\r\nHost: localhost\r\n", b"Host: a b\r\n", b"Host: localhost:x\r\n",
                     b"Host: [::1\r\n", b"Host: localhost:99999\r\n", b"Host: " + b"a" * 1000 + b"\r\n", b"Host: user@localhost\r\n"):
            self.assertEqual(self.ask(b"GET", b"/echo", host=host).status, 400, host)
        for host in (b"evil.example", b"localhost.evil.example", b"127.0.0.1.evil.example", b"192.0.2.1", b"[2001:db8::1]", b"0.0.0.0"):
            self.assertEqual(self.ask(b"GET", b"/echo", host=b"Host: " + host + b"\r\n").status, 421, host)
        for host in (b"LOCALHOST", b"localhost:8080", b"127.0.0.1", b"127.9.9.9:1", b"[::1]:80", b"localhost."):
            self.assertEqual(self.ask(b"GET", b"/echo", host=b"Host: " + host + b"\r\n").status, 405, host)

    def test_pages_from_elsewhere(self):
        for origin in (b"http://evil.example", b"null", b"https://localhost.evil", b"http://localhost:81", b"file://", b"x",
                       b"http://localhost" + b"x" * 400):
            for method in (b"GET", b"POST", b"DELETE", b"OPTIONS"):
                answer = self.ask(method, b"/echo", b"Origin: " + origin + b"\r\n", body=b"")
                self.assertEqual(answer.status, 403, (method, origin))
                self.assertNotIn("access-control-allow-origin", answer.headers)
        for origin in (b"http://localhost", b"https://localhost:443", b"HTTP://LOCALHOST:80"):
            expected = 200 if b"443" not in origin else 200
            self.assertEqual(self.ask(b"POST", b"/echo", b"Origin: " + origin + b"\r\n", body=b"").status, expected, origin)

    def test_http_2_is_declined_politely(self):
        with self.gateway.connect() as connection:
            upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
            for _ in range(3):
                connection.send(request(b"GET", b"/stats", upgrade) + request(b"POST", b"/echo", upgrade, body=b"abc"))
                self.assertEqual(connection.answer().status, 200)
                self.assertEqual(connection.answer().body, b"abc")

    def test_other_upgrades_are_refused(self):
        for word in (b"TLS/1.0", b"websocketx", b"mqtt", b"(http)", b"h2", b"x" * 3000):
            self.refused(request(b"GET", b"/stats", b"Connection: Upgrade\r\nUpgrade: " + word + b"\r\n"), 400)

    def test_response_is_not_split(self):
        answer = self.ask(b"POST", b"/echo", b"X-Custom: a\x0bb\r\n", body=b"1")
        self.assertNotIn("x-custom", answer.headers)

    def test_announced_bodies_take_no_memory(self):
        connections = [self.connect() for _ in range(100)]
        for connection in connections:
            connection.send(request(b"POST", b"/echo", b"Content-Length: 8000000\r\n") + b"x" * 100)
        self.check_alive()
        with open("/proc/%d/status" % self.gateway.process.pid) as status:
            resident_kb = int(next(line for line in status if line.startswith("VmRSS")).split()[1])
        self.assertLess(resident_kb, 300000)

    def test_thousands_of_connections_come_and_go(self):
        for _ in range(20):
            connections = [self.connect() for _ in range(50)]
            for i, connection in enumerate(connections):
                if i % 3 == 0:
                    connection.send(b"GET /sta")
                elif i % 3 == 1:
                    connection.send(request(b"POST", b"/later?ms=%d" % (i * 7), body=b"x") * 2)
            for connection in connections:
                connection.socket.close()
        self.check_alive()
        self.check_idle()

    def test_random_bytes_after_good_beginnings(self):
        seed = int(os.environ.get("WEB_SEED", "0")) or random.randrange(1 << 30)
        print("WEB_SEED=%d" % seed, file=sys.stderr)
        chance = random.Random(seed)
        pieces = [b"GET /stats HTTP/1.1\r\n", HOST, b"\r\n", b"Content-Length: 5\r\n", b"abcde", b"POST /echo HTTP/1.1\r\n", b"Expect: 100-continue\r\n",
                  b"Connection: close\r\n", b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n", b"Transfer-Encoding: chunked\r\n", b"\0", b"\n",
                  b"GET /later?ms=1 HTTP/1.1\r\n", b"GET /stream?bytes=70000 HTTP/1.1\r\n", b" ", b":", b"%", b"?", b"&", b"/../", b"HEAD / HTTP/1.0\r\n",
                  b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"Sec-WebSocket-Protocol: mqtt\r\n", b"Connection: Upgrade\r\n",
                  b"Sec-WebSocket-Version: 13\r\n", b"GET /mqtt HTTP/1.1\r\n", b"\xff\xfe", b"a" * 300]
        for _ in range(300):
            with self.gateway.connect() as connection:
                data = b"".join(chance.choice(pieces) for _ in range(chance.randrange(1, 25)))
                try:
                    for _ in range(chance.randrange(1, 4)):
                        cut = chance.randrange(len(data) + 1)
                        connection.send(data[:cut])
                        data = data[cut:] + chance.choice(pieces)
                except (BrokenPipeError, ConnectionResetError):
                    pass
        self.check_alive()
        time.sleep(0.1)
        self.check_idle()


class Listed(Case):
    options = {"http": {"origins": ["https://app.example"], "hosts": ["gw.example"]}}

    def test_preflight_and_answers_of_a_listed_origin(self):
        origin = b"Origin: https://app.example\r\n"
        answer = self.ask(b"OPTIONS", b"/echo", origin + b"Access-Control-Request-Method: PUT\r\n"
                          b"Access-Control-Request-Headers: x-custom, content-type\r\n")
        self.assertEqual(answer.status, 204)
        self.assertEqual(answer.headers["access-control-allow-origin"], "https://app.example")
        self.assertEqual(answer.headers["access-control-allow-credentials"], "true")
        self.assertIn("PUT", answer.headers["access-control-allow-methods"])
        self.assertEqual(answer.headers["access-control-allow-headers"], "x-custom, content-type")
        self.assertEqual(answer.headers["vary"], "Origin")
        answer = self.ask(b"POST", b"/echo", origin, body=b"x")
        self.assertEqual((answer.status, answer.headers["access-control-allow-origin"]), (200, "https://app.example"))
        answer = self.ask(b"GET", b"/nothing", origin)
        self.assertEqual((answer.status, answer.headers["access-control-allow-origin"]), (404, "https://app.example"))
        self.assertEqual(self.ask(b"POST", b"/echo", b"Origin: https://app.example.evil\r\n", body=b"x").status, 403)

    def test_listed_host(self):
        self.assertEqual(self.ask(b"GET", b"/describe/x", host=b"Host: GW.example:80\r\n").status, 200)
        self.assertEqual(self.ask(b"GET", b"/describe/x", b"Origin: http://gw.example\r\n", host=b"Host: gw.example\r\n").status, 200)


class Anyhow(Case):
    options = {"http": {"hosts": ["*"]}}

    def test_any_host_goes(self):
        self.assertEqual(self.ask(b"GET", b"/describe/x", host=b"Host: what.ever\r\n").status, 200)


class OnEveryAddress(Case):
    options = {"listener": {"bind": "0.0.0.0:0"}, "access": {"anonymous": True}}

    @classmethod
    def setUpClass(cls):
        from gateway import free_port
        cls.options["listener"]["bind"] = "0.0.0.0:%d" % free_port()
        super().setUpClass()
        cls.gateway.port = int(cls.options["listener"]["bind"].split(":")[1])

    def test_addresses_and_own_name_need_no_setting(self):
        name = os.uname().nodename.split(".")[0].encode()
        for host in (b"192.0.2.1", b"[2001:db8::1]:80", b"localhost", name, name + b".local", name + b".lan"):
            self.assertEqual(self.ask(b"GET", b"/describe/x", host=b"Host: " + host + b"\r\n").status, 200, host)
        for host in (b"evil.example", name + b"x", b"x" + name, name + b".evil.example", name + b".local.evil.example"):
            self.assertEqual(self.ask(b"GET", b"/describe/x", host=b"Host: " + host + b"\r\n").status, 421, host)


class Health(Case):
    """/healthz goes by any name, for it is asked by supervisors that know addresses only; but by one."""

    program = PROGRAM

    def test_a_host_is_named_once(self):
        for host in (b"", b"Host:\r\n", HOST + HOST, b"Host: a b\r\n"):
            self.assertEqual(self.ask(b"GET", b"/healthz", host=host).status, 400, host)
        for host in (HOST, b"Host: evil.example\r\n", b"Host: 192.0.2.1:80\r\n"):
            self.assertEqual(self.ask(b"GET", b"/healthz", host=host).status, 200, host)
        self.assertEqual(self.ask(b"GET", b"/healthz", host=b"", version=b"1.0").status, 200)


if __name__ == "__main__":
    unittest.main()
