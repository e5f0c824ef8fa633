#!/usr/bin/env python3
"""The load generator against the forwarder and the gateway, briefly: figures come, and nothing is lost on the way."""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest

TIDEGATE = os.environ.get("TIDEGATE", os.path.join(os.getcwd(), "tidegate"))
BUILD = os.path.dirname(TIDEGATE)
SOURCE = os.path.dirname(os.path.abspath(__file__))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Smoke(unittest.TestCase):
    def serve(self, command, port):
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return server
            except OSError:
                self.assertLess(time.monotonic(), end, "the server does not listen")
                self.assertIsNone(server.poll(), "the server has ended")
                time.sleep(0.01)

    def load(self, server, port, workload, *args):
        run = subprocess.run([os.path.join(BUILD, "tests/bench/load"), workload, "--port", str(port), "--pid",
                              str(server.pid), "--wait", "--warm-up-ms", "50", "--measure-ms", "200", *args],
                             stdout=subprocess.PIPE, check=False, timeout=120)
        self.assertEqual(run.returncode, 0, run.stdout)
        return json.loads(run.stdout)

    def test_forwarder(self):
        port = free_port()
        server = self.serve([os.path.join(BUILD, "tests/bench/forward"), str(port)], port)
        for workload, args in (("pairs", ["--qos", "1", "--clients", "3", "--window", "10"]),
                               ("fan-in", ["--clients", "5", "--window", "5"]),
                               ("fan-out", ["--clients", "5", "--window", "5"])):
            with self.subTest(workload=workload):
                figures = self.load(server, port, workload, *args)
                self.assertGreater(figures["count"], 0)
                self.assertGreater(figures["cpu_us"], 0)

    def test_gateway(self):
        port = free_port()
        with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
            json.dump({"listeners": [{"protocol": "mqtt", "bind": f"127.0.0.1:{port}"}], "workers": 2, "store": None,
                       "limits": {"queued_messages": 1000000, "queued_bytes": 1000000000}, "log": {"level": "error"}}, f)
            f.flush()
            server = self.serve([TIDEGATE, "--config", f.name], port)
            for workload, args in (("pairs", ["--qos", "2", "--clients", "3", "--window", "10"]),
                                   ("fan-in", ["--clients", "5", "--window", "5"]),
                                   ("fan-out", ["--clients", "5", "--window", "5", "--qos", "1"]),
                                   ("pairs", ["--qos", "1", "--clients", "3", "--window", "10", "--kept", "--mqtt", "5"]),
                                   ("offline", ["--qos", "2", "--clients", "3", "--window", "10"]),
                                   ("retained", ["--messages", "200", "--rounds", "1"]),
                                   ("connect", ["--clients", "3"])):
                with self.subTest(workload=workload):
                    figures = self.load(server, port, workload, *args)
                    self.assertGreater(figures["count"], 0)
                    self.assertEqual(figures["wrong"], 0)

    def test_rows_of_the_durable_store(self):
        names = ["durable-1", "durable-2", "durable-pairs-1", "durable-pairs-2", "durable-wait", "queued", "restart"]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "figures.json")
            run = subprocess.run([sys.executable, os.path.join(SOURCE, "bench.py"), "--build", BUILD, "--repeat", "1",
                                  "--seconds", "0.2", "--messages", "200", "--only-ours", "--json", path, *names],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=120)
            self.assertIn(run.returncode, (0, 1), run.stdout)  # at this size bounds say nothing
            with open(path, encoding="ascii") as f:
                rows = json.load(f)
        self.assertGreater(rows["fdatasync"]["p50_us"], 0)
        for name in names:
            with self.subTest(row=name):
                ours = rows[name]["results"]["tidegate"][0]
                self.assertEqual(ours["wrong"], 0)
                self.assertGreater(ours[rows[name]["figure"]], 0)
        waiting = rows["durable-wait"]["results"]["tidegate"][0]
        self.assertGreaterEqual(waiting["commits_per_message"], 1)
        for name in ("durable-1", "durable-2"):
            away = rows[name]["results"]["tidegate"][0]
            self.assertGreater(away["store_bytes"], 256)
            self.assertLess(away["commits_per_message"], 1)
        self.assertEqual(rows["restart"]["results"]["tidegate"][0]["queued"], 200)
        self.assertEqual(rows["restart"]["results"]["tidegate"][0]["retained"], 200)


if __name__ == "__main__":
    unittest.main()
