"""Tests that take time, without a clock of their own.

Time passes with the events of the broker itself: the will of a client that is gone, delayed by so many seconds, arrives when
they are over. Nothing may come early; late is allowed as much as a loaded machine needs.
"""

import time

from . import wire
from .case import Case

LATE_S = 6.0


class TimedCase(Case):
    def client(self, client_id="", version=5, **options):
        client = self.keep(wire.Wire(self.server.address, version))
        self.answer = client.connect(client_id, **options)
        self.assertEqual(self.answer.reason, 0)
        return client

    def watcher(self, *suffixes):
        watcher = self.client()
        watcher.subscribe(*((self.name(one), 1) for one in suffixes))
        return watcher

    def leave_will(self, suffix, delay_s, expiry_s=100, client_id=""):
        """A client that breaks its connection; its will says SUFFIX after DELAY_S. Returns when it left."""
        client = self.client(client_id, props={"session_expiry": expiry_s},
                             will=(self.name(suffix), suffix, 1, False, {"will_delay": delay_s}))
        left = time.monotonic()
        client.abort()
        return left

    def wait_s(self, seconds):
        """A clock that the broker keeps."""
        watcher = self.watcher("clock")
        left = self.leave_will("clock", seconds)
        watcher.read(wire.PUBLISH)
        self.assertGreaterEqual(time.monotonic() - left, seconds - 0.01)
        watcher.close()
