"""Topics as resources: publish by URL, read, list, clear; bulk; the shapes of other brokers; Idempotency-Key."""

import base64
import http.client
import json
import os
import signal
import socket
import sys
import threading
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import harness  # noqa: E402
from harness import wire  # noqa: E402

JSON = {"Content-Type": "application/json"}


class RestCase(harness.Case):
    def setUp(self):
        self.web = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=harness.DEADLINE)
        self.addCleanup(self.web.close)

    def ask(self, method, path, body=None, headers=None):
        """One request. Returns status, headers and body."""
        self.web.request(method, path, body, headers or {})
        response = self.web.getresponse()
        return response.status, response.headers, response.read()

    def ask_json(self, method, path, value=None, headers=None):
        body = None if value is None else json.dumps(value)
        status, _, text = self.ask(method, path, body, {**JSON, **(headers or {})})
        return status, json.loads(text)

    def subscriber(self, *filters, qos=1):
        client = self.keep(wire.Wire(self.server.address))
        client.connect("")
        client.subscribe(*[(f, qos) for f in filters])
        return client

    def problem(self, answer, status):
        self.assertEqual(answer[0], status, answer)
        self.assertEqual(answer[1]["Content-Type"], "application/problem+json")
        self.assertEqual(json.loads(answer[2])["status"], status)


