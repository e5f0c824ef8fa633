"""A gateway process with a durable store, which can be killed at any moment and started again on the same folder and ports.

DURABILITY_STORE=none runs it without a store: every test of what lasts has to fail then.
"""

import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from harness import DEADLINE, wire  # noqa: E402
from harness.server import (PROGRAM, SANITIZER_WORDS, die_with_parent, free_port, program_for_others,  # noqa: E402
                            program_problem, sanitizer_of, tail)

__all__ = ["DEADLINE", "Gateway", "MIB", "PROGRAM", "RecoveryFailed", "die_with_parent", "free_port", "has_store",
           "limit_file_size", "need_program", "program_for_others", "sanitizer_of", "tail", "wire"]

MIB = 1048576


class RecoveryFailed(Exception):
    """The process ended, or was not ready at the deadline; says its log."""


def has_store():
    return os.environ.get("DURABILITY_STORE") != "none"


def need_program():
    """Exit unless there is something to test."""
    problem = program_problem()
    if problem:
        print(problem)
        sys.exit(1)


class Gateway:
    """PROGRAM with MQTT and HTTP on 127.0.0.1.

    store        folder of the store; None makes one that goes with close()
    size         store.size_limit_bytes
    limits       members of `limits`
    environment  variables for the process
    prepare      called in the child before the program runs
    """

    def __init__(self, store=None, size=1024 * MIB, workers=2, limits=None, environment=None, prepare=None, program=None,
                 **config):
        self.folder = tempfile.mkdtemp(prefix="tidegate-durability-")
        self.store = store or os.path.join(self.folder, "store")
        self.size = size
        self.workers = workers
        self.limits = dict(limits or {})
        self.environment = dict(environment or {})
        self.prepare = prepare
        self.program = program or PROGRAM
        self.config = config
        self.host = "127.0.0.1"
        self.port = self.http_port = None
        self.process = None
        self.starts = 0
        self.started = 0.0  # time.monotonic() before the process was made
        self.ready_s = 0.0  # from there to a 200 from /readyz

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.close()

    @property
    def address(self):
        return (self.host, self.port)

    @property
    def web(self):
        return (self.host, self.http_port)

    # ---- life

    def start(self, deadline=None):
        """Start, and wait until it is ready; RecoveryFailed if it is not."""
        for attempt in range(3):
            if self.port is None:
                self.port, self.http_port = free_port(), free_port()
            self.launch()
            try:
                self.wait_ready(deadline or 2 * DEADLINE)
                return
            except RecoveryFailed:
                if attempt == 2 or "in use" not in self.log():
                    raise
                if self.starts == 1:
                    self.port, self.starts = None, 0

    def launch(self):
        """Start, and wait for nothing."""
        self.starts += 1
        with open(self.log_path, "wb") as log:
            self.started = time.monotonic()
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **self.environment}, preexec_fn=self._in_child)

    def _in_child(self):
        die_with_parent()
        if self.prepare:
            self.prepare()

    def wait_ready(self, deadline):
        end = time.monotonic() + deadline
        while not self.is_ready():
            if self.process.poll() is not None:
                raise RecoveryFailed("the gateway ended with %d:\n%s" % (self.process.returncode, tail(self.log())))
            if time.monotonic() > end:
                self.kill()
                raise RecoveryFailed("the gateway was not ready in time:\n" + tail(self.log()))
            time.sleep(0.002)
        self.ready_s = time.monotonic() - self.started

    def is_ready(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.ask("GET", "/readyz", timeout=5)[0] == 200
        return False

    def kill(self):
        """kill -9, and wait for the end."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; returns the exit code, or fails when there is none."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(2 * DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("it did not stop:\n" + tail(self.log())) from None

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- what it looks like

    @property
    def log_path(self):
        return os.path.join(self.folder, "log%d" % (self.starts % 4))

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def complaint(self):
        """What a sanitizer said, or ""."""
        log = self.log()
        return tail(log) if any(word in log for word in SANITIZER_WORDS) else ""

    def ask(self, method, path, body=None, headers=None, timeout=None):
        """One request; (status, headers, body)."""
        web = http.client.HTTPConnection(*self.web, timeout=timeout or DEADLINE)
        try:
            web.request(method, path, body, headers or {})
            answer = web.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            web.close()

    def status_bytes(self, field):
        """A line of /proc/PID/status that counts kB."""
        with open("/proc/%d/status" % self.process.pid) as file:
            for line in file:
                if line.startswith(field + ":"):
                    return 1024 * int(line.split()[1])
        raise KeyError(field)

    # ---- configuration

    def command(self):
        config = {
            "listeners": [{"protocol": "mqtt", "bind": "%s:%d" % self.address},
                          {"protocol": "http", "bind": "%s:%d" % self.web}],
            "workers": self.workers,
            "access": {"anonymous": True},
            "limits": {"queued_messages": 10000000, "queued_bytes": 1 << 36, **self.limits},
            "store": {"path": self.store, "size_limit_bytes": self.size, "sync": "always"} if has_store() else None,
            **self.config,
        }
        path = os.path.join(self.folder, "tidegate.json")
        with open(path, "w") as file:
            json.dump(config, file, indent=2)
        return [self.program, "--config", path]


def limit_file_size(size):
    """For `prepare`: no file of the process grows above SIZE bytes (writes fail with EFBIG)."""

    def prepare():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return prepare
