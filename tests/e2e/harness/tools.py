"""mosquitto_pub and mosquitto_sub as processes.

A subscriber runs with -d, which says when a SUBACK has come, and under stdbuf, which makes it say so at once; its debug lines
are told from messages and kept apart.
"""

import queue
import subprocess
import threading

from .clock import DEADLINE
from .server import die_with_parent

DEBUG_PREFIXES = ("Client ", "Subscribed (mid:")


def target(server, via="tcp"):
    """Options for where SERVER listens: "tcp", "ipv6" or "unix"."""
    if via == "unix":
        return ["--unix", server.unix_path]
    return ["-h", "::1" if via == "ipv6" else server.host, "-p", str(server.port6 if via == "ipv6" else server.port)]


def publish(server, *options, via="tcp", payload=None, check=True):
    """mosquitto_pub with OPTIONS; PAYLOAD (bytes) goes through its standard input, as one message unless "-l" makes it one per line.

    Returns exit code and output."""
    command = ["mosquitto_pub", *target(server, via), *options]
    if payload is not None and "-l" not in options:
        command.append("-s")
    done = subprocess.run(
        command,
        input=payload or b"",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DEADLINE,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError("%r exited %d: %s" % (command, done.returncode, done.stdout.decode(errors="replace")))
    return done.returncode, done.stdout.decode(errors="replace")


class Subscriber:
    """mosquitto_sub with OPTIONS, subscribed when the constructor returns (unless READY is False)."""

    def __init__(self, server, *options, via="tcp", ready=True):
        self.command = ["stdbuf", "-oL", "mosquitto_sub", *target(server, via), "-d", *options]
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )
        self.lines = queue.Queue()
        self.debug = []
        self.subscribed = threading.Event()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        if ready and not self.subscribed.wait(DEADLINE):
            self.close()
            raise AssertionError("%r did not subscribe: %r" % (self.command, self.debug))

    def _read(self):
        for raw in self.process.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            if line.startswith(DEBUG_PREFIXES):
                self.debug.append(line)
                if line.startswith("Subscribed"):
                    self.subscribed.set()
            else:
                self.lines.put(line)
        self.lines.put(None)

    def line(self):
        """The next line that is a message."""
        try:
            line = self.lines.get(timeout=DEADLINE)
        except queue.Empty:
            raise AssertionError("%r got no message; it said %r" % (self.command, self.debug)) from None
        if line is None:
            raise AssertionError("%r ended; it said %r" % (self.command, self.debug))
        return line

    def take(self, count):
        return [self.line() for _ in range(count)]

    def rest(self):
        """What is left after the process has ended (by -C, -E, -W)."""
        self.thread.join(DEADLINE)
        if self.thread.is_alive():
            raise AssertionError("%r goes on" % (self.command,))
        out = []
        while True:
            line = self.lines.get()
            if line is None:
                return out
            out.append(line)

    def stop(self):
        """SIGTERM: it sends DISCONNECT and ends."""
        self.process.terminate()
        self.process.wait(DEADLINE)

    def kill(self):
        """SIGKILL: the connection ends without DISCONNECT."""
        self.process.kill()
        self.process.wait(DEADLINE)

    def close(self):
        self.kill()
        self.thread.join(DEADLINE)
        self.process.stdout.close()
