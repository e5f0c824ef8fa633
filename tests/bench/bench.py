#!/usr/bin/env python3
"""Measure Tidegate beside Mosquitto and a bare forwarder, interleaved, and print a table with ratios.

    bench.py --build DIR [--repeat N] [--seconds S] [--json FILE] [ROW...]

Each row is one workload. The server runs on one core, the load generator on the other; the figure is CPU time of the
server process per delivered message. Rows with a bound say whether it is kept. Exit 1 if a bound is broken or a message was lost,
doubled or out of order.
"""
import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SERVER_CORE = "0"
LOAD_CORE = "1"
START_S = 10
STOP_S = 20


class Row:
    """One line of the table: a workload and who runs it."""

    def __init__(self, name, text, workload, args, *, rivals=("mosquitto", "floor"), bound=None, limit=None,
                 workers=1, figure="cpu_us", unit="us", window=1000, websocket=False):
        self.name = name          # what the command line calls it
        self.text = text
        self.workload = workload
        self.args = args
        self.rivals = rivals
        self.bound = bound        # largest allowed ratio to Mosquitto
        self.limit = limit        # (figure, largest allowed value)
        self.workers = workers
        self.figure = figure
        self.unit = unit
        self.websocket = websocket
        self.window = window      # inflight_messages of the server


def rows(seconds):
    time_args = ["--measure-ms", str(int(seconds * 1000))]
    pairs = ["--clients", "10"] + time_args
    fan_in = ["--clients", "500", "--window", "20"] + time_args
    return [
        Row("pairs-0", "10 pairs, window 500, QoS 0", "pairs", pairs + ["--window", "500"], bound=0.10),
        Row("pairs-1", "10 pairs, window 100, QoS 1", "pairs", pairs + ["--window", "100", "--qos", "1"], bound=0.10),
        Row("pairs-2", "10 pairs, window 100, QoS 2", "pairs", pairs + ["--window", "100", "--qos", "2"], bound=0.10,
            rivals=("mosquitto",)),
        Row("wide-0", "1000 pairs, window 2, QoS 0", "pairs", ["--clients", "1000", "--window", "2"] + time_args,
            bound=0.70),
        Row("wide-1", "1000 pairs, window 2, QoS 1", "pairs",
            ["--clients", "1000", "--window", "2", "--qos", "1"] + time_args, bound=0.70),
        Row("fan-in", "500 to 1, window 20, QoS 0", "fan-in", fan_in, bound=0.15),
        Row("fan-in-1", "500 to 1, window 4, QoS 1", "fan-in",
            ["--clients", "500", "--window", "4", "--qos", "1"] + time_args, window=4000),
        Row("fan-out", "1 to 1000, QoS 0, per delivery", "fan-out",
            ["--clients", "1000", "--window", "20"] + time_args, bound=0.12),
        Row("fan-out-1", "1 to 1000, QoS 1, per delivery", "fan-out",
            ["--clients", "1000", "--window", "20", "--qos", "1"] + time_args),
        Row("4k", "10 pairs, 4 KiB, QoS 0", "pairs", pairs + ["--window", "100", "--payload", "4096"]),
        Row("wildcard", "100 000 wildcard filters", "pairs", pairs + ["--window", "100", "--filters", "100000"],
            rivals=("mosquitto",)),
        Row("wildcard-1m", "1 000 000 wildcard filters", "pairs", pairs + ["--window", "100", "--filters", "1000000"],
            rivals=()),
        Row("retained", "50 000 retained to one #", "retained", ["--messages", "50000"], rivals=("mosquitto",)),
        Row("connect", "connect and disconnect", "connect", ["--clients", "50"] + time_args, rivals=("mosquitto",)),
        Row("rate", "10 000 msg/s over 10 pairs, p99", "pairs", pairs + ["--window", "100", "--rate", "10000", "--wait"],
            rivals=("mosquitto",), figure="p99_us", limit=("p99_us", 2000)),
        Row("two-pairs", "two workers on one core: pairs", "pairs", pairs + ["--window", "500"], workers=2,
            rivals=("one worker",), bound=1.15),
        Row("two-fan-in", "two workers on one core: fan-in", "fan-in", fan_in, workers=2, rivals=("one worker",),
            bound=1.15),
        Row("four", "four workers, 40 pairs, QoS 1", "pairs",
            ["--clients", "40", "--window", "100", "--qos", "1"] + time_args, workers=4, rivals=()),
        Row("ws-0", "10 WebSocket pairs, window 500, QoS 0", "pairs", pairs + ["--window", "500"], websocket=True,
            rivals=("mosquitto",), bound=0.25),
        Row("ws-idle", "8000 idle WebSockets, bytes each", "idle", ["--clients", "8000", "--measure-ms", "3000"],
            websocket=True, rivals=(), figure="rss_bytes_per_connection", unit="B",
            limit=("rss_bytes_per_connection", 2800)),
        Row("post", "HTTP POST 64 B to one subscriber", "post", ["--clients", "20", "--payload", "64"] + time_args,
            rivals=(), limit=("cpu_us", 30)),
        Row("idle", "19 000 idle clients, bytes each", "idle", ["--clients", "19000", "--measure-ms", "5000"],
            rivals=("mosquitto",), figure="rss_bytes_per_connection", unit="B",
            limit=("rss_bytes_per_connection", 700)),
        Row("churn", "10 000 come and go 20 times, growth", "churn", ["--clients", "10000", "--rounds", "20"], rivals=(),
            figure="rss_growth_bytes", unit="B", limit=("rss_growth_bytes", 2 * 1024 * 1024)),
    ]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, process):
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"the server ended with {process.returncode}: {process.args}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    sys.exit(f"the server does not listen: {process.args}")


