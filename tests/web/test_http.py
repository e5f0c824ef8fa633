"""HTTP/1.1 as it should be: requests, bodies, keep-alive and pipelining at every cut, answers that come later, streams."""

import os
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import HOST, Case, Gateway, SERVER, request, wait_until  # noqa: E402


class Requests(Case):
    def test_handler_sees_method_path_query_and_body(self):
        answer = self.ask(b"POST", b"/describe/a/b%20c?x=1&y=%26%3d%20+&x=2&z&=v", body=b"text").json()
        self.assertEqual(answer["method"], 2)
        self.assertEqual(answer["path"], "/describe/a/b c")
        self.assertEqual(answer["rest"], "a/b c")
        self.assertEqual(answer["query"], [["x", "1"], ["y", "&=  "], ["x", "2"], ["z", ""], ["", "v"]])
        self.assertEqual((answer["body"], answer["has_body"]), ("text", True))
        self.assertTrue(answer["peer"].startswith("127.0.0.1:"))

    def test_every_method_with_and_without_a_body(self):
        for number, method in ((0, b"GET"), (2, b"POST"), (3, b"PUT"), (4, b"PATCH"), (5, b"DELETE")):
            for body in (b"", b"x", b"y" * 100000):
                answer = self.ask(method, b"/describe/m", body=body).json()
                self.assertEqual((answer["method"], answer["body"]), (number, body.decode()), (method, len(body)))
        for method in (b"GET", b"DELETE"):
            self.assertFalse(self.ask(method, b"/describe/m").json()["has_body"])

    def test_exact_route_wins_over_the_star(self):
        self.assertEqual(self.ask(b"GET", b"/describe/exact").json()["rest"], "")
        self.assertEqual(self.ask(b"GET", b"/describe/exacts").json()["rest"], "exacts")
        self.assertEqual(self.ask(b"GET", b"/describe").json()["rest"], "")
        self.assertEqual(self.ask(b"GET", b"/describe/").json()["rest"], "")
        self.assertEqual(self.ask(b"GET", b"/describes").status, 404)

    def test_head_is_get_without_the_body(self):
        with self.connect() as connection:
            connection.send(request(b"HEAD", b"/large?bytes=5000") + request(b"GET", b"/stats"))
            head = connection.answer(is_head=True)
            self.assertEqual((head.status, head.headers["content-length"]), (200, "5000"))
            self.assertEqual(connection.answer().status, 200)
            connection.send(request(b"HEAD", b"/stream") + request(b"GET", b"/stats"))
            self.assertEqual(connection.answer(is_head=True).status, 200)
            self.assertEqual(connection.answer().status, 200)

    def test_options_tells_the_methods(self):
        answer = self.ask(b"OPTIONS", b"/describe/x")
        self.assertEqual(answer.status, 204)
        self.assertEqual(answer.headers["allow"], "OPTIONS, GET, HEAD, POST, PUT, PATCH, DELETE")
        self.assertEqual(self.ask(b"OPTIONS", b"/nothing").status, 404)

    def test_wrong_method_and_unknown_path_are_problems(self):
        answer = self.ask(b"DELETE", b"/echo")
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "OPTIONS, POST, PUT"))
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        self.assertEqual(answer.json()["status"], 405)
        answer = self.ask(b"POST", b"/nothing", body=b"abc")
        self.assertEqual((answer.status, answer.json()["title"]), (404, "Not Found"))

    def test_query_numbers_and_booleans_are_checked(self):
        for query in (b"ms=x", b"ms=-1", b"ms=", b"ms=100001", b"ms=99999999999999999999999"):
            self.assertEqual(self.ask(b"GET", b"/later?" + query).status, 400, query)
        self.assertEqual(self.ask(b"GET", b"/stream?endless=maybe").status, 400)
        self.assertEqual(self.ask(b"GET", b"/stream?endless=false&bytes=7").body, b"abcdefg")

    def test_headers_are_found_known_or_not(self):
        answer = self.ask(b"POST", b"/echo", b"X-Custom: seen  \r\nContent-Type: text/x\r\n", body=b"1")
        self.assertEqual((answer.headers["x-custom"], answer.headers["content-type"]), ("seen", "text/x"))

    def test_http_1_0_is_answered_and_closed(self):
        with self.connect() as connection:
            connection.send(request(b"GET", b"/stats", version=b"1.0"))
            self.assertEqual(connection.answer().headers["connection"], "close")
            self.assertTrue(connection.is_closed())
        with self.connect() as connection:
            connection.send(request(b"GET", b"/stream?bytes=200000", version=b"1.0"))
            status, headers = connection.head()
            self.assertNotIn("transfer-encoding", headers)
            self.assertEqual(len(connection.rest()), 200000)

    def test_closes_when_asked_to(self):
        with self.connect() as connection:
            connection.send(request(b"GET", b"/stats", b"Connection: close\r\n"))
            self.assertEqual(connection.answer().headers["connection"], "close")
            self.assertTrue(connection.is_closed())
        with self.connect() as connection:
            connection.send(request(b"GET", b"/stats", b"Connection: TE, close\r\n"))
            connection.answer()
            self.assertTrue(connection.is_closed())

    def test_body_is_invited_with_100_continue(self):
        with self.connect() as connection:
            connection.send(request(b"PUT", b"/echo", b"Expect: 100-continue\r\nContent-Length: 3\r\n"))
            self.assertEqual(connection.answer().status, 100)
            connection.send(b"abc")
            self.assertEqual(connection.answer().body, b"abc")
            connection.send(request(b"PUT", b"/echo", b"Expect: 100-continue\r\nContent-Length: 3\r\n") + b"def")
            self.assertEqual(connection.answer().status, 100)
            self.assertEqual(connection.answer().body, b"def")
        for headers, status in ((b"Expect: 100-continue\r\nContent-Length: 99999999\r\n", 413),
                                (b"Expect: tea\r\nContent-Length: 3\r\n", 417)):
            with self.connect() as connection:
                connection.send(request(b"PUT", b"/echo", headers))
                self.assertEqual(connection.answer().status, status)
                self.assertTrue(connection.is_closed())

    def test_announced_empty_bodies_lose_no_place_in_the_queue(self):
        """The second segment may come while the first is being read."""
        data = request(b"POST", b"/echo", body=b"") * 2 + request(b"POST", b"/echo", body=b"abc") + request(b"POST", b"/echo", body=b"") + \
            request(b"GET", b"/stats")
        for cut in list(range(len(data))) * 3:
            with self.connect() as connection:
                connection.send(data[:cut])
                connection.send(data[cut:])
                self.assertEqual([connection.answer().body for _ in range(4)], [b"", b"", b"abc", b""], cut)
                self.assertEqual(connection.answer().status, 200, cut)

    def test_body_is_empty_if_nothing_is_said_about_it(self):
        """As with "curl -X POST": at every cut, and the connection goes on."""
        data = b"".join(method + b" /echo HTTP/1.1\r\n" + HOST + b"\r\n" for method in (b"POST", b"PUT")) + \
            request(b"POST", b"/echo", body=b"abc") + b"POST /echo HTTP/1.1\n" + HOST + b"\n" + request(b"GET", b"/stats")
        for cut in range(len(data)):
            with self.connect() as connection:
                connection.send(data[:cut])
                connection.send(data[cut:])
                answers = [connection.answer() for _ in range(5)]
                self.assertEqual([answer.status for answer in answers], [200] * 5, cut)
                self.assertEqual([answer.body for answer in answers[:4]], [b"", b"", b"abc", b""], cut)

    def test_empty_lines_in_front_of_a_request_are_passed_over(self):
        with self.connect() as connection:
            connection.send(b"\r\n")
            connection.send(b"\r\n" + request(b"POST", b"/echo", body=b"abc") + b"\r\n" + request(b"GET", b"/stats") + b"\n")
            self.assertEqual(connection.answer().body, b"abc")
            self.assertEqual(connection.answer().status, 200)
            connection.send(b"\n" + request(b"GET", b"/stats"))
            self.assertEqual(connection.answer().status, 200)

    def test_names_of_headers_may_be_the_beginning_of_others(self):
        for header in (b"X: 1", b"A:b", b"Accept-:", b"Proxy: x", b"H:", b"x-forwarded: 1"):
            answer = self.ask(b"POST", b"/echo", header + b"\r\nX-Custom: seen\r\n", body=b"1")
            self.assertEqual((answer.status, answer.body, answer.headers["x-custom"]), (200, b"1", "seen"), header)

    def test_body_above_the_route_s_limit_is_413(self):
        with self.connect() as connection:
            connection.send(request(b"POST", b"/small", body=b"x" * 10) + request(b"POST", b"/small", body=b"x" * 11) +
                            request(b"GET", b"/stats"))
            self.assertEqual([connection.answer().status for _ in range(3)], [200, 413, 200])

    def test_answer_is_read_although_the_body_goes_on(self):
        """A refusal is not lost to a reset when the peer is still sending."""
        for _ in range(5):
            with self.connect() as connection:
                connection.send(request(b"POST", b"/small", b"Content-Length: 5000000\r\n"))
                try:
                    for _ in range(50):
                        connection.send(b"x" * 100000)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                self.assertEqual(connection.answer().status, 413)


