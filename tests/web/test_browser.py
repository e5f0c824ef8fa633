"""The example pages in a real browser: what curl and mosquitto_pub send is on the page within a second, and a button of it reaches
mosquitto_sub. Nothing of the pages breaks their Content-Security-Policy."""

import os
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import browser  # noqa: E402
import harness  # noqa: E402
from harness.server import PROGRAM  # noqa: E402

SITE = os.path.join(os.path.dirname(os.path.abspath(PROGRAM)), "web", "site")
WITHIN = 1.0  # seconds, from the start of the command to the text on the page
ATTEMPTS = 3  # the machine may be busy with something else for once


class Pages(harness.Case):
    options = {"http": True, "workers": 2, "config": {"http": {"directory": SITE}}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.browser = browser.Browser()
        except BaseException:
            cls.server.stop()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        super().tearDownClass()

    def url(self, path=""):
        return "http://127.0.0.1:%d/%s" % (self.server.http_port, path)

    def open(self, page, state):
        """Open PAGE, and wait until it says STATE."""
        self.browser.console()
        self.browser.open(self.url(page))
        harness.wait_until(lambda: self.browser.text("#state") == state, "%s says: %s" % (page, state))
        self.addCleanup(self.check_console)

    def check_console(self):
        bad = [entry for entry in self.browser.console() if entry[0] in ("SEVERE", "WARNING") and "favicon" not in entry[1]]
        self.assertEqual(bad, [])

    def curl(self, *arguments):
        subprocess.run(["curl", "-fsS", *arguments], check=True, stdout=subprocess.DEVNULL, timeout=harness.DEADLINE)

    def mosquitto(self, program, *arguments, **more):
        return subprocess.Popen([program, "-h", "127.0.0.1", "-p", str(self.server.port), *arguments], **more)

    def pub(self, *arguments):
        self.assertEqual(self.mosquitto("mosquitto_pub", *arguments).wait(harness.DEADLINE), 0)

    def cell(self, topic):
        return self.browser.text('td[data-topic="%s"]' % topic)

    def shows_soon(self, topic, send):
        """SEND(value) makes the page show the value for TOPIC within a second, at one of a few attempts."""
        took = []
        for attempt in range(ATTEMPTS):
            value = "21.%d" % attempt
            begun = time.monotonic()
            send(value)
            harness.wait_until(lambda v=value: self.cell(topic) == v, "the page shows %s" % value)
            took.append(time.monotonic() - begun)
            if took[-1] < WITHIN:
                return
        self.fail("it took %s seconds" % took)

    def live_page(self, page, state):
        self.open(page, state)
        topic = "home/kitchen/temperature"
        self.shows_soon(topic, lambda value: self.curl("-d", value, self.url("topics/" + topic)))
        self.shows_soon("home/hall/humidity", lambda value: self.pub("-t", "home/hall/humidity", "-m", value))
        harmless = "<img src=x onerror=document.title='broken'>"
        self.pub("-t", topic, "-m", harmless)
        harness.wait_until(lambda: self.cell(topic) == harmless, "text is shown as text")
        self.assertNotEqual(self.browser.run("return document.title"), "broken")

    def test_values_are_live_over_websocket(self):
        self.live_page("mqtt.html", "connected")

    def test_a_button_reaches_a_subscriber(self):
        self.open("mqtt.html", "connected")
        for word in ("on", "off"):
            sub = self.mosquitto("mosquitto_sub", "-t", "home/kitchen/light/set", "-t", self.name("ready/" + word), "-C", "2", "-q", "1",
                                 stdout=subprocess.PIPE, text=True)
            self.addCleanup(sub.wait)
            self.addCleanup(sub.kill)
            self.pub("-t", self.name("ready/" + word), "-m", "ready", "-q", "1", "-r")
            self.assertEqual(sub.stdout.readline().strip(), "ready")  # its subscriptions are in force
            self.browser.click("#" + word)
            self.assertEqual(sub.stdout.readline().strip(), word)
            self.assertEqual(sub.wait(harness.DEADLINE), 0)
            sub.stdout.close()

    def test_values_are_live_in_an_event_stream(self):
        try:
            with urllib.request.urlopen(self.url("events?filter=a&wait=0"), timeout=harness.DEADLINE):
                pass
        except urllib.error.HTTPError as error:
            if error.code == 404:
                self.skipTest("needs GET /events")
        self.live_page("events.html", "live")

    def test_a_form_publishes(self):
        self.open("publish.html", "nothing sent yet")
        self.browser.type("#topic", "home/form/ä?&%=;")
        self.browser.type("#payload", "two\nlines")
        self.browser.click("#retain")
        self.browser.click("button")
        harness.wait_until(lambda: self.browser.text("#state").startswith("published"), "it is published")
        sub = self.mosquitto("mosquitto_sub", "-t", "home/form/+", "-C", "1", "-F", "%t %q %p", stdout=subprocess.PIPE)
        out, _ = sub.communicate(timeout=harness.DEADLINE)
        self.assertEqual(out.decode(), "home/form/ä?&%=; 0 two\nlines\n")
        self.browser.type("#topic", "not/+/valid")
        self.browser.click("button")
        harness.wait_until(lambda: "topic" in self.browser.text("#state"), "it says why not")
        self.browser.console()  # the browser reports the 400, as it should

    def test_the_index_leads_to_pages_that_are_there(self):
        self.browser.open(self.url())
        links = self.browser.run("return [...document.links].map(link => link.href)")
        self.assertGreater(len(links), 8)
        for link in links:
            with urllib.request.urlopen(link, timeout=harness.DEADLINE) as answer:
                self.assertEqual(answer.status, 200, link)


def setUpModule():
    lacking = browser.missing()
    if lacking:
        raise unittest.SkipTest("needs %s (./dev deps)" % lacking)


if __name__ == "__main__":
    harness.main()
