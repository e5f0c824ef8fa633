"""One broker process: configuration, start, readiness, memory, clean stop.

The program comes from the environment variable TIDEGATE (make check sets it to the one just built). E2E_BROKER=mosquitto runs
the same tests against Mosquitto instead, which tells a wrong test from a wrong broker; what it cannot do is skipped.
"""

import atexit
import ctypes
import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from .clock import DEADLINE

PR_SET_PDEATHSIG = 1
READY_RETRIES = 3  # a port that was free may be taken by the time the broker binds it
SANITIZER_WORDS = ("Sanitizer", "runtime error:", "assertion failed")

PROGRAM = os.environ.get("TIDEGATE", "./tidegate")
IS_MOSQUITTO = os.environ.get("E2E_BROKER") == "mosquitto"

# limits.* by the name Mosquitto has for it; others have none
MOSQUITTO_LIMITS = {
    "inflight_messages": "max_inflight_messages",
    "queued_messages": "max_queued_messages",
    "queued_bytes": "max_queued_bytes",
    "queue_qos0": "queue_qos0_messages",
    "keep_alive_s_max": "max_keepalive",
    "connections": "max_connections",
    "topic_alias_max": "max_topic_alias",
}

# for tests that measure memory: the address sanitizer keeps 256 MB of freed memory otherwise
SMALL_QUARANTINE = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}


def program_problem():
    """Why no test can run here, or None."""
    if IS_MOSQUITTO:
        return None if shutil.which("mosquitto", path=search_path()) else "mosquitto is not installed"
    return None if os.access(PROGRAM, os.X_OK) else PROGRAM + " is not built"


def search_path():
    return os.environ.get("PATH", "") + ":/usr/sbin"


@functools.lru_cache(maxsize=None)
def sanitizer_of(program=PROGRAM):
    """"address", "thread" or None: what PROGRAM was built with. It decides how much memory and time a test allows."""
    if IS_MOSQUITTO:
        return None
    with open(program, "rb") as file:
        image = file.read()
    if b"__tsan_init" in image:
        return "thread"
    return "address" if b"__asan_init" in image else None


def memory(size):
    """SIZE bytes, and what sanitizers add to them: shadow memory, red zones, freed memory that they keep for a while."""
    return size * {None: 1, "address": 4, "thread": 6}[sanitizer_of()]


