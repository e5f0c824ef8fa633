"""The program itself: what it says at start, reload, stop, and to the service manager; PROXY headers; giving up root."""

import http.client
import json
import os
import pwd
import resource
import select
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest

import harness
from harness import wire
from harness.server import IS_MOSQUITTO, PROGRAM, SANITIZER_WORDS, die_with_parent, program_for_others

LISTENER = {"protocol": "mqtt", "bind": "127.0.0.1:0"}
NOBODY = "nobody"
SILENT = "silent"  # in place of a "store": the configuration has no such key


class Process:
    """The program, from a configuration that this writes; its log is read line by line, as JSON."""

    def __init__(self, config, environment=None, prepare=None):
        self.folder = tempfile.mkdtemp(prefix="tidegate-main-")
        os.chmod(self.folder, 0o755)
        self.config = {"access": {"anonymous": True}, "store": None, "workers": 2, "log": {"format": "json"}, **config}
        if self.config["store"] == SILENT:
            del self.config["store"]
        self.path = os.path.join(self.folder, "tidegate.json")
        self.write(self.config)
        self.lines = []
        self.buffer = b""

        def before():
            die_with_parent()
            if prepare:
                prepare()

        program, more = program_for_others() if prepare else (PROGRAM, {})
        self.process = subprocess.Popen([program, "--config", self.path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        env={**os.environ, **more, **(environment or {})}, preexec_fn=before)

    def write(self, config):
        with open(self.path + ".new", "w") as file:
            file.write(config if isinstance(config, str) else json.dumps(config))
        os.rename(self.path + ".new", self.path)

    def _read(self, end):
        """One more line of the log; None at its end."""
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stderr], [], [], left)[0]:
                raise AssertionError("nothing more in the log:\n" + "\n".join(self.lines))
            more = os.read(self.process.stderr.fileno(), 65536)
            if not more:
                return None
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\n", 1)
        self.lines.append(line.decode())
        return self.lines[-1]

    def event(self, name, **fields):
        """Read the log up to the next event NAME that has FIELDS."""
        end = time.monotonic() + harness.DEADLINE
        while True:
            line = self._read(end)
            if line is None:
                raise AssertionError("no %r before the log's end:\n%s" % (name, "\n".join(self.lines)))
            found = json.loads(line)
            if found["event"] == name and all(found.get(key) == value for key, value in fields.items()):
                return found

    def ports(self, count=1):
        """Of the first COUNT listeners, read at start."""
        found = [int(self.event("listening")["address"].rsplit(":", 1)[1]) for _ in range(count)]
        self.event("ready")
        return found if count > 1 else found[0]

    def end(self):
        """Wait for the end. @return exit status, and every line of the log"""
        end = time.monotonic() + harness.DEADLINE
        while self._read(end) is not None:
            pass
        code = self.process.wait(harness.DEADLINE)
        log = "\n".join(self.lines)
        if any(word in log for word in SANITIZER_WORDS):
            raise AssertionError(log)
        return code

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def discard(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        for name in os.listdir(self.folder):
            os.unlink(os.path.join(self.folder, name))
        os.rmdir(self.folder)

    def status(self):
        with open("/proc/%d/status" % self.process.pid) as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


@unittest.skipIf(IS_MOSQUITTO, "Tidegate's own program")
class Main(unittest.TestCase):
    def launch(self, config=None, **options):
        process = Process({"listeners": [LISTENER], **(config or {})}, **options)
        self.addCleanup(process.discard)
        return process

    def client(self, port, client_id, version=5, header=b""):
        client = wire.Wire(("127.0.0.1", port), version)
        self.addCleanup(client.close)
        if header:
            client.send(header)
        self.assertEqual(client.connect(client_id).reason, 0)
        return client

    def slow_reader(self, port):
        """A connection whose output is stuck: nobody reads it."""
        slow = wire.Wire(("127.0.0.1", port), 5, receive_buffer=4096)
        self.addCleanup(slow.close)
        slow.connect("slow")
        slow.subscribe(("big", 0))
        publisher = self.client(port, "publisher")
        for _ in range(12):
            publisher.publish("big", b"x" * 1000000, 1)
        return slow

    # ---- start

    def test_says_where_it_listens_with_the_port_that_the_system_picked(self):
        process = self.launch()
        listening = process.event("listening")
        port = int(listening["address"].rsplit(":", 1)[1])
        self.assertNotEqual(port, 0)
        process.event("nothing survives a restart", store="memory")
        self.assertEqual(process.event("ready")["workers"], 2)
        self.client(port, "c").ping()
        self.assertEqual(process.stop(), 0)

    def test_one_line_and_exit_1_for_what_the_machine_refuses(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = "127.0.0.1:%d" % other.getsockname()[1]
            web = {"protocol": "http", "bind": "127.0.0.1:0"}
            for config, word in (({"listeners": [LISTENER, {"protocol": "mqtt", "bind": taken}]}, "in use"),
                                 ({"listeners": [{"protocol": "mqtt", "unix": "/no/such/folder/sock"}]}, "No such file"),
                                 ({"listeners": [{"protocol": "mqtt", "unix": PROGRAM}]}, "File exists"),
                                 ({"listeners": [LISTENER, web], "http": {"directory": "/no/such/folder"}}, "No such file"),
                                 ({"listeners": [LISTENER, web], "http": {"directory": PROGRAM}}, "Not a directory")):
                process = self.launch(config)
                self.assertEqual(process.end(), 1)
                errors = [line for line in process.lines if json.loads(line)["level"] == "error"]
                self.assertEqual(len(errors), 1, errors)
                self.assertIn(word, errors[0])

    def test_every_problem_and_exit_2_for_what_the_configuration_gets_wrong(self):
        process = self.launch({"user": "no-such-account-here", "drain_s": -1})
        self.assertEqual(process.end(), 2)
        self.assertEqual({line.split(": ")[1] for line in process.lines}, {"user", "drain_s"})

    def test_skips_an_optional_listener_but_not_all_of_them(self):
        absent = {"protocol": "mqtt", "bind": "[2001:db8::1]:0", "optional": True}
        process = self.launch({"listeners": [absent, LISTENER]})
        self.client(process.ports(), "c")
        self.assertEqual(process.stop(), 0)
        process = self.launch({"listeners": [absent]})
        self.assertEqual(process.end(), 1)

    def test_refuses_arguments_that_it_does_not_know(self):
        for options, code in ((["--help"], 0), (["-x"], 2), (["file"], 2), (["--config"], 2)):
            done = subprocess.run([PROGRAM, *options], stdin=subprocess.DEVNULL, capture_output=True, timeout=harness.DEADLINE,
                                  check=False)
            self.assertEqual(done.returncode, code, options)
            self.assertIn(b"usage:", done.stdout if code == 0 else done.stderr)

    def test_raises_the_soft_limit_of_descriptors(self):
        def lower():
            resource.setrlimit(resource.RLIMIT_NOFILE, (128, 4096))

        process = self.launch(prepare=lower)
        process.event("ready")
        with open("/proc/%d/limits" % process.process.pid) as file:
            line = [one for one in file if one.startswith("Max open files")][0]
        self.assertEqual(line.split()[3:5], ["4096", "4096"])
        self.assertEqual(process.stop(), 0)

    def test_starts_again_after_it_was_killed_beside_its_socket_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "mqtt.sock")
            config = {"listeners": [{"protocol": "mqtt", "unix": path}]}
            process = self.launch(config)
            process.event("ready")
            process.process.kill()
            process.end()
            self.assertTrue(os.path.exists(path))
            process = self.launch(config)
            process.event("ready")
            client = wire.Wire(path, 5)
            self.assertEqual(client.connect("c").reason, 0)
            client.close()
            self.assertEqual(process.stop(), 0)
            self.assertFalse(os.path.exists(path))

    @unittest.skipIf(os.getuid() != 0, "only root can become another account")
    def test_becomes_the_configured_account_for_good(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            path = os.path.join(folder, "mqtt.sock")
            process = self.launch({"user": NOBODY, "listeners": [LISTENER, {"protocol": "mqtt", "unix": path}]})
            process.event("ready")
            account = pwd.getpwnam(NOBODY)
            status = process.status()
            self.assertEqual(status["Uid"].split(), [str(account.pw_uid)] * 4)
            self.assertEqual(status["Gid"].split(), [str(account.pw_gid)] * 4)
            self.assertEqual(status["Groups"].split(), [str(account.pw_gid)])
            self.assertEqual(int(status["CapPrm"], 16), 0)
            self.assertEqual(os.stat(path).st_uid, account.pw_uid)
            self.assertTrue(stat.S_ISSOCK(os.stat(path).st_mode))
            self.assertEqual(process.stop(), 0)

    @unittest.skipIf(os.getuid() != 0, "to start as somebody else takes root")
    def test_does_not_start_as_one_account_when_told_to_be_another(self):
        account = pwd.getpwnam(NOBODY)

        def drop():
            os.setgroups([])
            os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
            os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)

        process = self.launch({"user": "daemon"}, prepare=drop)
        self.assertEqual(process.end(), 1)
        process = self.launch({"user": NOBODY}, prepare=drop)
        process.event("ready")
        self.assertEqual(process.stop(), 0)

    # ---- PROXY header

    def test_takes_the_peer_from_a_proxy_header(self):
        proxied = {**LISTENER, "proxy_protocol": True, "proxy_trusted": ["127.0.0.0/8"]}
        distant = {**LISTENER, "proxy_protocol": True, "proxy_trusted": ["10.0.0.0/8"]}
        process = self.launch({"listeners": [proxied, distant], "limits": {"connect_timeout_ms": 1500}})
        port, distant_port = process.ports(2)
        self.client(port, "text", header=b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 1883\r\n").ping()
        process.event("client connected", client_id="text", peer="192.0.2.7:4711")
        binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24" + socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(16)
        self.client(port, "binary", header=binary + b"\x12\x67\x07\x5b").ping()
        process.event("client connected", client_id="binary", peer="[2001:db8::7]:4711")
        for address, first in ((("127.0.0.1", port), wire.connect("none")), (("127.0.0.1", distant_port), b""),
                               (("127.0.0.1", port), b"PROXY TCP4 ")):  # the last one ends by the connect deadline
            client = wire.open_socket(address)
            client.sendall(first)
            try:
                self.assertEqual(client.recv(1), b"")
            except ConnectionResetError:
                pass
            client.close()
        self.assertEqual(process.stop(), 0)
        ends = [json.loads(line) for line in process.lines if "connection closed" in line and "PROXY header" in line]
        self.assertEqual([line["event"] for line in ends], ["connection closed before it was accepted"])

    # ---- what is told of clients

    def do_this_and_that(self, level):
        web = {"protocol": "http", "bind": "127.0.0.1:0"}
        process = self.launch({"listeners": [LISTENER, web], "log": {"format": "json", "level": level}})
        port, web_port = process.ports(2)
        client = self.client(port, "c")
        client.subscribe(("a/+", 1))
        self.assertEqual(client.subscribe("$tidegate/#"), [0x87])
        client.send(wire.unsubscribe(9, ["a/+"]))
        client.read(wire.UNSUBACK)
        client.publish("a/b", b"secret payload", 1)
        connection = http.client.HTTPConnection("127.0.0.1", web_port, timeout=harness.DEADLINE)
        self.addCleanup(connection.close)
        connection.request("POST", "/topics/$SYS/x?contentType=secret/type", b"secret payload")
        self.assertEqual(connection.getresponse().status, 403)
        self.assertEqual(process.stop(), 0)
        self.assertNotIn("secret", "\n".join(process.lines))
        return [json.loads(line) for line in process.lines]

    def test_debug_tells_what_clients_do_but_no_payload(self):
        events = {event["event"]: event for event in self.do_this_and_that("debug")}
        for name, fields in (("connection opened", {"transport": "tcp"}), ("client connected", {"client_id": "c"}),
                             ("subscribed", {"client_id": "c", "filter": "a/+", "qos": 1}),
                             ("subscription refused", {"client_id": "c", "filter": "$tidegate/#", "reason_code": "0x87"}),
                             ("unsubscribed", {"client_id": "c", "filter": "a/+", "existed": True}),
                             ("publish refused", {"topic": "$SYS/x", "reason_code": "0x87"}),
                             ("request answered", {"method": "POST", "path": "/topics/$SYS/x", "status": 403}),
                             ("client disconnected", {"client_id": "c"})):
            with self.subTest(event=name):
                self.assertEqual({key: events[name].get(key) for key in fields}, fields)

    def test_info_does_not(self):
        names = {event["event"] for event in self.do_this_and_that("info")}
        self.assertIn("client connected", names)
        self.assertFalse(names & {"connection opened", "subscribed", "subscription refused", "unsubscribed", "request answered"})

    # ---- mistakes of others

    def test_says_what_came_in_place_of_mqtt_and_what_to_set_up(self):
        process = self.launch()
        port = process.ports()
        for first, word in ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"), (b"GET / HTTP/1.1\r\n\r\n", "HTTP"),
                            (b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 1883\r\n", "proxy_protocol"),
                            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12), "proxy_protocol")):
            with wire.open_socket(("127.0.0.1", port)) as peer:
                peer.sendall(first)
                self.assertEqual(peer.recv(1), b"")
            self.assertIn(word, process.event("connection closed before it was accepted")["reason"])
        self.client(port, "MQTT is still spoken").ping()
        self.assertEqual(process.stop(), 0)

    def test_a_folder_of_pages_that_goes_away_is_told_once(self):
        folder = tempfile.mkdtemp(prefix="tidegate-pages-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        pages = os.path.join(folder, "pages")
        os.mkdir(pages)

        def page(name):
            with open(os.path.join(pages, name), "w") as file:
                file.write(name)

        page("index.html")
        web = {"protocol": "http", "bind": "127.0.0.1:0"}
        process = self.launch({"listeners": [LISTENER, web], "http": {"directory": pages}, "sys_interval_s": 1})
        client = self.client(process.ports(2)[0], "watch")
        os.rename(pages, pages + ".away")
        process.event("cannot serve files")
        client.subscribe(("$SYS/broker/uptime", 0))
        for _ in range(4):  # one retained, then one a second: the folder is looked at as often
            client.read(wire.PUBLISH)
        os.rename(pages + ".away", pages)
        page("new.html")
        process.event("serving files", files=2)
        os.rename(pages, pages + ".away")
        process.event("cannot serve files")
        self.assertEqual(process.stop(), 0)
        self.assertEqual(sum('"cannot serve files"' in line for line in process.lines), 2)

    # ---- reload

    def test_says_what_a_reload_changes_and_what_has_to_wait(self):
        process = self.launch()
        port = process.ports()
        client = self.client(port, "stays")
        config = json.loads(json.dumps(process.config))
        config["limits"] = {"write_stall_timeout_ms": 12345, "inflight_messages": 7}
        config["workers"] = 3
        process.write(config)
        process.process.send_signal(signal.SIGHUP)
        self.assertEqual(process.event("configuration changed", path="limits.write_stall_timeout_ms")["effect"], "applied")
        self.assertIn("connections to come", process.event("configuration changed", path="limits.inflight_messages")["effect"])
        self.assertEqual(process.event("configuration changed", path="workers")["effect"], "needs a restart")
        process.event("configuration reloaded", applied=2, needing_restart=1)
        client.ping()
        process.process.send_signal(signal.SIGHUP)
        process.event("configuration reloaded", applied=0, needing_restart=1)  # what has to wait is still told
        self.assertEqual(process.stop(), 0)

    def test_a_broken_file_is_reported_in_full_and_changes_nothing(self):
        process = self.launch()
        port = process.ports()
        client = self.client(port, "stays")
        process.write({**process.config, "limits": {"inflight_messages": 0, "unknown": 1}, "access": {"anonymous": False}})
        process.process.send_signal(signal.SIGHUP)
        told = {process.event("configuration not reloaded")["path"] for _ in range(2)}
        self.assertEqual(told, {"limits.inflight_messages", "limits.unknown"})
        os.unlink(process.path)
        process.process.send_signal(signal.SIGHUP)
        process.event("configuration not reloaded")
        client.ping()
        self.client(port, "anonymous is still welcome")
        self.assertEqual(process.stop(), 0)

    def test_a_reload_closes_the_door_to_anonymous_clients(self):
        process = self.launch()
        port = process.ports()
        process.write({**process.config, "access": {"anonymous": False}})
        process.process.send_signal(signal.SIGHUP)
        process.event("nobody can connect")
        process.event("configuration reloaded")
        late = wire.Wire(("127.0.0.1", port), 5)
        self.addCleanup(late.close)
        self.assertEqual(late.connect("late").reason, 0x87)
        self.assertEqual(process.stop(), 0)

    def test_says_that_nobody_can_connect_when_anonymous_is_off(self):
        process = self.launch({"access": {"anonymous": False}})
        process.event("nobody can connect", path="access.anonymous")
        process.event("ready")
        check = subprocess.run([PROGRAM, "--check", "--config", process.path], capture_output=True, text=True, check=True)
        self.assertIn("warning: access.anonymous: ", check.stderr)
        self.assertEqual(process.stop(), 0)

    # ---- stop

    def test_waits_for_a_client_that_does_not_read_only_so_long(self):
        process = self.launch({"drain_s": 1})
        self.slow_reader(process.ports())
        process.process.send_signal(signal.SIGTERM)
        process.event("stopped before every connection was")
        process.event("stopped")
        self.assertEqual(process.end(), 0)

    def test_a_second_signal_ends_it_at_once(self):
        process = self.launch({"drain_s": 60, "limits": {"write_stall_timeout_ms": 60000}})
        self.slow_reader(process.ports())
        process.process.send_signal(signal.SIGINT)
        process.event("stopping")
        process.process.send_signal(signal.SIGTERM)
        process.event("stopped at once")
        self.assertEqual(process.end(), 1)

    # ---- service manager

    def notified(self, notify, word):
        """Read notifications up to the one that contains WORD. @return all that were read"""
        seen = []
        while not seen or word not in seen[-1]:
            seen.append(notify.recv(4096).decode())
        return seen

    def test_tells_the_service_manager_what_it_does_and_that_it_lives(self):
        with open(PROGRAM, "rb") as file:
            if b"sd_notify" not in file.read():
                self.skipTest("built without libsystemd")
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            path = os.path.join(folder, "notify")
            notify.bind(path)
            notify.settimeout(harness.DEADLINE)
            process = self.launch(environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"})
            self.notified(notify, "READY=1")
            for _ in range(3):
                self.notified(notify, "WATCHDOG=1")
            process.process.send_signal(signal.SIGHUP)
            self.assertIn("MONOTONIC_USEC=", self.notified(notify, "RELOADING=1")[-1])
            self.notified(notify, "READY=1")
            process.process.send_signal(signal.SIGTERM)
            self.notified(notify, "STOPPING=1")
            self.assertEqual(process.end(), 0)


if __name__ == "__main__":
    harness.main()
