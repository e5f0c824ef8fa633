#!/usr/bin/env python3
"""What brokers lose on kill -9: messages that they acknowledged for a session that was away, retained values, sessions.

    tests/durability/compare.py [--messages N] [--retained N] [--program FILE]

Publishes with QoS 1, waits for every PUBACK and SUBACK, kills the broker, starts it again on the same folder and counts. For this gateway with its
default store, and, if it is installed, for Mosquitto with `persistence true` and its other settings as they are.
"""

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from gateway import DEADLINE, Gateway, die_with_parent, free_port, wire

SESSION = {"session_expiry": 100000}
WINDOW = 50


class Mosquitto:
    """Mosquitto, with what Gateway has that is needed here."""

    host = "127.0.0.1"

    def __init__(self, program):
        self.program = program
        self.folder = tempfile.mkdtemp(prefix="compare-mosquitto-")
        self.port = free_port()
        self.process = None

    @property
    def address(self):
        return (self.host, self.port)

    def start(self):
        path = os.path.join(self.folder, "mosquitto.conf")
        with open(path, "w") as file:
            # the queue is 1000 messages long by default, which is a limit and no loss
            file.write("listener %d 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\n"
                       "max_queued_messages 0\n" % (self.port, self.folder))
            if os.getuid() == 0:
                file.write("user root\n")
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen([self.program, "-c", path], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=die_with_parent)
        end = time.monotonic() + DEADLINE
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(self.address, 1).close()
                return
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError("mosquitto does not start")
            time.sleep(0.01)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def mosquitto_version(program):
    text = subprocess.run([program, "-h"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    return " ".join(text.split()[:3]).replace("version ", "")


def publish(link, topics, retain):
    """Publish a value to each, and wait for all acknowledgements."""
    open_ids = set()
    for number, topic in enumerate(topics):
        packet_id = link.id()
        link.send(wire.publish(topic, b"%d" % number, 1, packet_id, retain=retain))
        open_ids.add(packet_id)
        while len(open_ids) >= WINDOW or (open_ids and number == len(topics) - 1):
            open_ids.discard(link.read(wire.PUBACK).packet_id)


def receive(link, count):
    """Numbers of the messages that come, up to COUNT, until nothing has come for a while."""
    numbers = set()
    while len(numbers) < count:
        try:
            pkt = link.read(timeout=2)
        except TimeoutError:
            break
        if isinstance(pkt, wire.Publish):
            numbers.add(int(pkt.payload))
            if pkt.qos:
                link.send(wire.ack(wire.PUBACK, pkt.packet_id))
    return numbers


def measure(broker, messages, retained):
    """(messages lost, retained values lost, whether the session was lost)."""
    broker.start()
    try:
        away = wire.Wire(broker.address)
        away.connect("away", clean=False, props=SESSION)
        assert away.subscribe(("queue", 1)) == [1]
        away.send(wire.disconnect())
        away.read_to_end()
        sender = wire.Wire(broker.address)
        sender.connect("sender")
        publish(sender, ["queue"] * messages, False)
        publish(sender, ["value/%d" % i for i in range(retained)], True)
        broker.kill()
        broker.start()
        away = wire.Wire(broker.address)
        present = away.connect("away", clean=False, props=SESSION).session_present
        got = receive(away, messages) if present else set()
        reader = wire.Wire(broker.address)
        reader.connect("reader")
        reader.subscribe(("value/#", 0))
        values = receive(reader, retained)
        return messages - len(got), retained - len(values), not present
    finally:
        broker.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=10000)
    parser.add_argument("--retained", type=int, default=1000)
    parser.add_argument("--program", help="the gateway to start (default: $TIDEGATE, or build/tidegate)")
    options = parser.parse_args()
    program = options.program or os.environ.get("TIDEGATE") or "build/tidegate"
    if not os.access(program, os.X_OK):
        sys.exit(program + " is not built: ./dev build")
    brokers = [("Tidegate", Gateway(program=program))]
    mosquitto = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if mosquitto:
        brokers.append(("%s, `persistence true`" % mosquitto_version(mosquitto), Mosquitto(mosquitto)))
    print("Acknowledged, then kill -9 and a restart: what is lost\n")
    print("| | QoS 1 messages for a session that is away | retained values | the session itself |")
    print("| --- | --- | --- | --- |")
    lost_here = 0
    for name, broker in brokers:
        lost, values, session = measure(broker, options.messages, options.retained)
        if name == "Tidegate":
            lost_here = lost + values + session
        print("| %s | %d of %d | %d of %d | %s |" % (name, lost, options.messages, values, options.retained, "yes" if session else "no"),
              flush=True)
    return 1 if lost_here else 0


if __name__ == "__main__":
    sys.exit(main())
