"""What every end-to-end test uses: a broker process of its own, clients to drive it, and ways to wait.

A test is a Python program of unittest cases. It starts one broker per class (Server), talks to it over real sockets and stops
it with SIGTERM; an unclean exit or a word from a sanitizer fails the class. Nothing sleeps to wait for a state: every wait
ends with the event it waits for, or fails at a deadline that a loaded machine with sanitizers still meets.

    class Retained(harness.Case):
        def test_keeps_the_last_value(self):
            ...

    if __name__ == "__main__":
        harness.main()

server.py    the broker process             wire.py     MQTT packets by hand, for what no library would send
tools.py     mosquitto_pub, mosquitto_sub   session.py  clients with a session that outlives connections
pahos.py     paho-mqtt
"""

import faulthandler
import os
import sys
import unittest

from .clock import DEADLINE, wait_until
from .server import IS_MOSQUITTO, Server, sanitizer_of, skip_program

__all__ = ["Case", "DEADLINE", "Server", "main", "not_mosquitto", "sanitizer_of", "wait_until"]

HANG = 240  # seconds after which a test program that hangs tells where, and dies


def not_mosquitto(what):
    """Skip a test under E2E_BROKER=mosquitto because of what Mosquitto 2.0 does otherwise."""
    return unittest.skipIf(IS_MOSQUITTO, what)


class Case(unittest.TestCase):
    """Tests that share one broker; a class says in `options` how it is configured."""

    options = {}
    server = None

    @classmethod
    def setUpClass(cls):
        cls.server = Server(**cls.options)
        cls.server.start()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def name(self, suffix=""):
        """A topic or client id of this test alone."""
        return self._testMethodName[5:] + ("/" + suffix if suffix else "")

    def keep(self, client):
        """Close CLIENT when the test ends, however it ends; returns it."""
        self.addCleanup(client.close)
        return client


def main():
    """Run the calling program's tests; exit 0, 77 (nothing to run) or 1."""
    reason = skip_program()
    if reason:
        print(reason)
        sys.exit(77)
    faulthandler.dump_traceback_later(HANG * float(os.environ.get("E2E_TIMEOUT_MULTIPLIER", "1")), exit=True)
    program = unittest.main(verbosity=2, exit=False)
    sys.stdout.flush()
    sys.stderr.flush()
    result = program.result
    if not result.wasSuccessful() or not (result.testsRun or result.skipped):
        sys.exit(1)
    sys.exit(77 if len(result.skipped) >= result.testsRun else 0)