def command(kind, row, port, http_port, folder, build):
    """The server's command line; writes its configuration."""
    if kind == "floor":
        return [os.path.join(build, "tests/bench/forward"), str(port)]
    if kind == "mosquitto":
        path = os.path.join(folder, "mosquitto.conf")
        with open(path, "w", encoding="ascii") as f:
            protocol = f"listener {http_port}\nprotocol websockets\n" if row.websocket else ""
            f.write(f"listener {port} 127.0.0.1\n{protocol}allow_anonymous true\npersistence false\nlog_type error\n"
                    "max_inflight_messages 0\nmax_queued_messages 0\n")
        return [shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"), "-c", path]
    workers = 1 if kind == "one worker" else row.workers
    path = os.path.join(folder, "tidegate.json")
    config = {
        "listeners": [{"protocol": "mqtt", "bind": f"127.0.0.1:{port}"},
                      {"protocol": "http", "bind": f"127.0.0.1:{http_port}"}],
        "workers": workers,
        "store": None,
        "limits": {"inflight_messages": row.window, "queued_messages": 100000, "subscriptions_per_session": 0,
                   "subscriptions_per_packet": 0},
        "log": {"level": "error"},
    }
    with open(path, "w", encoding="ascii") as f:
        json.dump(config, f)
    return [os.path.join(build, "tidegate"), "--config", path]


def measure(kind, row, build):
    """Run ROW once against a fresh server of KIND. @return the generator's figures"""
    with tempfile.TemporaryDirectory() as folder:
        port, http_port = free_port(), free_port()
        server = subprocess.Popen(["taskset", "-c", SERVER_CORE] + command(kind, row, port, http_port, folder, build),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(port, server)
            if row.websocket or row.workload == "post":
                wait_for(http_port, server)
            where = ["--port", str(http_port), "--websocket"] if row.websocket else ["--port", str(port)]
            if row.workload == "post":
                where += ["--http-port", str(http_port)]
            load = subprocess.run(
                ["taskset", "-c", LOAD_CORE, os.path.join(build, "tests/bench/load"), row.workload,
                 *where, "--pid", str(server.pid)] + row.args,
                stdout=subprocess.PIPE, check=False, timeout=600)
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    if load.returncode not in (0, 1):
        sys.exit(f"{row.name} on {kind}: the load generator failed")
    return json.loads(load.stdout)


def median_of(results, figure):
    return statistics.median(r[figure] for r in results)


def run_row(row, build, repeat):
    kinds = ["tidegate"] + [k for k in row.rivals]
    results = {kind: [] for kind in kinds}
    for _ in range(repeat):
        for kind in kinds:
            results[kind].append(measure(kind, row, build))
    return results


def judge(row, results):
    """The line's last columns. @return (ratio, verdict, ok)"""
    ours = median_of(results["tidegate"], row.figure)
    ok = True
    verdicts = []
    ratio = None
    rival = next((k for k in ("mosquitto", "one worker") if k in results), None)
    if rival is not None:
        theirs = median_of(results[rival], row.figure)
        ratio = ours / theirs if theirs > 0 else None
        if row.bound is not None and ratio is not None:
            ok &= ratio <= row.bound
            verdicts.append(f"<= {row.bound:.2f} {'kept' if ratio <= row.bound else 'BROKEN'}")
    if row.limit is not None:
        value = median_of(results["tidegate"], row.limit[0])
        kept = value <= row.limit[1]
        ok &= kept
        verdicts.append(f"<= {row.limit[1]} {row.unit} {'kept' if kept else 'BROKEN'}")
    wrong = sum(r.get("wrong", 0) for r in results["tidegate"])
    if wrong > 0:
        ok = False
        verdicts.append(f"{wrong} messages WRONG")
    return ratio, ", ".join(verdicts), ok


def number(results, kind, row):
    if kind not in results:
        return "-"
    value = median_of(results[kind], row.figure)
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="build folder, with tidegate and tests/bench/load")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", help="write all figures here")
    parser.add_argument("rows", nargs="*", metavar="ROW")
    options = parser.parse_args()
    table = rows(options.seconds)
    names = [row.name for row in table]
    unknown = [name for name in options.rows if name not in names]
    if unknown:
        parser.error(f"unknown row {unknown[0]}; there are: {' '.join(names)}")
    print(f"{'row':12} {'workload':36} {'tidegate':>9} {'mosquitto':>9} {'1 worker':>9} {'floor':>9} {'ratio':>6}  bound")
    everything = {}
    all_ok = True
    for row in table:
        if options.rows and row.name not in options.rows:
            continue
        results = run_row(row, options.build, options.repeat)
        ratio, verdict, ok = judge(row, results)
        all_ok &= ok
        everything[row.name] = {"figure": row.figure, "unit": row.unit, "ratio": ratio, "ok": ok, "results": results}
        print(f"{row.name:12} {row.text:36} {number(results, 'tidegate', row):>9} {number(results, 'mosquitto', row):>9} "
              f"{number(results, 'one worker', row):>9} {number(results, 'floor', row):>9} "
              f"{'-' if ratio is None else format(ratio, '.3f'):>6}  {verdict}", flush=True)
    if options.json:
        with open(options.json, "w", encoding="ascii") as f:
            json.dump(everything, f, indent=1)
    sys.exit(0 if all_ok else 1)


if __name__ == "__main__":
    main()
