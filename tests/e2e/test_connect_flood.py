"""Thousands of connections that never finish their CONNECT: memory has a bound, and those who behave are served.

E2E_FULL=1 opens 10 000 of them, which need a hard limit of at least that many descriptors; otherwise it is 2 000, with a
bound in proportion.
"""

import os
import resource
import unittest

import harness
from harness import wire

MEBIBYTE = 1024 * 1024
FULL = 10000
COUNT = FULL if os.environ.get("E2E_FULL") == "1" else 2000
BOUND = 500 * MEBIBYTE * COUNT // FULL


def setUpModule():
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < COUNT + 200:
        raise unittest.SkipTest("needs %d descriptors, the hard limit is %d" % (COUNT + 200, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Flood(harness.Case):
    options = {
        "limits": {"connect_timeout_ms": 120000, "memory_bytes": BOUND * 3 // 4},
        "environment": harness.SMALL_QUARANTINE,
    }

    def half_send(self, packet, half):
        """COUNT connections that each offer the first HALF bytes of PACKET, as far as they are taken; the highest memory seen."""
        highest = 0
        refused = 0
        sockets = []
        try:
            for i in range(COUNT):
                try:
                    sock = wire.open_socket(self.server.address)
                except OSError:
                    refused += 1
                    continue
                sockets.append(sock)
                sock.setblocking(False)
                sent = 0
                try:
                    while sent < half:
                        sent += sock.send(packet[sent : min(half, sent + 16384)])
                except BlockingIOError:
                    pass  # it does not read
                except OSError:
                    refused += 1  # it has closed
                if i % 100 == 0:
                    highest = max(highest, self.server.rss_bytes())
            self.serve_one()
            highest = max(highest, self.server.rss_bytes())
        finally:
            for sock in sockets:
                sock.close()
        if os.environ.get("E2E_FULL") == "1":
            print("%d connections, %d refused, at most %.1f MB" % (len(sockets), refused, highest / 1e6))
        return highest

    def serve_one(self):
        """The broker serves, or says that it is full; it does not hang."""
        client = None
        try:
            client = wire.Wire(self.server.address)
            client.connect()
            client.ping()
        except (wire.Closed, OSError) as error:
            self.assertNotIsInstance(error, TimeoutError)
        finally:
            if client:
                client.close()

    def serves_again(self):
        try:
            with wire.open_socket(self.server.address) as sock:
                sock.sendall(wire.connect())
                return sock.recv(1) == b"\x20"
        except OSError:
            return False

    @harness.not_mosquitto("allocates what is announced")
    def test_half_sent_connects_of_2_mb_stay_within_bounds(self):
        packet = wire.connect("big", will=("w", b"x" * 60000, 0, False, None),
                              props={"user_property": [("k", "v" * 60000)] * 33})
        self.assertGreater(len(packet), 2000000)
        before = self.server.rss_bytes()
        highest = self.half_send(packet, len(packet) // 2)
        self.assertLess(highest - before, harness.memory(BOUND))
        harness.wait_until(self.serves_again, "it serves again")

    @harness.not_mosquitto("has no bound over all clients")
    def test_half_sent_connects_of_allowed_size_stay_within_bounds(self):
        packet = wire.connect("allowed", props={"user_property": [("k", "v" * 50000)] * 2})
        self.assertLess(len(packet), 128 * 1024)
        before = self.server.rss_bytes()
        highest = self.half_send(packet, len(packet) - 1)
        self.assertLess(highest - before, harness.memory(BOUND))
        harness.wait_until(self.serves_again, "it serves again")

    def test_silent_connections_cost_little(self):
        before = self.server.rss_bytes()
        highest = self.half_send(b"\x10", 1)
        # 8 KiB each is far above what one should cost, and far below a buffer of its own
        self.assertLess(highest - before, harness.memory(COUNT * 8192))
        harness.wait_until(self.serves_again, "it serves again")

    def test_descriptors_are_given_back(self):
        harness.wait_until(self.serves_again, "it serves")
        harness.wait_until(lambda: self.server.descriptors() < 200, "those of earlier connections are closed")
        before = self.server.descriptors()
        for _ in range(3):
            sockets = [wire.open_socket(self.server.address) for _ in range(100)]
            for i, sock in enumerate(sockets):
                sock.sendall(wire.connect("fd%d" % i)[: i % 20])
            for sock in sockets:
                sock.close()
        harness.wait_until(lambda: self.server.descriptors() <= before, "as few descriptors are open as before")


if __name__ == "__main__":
    harness.main()
