"""MQTT.js over native TCP and over WebSocket: runs mqttjs/native.cjs under node against a broker of its own."""

import os
import shutil
import subprocess
import sys
import unittest

import harness
from harness.server import IS_MOSQUITTO, PROGRAM

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.dirname(os.path.abspath(PROGRAM))
# ./dev deps installs them into build/npm, beside or above the build folder in use
CANDIDATES = [os.path.join(BUILD, "npm", "node_modules"), os.path.join(BUILD, "..", "npm", "node_modules"),
              os.path.join(HERE, "node_modules")]
MODULES = os.environ.get("E2E_NODE_MODULES") or next((one for one in CANDIDATES if os.path.isdir(one)), CANDIDATES[0])


class MqttJs(harness.Case):
    options = {"http": not IS_MOSQUITTO}

    def test_native(self):
        self.run_with("mqtt://%s:%d" % self.server.address)

    @unittest.skipIf(IS_MOSQUITTO, "its WebSocket is not set up here")
    def test_websocket(self):
        self.run_with("ws://%s:%d/mqtt" % (self.server.host, self.server.http_port))

    def run_with(self, url):
        done = subprocess.run(
            ["node", os.path.join(HERE, "mqttjs", "native.cjs")],
            env={**os.environ, "E2E_URL": url, "NODE_PATH": MODULES},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=8 * harness.DEADLINE,
            check=False,
        )
        print(done.stdout.decode(errors="replace"), file=sys.stderr)
        self.assertEqual(done.returncode, 0)


def setUpModule():
    if not shutil.which("node") or not os.path.isdir(os.path.join(MODULES, "mqtt")):
        raise unittest.SkipTest("needs node and %s/mqtt (./dev deps)" % MODULES)


if __name__ == "__main__":
    harness.main()
