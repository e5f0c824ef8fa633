"""Deadlines: how long a test waits for an event that is certain to come if the broker is right."""

import os
import time

DEADLINE = 15.0 * float(os.environ.get("E2E_TIMEOUT_MULTIPLIER", "1"))  # seconds


def wait_until(condition, what, deadline=None, every=0.01):
    """Ask CONDITION until it holds; for states that nothing announces (a process's memory, a file)."""
    end = time.monotonic() + (deadline or DEADLINE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("gave up waiting until " + what)
        time.sleep(every)
