"""/metrics and /api/v1/stats: the format, and that the numbers follow what happens."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import harness  # noqa: E402
from harness import wire  # noqa: E402

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(r"^(%s)(?:\{((?:[a-z_]+=\"[^\"\\\n]*\",?)*)\})? (\S+)$" % NAME)
LABEL = re.compile(r"([a-z_]+)=\"([^\"]*)\"")
SUFFIXES = ("_bucket", "_sum", "_count")


def parse(text):
    """The samples of a page, {(name, ((label, value), ...)): number}; fails if it breaks a rule of the format."""
    assert text.endswith("\n")
    types, samples, family, ended = {}, {}, None, set()
    pending_help = None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            pending_help, words = line.split(" ", 3)[2:]
            assert words and pending_help not in types, line
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == pending_help and kind in ("counter", "gauge", "histogram"), line
            assert name.endswith("_total") == (kind == "counter"), line
            assert re.fullmatch(NAME, name)
            ended.add(family)
            assert name not in ended, "a family in two places: " + name
            types[name], family = kind, name
        else:
            match = SAMPLE.match(line)
            assert match, line
            name, labels, value = match.groups()
            base = name
            if types.get(family) == "histogram":
                base = next(name[:-len(suffix)] for suffix in SUFFIXES if name.endswith(suffix))
            assert base == family, line
            key = (name, tuple(sorted(LABEL.findall(labels or ""))))
            assert key not in samples, "twice: " + line
            samples[key] = float(value)
    for name, kind in types.items():
        if kind == "histogram":
            check_histogram(name, samples)
    return samples


def check_histogram(name, samples):
    series = {}
    for (sample, labels), value in samples.items():
        if sample == name + "_bucket":
            rest = tuple(pair for pair in labels if pair[0] != "le")
            series.setdefault(rest, []).append((float(dict(labels)["le"]), value))
    for rest, buckets in series.items():
        assert buckets == sorted(buckets), (name, rest)
        assert [value for _, value in buckets] == sorted(value for _, value in buckets), (name, rest)
        assert buckets[-1] == (float("inf"), samples[name + "_count", rest]), (name, rest)
        assert (name + "_sum", rest) in samples


class Metrics(harness.Case):
    options = {"http": True, "workers": 3}

    def ask(self, path, method="GET", body=None):
        web = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=harness.DEADLINE)
        self.addCleanup(web.close)
        web.request(method, path, body)
        response = web.getresponse()
        return response.status, response.headers, response.read().decode()

    def page(self):
        status, headers, text = self.ask("/metrics")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        return parse(text)

    def value(self, name, **labels):
        return self.page()[("tidegate_" + name, tuple(sorted(labels.items())))]

    def rises(self, by, name, **labels):
        """A context that checks by how much a sample rises. Others of the class have closed their connections."""
        case = self

        class Rise:
            def __enter__(self):
                self.before = case.page().get(("tidegate_" + name, tuple(sorted(labels.items()))), 0)

            def __exit__(self, error, *unused):
                if not error:
                    key = ("tidegate_" + name, tuple(sorted(labels.items())))
                    harness.wait_until(lambda: case.page().get(key, 0) - self.before >= by, "%s rises" % (key,))
                    case.assertEqual(case.page()[key] - self.before, by)

        return Rise()

    def client(self, client_id="", **options):
        client = self.keep(wire.Wire(self.server.address))
        client.connect(client_id, **options)
        return client

    def test_the_page_is_well_formed(self):
        self.page()
        self.assertEqual(self.ask("/nothing")[0], 404)
        page = self.page()  # with rows of requests
        self.assertEqual(page["tidegate_build_info", (("version", json.loads(self.ask("/api/v1/stats")[2])["version"]),)], 1)

    def test_promtool_has_nothing_to_say(self):
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("needs promtool (package prometheus)")
        self.ask("/healthz")
        done = subprocess.run([promtool, "check", "metrics"], input=self.ask("/metrics")[2], capture_output=True, text=True,
                              check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_counts_connections_by_transport(self):
        with self.rises(2, "connections", transport="tcp"), self.rises(2, "connects_total", result="accepted"), \
                self.rises(0, "connections", transport="websocket"):
            self.client()
            self.client()
        with self.rises(-2, "connections", transport="tcp"):
            self.doCleanups()
            harness.wait_until(lambda: self.value("connections", transport="tcp") == 0, "they are gone")

    def test_counts_messages_and_payloads_by_qos_and_direction(self):
        sub = self.client()
        sub.subscribe((self.name("#"), 2))
        pub = self.client()
        for qos in (0, 1, 2):
            labels = {"qos": str(qos)}
            with self.rises(3, "messages_total", direction="received", **labels), \
                    self.rises(3, "messages_total", direction="sent", **labels), \
                    self.rises(30, "payload_bytes_total", direction="received", **labels), \
                    self.rises(30, "payload_bytes_total", direction="sent", **labels):
                for _ in range(3):
                    pub.publish(self.name("t"), b"0123456789", qos)

    def test_counts_takeovers(self):
        with self.rises(4, "takeovers_total"):
            for _ in range(5):  # on one worker or another
                self.client(self.name(), props={"session_expiry": 60}, clean=False)

    def test_counts_drops_by_cause_and_what_waits(self):
        away = self.client(self.name(), props={"session_expiry": 60})
        away.subscribe((self.name("#"), 1))
        away.send(wire.disconnect())
        away.read_to_end()
        pub = self.client()
        with self.rises(5, "queued_messages"):
            for _ in range(5):
                pub.publish(self.name("t"), b"x", 1)
        sub = self.client(props={"packet_bytes_max": 100})
        sub.subscribe(self.name("#"))
        with self.rises(1, "messages_dropped_total", cause="too_large"):
            pub.publish(self.name("t"), b"x" * 200, 0)

    def test_counts_sessions_subscriptions_and_retained_messages(self):
        with self.rises(1, "sessions"), self.rises(2, "subscriptions"), self.rises(1, "shared_subscriptions"):
            client = self.client()
            client.subscribe(self.name("a"), "$share/g/" + self.name("b"))
        with self.rises(1, "retained_messages"):
            client.publish(self.name("r"), b"x", 1, retain=True)

    def test_counts_requests_by_route_and_status(self):
        with self.rises(1, "http_requests_total", route="/healthz", method="GET", status="200"):
            self.ask("/healthz")
        with self.rises(1, "http_requests_total", route="(none)", method="", status="404"):
            self.ask("/nothing")
        with self.rises(1, "http_requests_total", route="/api/v1/clients", method="GET", status="400"):
            self.ask("/api/v1/clients?limit=x")
        with self.rises(1, "http_requests_total", route="/api/v1/clients", method="GET", status="200"):
            self.ask("/api/v1/clients")
        with self.rises(1, "http_requests_total", route="(none)", method="", status="400"):
            with socket.create_connection(("127.0.0.1", self.server.http_port)) as peer:
                peer.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n")
                peer.recv(1000)
        with self.rises(1, "http_request_duration_seconds_count", route="/api/v1/sessions/*", method="GET"):
            self.ask("/api/v1/sessions/nobody")

    def test_turns_are_measured_for_every_worker(self):
        before = self.page()
        for worker in "012":
            key = ("tidegate_worker_turn_duration_seconds_count", (("worker", worker),))
            harness.wait_until(lambda: self.ask("/healthz")[0] == 200 and self.page()[key] > before[key], "it turns")

    def test_the_process_tells_about_itself(self):
        page = self.page()
        with open("/proc/%d/stat" % self.server.pid) as file:
            ticks = int(file.read().rsplit(")", 1)[1].split()[19])
        with open("/proc/uptime") as file:
            started_ago = float(file.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")

        self.assertAlmostEqual(page["process_start_time_seconds", ()], time.time() - started_ago,
                               delta=harness.DEADLINE)
        self.assertGreater(page["process_resident_memory_bytes", ()], 1 << 20)
        self.assertGreater(page["process_cpu_seconds_total", ()], 0)

    def test_json_says_the_same(self):
        self.client().publish(self.name("t"), b"x", 1)
        page, stats = self.page(), json.loads(self.ask("/api/v1/stats")[2])
        for (name, labels), value in page.items():
            family = name[len("tidegate_"):]
            if family in stats and family != "http_requests_total":
                at = stats[family]
                order = ("transport", "result", "direction", "qos", "cause")
                for _, label in sorted(labels, key=lambda pair: order.index(pair[0])):
                    at = at[label]
                self.assertEqual(at, value, name)
        self.assertEqual(len(stats["workers"]), 3)
        self.assertIn({"method": "GET", "route": "/metrics", "status": 200},
                      [{key: row[key] for key in ("method", "route", "status")} for row in stats["http_requests_total"]])
        self.assertGreater(sum(bucket["turns"] for bucket in stats["workers"][0]["turns"]), 0)


if __name__ == "__main__":
    harness.main()
