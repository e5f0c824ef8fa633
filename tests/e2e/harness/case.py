"""What a test case is: tests that share one broker."""

import unittest

from .server import IS_MOSQUITTO, Server


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
