"""The same broker over IPv4, IPv6 and a unix socket, and how its process behaves: signals, command line, faulty configuration."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import unittest

import harness
from harness import pahos, tools, wire
from harness.server import IS_MOSQUITTO, PROGRAM

VIAS = ("tcp", "ipv6", "unix")


class Transports(harness.Case):
    options = {"ipv6": True, "unix": True}

    def test_delivers_between_all_transports_mqtt_4_2_0_1_mqtt311_7_1_1_1(self):
        for version in ("mqttv31", "mqttv311", "mqttv5"):
            options = ("-V", version, "-t", self.name() + "/" + version, "-q", "2")
            subs = [self.keep(tools.Subscriber(self.server, *options, via=via)) for via in VIAS]
            for via in VIAS:
                tools.publish(self.server, *options, "-m", "over " + via, via=via)
            for sub in subs:
                self.assertEqual(sub.take(3), ["over " + via for via in VIAS])

    def test_carries_large_payloads_over_a_unix_socket(self):
        payload = b"0123456789abcdef" * 65536
        sub = self.keep(tools.Subscriber(self.server, "-t", self.name(), "-q", "1", via="unix"))
        tools.publish(self.server, "-t", self.name(), "-q", "1", payload=payload, via="unix")
        self.assertEqual(sub.line().encode(), payload)

    def test_a_session_moves_from_one_transport_to_another(self):
        options = ("-c", "-i", "mover", "-t", self.name(), "-q", "1")
        for here, there in (("tcp", "unix"), ("unix", "ipv6"), ("ipv6", "tcp")):
            tools.Subscriber(self.server, *options, via=here).close()
            tools.publish(self.server, "-t", self.name(), "-q", "1", "-m", here + there)
            sub = tools.Subscriber(self.server, *options, via=there)
            self.assertEqual(sub.line(), here + there)
            sub.close()


@unittest.skipIf(IS_MOSQUITTO, "Tidegate's own command line")
class Program(unittest.TestCase):
    def run_program(self, *options, config=None):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "tidegate.json")
            if config is not None:
                with open(path, "w") as file:
                    file.write(config if isinstance(config, str) else json.dumps(config))
            options = [path if option == "FILE" else option for option in options]
            return subprocess.run([PROGRAM, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True, timeout=harness.DEADLINE, check=False)

    def test_says_its_version(self):
        done = self.run_program("--version")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^tidegate \d+\.\d+\.\d+")

    def test_check_accepts_a_good_configuration_and_does_not_start(self):
        good = {"listeners": [{"protocol": "mqtt", "bind": "127.0.0.1:0"}], "store": None}
        done = self.run_program("--check", "--config", "FILE", config=good)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_check_names_every_problem_by_its_path_and_exits_2(self):
        bad = {"listeners": [{"protocol": "mqtt", "bind": "127.0.0.1:99999"}, {"protocol": "gopher", "bind": "127.0.0.1:0"}],
               "limits": {"inflight_messages": 0, "unknown": 1}, "store": None}
        done = self.run_program("--check", "--config", "FILE", config=bad)
        self.assertEqual(done.returncode, 2)
        for path in ("listeners[0].bind", "listeners[1].protocol", "limits.inflight_messages", "limits.unknown"):
            self.assertIn(path, done.stdout + done.stderr)

    def test_a_faulty_configuration_keeps_it_from_starting(self):
        for config in ("{", "[]", {"listeners": "x"}):
            self.assertEqual(self.run_program("--config", "FILE", config=config).returncode, 2, config)
        self.assertNotEqual(self.run_program("--config", "FILE").returncode, 0, "no such file")
        self.assertNotEqual(self.run_program("--no-such-option").returncode, 0)

    def test_a_port_in_use_keeps_it_from_starting(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            config = {"listeners": [{"protocol": "mqtt", "bind": "127.0.0.1:%d" % other.getsockname()[1]}], "store": None}
            done = self.run_program("--config", "FILE", config=config)
            self.assertNotIn(done.returncode, (0, -signal.SIGSEGV, -signal.SIGABRT))
            self.assertNotEqual(done.stderr, "")


class Signals(unittest.TestCase):
    def start(self, **options):
        server = harness.Server(**options)
        self.addCleanup(server.discard)
        server.start()
        return server

    def test_ends_cleanly_on_sigterm_with_clients_connected_and_tells_them(self):
        server = self.start(unix=True)
        clients = {version: wire.Wire(server.address, version) for version in (3, 4, 5)}
        for client in clients.values():
            client.connect("c%d" % client.version)
            client.subscribe(("stop/#", 1))
        halfway = wire.open_socket(server.address)
        halfway.sendall(wire.connect("half")[:7])
        path = server.unix_path
        server.signal(signal.SIGTERM)
        for version, client in clients.items():
            told = [one.reason for one in client.read_to_end() if isinstance(one, wire.Disconnect)]
            if not IS_MOSQUITTO:
                self.assertEqual(told, [0x8B] if version == 5 else [])
            client.close()
        halfway.close()
        server.process.wait(harness.DEADLINE)
        if not IS_MOSQUITTO:
            self.assertFalse(os.path.exists(path), "the unix socket is left behind")
        server.finish()

    def test_ends_cleanly_on_sigint(self):
        server = self.start()
        server.signal(signal.SIGINT)
        server.finish()

    def test_acknowledged_messages_reach_their_receivers_before_the_end(self):
        server = self.start()
        sub = wire.Wire(server.address)
        sub.connect("sub")
        sub.subscribe(("stop/#", 0))
        pub = wire.Wire(server.address)
        pub.connect("pub")
        pub.send(b"".join(wire.publish("stop/%d" % i, b"x" * 100, 1, i) for i in range(1, 101)))
        for _ in range(100):
            pub.read(wire.PUBACK)
        server.signal(signal.SIGTERM)
        got = [one.topic for one in sub.read_to_end() if isinstance(one, wire.Publish)]
        self.assertEqual(got, ["stop/%d" % i for i in range(1, 101)])
        pub.close()
        sub.close()
        server.finish()

    @unittest.skipIf(IS_MOSQUITTO, "what a reload changes is Tidegate's own")
    def test_sighup_reloads_and_keeps_clients(self):
        server = self.start(limits={"connections": 100})
        client = pahos.Client(server, "stays")
        self.addCleanup(client.close)
        client.connect()
        client.subscribe(("r", 1))
        path = os.path.join(server.folder, "tidegate.json")
        with open(path) as file:
            config = json.load(file)
        for limit in (1, 100):
            config["limits"]["connections"] = limit
            with open(path + ".new", "w") as file:
                json.dump(config, file)
            os.rename(path + ".new", path)
            server.signal(signal.SIGHUP)
            harness.wait_until(lambda: self.second_is_welcome(server) == (limit > 1), "the new limit holds")
        with open(path, "w") as file:
            file.write("{ not JSON")
        server.signal(signal.SIGHUP)
        client.publish("r", "still here", 1)
        self.assertEqual(client.message().payload, b"still here")
        self.assertTrue(self.second_is_welcome(server), "a faulty file changed something")
        client.close()
        server.stop()

    @staticmethod
    def second_is_welcome(server):
        try:
            second = wire.Wire(server.address)
        except OSError:
            return False
        try:
            return second.connect("second").reason == 0
        except (wire.Closed, OSError):
            return False
        finally:
            second.close()


if __name__ == "__main__":
    harness.main()
