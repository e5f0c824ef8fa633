"""A real browser without a window: Chromium, driven through chromedriver by plain WebDriver requests."""

import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

from harness import DEADLINE
from harness.server import die_with_parent

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # how WebDriver calls a reference to an element
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"]


def missing():
    """What lacks to run a browser, or None."""
    for program in ("chromium", "chromedriver"):
        if not shutil.which(program):
            return program
    return None


class Browser:
    """One browser with a profile of its own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="tidegate-browser-")
        self.output = open(os.path.join(self.folder, "driver"), "w+b")
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT,
            env={**os.environ, "HOME": self.folder, "TMPDIR": self.folder}, preexec_fn=die_with_parent)
        try:
            self.web = http.client.HTTPConnection("127.0.0.1", self._port(), timeout=6 * DEADLINE)
            self.session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": {
                "goog:chromeOptions": {"binary": shutil.which("chromium"),
                                       "args": FLAGS + ["--user-data-dir=" + os.path.join(self.folder, "profile")]},
                "goog:loggingPrefs": {"browser": "ALL"},
            }}})["sessionId"]
        except BaseException:
            self._end()
            raise

    def _port(self):
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            with open(self.output.name, errors="replace") as file:
                match = re.search(r"started successfully on port (\d+)", file.read())
            if match:
                return int(match.group(1))
            if self.driver.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError("chromedriver did not start")

    def _ask(self, method, path, body=None):
        self.web.request(method, path, json.dumps(body) if body is not None else None,
                         {"Content-Type": "application/json"} if body is not None else {})
        response = self.web.getresponse()
        value = json.loads(response.read())["value"]
        if response.status != 200:
            raise AssertionError("%s %s: %s" % (method, path, value))
        return value

    def _do(self, method, path, body=None):
        return self._ask(method, "/session/%s%s" % (self.session, path), body)

    def open(self, url):
        self._do("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """The value that SCRIPT returns."""
        return self._do("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def element(self, selector):
        return self._do("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector):
        self._do("POST", "/element/%s/click" % self.element(selector), {})

    def type(self, selector, text):
        """Replace what the field SELECTOR holds by TEXT."""
        element = self.element(selector)
        self._do("POST", "/element/%s/clear" % element, {})
        self._do("POST", "/element/%s/value" % element, {"text": text})

    def text(self, selector):
        """The text of the first element that SELECTOR finds; None if there is none."""
        return self.run("const e = document.querySelector(arguments[0]); return e && e.textContent", selector)

    def console(self):
        """What the console said since it was asked the last time: [(level, text), ...]."""
        return [(entry["level"], entry["message"]) for entry in self._do("POST", "/se/log", {"type": "browser"})]

    def close(self):
        try:
            self._do("DELETE", "")
        finally:
            self._end()

    def _end(self):
        if hasattr(self, "web"):
            self.web.close()
        self.driver.terminate()
        try:
            self.driver.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.driver.kill()
            self.driver.wait()
        self.output.close()
        shutil.rmtree(self.folder, ignore_errors=True)
