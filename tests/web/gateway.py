"""A gateway process with an HTTP listener, and raw connections to it: bytes out, answers in."""

import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

DEADLINE = 20 * int(os.environ.get("CK_TIMEOUT_MULTIPLIER", "1") or 1)
SERVER = os.path.join(os.path.dirname(os.environ.get("TIDEGATE", "./tidegate")), "tests", "web", "server")
PROGRAM = os.environ.get("TIDEGATE", "./tidegate")
SANITIZER_WORDS = ("Sanitizer", "runtime error:", "assertion failed")
HOST = b"Host: localhost\r\n"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what):
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("never happened: " + what)
        time.sleep(0.01)


class Gateway:
    """PROGRAM with an HTTP listener on `port` (or `listener`, which replaces its address) and an MQTT listener on `mqtt_port`."""

    def __init__(self, program, http=None, limits=None, workers=3, listener=None, environment=None, **config):
        self.folder = tempfile.mkdtemp(prefix="tidegate-web-")
        self.log_path = os.path.join(self.folder, "log")
        self.environment = {**os.environ, **(environment or {})}
        for attempt in range(5):
            self.port = free_port()
            self.mqtt_port = free_port()
            self.config = {
                "listeners": [
                    {"protocol": "http", "bind": "127.0.0.1:%d" % self.port, **(listener or {})},
                    {"protocol": "mqtt", "bind": "127.0.0.1:%d" % self.mqtt_port},
                ],
                "workers": workers,
                "store": None,
                "http": http or {},
                "limits": limits or {},
                **config,
            }
            if self._start([program] if program == SERVER else [program, "--config"]):
                return
        raise AssertionError("did not start:\n" + self.log())

    def write_config(self):
        with open(os.path.join(self.folder, "config.json"), "w") as file:
            json.dump(self.config, file)

    def _start(self, command):
        self.write_config()
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [*command, os.path.join(self.folder, "config.json")], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment,
                preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL))
        end = time.monotonic() + DEADLINE
        while not re.search(r"(^|\s)ready\b", self.log()):
            if self.process.poll() is not None:
                return False
            if time.monotonic() > end:
                raise AssertionError("not ready:\n" + self.log())
            time.sleep(0.01)
        return True

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def stop(self):
        ended = self.process.poll()
        if ended is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = "nothing: it hung"
        log = self.log()
        shutil.rmtree(self.folder, ignore_errors=True)
        if ended is not None or code != 0 or any(word in log for word in SANITIZER_WORDS):
            raise AssertionError("ended with %s when told to stop (%s before):\n%s" % (code, ended, log[-8000:]))

    def connect(self):
        return Connection(self.port)

    def cpu_s(self):
        """Processor time that the process has used."""
        with open("/proc/%d/stat" % self.process.pid) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # lower case name -> value, the last one of several
        self.body = body

    def json(self):
        return json.loads(self.body)


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def __del__(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("closed after %r" % bytes(self.buffer[-200:]))
        self.buffer += data

    def take(self, length):
        while len(self.buffer) < length:
            self._more()
        data = bytes(self.buffer[:length])
        del self.buffer[:length]
        return data

    def line(self):
        while b"\n" not in self.buffer:
            self._more()
        return self.take(self.buffer.index(b"\n") + 1).rstrip(b"\r\n")

    def head(self):
        version, status, _ = self.line().split(b" ", 2)
        assert version == b"HTTP/1.1", version
        headers = {}
        while True:
            line = self.line()
            if not line:
                return int(status), headers
            name, value = line.split(b":", 1)
            headers[name.decode().lower()] = value.strip().decode("latin-1")

    def answer(self, is_head=False):
        """The next whole answer."""
        status, headers = self.head()
        if is_head or status in (204, 304) or status < 200:
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size = int(self.line(), 16)
                body += self.take(size)
                assert self.take(2) == b"\r\n"
                if size == 0:
                    break
        elif "content-length" in headers:
            body = self.take(int(headers["content-length"]))
        else:
            body = self.rest()
        return Answer(status, headers, body)

    def rest(self):
        """Everything until the peer closes; a reset raises."""
        try:
            while True:
                self._more()
        except EOFError:
            return self.take(len(self.buffer))

    def is_closed(self):
        """Wait for the end: True, or an error if something comes or nothing happens."""
        rest = self.rest()
        assert rest == b"", rest
        return True


def request(method, path, headers=b"", body=None, version=b"1.1", host=HOST):
    length = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
    return b"%s %s HTTP/%s\r\n%s%s%s\r\n%s" % (method, path, version, host, headers, length, body or b"")


class Case(unittest.TestCase):
    """One gateway for all tests of the class, which `options` describe."""

    program = SERVER
    options = {}

    @classmethod
    def setUpClass(cls):
        cls.gateway = Gateway(cls.program, **cls.options)

    @classmethod
    def tearDownClass(cls):
        cls.gateway.stop()

    def connect(self):
        connection = self.gateway.connect()
        self.addCleanup(connection.socket.close)
        return connection

    def ask(self, *args, is_head=False, **kwargs):
        """One request on a connection of its own."""
        with self.gateway.connect() as connection:
            connection.send(request(*args, **kwargs))
            return connection.answer(is_head)

    def stats(self):
        return self.ask(b"GET", b"/stats").json()

    def check_alive(self):
        self.assertEqual(self.ask(b"GET", b"/stats" if self.program == SERVER else b"/healthz").status, 200)

    def check_idle(self):
        """No worker turns in circles."""
        before = self.gateway.cpu_s()
        time.sleep(0.5)
        self.assertLess(self.gateway.cpu_s() - before, 0.25)