class Rest(RestCase):
    options = {"http": True, "workers": 3}

    # ---- publish

    def test_post_publishes_the_raw_body_with_its_properties(self):
        sub = self.subscriber(self.name("#"))
        status, _, body = self.ask("POST", "/topics/" + self.name("a") + "?qos=1&responseTopic=r/t&messageExpiry=60"
                                   "&correlationData=AAEC&userProperty=k%3Av&userProperty=k%3Aw",
                                   b"\x00\xff21.5", {"Content-Type": "application/x-thing"})
        self.assertEqual(status, 200)
        answer = json.loads(body)
        self.assertTrue(answer["matched"])
        self.assertRegex(answer["id"], "^[0-9a-f]{32}$")
        got = sub.read(wire.PUBLISH)
        self.assertEqual((got.topic, got.payload, got.qos, got.retain), (self.name("a"), b"\x00\xff21.5", 1, False))
        self.assertEqual(got.props["content_type"], "application/x-thing")
        self.assertEqual(got.props["response_topic"], "r/t")
        self.assertEqual(got.props["correlation_data"], b"\x00\x01\x02")
        self.assertEqual(got.props["user_property"], [("k", "v"), ("k", "w")])
        self.assertIn(got.props["message_expiry"], (59, 60))

    def test_the_content_type_that_curl_sends_by_itself_is_no_statement(self):
        sub = self.subscriber(self.name())
        self.ask("POST", "/topics/" + self.name(), b"x", {"Content-Type": "application/x-www-form-urlencoded"})
        self.assertNotIn("content_type", sub.read(wire.PUBLISH).props)

    def test_aws_headers_become_properties(self):
        users = base64.b64encode(json.dumps([{"a": "1"}, {"b": "2"}]).encode()).decode()
        sub = self.subscriber(self.name())
        status, _, _ = self.ask("POST", "/topics/" + self.name(), b"x", {
            "x-amz-mqtt5-user-properties": users, "x-amz-mqtt5-payload-format-indicator": "UTF8_DATA",
            "x-amz-mqtt5-correlation-data": "aGk="})
        self.assertEqual(status, 200)
        props = sub.read(wire.PUBLISH).props
        self.assertEqual(props["user_property"], [("a", "1"), ("b", "2")])
        self.assertEqual(props["payload_format"], 1)
        self.assertEqual(props["correlation_data"], b"hi")

    def test_says_what_to_name_when_neither_topic_nor_filter_is_named(self):
        for path in ("/topics", "/topics/"):
            answer = self.ask("GET", path)
            self.problem(answer, 400)
            self.assertIn("?filter=", json.loads(answer[2])["detail"])

    def test_an_escaped_slash_is_a_slash_and_topic_takes_any_bytes(self):
        sub = self.subscriber(self.name("#"), "//" + self.name())
        self.ask("POST", "/topics/" + urllib.parse.quote(self.name("x/y"), safe=""), b"1")
        self.assertEqual(sub.read(wire.PUBLISH).topic, self.name("x/y"))
        self.ask("POST", "/topics?topic=" + urllib.parse.quote("//" + self.name()), b"2")
        self.assertEqual(sub.read(wire.PUBLISH).topic, "//" + self.name())

    def test_nobody_there_is_202_unless_it_is_retained(self):
        self.assertEqual(self.ask("POST", "/topics/" + self.name(), b"x")[0], 202)
        self.assertEqual(self.ask("POST", "/topics/" + self.name() + "?retain=true", b"x")[0], 200)

    def test_bad_requests_say_what_is_wrong(self):
        for path in ("/topics/a%23b", "/topics/a%2Bb", "/topics/", "/topics?topic=", "/topics/a?qos=3", "/topics/a?qos=x",
                     "/topics/a?retain=maybe", "/topics/a?messageExpiry=-1", "/topics/a?correlationData=%2A",
                     "/topics/a?userProperty=nocolon", "/topics/a?responseTopic=r%23", "/topics?topic=%FF",
                     "/topics?topic=a%00b"):
            with self.subTest(path=path):
                self.problem(self.ask("POST", path, b"x"), 400)
        self.problem(self.ask("POST", "/topics/$SYS/x", b"x"), 403)

    def test_a_query_parameter_that_a_route_does_not_have_is_400_and_named(self):
        item = json.dumps([{"topic": self.name(), "payload": "x"}])
        for method, path, body in (("POST", "/topics/a?qso=1&retain=true", b"x"), ("POST", "/topics/a?qso", b"x"),
                                   ("PUT", "/topics/a?qos=1&qso=1", b"x"), ("GET", "/topics/a?qso=1", None),
                                   ("GET", "/topics?filter=a&qso=1", None), ("DELETE", "/topics/a?qso=1", None),
                                   ("POST", "/publish?qso=1", item), ("GET", "/events?filter=a&wait=0&qso=1", None),
                                   ("POST", "/rpc/a?qso=1", b"x")):
            with self.subTest(method=method, path=path):
                answer = self.ask(method, path, body)
                self.problem(answer, 400)
                self.assertIn('"qso"', json.loads(answer[2])["detail"])
        answer = self.ask("POST", "/topics/a?qso=1", b"x")
        self.assertIn("qos, retain", json.loads(answer[2])["detail"])
        for name in ("%FF", "x" * 500, "%22", "x%00", "="):
            with self.subTest(name=name):
                self.problem(self.ask("POST", "/topics/a?%s=1" % name, b"x"), 400)
        self.problem(self.ask("GET", "/topics/a"), 404)

    def test_routes_of_other_shapes_and_plain_ones_pass_over_what_they_do_not_know(self):
        for empty in ("?", "?&", "?&&retain=1&"):
            self.assertEqual(self.ask("PUT", "/topics/" + self.name() + empty, b"x")[0], 200)
        self.assertEqual(self.ask("GET", "/retainedMessage/" + self.name() + "?_=1")[0], 200)
        item = {"topic": self.name(), "payload": "x"}
        self.assertEqual(self.ask_json("POST", "/api/v5/publish?_=1", item)[0], 202)
        self.assertEqual(self.ask_json("POST", "/api/v5/publish/bulk?_=1", [item])[0], 202)
        self.assertEqual(self.ask("GET", "/healthz?_=1")[0], 200)

    # ---- retained values

    def test_put_get_head_and_delete(self):
        path = "/topics/" + self.name("v")
        self.problem(self.ask("GET", path), 404)
        self.assertEqual(self.ask("PUT", path, b"21.5", {"Content-Type": "text/plain"})[0], 200)
        status, headers, body = self.ask("GET", path)
        self.assertEqual((status, body, headers["Content-Type"]), (200, b"21.5", "text/plain"))
        self.assertIn("GMT", headers["Last-Modified"])
        status, head, body = self.ask("HEAD", path)
        self.assertEqual((status, body, head["ETag"], head["Content-Length"]), (200, b"", headers["ETag"], "4"))
        status, _, body = self.ask("GET", path, headers={"If-None-Match": headers["ETag"]})
        self.assertEqual((status, body), (304, b""))
        self.ask("PUT", path, b"22")
        self.assertEqual(self.ask("GET", path, headers={"If-None-Match": headers["ETag"]})[0], 200)
        self.assertEqual(self.ask("DELETE", path)[0], 204)
        self.problem(self.ask("DELETE", path), 404)
        self.problem(self.ask("GET", path), 404)

    def test_delete_of_what_is_no_topic_is_400(self):
        for path in ("/topics/a%23b", "/topics/a%2Bb", "/topics", "/topics/", "/topics?topic=", "/topics?topic=%FF"):
            with self.subTest(path=path):
                self.problem(self.ask("DELETE", path), 400)

    def test_put_without_a_body_is_refused(self):
        self.problem(self.ask("PUT", "/topics/" + self.name(), b""), 400)

    def test_what_mqtt_retains_http_reads_and_it_cannot_act_as_a_page(self):
        client = self.keep(wire.Wire(self.server.address))
        client.connect("")
        client.publish(self.name(), b"<script>", qos=1, retain=True,
                       props={"content_type": "text/html", "user_property": [("k", "v%\r\nX: y")], "message_expiry": 100})
        _, headers, body = self.ask("GET", "/topics/" + self.name())
        self.assertEqual(body, b"<script>")
        self.assertIn("sandbox", headers["Content-Security-Policy"])
        self.assertEqual(headers["X-MQTT-User-Property"], "k=v%25%0D%0AX: y")
        self.assertIsNone(headers["X"])
        self.assertIn(headers["X-MQTT-Message-Expiry"], ("99", "100"))
        self.assertEqual(headers["X-MQTT-QoS"], "1")

    def test_lists_by_filter_in_pages(self):
        for i in range(25):
            self.ask("PUT", "/topics/%s/%02d" % (self.name(), i), b"v%d" % i)
        self.ask("PUT", "/topics/%s/bin" % self.name(), b"\xff\x00")
        query = "/topics?filter=" + urllib.parse.quote(self.name("#")) + "&limit=10"
        seen = []
        cursor = ""
        for _ in range(10):
            status, headers, body = self.ask("GET", query + cursor)
            self.assertEqual((status, headers["Content-Type"]), (200, "application/x-ndjson"))
            page = [json.loads(line) for line in body.splitlines()]
            if not page:
                break
            self.assertLessEqual(len(page), 10)
            seen += page
            cursor = "&cursor=" + urllib.parse.quote(page[-1]["topic"], safe="")
        self.assertEqual(sorted(m["topic"] for m in seen),
                         sorted(["%s/%02d" % (self.name(), i) for i in range(25)] + [self.name("bin")]))
        binary = next(m for m in seen if m["topic"].endswith("bin"))
        self.assertEqual((binary["payload_encoding"], base64.b64decode(binary["payload"])), ("base64", b"\xff\x00"))
        self.problem(self.ask("GET", "/topics?filter=a%23"), 400)
        self.problem(self.ask("GET", "/topics"), 400)

    # ---- bulk

    def test_bulk_tells_each_item_in_order(self):
        sub = self.subscriber(self.name("#"))
        status, answer = self.ask_json("POST", "/publish", [
            {"topic": self.name("1"), "payload": "plain", "qos": 1},
            {"topic": self.name("+"), "payload": "bad"},
            {"topic": self.name("2"), "payload": {"t": [1, 2]}},
            {"topic": self.name("3"), "payload": "/wA=", "payload_encoding": "base64",
             "properties": {"content_type": "x/y", "user_properties": {"a": "b"}}},
            {"topic": self.name("4"), "payload": "!", "payload_encoding": "base64"},
        ])
        self.assertEqual(status, 200)
        self.assertEqual([item["status"] for item in answer], [200, 400, 200, 200, 400])
        got = [sub.read(wire.PUBLISH) for _ in range(3)]
        self.assertEqual([m.payload for m in got], [b"plain", b'{"t":[1,2]}', b"\xff\x00"])
        self.assertEqual(got[1].props["content_type"], "application/json")
        self.assertEqual(got[2].props["user_property"], [("a", "b")])

    def test_bulk_takes_lines(self):
        sub = self.subscriber(self.name())
        lines = "\n".join(json.dumps({"topic": self.name(), "payload": str(i)}) for i in range(100)) + "\n\n"
        status, _, body = self.ask("POST", "/publish", lines, {"Content-Type": "application/x-ndjson"})
        self.assertEqual((status, len(json.loads(body))), (200, 100))
        self.assertEqual([sub.read(wire.PUBLISH).payload for _ in range(100)], [b"%d" % i for i in range(100)])

    def test_bulk_refuses_what_is_no_list_of_messages(self):
        self.problem(self.ask("POST", "/publish", b"{", JSON), 400)
        self.problem(self.ask("POST", "/publish", b"{}", JSON), 400)
        self.problem(self.ask("POST", "/publish", b"[]", JSON), 422)
        self.problem(self.ask("POST", "/publish", b"\n\n", {"Content-Type": "application/x-ndjson"}), 422)
        self.problem(self.ask("POST", "/publish", b"", JSON), 400)
        item = json.dumps({"topic": self.name(), "payload": "x", "retain": True}).encode()
        for bad in (b"[%s,]", b"[%s", b"[%s]]", b"[%s, {]", b"[%s, {\"a\":1,\"a\":2}]"):
            self.problem(self.ask("POST", "/publish", bad % item, JSON), 400)
        answer = self.ask("POST", "/publish", item + b"\n\n{", {"Content-Type": "application/x-ndjson"})
        self.problem(answer, 400)
        self.assertIn("line 3 is not JSON", json.loads(answer[2])["detail"])
        self.problem(self.ask("POST", "/publish", json.dumps([json.loads(item)] * 10001), JSON), 422)
        self.problem(self.ask("GET", "/topics/" + self.name()), 404)  # whatever came before the fault

    def test_an_item_of_json_that_would_take_long_to_parse_is_too_large(self):
        long, many = {"topic": self.name(), "payload": "x" * 300000}, {"topic": self.name(), "payload": [1] * 20000}
        for item in (long, many):
            answer = self.ask("POST", "/publish", json.dumps([item]), JSON)
            self.problem(answer, 413)
            self.assertIn("POST /topics", json.loads(answer[2])["detail"])
            for url, body in (("/api/v5/publish", item), ("/api/v5/publish/bulk", [item])):
                self.assertEqual(self.ask_json("POST", url, body), (400, {"reason_code": 151, "message": "packet_too_large"}))
        fits = {"topic": self.name(), "payload": "x" * 250000}
        self.assertEqual(self.ask_json("POST", "/api/v5/publish", fits)[0], 202)
        self.assertEqual([r["status"] for r in self.ask_json("POST", "/publish", [fits] * 20)[1]], [202] * 20)
        self.problem(self.ask("POST", "/publish", b"x", {"Content-Type": "text/plain"}), 415)

    # ---- other brokers' shapes

    def test_api_v5_publish(self):
        url = "/api/v5/publish"
        message = {"topic": self.name(), "payload": "x", "qos": 1, "clientid": "whoever"}
        self.assertEqual(self.ask_json("POST", url, message), (202, {"reason_code": 16, "message": "no_matching_subscribers"}))
        sub = self.subscriber(self.name())
        status, answer = self.ask_json("POST", url, message)
        self.assertEqual(status, 200)
        self.assertRegex(answer["id"], "^[0-9a-f]{32}$")
        self.assertEqual(sub.read(wire.PUBLISH).payload, b"x")
        self.assertEqual(self.ask_json("POST", url, {**message, "topic": "a/#"}),
                         (400, {"reason_code": 144, "message": "topic_name_invalid"}))
        status, answer = self.ask_json("POST", url, {**message, "payload": "*", "payload_encoding": "base64"})
        self.assertEqual((status, answer["reason_code"]), (400, 131))
        status, answer = self.ask_json("POST", url, {"topic": "a"})
        self.assertEqual((status, answer["code"]), (400, "BAD_REQUEST"))
        status, _, body = self.ask("POST", url, b"{}", {"Content-Type": "text/plain"})
        self.assertEqual((status, json.loads(body)["code"]), (415, "UNSUPPORTED_MEDIA_TYPE"))
        for bad in ({"topic": "a"}, {**message, "topic": "a/#"}):
            self.assertEqual(self.ask("POST", url, json.dumps(bad), JSON)[1]["Content-Type"], "application/json")

    def test_api_v5_bulk_publishes_all_or_nothing(self):
        url = "/api/v5/publish/bulk"
        sub = self.subscriber(self.name("#"))
        good = {"topic": self.name("a"), "payload": "1"}
        self.assertEqual(self.ask_json("POST", url, [good, {"topic": "x/#", "payload": ""}])[0], 400)
        self.assertEqual(self.ask_json("POST", url, [])[0], 400)
        self.assertEqual(self.ask_json("POST", url, [good] * 10001)[0], 400)
        status, answer = self.ask_json("POST", url, [good, {"topic": "nobody/" + self.name(), "payload": "2"}])
        self.assertEqual((status, len(answer)), (202, 2))
        self.assertEqual(sub.read(wire.PUBLISH).payload, b"1")
        status, answer = self.ask_json("POST", url, [good])
        self.assertEqual(status, 200)

    def test_retained_message_as_json(self):
        self.ask("PUT", "/topics/" + self.name() + "?qos=1&userProperty=a%3Ab", b"\x01")
        status, answer = self.ask_json("GET", "/retainedMessage/" + self.name())
        self.assertEqual((status, answer["topic"], answer["payload"], answer["qos"]), (200, self.name(), "AQ==", 1))
        self.assertEqual(answer["userProperties"], [{"a": "b"}])
        self.assertGreater(answer["lastModifiedTime"], 1700000000000)
        self.assertEqual(self.ask_json("GET", "/retainedMessage/" + self.name("none"))[0], 404)

    # ---- repetitions

    def test_a_repeated_key_gets_the_first_answer_and_publishes_nothing(self):
        sub = self.subscriber(self.name())
        key = {"Idempotency-Key": self.name()}
        first = self.ask("POST", "/topics/" + self.name(), b"x", key)
        again = self.ask("POST", "/topics/" + self.name(), b"x", key)
        self.assertEqual(first[2], again[2])
        self.assertEqual(again[1]["Idempotency-Replayed"], "true")
        self.problem(self.ask("POST", "/topics/" + self.name(), b"y", key), 422)
        self.ask("POST", "/topics/" + self.name(), b"end")
        self.assertEqual([sub.read(wire.PUBLISH).payload for _ in range(2)], [b"x", b"end"])

    def test_a_key_holds_over_all_workers(self):
        sub = self.subscriber(self.name())
        answers = []

        def repeat():
            web = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=harness.DEADLINE)
            web.request("POST", "/topics/" + self.name(), b"x", {"Idempotency-Key": self.name()})
            answers.append(web.getresponse().read())
            web.close()

        threads = [threading.Thread(target=repeat) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(set(answers)), 1)
        self.ask("POST", "/topics/" + self.name(), b"end")
        self.assertEqual([sub.read(wire.PUBLISH).payload for _ in range(2)], [b"x", b"end"])

    def test_the_answers_that_are_remembered_are_bounded_in_bytes(self):
        sub = self.subscriber(self.name("small"))
        small = {"Idempotency-Key": self.name("small")}
        bulk = [{"topic": self.name("bulk"), "payload": "x"}] * 10000
        for _ in range(2):
            self.ask("POST", "/topics/" + self.name("small"), b"x", small)
        for i in range(14):  # more than 700 kB of answer each
            self.assertEqual(self.ask_json("POST", "/publish", bulk, {"Idempotency-Key": self.name(str(i))})[0], 200)
        self.assertNotIn("Idempotency-Replayed", self.ask("POST", "/topics/" + self.name("small"), b"x", small)[1])
        self.assertEqual([sub.read(wire.PUBLISH).payload for _ in range(2)], [b"x", b"x"])