def free_port(family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return probe.getsockname()[1]


def die_with_parent():
    """In the child: a test program that is killed takes its broker along."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@functools.lru_cache(maxsize=None)
def program_for_others():
    """A copy of the program, and variables for it, with which every account can run it: what was built, and what a sanitizer is told to
    read, may lie in a folder that is closed to others."""
    folder = tempfile.mkdtemp(prefix="tidegate-program-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.chmod(folder, 0o755)
    options = os.environ.get("TSAN_OPTIONS", "")
    told = re.search(r"suppressions=(\S+)", options)
    environment = {}
    if told:
        environment["TSAN_OPTIONS"] = options.replace(told.group(1), shutil.copy(told.group(1), folder))
    return shutil.copy(PROGRAM, folder), environment


class Server:
    """A broker that listens on 127.0.0.1, and where asked on ::1, a unix socket and for HTTP.

    workers       number of worker threads; None leaves the program's default
    limits        members of `limits`
    config        further members of the configuration
    environment   variables for the process
    """

    def __init__(self, workers=None, limits=None, ipv6=False, unix=False, config=None, environment=None, http=False):
        self.workers = workers
        self.limits = dict(limits or {})
        self.config = dict(config or {})
        self.environment = dict(environment or {})
        self.ipv6 = ipv6
        self.unix = unix
        self.http = http
        self.http_port = None
        self.host = "127.0.0.1"
        self.port = None
        self.port6 = None
        self.unix_path = None
        self.process = None
        self.folder = None
        self.log_file = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, error, *unused):
        if error:
            self.discard()
        else:
            self.stop()

    # ---- life

    def start(self):
        self.folder = tempfile.mkdtemp(prefix="tidegate-e2e-")
        for attempt in range(READY_RETRIES):
            self.port = free_port()
            self.port6 = free_port(socket.AF_INET6) if self.ipv6 else None
            self.unix_path = os.path.join(self.folder, "mqtt.sock") if self.unix else None
            self.http_port = free_port() if self.http else None
            if self._start_once():
                return
            if attempt == READY_RETRIES - 1:
                break
        log = self.log()
        self._remove()
        raise AssertionError("the broker did not start:\n" + log)

    def _start_once(self):
        self.log_file = open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen(
            self._command(),
            stdin=subprocess.DEVNULL,
            stdout=self.log_file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.environment},
            preexec_fn=die_with_parent,
        )
        end = time.monotonic() + DEADLINE
        addresses = [self.address] + ([("::1", self.port6)] if self.ipv6 else []) + ([self.unix_path] if self.unix else [])
        while addresses or (self.http and not self._is_ready()):
            if self.process.poll() is not None:
                self.log_file.close()
                return False
            if addresses and self._answers(addresses[0]):
                addresses.pop(0)
            elif time.monotonic() > end:
                self._kill()
                return False
            else:
                time.sleep(0.01)
        return True

    def _is_ready(self):
        """Everything is served: it listens for HTTP before the store is read."""
        try:
            with socket.create_connection((self.host, self.http_port), 1) as probe:
                probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return probe.recv(64).startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False

    @staticmethod
    def _answers(address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            return probe.connect_ex(address) == 0

    def stop(self):
        """SIGTERM; fails unless the process exits 0 and no sanitizer spoke."""
        if self.process is None:
            return
        ended = self.process.poll()
        if ended is not None:
            log = self.log()
            self._remove()
            raise AssertionError("the broker ended by itself with %d:\n%s" % (ended, tail(log)))
        self.signal(signal.SIGTERM)
        self.finish()

    def finish(self):
        """Wait for the end of a process that was told to stop; fails unless it exits 0 and no sanitizer spoke."""
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self._kill()
        code = self.process.returncode
        log = self.log()
        self._remove()
        if code != 0:
            raise AssertionError("the broker exited %d when told to stop:\n%s" % (code, tail(log)))
        if any(word in log for word in SANITIZER_WORDS):
            raise AssertionError("the broker complained:\n" + tail(log))

    def discard(self):
        """End it without asking how; for cleaning up after a failed test."""
        if self.process is not None:
            self._remove()

    def _kill(self):
        self.process.kill()
        self.process.wait()

    def _remove(self):
        self.log_file.close()
        if self.process.poll() is None:
            self._kill()
        self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def signal(self, number):
        self.process.send_signal(number)

    # ---- what it looks like from outside

    @property
    def address(self):
        return (self.host, self.port)

    @property
    def pid(self):
        return self.process.pid

    def is_alive(self):
        return self.process.poll() is None

    def log(self):
        with open(os.path.join(self.folder, "log"), "r", errors="replace") as file:
            return file.read()

    def rss_bytes(self):
        """Anonymous memory that the process has resident now."""
        with open("/proc/%d/status" % self.pid) as file:
            return 1024 * int(re.search(r"^RssAnon:\s+(\d+) kB", file.read(), re.M).group(1))

    def threads(self):
        return len(os.listdir("/proc/%d/task" % self.pid))

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    # ---- configuration

    def _command(self):
        return self._mosquitto() if IS_MOSQUITTO else self._tidegate()

    def _tidegate(self):
        listeners = [{"protocol": "mqtt", "bind": "%s:%d" % self.address}]
        if self.ipv6:
            listeners.append({"protocol": "mqtt", "bind": "[::1]:%d" % self.port6})
        if self.unix:
            listeners.append({"protocol": "mqtt", "unix": self.unix_path})
        if self.http:
            listeners.append({"protocol": "http", "bind": "%s:%d" % (self.host, self.http_port)})
        config = {"listeners": listeners, "access": {"anonymous": True}, "store": None, **self.config}
        if self.workers is not None:
            config["workers"] = self.workers
        if self.limits:
            config["limits"] = self.limits
        path = os.path.join(self.folder, "tidegate.json")
        with open(path, "w") as file:
            json.dump(config, file, indent=2)
        return [PROGRAM, "--config", path]

    def _mosquitto(self):
        access = self.config.get("access", {})
        lines = ["user root", "sys_interval %d" % self.config.get("sys_interval_s", 10)]
        lines += ["allow_anonymous %s" % str(access.get("anonymous", "password_file" not in access)).lower()]
        lines += ["%s %s" % (key, access[key]) for key in ("password_file", "acl_file") if key in access]
        lines += ["listener %d %s" % (self.port, self.host)]
        if self.ipv6:
            lines += ["listener %d ::1" % self.port6]
        if self.unix:
            lines += ["listener 0 " + self.unix_path]
        if self.http:
            lines += ["listener %d %s" % (self.http_port, self.host), "protocol websockets"]
        for key, value in self.limits.items():
            if key in MOSQUITTO_LIMITS:
                lines.append("%s %s" % (MOSQUITTO_LIMITS[key], str(value).lower()))
        path = os.path.join(self.folder, "mosquitto.conf")
        with open(path, "w") as file:
            file.write("\n".join(lines) + "\n")
        return [shutil.which("mosquitto", path=search_path()), "-c", path]


def tail(log, lines=60):
    return "\n".join(log.splitlines()[-lines:])
