#!/usr/bin/env python3
"""Measure Tidegate beside Mosquitto and a bare forwarder, interleaved, and print a table with ratios.

    bench.py --build DIR [--repeat N] [--seconds S] [--json FILE] [ROW...]

Each row is one workload. The server runs on one core, the load generator on the other; the figure is CPU time of the
server process per delivered message. Rows with a bound say whether it is kept. Exit 1 if a bound is broken or a message was lost,
doubled or out of order.

Rows of the durable store have their stores in folders that are made in DIR, and taken away again.
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
import urllib.request

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = str(CORES[0])
LOAD_CORE = str(CORES[-1])
START_S = 10
READY_S = 120
STOP_S = 20
SINGLE_COMMITS = 500
PAGE_BYTES = 4096
COMMIT_PAGES = 4        # that the store writes for one small message, and then this much of the page that makes them valid
COMMIT_META_BYTES = 120
QUEUE_MESSAGES_MAX = 10 ** 7
QUEUE_BYTES_MAX = 8 * 10 ** 9
# What Tidegate is compared with beside Mosquitto; a row has at most one of them.
BESIDE = ("one worker", "no store", "bare commit")


class Row:
    """One line of the table: a workload and who runs it."""

    def __init__(self, name, text, workload, args, *, rivals=("mosquitto", "floor"), bound=None, limit=None,
                 workers=1, figure="cpu_us", unit="us", window=1000, websocket=False, durable=False):
        self.name = name          # what the command line calls it
        self.text = text
        self.workload = workload
        self.args = args
        self.rivals = rivals
        self.bound = bound        # largest allowed ratio to the first rival that is not the floor
        self.limit = limit        # (figure, largest allowed value)
        self.workers = workers
        self.figure = figure
        self.unit = unit
        self.websocket = websocket
        self.window = window      # inflight_messages of the server
        self.durable = durable    # Tidegate has its store on disk


def rows(seconds, messages):
    time_args = ["--measure-ms", str(int(seconds * 1000))]
    pairs = ["--clients", "10"] + time_args
    fan_in = ["--clients", "500", "--window", "20"] + time_args
    away = ["--clients", "50", "--window", "100", "--payload", "256"]
    kept = pairs + ["--window", "100", "--kept"]
    queue = ["--clients", str(min(1000, messages)), "--window", "50", "--qos", "1", "--payload", "256",
             "--messages", str(messages)]
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
        Row("durable-1", "50 to sessions that are away, QoS 1", "offline", away + ["--qos", "1"] + time_args,
            rivals=("mosquitto",), limit=("cpu_us", 6), durable=True),
        Row("durable-2", "50 to sessions that are away, QoS 2", "offline", away + ["--qos", "2"] + time_args,
            rivals=("mosquitto",), durable=True),
        Row("durable-pairs-1", "10 pairs, QoS 1, kept sessions", "pairs", kept + ["--qos", "1"],
            rivals=("no store",), bound=2.0, durable=True),
        Row("durable-pairs-2", "10 pairs, QoS 2, kept sessions", "pairs", kept + ["--qos", "2"],
            rivals=("no store",), durable=True),
        Row("durable-wait", "one unbatched PUBACK, p50", "queue",
            ["--clients", "1", "--window", "1", "--qos", "1", "--payload", "256", "--wait",
             "--messages", str(min(messages, SINGLE_COMMITS))],
            rivals=("bare commit",), figure="p50_us", bound=1.5, durable=True),
        Row("queued", f"{messages} messages queued, heap", "queue", queue, rivals=(), figure="anon_bytes", unit="B",
            limit=("anon_bytes", 200 * 1000 * 1000), durable=True),
        Row("restart", f"{messages} retained + queued, ready", "restart", queue, rivals=(), figure="ready_s", unit="s",
            limit=("ready_s", 3), durable=True),
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


def wait_until_ready(http_port, process):
    """Until GET /readyz says 200, which is after the store has been read."""
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"the server ended with {process.returncode}: {process.args}")
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/readyz", timeout=1) as answer:
                if answer.status == 200:
                    return
        time.sleep(0.005)
    sys.exit(f"the server is not ready after {READY_S} s: {process.args}")


def metrics(http_port):
    """@return dict of what /metrics says, by name and labels"""
    with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


# --- the disk


def percentiles(seconds):
    ordered = sorted(seconds)
    return {"p50_us": ordered[len(ordered) // 2] * 1e6, "p99_us": ordered[len(ordered) * 99 // 100] * 1e6,
            "count": len(ordered)}


def time_syncs(folder, pages, count, meta_bytes=0):
    """Overwrite PAGES scattered pages of a file in FOLDER and sync them, then META_BYTES that are synced by themselves; COUNT times."""
    path = os.path.join(folder, "syncs")
    seconds = []
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    meta_fd = os.open(path, os.O_WRONLY | os.O_DSYNC)
    try:
        os.pwrite(fd, os.urandom(PAGE_BYTES * (pages * 64 + 1)), 0)
        os.fsync(fd)
        for i in range(count):
            data = os.urandom(PAGE_BYTES)
            begin = time.monotonic()
            for page in range(pages):
                os.pwrite(fd, data, PAGE_BYTES * (1 + page * 64 + i * 7 % 64))
            os.fdatasync(fd)
            if meta_bytes > 0:
                os.pwrite(meta_fd, data[:meta_bytes], 0)
            seconds.append(time.monotonic() - begin)
    finally:
        os.close(meta_fd)
        os.close(fd)
        os.unlink(path)
    return percentiles(seconds)


def bare_commit(folder, count):
    """What the store does for one small message, without the store: pages, a sync, what makes them valid, a sync."""
    return time_syncs(folder, COMMIT_PAGES, count, COMMIT_META_BYTES)


def filesystem(path):
    path = os.path.realpath(path)
    with open("/proc/mounts", encoding="utf-8") as f:
        mounts = [line.split()[:3] for line in f]
    covering = [m for m in mounts if os.path.commonpath([path, m[1]]) == m[1]]
    device, _, kind = max(covering, key=lambda m: len(m[1]))
    return f"{kind} on {device}"


def describe_disk(build):
    with tempfile.TemporaryDirectory(prefix="store-", dir=build) as folder:
        sync = time_syncs(folder, 1, 200)
    print(f"stores in {build}, {filesystem(build)}; fdatasync of one page: "
          f"p50 {sync['p50_us'] / 1e3:.2f} ms, p99 {sync['p99_us'] / 1e3:.2f} ms", flush=True)
    return sync


# --- running


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
        "sys_interval_s": 0 if row.durable else 10,
        "limits": {"inflight_messages": row.window, "queued_messages": 100000, "subscriptions_per_session": 0,
                   "subscriptions_per_packet": 0},
        "log": {"level": "error"},
    }
    if row.durable:
        config["limits"].update(queued_messages=QUEUE_MESSAGES_MAX, queued_bytes=QUEUE_BYTES_MAX)
        if kind == "tidegate":
            config["store"] = {"path": os.path.join(folder, "store")}
    with open(path, "w", encoding="ascii") as f:
        json.dump(config, f)
    return [os.path.join(build, "tidegate"), "--config", path]


def start(kind, row, port, http_port, folder, build):
    server = subprocess.Popen(["taskset", "-c", SERVER_CORE] + command(kind, row, port, http_port, folder, build),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if row.durable and kind != "mosquitto":
        wait_until_ready(http_port, server)
    wait_for(port, server)
    return server


def stop(server, how=signal.SIGTERM):
    server.send_signal(how)
    try:
        server.wait(STOP_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def generate(kind, row, build, server, workload, args):
    load = subprocess.run(["taskset", "-c", LOAD_CORE, os.path.join(build, "tests/bench/load"), workload,
                           "--pid", str(server.pid)] + args, stdout=subprocess.PIPE, check=False, timeout=600)
    if load.returncode not in (0, 1):
        sys.exit(f"{row.name} on {kind}: the load generator failed")
    return json.loads(load.stdout)


def store_figures(http_port, sent):
    """What the store says of itself after SENT messages."""
    all_of = metrics(http_port)
    commits = all_of["tidegate_store_commits_total"]
    return {
        "store_bytes": all_of["tidegate_store_written_bytes_total"] / sent,
        "commits_per_message": commits / sent,
        "operations_per_commit": all_of["tidegate_store_operations_total"] / max(commits, 1),
        "commit_us": all_of["tidegate_store_commit_duration_seconds_sum"] / max(commits, 1) * 1e6,
    }


def measure(kind, row, build):
    """Run ROW once against a fresh server of KIND. @return the generator's figures"""
    with tempfile.TemporaryDirectory(prefix="store-", dir=build if row.durable else None) as folder:
        if kind == "bare commit":
            return bare_commit(folder, SINGLE_COMMITS)
        port, http_port = free_port(), free_port()
        server = start(kind, row, port, http_port, folder, build)
        try:
            if row.websocket or row.workload == "post":
                wait_for(http_port, server)
            where = ["--port", str(http_port), "--websocket"] if row.websocket else ["--port", str(port)]
            if row.workload == "post":
                where += ["--http-port", str(http_port)]
            figures = generate(kind, row, build, server, row.workload, where + row.args)
            if row.durable and kind == "tidegate":
                figures.update(store_figures(http_port, figures["sent"]))
        finally:
            stop(server)
    return figures


