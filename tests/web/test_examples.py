"""The examples for devices and scripts do what they say: the lines for curl, the MicroPython script, the sketch for the ESP32."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import types
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "web", "examples")
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

import harness  # noqa: E402
from harness import wire  # noqa: E402

# Enough of the Arduino core and of the libraries to compile against; what they declare is what their documentation says.
ARDUINO = """
#pragma once
typedef __SIZE_TYPE__ size_t; typedef unsigned char byte; typedef unsigned short uint16_t; typedef bool boolean;
#define HIGH 1
#define LOW 0
#define OUTPUT 3
extern "C" int memcmp(const void *, const void *, size_t);
void pinMode(int, int); void digitalWrite(int, int); void delay(unsigned long); unsigned long millis(); float temperatureRead();
struct String {
    String(const char *); String(float, unsigned char = 2); const char *c_str() const;
};
String operator+(const String &, const String &); String operator+(const String &, const char *);
String operator+(const char *, const String &); String operator+(const String &, int);
struct HardwareSerial { void begin(unsigned long); int printf(const char *, ...) __attribute__((format(printf, 2, 3))); };
extern HardwareSerial Serial;
"""
WIFI = """
#pragma once
#include <Arduino.h>
enum wl_status_t { WL_CONNECTED = 3 };
struct WiFiClass { void begin(const char *, const char *); wl_status_t status(); String macAddress(); };
extern WiFiClass WiFi;
struct WiFiClient {};
"""
HTTP_CLIENT = """
#pragma once
#include <Arduino.h>
struct HTTPClient { bool begin(String); int POST(String); void end(); };
"""
PUB_SUB_CLIENT = """
#pragma once
#include <WiFi.h>
struct PubSubClient {
    PubSubClient(WiFiClient &);
    PubSubClient &setServer(const char *, uint16_t);
    PubSubClient &setCallback(void (*)(char *, byte *, unsigned int));
    boolean connect(const char *id, const char *user, const char *pass, const char *willTopic, unsigned char willQos,
                    boolean willRetain, const char *willMessage);
    boolean publish(const char *topic, const char *payload, boolean retained);
    boolean subscribe(const char *topic, unsigned char qos);
    boolean loop(); boolean connected();
};
"""


class Examples(harness.Case):
    options = {"http": True, "workers": 2}

    def subscriber(self, *filters):
        client = self.keep(wire.Wire(self.server.address))
        client.connect("")
        client.subscribe(*[(f, 1) for f in filters])
        return client

    def live(self, subscriber):
        """The next message that is not retained: other tests have left some."""
        message = subscriber.read(wire.PUBLISH)
        while message.retain:
            message = subscriber.read(wire.PUBLISH)
        return message

    # ---- curl

    def lines(self):
        with open(os.path.join(EXAMPLES, "README.md")) as file:
            text = file.read()
        blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
        return [line for block in blocks for line in block.splitlines() if line]

    def curl(self, line):
        words = shlex.split(line.replace("localhost:8080", "127.0.0.1:%d" % self.server.http_port))
        self.assertEqual(words[0], "curl")
        done = subprocess.run([*words, "-fsS", "-o", "-", "-w", "\\n%{http_code}"], capture_output=True, text=True,
                              timeout=harness.DEADLINE, check=False)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body, done.stderr

    @unittest.skipUnless(shutil.which("curl"), "needs curl")
    def test_every_line_for_curl_works(self):
        lines = self.lines()
        self.assertGreater(len(lines), 10)
        got = {}
        for line in lines:
            if " -N " in line:
                continue  # it never ends: test_events has it
            status, body, errors = self.curl(line)
            self.assertIn(status, (200, 202, 204), (line, errors))
            got[line] = body
        read = next(body for line, body in got.items() if line.endswith("curl http://localhost:8080/topics/home/kitchen/temperature"))
        self.assertEqual(read, "21.5")
        self.assertIn("tidegate_connections", next(body for line, body in got.items() if line.endswith("/metrics")))
        for line, body in got.items():
            if "/api/v1/" in line:
                json.loads(body)

    # ---- MicroPython

    def script(self):
        spec = importlib.util.spec_from_file_location("example", os.path.join(EXAMPLES, "micropython", "main.py"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.GATEWAY, module.HTTP_PORT, module.MQTT_PORT = "127.0.0.1", self.server.http_port, self.server.port
        module.REPORT_S = 0
        return module

    def test_the_micropython_script_reports_by_http(self):
        sub = self.subscriber("home/kitchen/temperature")
        script = self.script()
        self.assertEqual(script.report_by_http(script.REPORTS, 19.25), 200)
        self.assertEqual(self.live(sub).payload, b"19.25")

    def test_the_micropython_script_reports_and_obeys_by_mqtt(self):
        server = self.server
        sub = self.subscriber("home/kitchen/+")
        commander = self.keep(wire.Wire(server.address))
        commander.connect("")

        class MQTTClient:
            """What umqtt.simple offers of it, on a connection of ours."""

            def __init__(self, client_id, address, port, keepalive):
                self.wire = wire.Wire((address, port))
                self.id, self.keepalive = client_id, keepalive

            def set_callback(self, callback):
                self.callback = callback

            def set_last_will(self, topic, msg, retain=False, qos=0):
                self.will = {"topic": topic, "payload": msg.encode(), "qos": qos, "retain": retain}

            def connect(self):
                self.wire.connect(self.id, keep_alive=self.keepalive)

            def publish(self, topic, msg, retain=False, qos=0):
                self.wire.publish(topic, msg.encode(), qos, retain=retain)

            def subscribe(self, topic, qos=0):
                self.wire.subscribe((topic, qos))
                commander.publish(topic, b"on", 1)

            def check_msg(self):
                message = self.wire.read(wire.PUBLISH)
                self.callback(message.topic.encode(), message.payload)

        sys.modules["umqtt"] = types.ModuleType("umqtt")
        sys.modules["umqtt.simple"] = types.ModuleType("umqtt.simple")
        sys.modules["umqtt.simple"].MQTTClient = MQTTClient
        self.addCleanup(sys.modules.pop, "umqtt")
        self.addCleanup(sys.modules.pop, "umqtt.simple")
        script, switched = self.script(), []
        script.switch = switched.append
        script.run_by_mqtt(turns=1)
        self.assertEqual(switched, [True])
        self.assertEqual([(m.topic, m.payload) for m in (self.live(sub), self.live(sub))],
                         [("home/kitchen/status", b"online"), ("home/kitchen/temperature", b"21.5")])

    # ---- Arduino

    @unittest.skipUnless(shutil.which("clang"), "needs clang")
    def test_the_sketch_compiles(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("Arduino.h", ARDUINO), ("WiFi.h", WIFI), ("HTTPClient.h", HTTP_CLIENT),
                               ("PubSubClient.h", PUB_SUB_CLIENT)):
                with open(os.path.join(folder, name), "w") as file:
                    file.write(text)
            done = subprocess.run(
                ["clang", "-x", "c++", "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", folder,
                 "-include", "Arduino.h", os.path.join(EXAMPLES, "esp32", "esp32.ino")],
                capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    harness.main()