class OneWorker(harness.Case):
    options = {"http": True, "workers": 1}

    def connect(self):
        web = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=harness.DEADLINE)
        self.addCleanup(web.close)
        web.connect()
        return web

    def has_ended(self, web):
        """True if the whole answer to a request that was sent with Connection: close is there."""
        web.sock.setblocking(False)
        try:
            while web.sock.recv(65536):
                pass
            return True
        except BlockingIOError:
            return False

    def test_a_long_list_lets_others_have_their_turn(self):
        web = self.connect()
        for part in range(3):
            web.request("POST", "/publish", json.dumps([{"topic": self.name("%d/%d" % (part, i)), "payload": "x", "retain": True}
                                                        for i in range(10000)]), JSON)
            self.assertEqual(web.getresponse().read().count(b'"status":200'), 10000)
        lists = [self.connect() for _ in range(40)]
        for other in lists:
            other.request("GET", "/topics?filter=%2B/%2B/%2B/nothing", headers={"Connection": "close"})
        for other in lists:
            other.sock.recv(1)  # it has begun
        web.request("GET", "/healthz")
        self.assertEqual(web.getresponse().read(), b'{"status":"ok"}\n')
        self.assertFalse(all([self.has_ended(other) for other in lists]), "the lists went first")
        for other in lists:
            harness.wait_until(lambda: self.has_ended(other), "the end of a list")

    def subscribe(self, *filters):
        client = self.keep(wire.Wire(self.server.address))
        client.connect("")
        client.subscribe(*[(f, 0) for f in filters])
        return client

    def test_a_large_bulk_lets_others_have_their_turn(self):
        for _ in range(60):  # so that it takes a while; they do not read
            self.subscribe(self.name("x"))
        sub = self.subscribe(self.name("first"), self.name("last"))
        web = self.connect()
        for path in ("/publish", "/api/v5/publish/bulk"):
            bulk = self.connect()
            names = ["first"] + ["x"] * 9998 + ["last"]
            bulk.request("POST", path, json.dumps([{"topic": self.name(name), "payload": "x"} for name in names]),
                         {**JSON, "Connection": "close"})
            self.assertEqual(sub.read(wire.PUBLISH).topic, self.name("first"))
            web.request("GET", "/healthz")
            self.assertEqual(web.getresponse().read(), b'{"status":"ok"}\n')
            self.assertFalse(self.has_ended(bulk), path + " went first")
            self.assertEqual(sub.read(wire.PUBLISH).topic, self.name("last"))
            harness.wait_until(lambda: self.has_ended(bulk), "the end of the bulk")

    def unread_bytes(self, web):
        """What the server has not read of what WEB has sent."""
        ends = [":%04X" % web.sock.getpeername()[1], ":%04X" % web.sock.getsockname()[1]]
        with open("/proc/net/tcp") as file:
            for line in file:
                fields = line.split()
                if fields[1][-5:] == ends[0] and fields[2][-5:] == ends[1]:
                    return int(fields[4].split(":")[1], 16)
        return 0

    def test_a_large_body_is_parsed_while_others_have_their_turn(self):
        web = self.connect()
        items = ['{"topic":"%s","payload":"%d"}' % (self.name(), i) for i in range(9999)]
        items += ['{"topic":"%s","payload":"%s"}' % (self.name(), "x" * 200000) for i in range(1, 30)]
        for path, text, kind in (("/publish", "[%s,]", "application/json"), ("/publish", "%s\n{", "application/x-ndjson"),
                                 ("/api/v5/publish/bulk", "[%s,]", "application/json")):
            separator = "\n" if "ndjson" in kind else ","
            body = (text % separator.join(items[30:])).encode()
            bulk = self.connect()
            bulk.putrequest("POST", path)
            bulk.putheader("Content-Type", kind)
            bulk.putheader("Content-Length", str(len(body)))
            bulk.putheader("Connection", "close")
            bulk.endheaders(body[:-1])
            harness.wait_until(lambda: self.unread_bytes(bulk) == 0, "the server has read all but the last byte")
            bulk.send(body[-1:])
            for _ in range(4):
                web.request("GET", "/healthz")
                self.assertEqual(web.getresponse().read(), b'{"status":"ok"}\n')
            bulk.sock.setblocking(False)
            with self.assertRaises(BlockingIOError, msg=path + " went first"):
                bulk.sock.recv(1, socket.MSG_PEEK)
            bulk.sock.settimeout(harness.DEADLINE)
            self.assertEqual(bulk.getresponse().status, 400)