def measure_restart(kind, row, build):
    """Fill a store, kill the server, and start it again. @return how long that took, and what was missing then"""
    messages = row.args[row.args.index("--messages") + 1]
    retained = ["--messages", messages, "--payload", "256", "--rounds", "1"]
    with tempfile.TemporaryDirectory(prefix="store-", dir=build) as folder:
        port, http_port = free_port(), free_port()
        where = ["--port", str(port)]
        server = start(kind, row, port, http_port, folder, build)
        try:
            filled = [generate(kind, row, build, server, "queue", where + row.args),
                      generate(kind, row, build, server, "retained", where + retained)]
        finally:
            stop(server, signal.SIGKILL)
        begin = time.monotonic()
        server = start(kind, row, port, http_port, folder, build)
        try:
            ready_s = time.monotonic() - begin
            there = metrics(http_port)
            ready_cpu_s = there["process_cpu_seconds_total"]
            back = [generate(kind, row, build, server, "retained", where + retained + ["--filled"]),
                    generate(kind, row, build, server, "collect", where + row.args)]
        finally:
            stop(server)
    missing = 2 * int(messages) - there["tidegate_queued_messages"] - there["tidegate_retained_messages"]
    return {"ready_s": ready_s, "ready_cpu_s": ready_cpu_s, "queued": there["tidegate_queued_messages"],
            "retained": there["tidegate_retained_messages"], "resident_bytes": there["process_resident_memory_bytes"],
            "retained_read_us": back[0]["cpu_us"], "collected_us": back[1]["cpu_us"],
            "wrong": sum(r["wrong"] for r in filled + back) + abs(missing)}