class Pipelining(Case):
    # each request with its status
    SEQUENCE = [
        (request(b"GET", b"/stats"), 200),
        (request(b"POST", b"/echo", body=b"abcde"), 200),
        (request(b"PUT", b"/echo", body=b""), 200),
        (request(b"POST", b"/nothing", body=b"GET / HTTP/1.1\r\n\r\n"), 404),
        (request(b"GET", b"/nothing?a=b"), 404),
        (request(b"POST", b"/echo", body=b"0123456789" * 20), 200),
        (request(b"POST", b"/later?ms=1", body=b"zz"), 200),
        (request(b"DELETE", b"/describe/x", body=b"q"), 200),
        (request(b"GET", b"/stream?bytes=30"), 200),
        (request(b"POST", b"/echo", body=b"end"), 200),
    ]

    def test_every_cut(self):
        data = b"".join(text for text, _ in self.SEQUENCE)
        expected = [status for _, status in self.SEQUENCE]
        step = int(os.environ.get("WEB_CUT_STEP", "7"))
        cuts = sorted(set(range(1, len(data), step)) | {1, len(data) - 1})
        for first in range(0, len(cuts), 32):
            connections = []
            for cut in cuts[first:first + 32]:
                connection = self.connect()
                connection.send(data[:cut])
                connections.append((cut, connection))
            time.sleep(0.005)
            for cut, connection in connections:
                connection.send(data[cut:])
            for cut, connection in connections:
                answers = [connection.answer() for _ in expected]
                self.assertEqual([answer.status for answer in answers], expected, cut)
                self.assertEqual(answers[1].body, b"abcde", cut)
                self.assertEqual(answers[5].body, b"0123456789" * 20, cut)
                self.assertEqual(answers[-1].body, b"end", cut)
                connection.socket.close()

    def test_one_byte_at_a_time(self):
        data = b"".join(text for text, _ in self.SEQUENCE)
        with self.connect() as connection:
            for i in range(len(data)):
                connection.send(data[i:i + 1])
            for _, status in self.SEQUENCE:
                self.assertEqual(connection.answer().status, status)

    def test_hundreds_in_one_segment(self):
        with self.connect() as connection:
            connection.send(b"".join(text for text, _ in self.SEQUENCE) * 50)
            for _ in range(50):
                for _, status in self.SEQUENCE:
                    self.assertEqual(connection.answer().status, status)
        self.check_idle()

    def test_waiting_with_more_requests_behind_does_not_spin(self):
        with self.connect() as connection:
            connection.send(request(b"GET", b"/later?ms=1500") + request(b"POST", b"/echo", body=b"abc") * 3)
            self.check_idle()
            self.assertEqual(connection.answer().body, b"later\n")
            for _ in range(3):
                self.assertEqual(connection.answer().body, b"abc")

    def test_slow_reader_with_more_requests_behind_does_not_spin(self):
        with self.connect() as connection:
            connection.send((request(b"GET", b"/large?bytes=9000000") + request(b"GET", b"/stream?bytes=9000000")) * 2)
            time.sleep(0.3)
            self.check_idle()
            for _ in range(4):
                self.assertEqual(len(connection.answer().body), 9000000)