class Closed(RestCase):
    """Who may not connect may not do by HTTP what connections are for."""

    options = {"http": True, "workers": 1, "config": {"access": {"anonymous": False}}}

    def test_what_clients_do_is_refused_without_anonymous_access(self):
        item = json.dumps([{"topic": "a", "payload": "x"}])
        for method, path, body in (("POST", "/topics/a", b"x"), ("PUT", "/topics/a", b"x"), ("GET", "/topics/a", None),
                                   ("GET", "/topics?filter=%23", None), ("DELETE", "/topics/a", None),
                                   ("POST", "/publish", item), ("GET", "/events?filter=a&wait=0", None),
                                   ("POST", "/rpc/a", b"x"), ("POST", "/api/v5/publish", item[1:-1]),
                                   ("POST", "/api/v5/publish/bulk", item), ("GET", "/retainedMessage/a", None)):
            with self.subTest(method=method, path=path):
                self.problem(self.ask(method, path, body, JSON), 403)
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
            self.assertEqual(self.ask("GET", path)[0], 200)


class Stopping(harness.Case):
    def test_a_bulk_that_is_being_published_gets_its_answer(self):
        for path in ("/publish", "/api/v5/publish/bulk"):
            with self.subTest(path=path), harness.Server(http=True, workers=1) as server:
                sub = self.keep(wire.Wire(server.address))
                sub.connect("")
                sub.subscribe(("first", 0))
                web = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=harness.DEADLINE)
                self.addCleanup(web.close)
                items = [{"topic": t, "payload": "x", "retain": True} for t in ["first"] + ["t/%d" % i for i in range(9999)]]
                web.request("POST", path, json.dumps(items), JSON)
                sub.read(wire.PUBLISH)
                server.signal(signal.SIGTERM)
                response = web.getresponse()
                self.assertIn(response.status, (200, 202))
                self.assertEqual(len(json.loads(response.read())), 10000)
                server.finish()


if __name__ == "__main__":
    harness.main()