def median_of(results, figure):
    return statistics.median(r[figure] for r in results)


def run_row(row, build, repeat, only_ours):
    kinds = ["tidegate"] + [k for k in row.rivals if not only_ours]
    results = {kind: [] for kind in kinds}
    for _ in range(repeat):
        for kind in kinds:
            run = measure_restart if row.workload == "restart" else measure
            results[kind].append(run(kind, row, build))
    return results


def judge(row, results):
    """The line's last columns. @return (ratio, verdict, ok)"""
    ours = median_of(results["tidegate"], row.figure)
    ok = True
    verdicts = []
    ratio = None
    rival = next((k for k in ("mosquitto",) + BESIDE if k in results), None)
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


def details(row, results):
    """What one figure does not tell about the durable store."""
    ours = results["tidegate"]
    if row.workload == "restart":
        return (f"{median_of(ours, 'queued'):.0f} queued and {median_of(ours, 'retained'):.0f} retained are back "
                f"with {median_of(ours, 'ready_cpu_s'):.2f} s of CPU, {median_of(ours, 'resident_bytes') / 1e6:.0f} MB resident; then {median_of(ours, 'retained_read_us'):.2f} us "
                f"of CPU for each retained message to one #, {median_of(ours, 'collected_us'):.2f} us for each queued one")
    text = (f"{median_of(ours, 'per_second'):.0f} messages/s, {median_of(ours, 'written_bytes'):.0f} bytes of each to the "
            f"device and {median_of(ours, 'store_bytes'):.0f} to the store, "
            f"{median_of(ours, 'operations_per_commit'):.1f} operations in a commit of {median_of(ours, 'commit_us') / 1e3:.2f} ms; "
            f"p50 {median_of(ours, 'p50_us') / 1e3:.2f} ms, p99 {median_of(ours, 'p99_us') / 1e3:.2f} ms")
    if "bare commit" in results:
        bare = results["bare commit"]
        text += (f"; {median_of(ours, 'commits_per_message'):.2f} commits each; two bare syncs: "
                 f"p50 {median_of(bare, 'p50_us') / 1e3:.2f} ms, p99 {median_of(bare, 'p99_us') / 1e3:.2f} ms")
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="build folder, with tidegate and tests/bench/load")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--messages", type=int, default=1000000, help="of the rows queued and restart")
    parser.add_argument("--only-ours", action="store_true", help="measure Tidegate alone")
    parser.add_argument("--json", help="write all figures here")
    parser.add_argument("rows", nargs="*", metavar="ROW")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    table = rows(options.seconds, options.messages)
    names = [row.name for row in table]
    unknown = [name for name in options.rows if name not in names]
    if unknown:
        parser.error(f"unknown row {unknown[0]}; there are: {' '.join(names)}")
    everything = {}
    if any(row.durable and (not options.rows or row.name in options.rows) for row in table):
        everything["fdatasync"] = describe_disk(options.build)
    print(f"{'row':15} {'workload':36} {'tidegate':>9} {'mosquitto':>9} {'beside':>9} {'floor':>9} {'ratio':>6}  bound")
    all_ok = True
    for row in table:
        if options.rows and row.name not in options.rows:
            continue
        results = run_row(row, options.build, options.repeat, options.only_ours)
        ratio, verdict, ok = judge(row, results)
        all_ok &= ok
        everything[row.name] = {"figure": row.figure, "unit": row.unit, "ratio": ratio, "ok": ok, "results": results}
        beside = next((k for k in BESIDE if k in results), None)
        print(f"{row.name:15} {row.text:36} {number(results, 'tidegate', row):>9} {number(results, 'mosquitto', row):>9} "
              f"{number(results, beside, row):>9} {number(results, 'floor', row):>9} "
              f"{'-' if ratio is None else format(ratio, '.3f'):>6}  {verdict}", flush=True)
        if row.durable:
            print(f"{'':15} {details(row, results)}", flush=True)
    if options.json:
        with open(options.json, "w", encoding="ascii") as f:
            json.dump(everything, f, indent=1)
    sys.exit(0 if all_ok else 1)


if __name__ == "__main__":
    main()
