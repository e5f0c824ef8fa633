"""/api/v1: lists of clients, sessions, subscriptions, topics and retained messages, page by page, over several workers."""

import http.client
import json
import os
import socket
import sys
import threading
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import harness  # noqa: E402
from harness import wire  # noqa: E402
from harness.server import Server, free_port  # noqa: E402

FOREVER = 0xFFFFFFFF


class Admin(harness.Case):
    options = {"http": True, "workers": 3, "limits": {"queued_messages": 100}}

    def setUp(self):
        self.web = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=harness.DEADLINE)
        self.addCleanup(self.web.close)

    def ask(self, path, headers=None, method="GET", **query):
        """One request. Returns status, headers and body."""
        self.web.request(method, path + ("?" + urllib.parse.urlencode(query) if query else ""), None, headers or {})
        response = self.web.getresponse()
        return response.status, response.headers, response.read()

    def get(self, path, **query):
        status, headers, body = self.ask("/api/v1/" + path, **query)
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"), body)
        return json.loads(body)

    def pages(self, path, between=lambda: None, **query):
        """All pages of a list, one after the other; BETWEEN is called between them."""
        items, pages = [], 0
        while True:
            page = self.get(path, **query)
            self.assertLessEqual(len(page["items"]), query.get("limit", 1000))
            self.assertNotIn("incomplete", page)
            items += page["items"]
            pages += 1
            if page["cursor"] is None:
                return items, pages
            query["cursor"] = page["cursor"]
            between()

    def client(self, client_id, *filters, qos=1, **options):
        client = self.keep(wire.Wire(self.server.address))
        client.connect(client_id, **options)
        if filters:
            client.subscribe(*[(f, qos) for f in filters])
        return client

    def session(self, client_id, *filters, qos=1):
        """A session whose client has gone."""
        client = self.client(client_id, *filters, qos=qos, props={"session_expiry": 600})
        client.send(wire.disconnect())
        client.read_to_end()

    def crowd(self, count):
        """COUNT clients, every second one away. Returns their ids."""
        ids = [self.name("%d" % i) for i in range(count)]
        for i, client_id in enumerate(ids):
            if i % 2:
                self.session(client_id, "crowd/" + client_id)
            else:
                self.client(client_id, "crowd/" + client_id)
        return ids

    def problem(self, answer, status):
        self.assertEqual(answer[0], status, answer)
        self.assertEqual(answer[1]["Content-Type"], "application/problem+json")
        self.assertEqual(json.loads(answer[2])["status"], status)

    def publish(self, topic, payload=b"x", **options):
        client = self.keep(wire.Wire(self.server.address))
        client.connect("")
        client.publish(topic, payload, 1, **options)
        client.close()

    # ---- clients

    def test_lists_each_client_once_however_small_the_pages_are(self):
        ids = self.crowd(40)
        for limit in (1, 7, 39, 40, 1000):
            items, pages = self.pages("clients", prefix=self.name(), limit=limit)
            self.assertEqual(sorted(item["client_id"] for item in items), sorted(ids))
            self.assertGreaterEqual(pages, len(ids) // limit)
        self.assertEqual({item["worker"] for item in items if item["connected"]}, {0, 1, 2})

    def test_misses_and_doubles_nobody_who_stays_while_others_come_and_go(self):
        ids = self.crowd(30)
        count = 0

        def stir():
            nonlocal count
            count += 1
            self.session(self.name("guest%d" % count), "crowd/guest")
            with_clean_start = wire.Wire(self.server.address)
            with_clean_start.connect(self.name("guest%d" % (count - 5)))
            with_clean_start.close()

        items, _ = self.pages("clients", between=stir, prefix=self.name(), limit=3)
        stayed = [item["client_id"] for item in items if item["client_id"] in ids]
        self.assertEqual(sorted(stayed), sorted(ids))

    def test_tells_connections_from_sessions_that_are_away(self):
        ids = self.crowd(10)
        here = self.get("clients", prefix=self.name(), connected="true")["items"]
        away = self.get("clients", prefix=self.name(), connected="false")["items"]
        self.assertEqual(sorted(item["client_id"] for item in here), sorted(ids[::2]))
        self.assertEqual(sorted(item["client_id"] for item in away), sorted(ids[1::2]))
        self.assertTrue(all(item["transport"] == "tcp" and item["peer"].startswith("127.0.0.1:") for item in here))
        self.assertTrue(all("peer" not in item and "transport" not in item for item in away))

    def test_tells_about_one_client(self):
        self.client(self.name(), keep_alive=77)
        got = self.get("clients/" + self.name())
        self.assertEqual((got["client_id"], got["connected"], got["keep_alive_s"], got["protocol_version"]),
                         (self.name(), True, 77, "5.0"))
        self.problem(self.ask("/api/v1/clients/nobody"), 404)
        self.problem(self.ask("/api/v1/sessions/nobody"), 404)
        self.problem(self.ask("/api/v1/clients/"), 404)

    def test_ids_of_any_characters_are_found_and_shown(self):
        odd = "a/\"b\\\u00fc\U0001f600 %+{}"
        self.client(odd)
        items = self.get("clients", client_id=odd)["items"]
        self.assertEqual([item["client_id"] for item in items], [odd])
        self.assertEqual(self.get("clients/" + urllib.parse.quote(odd, safe=""))["client_id"], odd)

    # ---- sessions

    def test_tells_what_waits_for_a_session(self):
        self.session(self.name(), self.name("#"))
        for i in range(5):
            self.publish(self.name("t"), b"12345")
        got = self.get("sessions/" + self.name())
        self.assertEqual((got["connected"], got["queued_messages"], got["subscriptions"], got["expiry_s"]),
                         (False, 5, 1, 600))
        self.assertGreater(got["queued_bytes"], 5 * len(self.name("t")))
        self.assertEqual(self.get("sessions", client_id=self.name())["items"], [got])

    def test_tells_what_is_not_acknowledged(self):
        receiver = self.client(self.name(), self.name("#"), props={"session_expiry": FOREVER})
        self.publish(self.name("t"))
        receiver.read(wire.PUBLISH)
        got = self.get("sessions/" + self.name())
        self.assertEqual((got["inflight_messages"], got["expiry_s"], got["connected"]), (1, None, True))

    # ---- subscriptions

    def test_lists_subscriptions_by_client_filter_and_topic(self):
        a = self.client(self.name("a"))
        a.subscribe((self.name("x/#"), 2), (self.name("x/+"), 0))
        b = self.client(self.name("b"))
        b.subscribe(("$share/group/" + self.name("x/1"), 1))
        by = lambda **query: sorted((item["client_id"], item["filter"], item["qos"])  # noqa: E731
                                    for item in self.get("subscriptions", prefix=self.name(), **query)["items"])
        everything = [(self.name("a"), self.name("x/#"), 2), (self.name("a"), self.name("x/+"), 0),
                      (self.name("b"), "$share/group/" + self.name("x/1"), 1)]
        self.assertEqual(by(), everything)
        self.assertEqual(by(topic=self.name("x/1")), everything)
        self.assertEqual(by(topic=self.name("x/2")), everything[:2])
        self.assertEqual(by(topic=self.name("x")), everything[:1])
        self.assertEqual(by(filter=self.name("x/+")), everything[1:2])
        self.assertEqual(by(client_id=self.name("b")), everything[2:])
        self.assertEqual(by(client_id=self.name("c")), [])

    def test_pages_through_the_subscriptions_of_one_client(self):
        filters = [self.name("f%d/#" % i) for i in range(50)]
        self.client(self.name(), *filters)
        items, _ = self.pages("subscriptions", client_id=self.name(), limit=4)
        self.assertEqual(sorted(item["filter"] for item in items), sorted(filters))

    # ---- topics

    def test_shows_the_tree_level_by_level(self):
        root = self.name()
        for topic in ("", "/a", "/a/1", "/a/2/x", "/b/1", "//z"):
            self.publish(root + topic, topic.encode() or b"root", retain=True)
        levels = self.get("topics", prefix=root)["items"]
        self.assertEqual([(item["level"], item["topics"], item["has_children"]) for item in levels],
                         [("", 1, True), ("a", 3, True), ("b", 1, True)])
        self.assertEqual([item.get("retained", {}).get("payload") for item in levels], [None, "/a", None])
        below = self.get("topics", prefix=root + "/a")["items"]
        self.assertEqual([(item["topic"], item["has_children"]) for item in below],
                         [(root + "/a/1", False), (root + "/a/2", True)])
        roots = self.get("topics")["items"]
        self.assertIn(root, [item["level"] for item in roots])
        self.assertIn("$SYS", [item["level"] for item in roots])

    def test_pages_through_the_tree_with_right_counts(self):
        names = ["%02d" % (i * 7 % 30) for i in range(30)] + [""]
        for name in names:
            for leaf in ("", "/1", "/2"):
                self.publish(self.name() + "/" + name + leaf, retain=True)
        for limit in (1, 4, 30, 31, 32):
            items, _ = self.pages("topics", prefix=self.name(), limit=limit)
            self.assertEqual([item["level"] for item in items], sorted(names))
            self.assertEqual({item["topics"] for item in items}, {3})

    # ---- retained messages

    def test_pages_through_retained_messages(self):
        topics = [self.name("%d" % i) for i in range(50)]
        for i, topic in enumerate(topics):
            self.publish(topic, b"%d" % i, retain=True)
        for limit in (1, 7, 50, 1000):
            items, _ = self.pages("retained", filter=self.name("#"), limit=limit)
            self.assertEqual(sorted((item["topic"], item["payload"]) for item in items),
                             sorted((topic, str(i)) for i, topic in enumerate(topics)))

    def test_a_filter_without_wildcard_is_one_value(self):
        self.publish(self.name("a"), b"\x00\xff", retain=True)
        page = self.get("retained", filter=self.name("a"), limit=1)
        self.assertEqual([(item["payload"], item["payload_encoding"], item["payload_bytes"]) for item in page["items"]],
                         [("AP8=", "base64", 2)])
        self.assertIsNone(page["cursor"])
        self.assertEqual(self.get("retained", filter=self.name("a"), cursor=self.name("a"))["items"], [])
        self.assertEqual(self.get("retained", filter=self.name("b"))["items"], [])

    def test_large_payloads_are_left_out(self):
        self.publish(self.name("large"), b"x" * 65537, retain=True)
        self.publish(self.name("small"), b"x" * 65536, retain=True)
        items = {item["topic"]: item for item in self.get("retained", filter=self.name("#"))["items"]}
        large, small = items[self.name("large")], items[self.name("small")]
        self.assertEqual((large["payload"], large["payload_bytes"], large["payload_omitted"]), ("", 65537, True))
        self.assertEqual((len(small["payload"]), small.get("payload_omitted")), (65536, None))

    # ---- what is refused

    def test_parameters_that_make_no_sense_are_400(self):
        for path in ("clients", "sessions", "subscriptions"):
            for cursor in ("x", "", "1", "1.", ".1", "1.2.3", "1.12345678901234567", "123456789.1", "1.2 "):
                self.problem(self.ask("/api/v1/" + path, cursor=cursor), 400)
            self.assertEqual(self.get(path, cursor="ffffffff.ffffffffffffffff")["items"], [])
            self.assertEqual(self.get(path, cursor="7fffffff.0")["items"], [])
        for limit in ("0", "-1", "x", "1000001", ""):
            self.problem(self.ask("/api/v1/clients", limit=limit), 400)
        self.problem(self.ask("/api/v1/topics", limit=10001), 400)
        self.problem(self.ask("/api/v1/clients", connected="maybe"), 400)
        self.problem(self.ask("/api/v1/subscriptions", topic="a/#"), 400)
        self.problem(self.ask("/api/v1/topics", prefix="a/+"), 400)
        self.problem(self.ask("/api/v1/retained", filter="a/#/b"), 400)
        self.problem(self.ask("/api/v1/retained", filter="$share/g/a"), 400)
        self.problem(self.ask("/api/v1/retained", cursor="a/#"), 400)
        self.problem(self.ask("/api/v1/clients", method="DELETE"), 405)

    def test_who_asks_through_a_proxy_is_told_nothing(self):
        for path in ("/metrics", "/api/v1/stats", "/api/v1/clients", "/api/v1/clients/x", "/api/v1/sessions",
                     "/api/v1/sessions/x", "/api/v1/subscriptions", "/api/v1/topics", "/api/v1/retained"):
            for header in ("X-Forwarded-For", "Forwarded"):
                self.problem(self.ask(path, headers={header: "127.0.0.1"}), 403)
            self.assertIn(self.ask(path)[0], (200, 404))

    # ---- streams

    def test_head_has_no_body(self):
        for path in ("clients", "topics", "retained", "clients/nobody"):
            status, _, body = self.ask("/api/v1/" + path, method="HEAD")
            self.assertEqual((status, body), (404 if "nobody" in path else 200, b""))

    def test_a_list_that_nobody_reads_holds_up_nobody(self):
        payload = b"x" * 60000
        for i in range(300):
            self.publish(self.name("%d" % i), payload, retain=True)
        lazy = socket.create_connection(("127.0.0.1", self.server.http_port))
        self.addCleanup(lazy.close)
        lazy.settimeout(harness.DEADLINE)
        lazy.sendall(b"GET /api/v1/retained?limit=1000000&filter=%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                     % urllib.parse.quote(self.name("#")).encode())
        first = lazy.recv(1)
        for _ in range(5):
            self.assertEqual(self.ask("/healthz")[0], 200)
        head, body = (first + b"".join(iter(lambda: lazy.recv(1 << 16), b""))).split(b"\r\n\r\n", 1)
        self.assertIn(b"chunked", head)
        text = b""
        while body:
            size, body = body.split(b"\r\n", 1)
            text, body = text + body[:int(size, 16)], body[int(size, 16) + 2:]
        self.assertEqual(len(json.loads(text)["items"]), 300)
        for i in range(300):
            self.publish(self.name("%d" % i), b"", retain=True)

    def test_readers_that_leave_in_the_middle_leave_nothing_behind(self):
        self.crowd(20)
        for i in range(40):
            self.publish(self.name("t/%d" % i), b"x" * 20000, retain=True)

        def leave(path):
            peer = socket.create_connection(("127.0.0.1", self.server.http_port))
            peer.sendall(b"GET /api/v1/%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
            peer.close()

        paths = (b"clients", b"subscriptions", b"sessions?limit=3", b"retained?limit=99", b"topics", b"clients/x", b"stats")
        threads = [threading.Thread(target=leave, args=(path,)) for path in paths * 10]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        items, _ = self.pages("clients", prefix=self.name(), limit=9)
        self.assertEqual(len(items), 20)


def own_address():
    """An address of this machine that is not loopback, or None."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            address = probe.getsockname()[0]
    except OSError:
        return None
    return None if address.startswith("127.") else address


class Exposed(Server):
    """A gateway with further HTTP listeners: for everybody, behind a proxy, on a unix socket."""

    def _tidegate(self):
        command = super()._tidegate()
        with open(command[-1]) as file:
            config = json.load(file)
        self.proxy_port, self.open_port, self.own = free_port(), free_port(), own_address()
        self.socket_path = os.path.join(self.folder, "http.sock")
        config["listeners"] += [
            {"protocol": "http", "bind": "127.0.0.1:%d" % self.proxy_port, "proxy_protocol": True,
             "proxy_trusted": ["127.0.0.1/32"]},
            {"protocol": "http", "unix": self.socket_path},
        ]
        if self.own:
            config["listeners"].append({"protocol": "http", "bind": "%s:%d" % (self.own, self.open_port)})
        with open(command[-1], "w") as file:
            json.dump(config, file)
        return command


class Strangers(unittest.TestCase):
    def setUp(self):
        self.server = Exposed(workers=2, config={"http": {"hosts": ["*"]}})
        self.server.start()
        self.addCleanup(self.server.stop)
        harness.wait_until(lambda: " ready " in self.server.log(), "all listeners are there")

    def status(self, address, path, before=b""):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as peer:
            peer.settimeout(harness.DEADLINE)
            peer.connect(address)
            peer.sendall(before + b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path)
            return int(b"".join(iter(lambda: peer.recv(65536), b"")).split(b" ", 2)[1])

    def test_only_this_machine_is_told(self):
        for path in (b"/metrics", b"/api/v1/stats", b"/api/v1/clients"):
            self.assertEqual(self.status(self.server.socket_path, path), 200)
            for claimed in (b"127.0.0.1", b"203.0.113.7"):
                header = b"PROXY TCP4 %s 127.0.0.1 4711 80\r\n" % claimed
                self.assertEqual(self.status(("127.0.0.1", self.server.proxy_port), path, header), 403)
            if self.server.own:
                self.assertEqual(self.status((self.server.own, self.server.open_port), path), 403)
        self.assertEqual(self.status(("127.0.0.1", self.server.proxy_port), b"/healthz", header), 200)


if __name__ == "__main__":
    harness.main()