class Later(Case):
    def test_answers_come_later(self):
        connections = [self.connect() for _ in range(20)]
        for i, connection in enumerate(connections):
            connection.send(request(b"GET", b"/later?ms=%d" % (i * 10)))
        for connection in connections:
            self.assertEqual(connection.answer().body, b"later\n")
            connection.send(request(b"GET", b"/stats"))
            self.assertEqual(connection.answer().status, 200)

    def test_deadline_answers_instead(self):
        before = self.stats()["gone"]
        with self.connect() as connection:
            connection.send(request(b"GET", b"/later?ms=100000&deadline=50"))
            self.assertEqual(connection.answer().status, 504)
            connection.send(request(b"GET", b"/later?ms=1&deadline=100000"))
            self.assertEqual(connection.answer().status, 200)
        self.assertEqual(self.stats()["gone"], before + 1)

    def test_holder_is_told_that_the_peer_has_left(self):
        before = self.stats()["gone"]
        connections = [self.connect() for _ in range(3)]
        for connection in connections:
            connection.send(request(b"POST", b"/later?ms=100000", body=b"1"))
        connections[0].socket.close()
        connections[1].socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connections[1].socket.close()
        connections[2].socket.shutdown(socket.SHUT_WR)
        wait_until(lambda: self.stats()["gone"] == before + 3, "all three are gone")

    def test_stream_arrives_whole(self):
        for size in (0, 1, 26, 9999, 10000, 65536, 3000000):
            body = self.ask(b"GET", b"/stream?bytes=%d" % size).body
            self.assertEqual(len(body), size)
            self.assertTrue((b"abcdefghijklmnopqrstuvwxyz" * (size // 26 + 1)).startswith(body))

    def test_stream_waits_for_a_slow_reader_and_others_are_served(self):
        before = self.stats()["gone"]
        with self.connect() as slow:
            slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.send(request(b"GET", b"/stream?endless"))
            status, _ = slow.head()
            self.assertEqual(status, 200)
            time.sleep(0.2)
            self.check_idle()
            for _ in range(20):
                self.check_alive()
        wait_until(lambda: self.stats()["gone"] == before + 1, "the stream is gone, so that no later test counts it")

    def test_streamer_is_told_that_the_peer_has_left(self):
        before = self.stats()["gone"]
        with self.connect() as connection:
            connection.send(request(b"GET", b"/stream?endless"))
            connection.take(300000)
        wait_until(lambda: self.stats()["gone"] == before + 1, "the stream is gone")

    def test_large_answers_arrive_whole(self):
        for size in (65000, 65536, 1000000, 30000000):
            body = self.ask(b"GET", b"/large?bytes=%d" % size).body
            self.assertEqual(len(body), size)
            self.assertEqual(body[-1], ord("a") + (size - 1) % 26)


class Timeouts(Case):
    options = {"http": {"head_timeout_ms": 400, "body_timeout_ms": 400, "keep_alive_timeout_ms": 400},
               "limits": {"write_stall_timeout_ms": 400}}

    def drip(self, connection, data):
        """Send byte by byte until the peer has had enough. Returns what it answered."""
        connection.socket.settimeout(0.05)
        received = b""
        for i in range(len(data)):
            try:
                connection.send(data[i:i + 1])
                piece = connection.socket.recv(65536)
                received += piece
                if not piece:
                    return received
            except socket.timeout:
                pass
            except (BrokenPipeError, ConnectionResetError):
                return received
        raise AssertionError("it listened to the end")

    def test_dripped_head_dies_at_its_deadline(self):
        with self.connect() as connection:
            self.assertIn(b" 408 ", self.drip(connection, b"GET /" + b"a" * 500))

    def test_dripped_body_dies_at_its_deadline(self):
        with self.connect() as connection:
            connection.send(request(b"POST", b"/echo", b"Content-Length: 1000\r\n"))
            self.assertIn(b" 408 ", self.drip(connection, b"a" * 500))

    def test_silent_connections_are_closed(self):
        connections = [self.connect() for _ in range(5)]
        connections[0].send(request(b"GET", b"/stats"))
        connections[0].answer()
        connections[1].send(request(b"POST", b"/echo", body=b"x"))
        connections[1].answer()
        for connection in connections:
            self.assertTrue(connection.is_closed())

    def test_peer_that_takes_nothing_is_closed(self):
        before = self.stats()["gone"]
        with self.connect() as connection:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.send(request(b"GET", b"/stream?endless"))
            wait_until(lambda: self.stats()["gone"] == before + 1, "the stream is given up")


class Stopping(unittest.TestCase):
    def test_stops_with_all_kinds_of_connections_open(self):
        gateway = Gateway(SERVER)
        connections = [gateway.connect() for _ in range(12)]
        for i, text in enumerate((b"", b"GET /", request(b"GET", b"/stats"), request(b"GET", b"/later?ms=100000"),
                                  request(b"GET", b"/stream?endless"),
                                  request(b"POST", b"/echo", b"Content-Length: 10\r\n"))):
            connections[i].send(text)
            connections[i + 6].send(text)
        connections[2].answer()
        connections[4].head()
        gateway.stop()
        self.assertEqual(connections[3].answer().status, 503)


class Proxies(Case):
    options = {"http": {"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]}}

    def peer(self, header):
        return self.ask(b"GET", b"/describe/x", header).json()

    def test_address_is_the_last_one_that_is_no_proxy(self):
        self.assertEqual(self.peer(b"X-Forwarded-For: 1.1.1.1, 192.0.2.7, 10.1.2.3\r\n")["peer"], "192.0.2.7")
        self.assertEqual(self.peer(b"X-Forwarded-For: 2001:db8::1\r\n")["peer"], "2001:db8::1")
        for nonsense in (b"x", b"", b"10.0.0.1", b"1.2.3.4.5", b"a, ,", b"192.0.2.7, x"):
            self.assertTrue(self.peer(b"X-Forwarded-For: " + nonsense + b"\r\n")["peer"].startswith("127.0.0.1:"), nonsense)
        for text, address in ((b'for=192.0.2.7', "192.0.2.7"), (b'For="[2001:db8::1]:4711";proto=https', "2001:db8::1"),
                              (b'for=1.1.1.1, for=192.0.2.7;by=x, for="10.1.2.3:80"', "192.0.2.7")):
            self.assertEqual(self.peer(b"Forwarded: " + text + b"\r\n")["peer"], address, text)
        for text in (b"for", b"for=", b'for="1.1.1.1', b"for=unknown", b"by=1.1.1.1", b"for=1.1.1.1,", b'for="1.1.1.1, 2.2.2.2"', b"=", b";"):
            self.assertTrue(self.peer(b"Forwarded: " + text + b"\r\n")["peer"].startswith("127.0.0.1:"), text)
        self.assertTrue(self.peer(b"X-Forwarded-Proto: https\r\n")["secure"])

    def test_strangers_are_not_believed(self):
        gateway = Gateway(SERVER)
        try:
            with gateway.connect() as connection:
                connection.send(request(b"GET", b"/describe/x", b"X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n"))
                answer = connection.answer().json()
            self.assertTrue(answer["peer"].startswith("127.0.0.1:"))
            self.assertFalse(answer["secure"])
        finally:
            gateway.stop()


class ProxyProtocol(Case):
    options = {"listener": {"proxy_protocol": True, "proxy_trusted": ["127.0.0.1"]}}

    def connect(self):
        connection = super().connect()
        return connection

    def test_header_is_taken_to_the_byte_at_every_cut(self):
        data = b"PROXY TCP4 192.0.2.9 192.0.2.1 1234 80\r\n" + request(b"POST", b"/describe/x", body=b"abc") + request(b"GET", b"/stats")
        for cut in range(1, len(data), 3):
            with self.gateway.connect() as connection:
                connection.send(data[:cut])
                time.sleep(0.001)
                connection.send(data[cut:])
                answer = connection.answer().json()
                self.assertEqual((answer["peer"], answer["body"]), ("192.0.2.9:1234", "abc"), cut)
                self.assertEqual(connection.answer().status, 200)

    def test_without_header_it_is_closed(self):
        with self.gateway.connect() as connection:
            connection.send(request(b"GET", b"/stats"))
            try:
                self.assertTrue(connection.is_closed())
            except ConnectionResetError:
                pass


if __name__ == "__main__":
    unittest.main()
