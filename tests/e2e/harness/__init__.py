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
pahos.py     paho-mqtt                      timed.py    tests that take time
websocket.py the same in WebSocket frames
"""

import faulthandler
import os
import sys
import unittest

from .case import Case, not_mosquitto
from .clock import DEADLINE, wait_until
from .server import IS_MOSQUITTO, SMALL_QUARANTINE, Server, memory, program_problem

__all__ = ["Case", "DEADLINE", "SMALL_QUARANTINE", "Server", "main", "memory", "not_mosquitto", "wait_until"]

HANG = 240  # seconds after which a test program that hangs tells where, and dies


def main():
    """Run the calling program's tests; exit 0, 77 (nothing to run) or 1."""
    problem = program_problem()
    if problem:
        print(problem)
        sys.exit(77 if IS_MOSQUITTO else 1)
    faulthandler.dump_traceback_later(HANG * float(os.environ.get("E2E_TIMEOUT_MULTIPLIER", "1")), exit=True)
    program = unittest.main(verbosity=2, exit=False)
    sys.stdout.flush()
    sys.stderr.flush()
    result = program.result
    if not result.wasSuccessful() or not (result.testsRun or result.skipped):
        sys.exit(1)
    sys.exit(77 if len(result.skipped) >= result.testsRun else 0)
