#!/usr/bin/env python3
"""Password and ACL files: the same user and the same rule decide alike on every transport, and a reload for who is connected."""

import base64
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "web"))

import harness  # noqa: E402
from event_stream import Refused, Stream  # noqa: E402
from harness import wire  # noqa: E402
from harness.server import PROGRAM  # noqa: E402
from harness.websocket import WebSocket  # noqa: E402

IS_MOSQUITTO = harness.IS_MOSQUITTO
PASSWORDS = {"alice": "secret", "bob": "hunter:2", "the carol": "c\u0001\u00e4", "ev\u00e9": "\u20ac"}
# of 12 bytes as up to Mosquitto 2.0, of 64 as from 2.1 on
SALTS = {"alice": bytes(12), "bob": bytes(range(12 if IS_MOSQUITTO else 64)), "the carol": bytes(range(12)), "ev\u00e9": bytes(12)}

ACL = """# who may do what
topic read public/#
topic write inbox
user alice
topic readwrite a/#
topic deny a/secret/#
topic read shared
user bob
topic read a/#
topic write b
user the carol
topic read $SYS/#
topic readwrite #
pattern readwrite home/%u/#
pattern read device/%c/#
"""

# user (None: anonymous), topic, may publish, may read; client ids are "c"
TABLE = [
    (None, "public/x", False, True),
    (None, "inbox", True, False),
    (None, "a/x", False, False),
    (None, "home/x", False, False),
    ("alice", "a/x", True, True),
    ("alice", "a/secret", False, False),
    ("alice", "a/secret/x", False, False),
    ("alice", "a", True, True),
    ("alice", "shared", False, True),
    ("alice", "public/x", False, False),
    ("alice", "home/alice/x", True, True),
    ("alice", "home/bob/x", False, False),
    ("bob", "a/x", False, True),
    ("bob", "a/secret/x", False, True),
    ("bob", "b", True, False),
    ("bob", "home/bob", True, True),
    ("the carol", "anything/at/all", True, True),
    ("ev\u00e9", "home/ev\u00e9/x", True, True),
    ("ev\u00e9", "a/x", False, False),
]

# user, filter, granted: only what no topic could be read of is refused
FILTERS = [
    (None, "#", True),
    (None, "public/+/x", True),
    (None, "inbox", False),
    (None, "a/#", False),
    ("alice", "a/+", True),
    ("alice", "a/secret", False),
    ("alice", "a/secret/#", False),
    ("alice", "+/+/x", True),
    ("alice", "b/#", False),
    ("alice", "home/#", True),
    ("alice", "home/bob/#", False),
    ("alice", "device/+/x", True),
    ("alice", "device/d/#", False),
    ("alice", "$share/group/a/secret/#", False),
    ("alice", "$share/group/a/#", True),
    ("bob", "b", False),
    ("bob", "$SYS/#", False),
    ("the carol", "$SYS/broker/#", True),
]


def hash_of(user, password):
    salt = SALTS[user]
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101, 64)
    return "$7$101$%s$%s" % (base64.b64encode(salt).decode(), base64.b64encode(made).decode())


def authorization(user, password):
    return {} if user is None else {"Authorization": "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()}


class AccessCase(harness.Case):
    anonymous = True
    workers = 2
    acl = ACL
    limits = {}

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="tidegate-access-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.write_passwords(PASSWORDS)
        cls.write("acl", cls.acl)
        access = {"password_file": cls.path("passwords"), "acl_file": cls.path("acl"), "anonymous": cls.anonymous}
        cls.options = {"http": not IS_MOSQUITTO, "workers": cls.workers, "limits": cls.limits, "config": {"access": access}}
        super().setUpClass()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def write(cls, name, text):
        with open(cls.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    @classmethod
    def write_passwords(cls, passwords):
        cls.write("passwords", "".join("%s:%s\n" % (user, hash_of(user, password)) for user, password in passwords.items()))

    def reload(self, event="configuration reloaded"):
        before = self.server.log().count(event)
        self.server.signal(signal.SIGHUP)
        harness.wait_until(lambda: self.server.log().count(event) > before, event)

    def client(self, user=None, client_id="", version=5, kind=wire.Wire, **options):
        address = self.server.address if kind is wire.Wire else (self.server.host, self.server.http_port)
        client = self.keep(kind(address, version))
        connack = client.connect(client_id, user=user, password=PASSWORDS.get(user), **options)
        self.assertEqual(connack.reason, 0)
        return client

    def ask(self, method, path, body=None, user=None, headers=None, password=None):
        web = http.client.HTTPConnection(self.server.host, self.server.http_port, timeout=harness.DEADLINE)
        self.addCleanup(web.close)
        password = PASSWORDS.get(user) if password is None else password
        web.request(method, path.encode().decode("latin-1") if path.isascii() else path, body,
                    {"Host": "localhost", **authorization(user, password), **(headers or {})})
        response = web.getresponse()
        response.text = response.read()
        return response


class Table(AccessCase):
    """One table, asked over every transport. One worker: what was delivered has been when the publisher is told."""

    workers = 1

    def check_mqtt(self, kind, version):
        clients = {user: self.client(user, "c" if user is None else "", version, kind) for user in [None, *PASSWORDS]}
        witness = self.client("the carol", "witness")
        self.assertEqual(witness.subscribe(("#", 0)), [0])
        for user, topic, may_publish, may_read in TABLE:
            with self.subTest(user=user, topic=topic):
                client = clients[user]
                reason = client.publish(topic, "x", 1).reason
                if version == 5:
                    self.assertEqual(reason, 0 if may_publish else 0x87)
                else:
                    self.assertEqual(reason, 0)  # 3.1.1 has no word for it: acknowledged, and dropped
                got = [p.topic for p in witness.ping()]
                self.assertEqual(got, [topic] if may_publish else [])
                if IS_MOSQUITTO:
                    continue  # grants every subscription
                refused = 0x87 if version == 5 else 0x80
                self.assertEqual(client.subscribe((topic, 0)), [0 if may_read else refused])
                if may_read:
                    witness.publish(topic, "y")
                    witness.ping()
                    self.assertEqual(client.read(wire.PUBLISH).topic, topic)
                    client.send(wire.unsubscribe(client.id(), [topic], version))
                    client.read(wire.UNSUBACK)

    @harness.not_mosquitto("2.0 acknowledges without a reason code")
    def test_mqtt_5_over_tcp(self):
        self.check_mqtt(wire.Wire, 5)

    def test_mqtt_3_1_1_over_tcp(self):
        self.check_mqtt(wire.Wire, 4)

    @harness.not_mosquitto("2.0 acknowledges without a reason code")
    def test_mqtt_5_over_websocket(self):
        self.check_mqtt(WebSocket, 5)

    @harness.not_mosquitto("no HTTP")
    def test_http_publish_and_read(self):
        for user, topic, may_publish, may_read in TABLE:
            with self.subTest(user=user, topic=topic):
                path = "/topics/" + "".join("%%%02X" % b if b > 0x7E else chr(b) for b in topic.encode())
                for method in ("POST", "PUT"):
                    answer = self.ask(method, path, b"x", user)
                    self.assertIn(answer.status, (200, 202) if may_publish else (403,))
                bulk = self.ask("POST", "/publish", json.dumps([{"topic": topic, "payload": "x"}]), user,
                                {"Content-Type": "application/json"})
                self.assertIn(json.loads(bulk.text)[0]["status"], (200, 202) if may_publish else (403,))
                compat = self.ask("POST", "/api/v5/publish", json.dumps({"topic": topic, "payload": "x"}), user,
                                  {"Content-Type": "application/json"})
                self.assertIn(compat.status, (200, 202) if may_publish else (403,))
                got = self.ask("GET", path, None, user)
                self.assertIn(got.status, (200, 404) if may_read else (403,))
                rpc = self.ask("POST", "/rpc/%s?timeout=1" % path[len("/topics/"):], b"x", user) if not may_publish else None
                if rpc is not None:
                    self.assertEqual(rpc.status, 403)
                    self.assertEqual(rpc.getheader("Content-Type"), "application/problem+json")
                self.assertEqual(self.ask("DELETE", path, None, user).status == 403, not may_publish)

    @harness.not_mosquitto("no HTTP")
    def test_event_stream(self):
        witness = self.client("the carol", "witness")
        for user, topic, _, may_read in TABLE:
            with self.subTest(user=user, topic=topic):
                headers = authorization(user, PASSWORDS.get(user))
                if not may_read:
                    with self.assertRaises(Refused) as refused:
                        Stream(self.server, topic, headers)
                    self.assertEqual(refused.exception.args[0], 403)
                    continue
                stream = self.keep(Stream(self.server, topic, headers))
                stream.until("synced")
                witness.publish(topic, "y")
                self.assertEqual(stream.message().data["topic"], topic)

    @harness.not_mosquitto("grants every subscription")
    def test_suback_tells_the_truth(self):
        for version, refused in ((5, 0x87), (4, 0x80)):
            for user, topic_filter, granted in FILTERS:
                with self.subTest(user=user, filter=topic_filter, version=version):
                    client = self.client(user, "c", version)
                    self.assertEqual(client.subscribe((topic_filter, 1)), [1 if granted else refused])
                    client.send(wire.disconnect() if version == 5 else wire.packet(wire.DISCONNECT, 0, b""))


class Rights(AccessCase):
    def test_of_a_wide_subscription_only_what_may_be_read_comes(self):
        carol = self.client("the carol", "writer")
        for topic in ("a/x", "a/secret/x", "b", "home/alice/1"):
            carol.publish(topic, "retained", 1, retain=True)
        alice = self.client("alice", "wide")
        alice.subscribe(("#", 1))
        shared = self.client("alice", "member")
        shared.subscribe(("$share/g/#", 0))
        shared.ping()  # Mosquitto sends retained values to groups, too
        self.assertEqual(sorted(p.topic for p in alice.ping()), ["a/x", "home/alice/1"])
        for topic in ("a/y", "a/secret/y", "b", "shared"):
            carol.publish(topic, "live", 1)
        self.assertEqual([p.topic for p in alice.ping()], ["a/y", "shared"])
        self.assertEqual([p.topic for p in shared.ping()], ["a/y", "shared"])
        for topic in ("a/x", "a/secret/x", "b", "home/alice/1"):
            carol.publish(topic, "", 1, retain=True)

    @harness.not_mosquitto("lets it connect, and drops the will")
    def test_a_will_to_a_denied_topic_is_refused(self):
        for topic, reason in (("a/secret/will", 0x87), ("shared", 0x87), ("a/will", 0)):
            client = self.keep(wire.Wire(self.server.address))
            connack = client.connect("w", user="alice", password=PASSWORDS["alice"], will=(topic, "gone", 0, False, None))
            self.assertEqual(connack.reason, reason)

    def test_a_name_with_wildcards_gets_no_pattern(self):
        for client_id in ("+", "#", "x/#", "a+b"):
            client = self.client("the carol", "writer")
            thief = self.client(None, client_id)
            thief.subscribe(("device/#", 0))
            for topic in ("device/victim/x", "device/%s/x" % client_id.replace("+", "p").replace("#", "h")):
                client.publish(topic, "x", 1)
            self.assertEqual(thief.ping(), [])

    def test_refuses_who_has_not_the_password(self):
        for user, password in (("alice", "Secret"), ("alice", None), ("alice", ""), ("Alice", "secret"), ("nobody", "secret"),
                               ("alice ", "secret"), ("", "secret"), ("the carol", "x")):
            if IS_MOSQUITTO and user == "":
                continue  # to Mosquitto it is anonymous
            for version, reasons in ((5, (0x86,)), (4, (4, 5))):
                with self.subTest(user=user, password=password, version=version):
                    client = self.keep(wire.Wire(self.server.address, version))
                    reason = client.connect("x", user=user, password=password).reason if version == 5 or user else reasons[0]
                    self.assertIn(reason, (0x86, 0x87) if IS_MOSQUITTO and version == 5 else reasons)

    @harness.not_mosquitto("no HTTP")
    def test_http_asks_for_a_password_and_believes_no_other(self):
        for headers in (authorization("alice", "wrong"), authorization("nobody", "secret"), {"Authorization": "Bearer x"},
                        {"Authorization": "Basic"}, {"Authorization": "Basic !!!"}, {"Authorization": "Basic YWxpY2U="},
                        {"Authorization": "Basic Og=="}, {"Authorization": "Basic " + "A" * 3000}):
            with self.subTest(headers=headers):
                answer = self.ask("GET", "/topics/public/x", headers=headers)
                self.assertEqual(answer.status, 401)
                self.assertTrue(answer.getheader("WWW-Authenticate").startswith("Basic realm="))
                self.assertEqual(json.loads(answer.text)["status"], 401)
        self.assertEqual(self.ask("GET", "/topics/a/none", user="alice").status, 404)

    @harness.not_mosquitto("no HTTP")
    def test_a_request_goes_on_with_all_it_came_with_when_its_password_was_checked(self):
        """Nobody has logged in as evé on these connections' workers: the answer comes later than the body."""
        body = json.dumps({"topic": "home/ev\u00e9/late", "payload": "x" * 100000, "retain": True})
        answers = []
        for _ in range(6):
            answers.append(self.ask("POST", "/api/v5/publish", body, "ev\u00e9", {"Content-Type": "application/json"}).status)
        self.assertEqual(answers, [202] * 6)

    @harness.not_mosquitto("no HTTP")
    def test_lists_for_administrators_are_for_who_may_read_sys(self):
        for path in ("/metrics", "/api/v1/clients", "/api/v1/retained", "/api/v1/stats"):
            self.assertEqual(self.ask("GET", path, user="alice").status, 403)
            self.assertEqual(self.ask("GET", path).status, 403)
            self.assertEqual(self.ask("GET", path, user="the carol").status, 200)
        for path in ("/healthz", "/readyz", "/openapi.json"):
            self.assertEqual(self.ask("GET", path).status, 200)

    @harness.not_mosquitto("no HTTP")
    def test_a_key_of_idempotency_is_its_users_own(self):
        key = {"Idempotency-Key": "k1"}
        first = self.ask("POST", "/topics/a/idem", b"x", "alice", key)
        self.assertIn(first.status, (200, 202))
        self.assertEqual(self.ask("POST", "/topics/a/idem", b"x", "alice", key).text, first.text)
        self.assertEqual(self.ask("POST", "/topics/a/idem", b"x", "bob", key).status, 403)

    @harness.not_mosquitto("no HTTP")
    def test_pipelined_requests_wait_for_a_password_in_their_order(self):
        head = "GET /topics/a/none HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\n\r\n"
        sock = wire.open_socket((self.server.host, self.server.http_port))
        self.addCleanup(sock.close)
        users = [("alice", "secret"), ("alice", "wrong"), ("bob", PASSWORDS["bob"]), ("nobody", "x")] * 3
        sock.sendall("".join(head % authorization(*user)["Authorization"] for user in users).encode())
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        got = b""
        while True:
            more = sock.recv(65536)
            if not more:
                break
            got += more
        statuses = [int(status) for status in re.findall(r"HTTP/1\.1 (\d+) ", got.decode())]
        self.assertEqual(statuses, [404, 401, 404, 401] * 3 + [200])


class Reload(AccessCase):
    """Each test begins with the files of the class."""

    def setUp(self):
        self.write_passwords(PASSWORDS)
        self.write("acl", ACL)
        if not IS_MOSQUITTO:
            self.reload()

    @harness.not_mosquitto("logs otherwise")
    def test_what_was_revoked_comes_no_more_and_what_was_granted_does(self):
        carol, alice = self.client("the carol", "writer"), self.client("alice", "reader")
        persistent = self.client("alice", "away", clean=False, props={"session_expiry": 600})
        self.assertEqual(alice.subscribe(("a/#", 1), ("home/#", 1)), [1, 1])
        carol.publish("a/before", "x", 1)
        self.assertEqual([p.topic for p in alice.ping()], ["a/before"])
        self.write("acl", ACL.replace("topic readwrite a/#", "topic write a/#"))
        self.reload()
        carol.publish("a/after", "x", 1)
        carol.publish("home/alice", "x", 1)
        self.assertEqual([p.topic for p in alice.ping()], ["home/alice"])
        self.assertEqual(alice.subscribe(("a/#", 1)), [0x87])
        self.assertEqual(alice.publish("shared", "x", 1).reason, 0x87)
        self.write("acl", ACL.replace("topic read shared", "topic write shared"))
        self.reload()
        carol.publish("a/again", "x", 1)
        self.assertEqual([p.topic for p in alice.ping()], ["a/again"])
        self.assertLess(alice.publish("shared", "x", 1).reason, 0x80)
        self.assertEqual(persistent.ping(), [])

    @harness.not_mosquitto("no HTTP")
    def test_a_stream_follows_the_rules_too(self):
        carol = self.client("the carol", "writer")
        stream = self.keep(Stream(self.server, ["a/#", "home/#"], authorization("alice", "secret")))
        stream.until("synced")
        self.write("acl", ACL.replace("topic readwrite a/#", "topic write a/#"))
        self.reload()
        carol.publish("a/x", "no", 1)
        carol.publish("home/alice", "yes", 1)
        self.assertEqual(stream.message().data["topic"], "home/alice")

    @harness.not_mosquitto("logs otherwise")
    def test_a_file_that_is_wrong_is_told_with_its_line_and_changes_nothing(self):
        alice = self.client("alice", "reader")
        self.write("acl", "user alice\ntopic read a/#\n\ntopic raed x y\n")
        self.reload("access rules not read")
        self.assertIn("acl:4", self.server.log())
        self.assertEqual(alice.subscribe(("a/#", 0)), [0])
        self.assertLess(alice.publish("home/alice", "x", 1).reason, 0x80)
        self.write("acl", ACL)
        self.write("passwords", "alice:secret\n")
        self.reload("access rules not read")
        self.assertIn("passwords:1", self.server.log())
        self.client("bob", "still")

    @harness.not_mosquitto("closes without a word")
    def test_who_has_no_account_any_more_is_disconnected_on_every_transport(self):
        alice = self.client("alice", "tcp")
        web = self.client("alice", "web", kind=WebSocket)
        stream = self.keep(Stream(self.server, "a/#", authorization("alice", "secret")))
        bob = self.client("bob", "bystander")
        self.assertEqual(self.ask("GET", "/topics/a/none", user="alice").status, 404)
        self.write_passwords({user: word for user, word in PASSWORDS.items() if user != "alice"})
        self.reload()
        self.assertEqual(alice.read(wire.DISCONNECT).reason, 0x87)
        self.assertEqual(web.read(wire.DISCONNECT).reason, 0x87)
        with self.assertRaises(EOFError):
            while True:
                stream.event()
        self.assertEqual(bob.ping(), [])
        for _ in range(4):  # whichever worker remembers the password
            self.assertEqual(self.ask("GET", "/topics/a/none", user="alice").status, 401)


@unittest.skipIf(IS_MOSQUITTO, "what the program itself says")
class Start(unittest.TestCase):
    def run_with(self, access, bind, *options):
        folder = tempfile.mkdtemp(prefix="tidegate-access-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        for name, text in (("good", "user a\ntopic b\n"), ("bad", "user a\ntopic b/#/c\n")):
            with open(os.path.join(folder, name), "w") as file:
                file.write(text)
        path = os.path.join(folder, "tidegate.json")
        with open(path, "w") as file:
            json.dump({"listeners": [{"bind": bind}], "access": access, "store": None}, file)
        return subprocess.run([PROGRAM, "--config", path, *options], capture_output=True, text=True, timeout=harness.DEADLINE)

    def test_is_refused_with_the_line_that_is_wrong(self):
        check = self.run_with({"acl_file": "bad"}, "127.0.0.1:0", "--check")
        self.assertEqual(check.returncode, 2)
        self.assertRegex(check.stderr, r"/bad:2: the topic filter is not valid")
        start = self.run_with({"acl_file": "bad"}, "127.0.0.1:0")
        self.assertEqual(start.returncode, 1)
        self.assertRegex(start.stderr, r"access rules not read file=\"[^\"]*/bad:2\"")
        none = self.run_with({"password_file": "none"}, "127.0.0.1:0", "--check")
        self.assertEqual(none.returncode, 2)
        self.assertRegex(none.stderr, r"/none: cannot be read: No such file")
        self.assertEqual(self.run_with({"acl_file": "good"}, "127.0.0.1:0", "--check").returncode, 0)

    def test_is_refused_where_others_could_come_in_and_nothing_says_whether_they_may(self):
        for options in ([], ["--check"]):
            refused = self.run_with({"acl_file": "good"}, "0.0.0.0:0", *options)
            self.assertEqual(refused.returncode, 2)
            self.assertIn('"access": {"anonymous": true}', refused.stderr)
            self.assertIn('"access": {"password_file": "FILE"}', refused.stderr)


@unittest.skipIf(IS_MOSQUITTO, "its own file")
class WrittenByMosquitto(harness.Case):
    """Files of mosquitto_passwd."""

    @classmethod
    def setUpClass(cls):
        if shutil.which("mosquitto_passwd") is None:
            raise unittest.SkipTest("no mosquitto_passwd")
        folder = tempfile.mkdtemp(prefix="tidegate-access-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        path = os.path.join(folder, "passwords")
        for options, user, password in ((["-c", "-b"], "alice", "secret"), (["-b"], "bob", "p:w d\u00e9"), (["-b"], "gone", "x"),
                                        (["-b"], "alice", "changed")):
            subprocess.run(["mosquitto_passwd", *options, path, user, password], check=True, capture_output=True)
        subprocess.run(["mosquitto_passwd", "-D", path, "gone"], check=True, capture_output=True)
        cls.options = {"config": {"access": {"password_file": path}}}
        super().setUpClass()

    def test_let_in_whom_they_name(self):
        for user, password, reason in (("alice", "changed", 0), ("bob", "p:w d\u00e9", 0), ("alice", "secret", 0x86),
                                       ("gone", "x", 0x86), (None, None, 0x87)):
            client = self.keep(wire.Wire(self.server.address))
            self.assertEqual(client.connect("", user=user, password=password).reason, reason, user)


@unittest.skipIf(IS_MOSQUITTO, "hashes where it reads")
class Attack(AccessCase):
    """One worker: whatever held it up would hold up everybody."""

    workers = 1
    anonymous = False
    limits = {"connect_timeout_ms": 100000}  # guesses wait for one another, and the answer is what is looked at

    @classmethod
    def write_passwords(cls, passwords):
        """Hashes that take long."""
        salt = bytes(64)
        lines = []
        for user, password in passwords.items():
            made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 20000, 64)
            lines.append("%s:$7$20000$%s$%s\n" % (user, base64.b64encode(salt).decode(), base64.b64encode(made).decode()))
        cls.write("passwords", "".join(lines))

    def time_of(self, user):
        client = self.keep(wire.Wire(self.server.address))
        begun = time.monotonic()
        reason = client.connect("", user=user, password="wrong").reason
        took = time.monotonic() - begun
        client.close()
        self.assertEqual(reason, 0x86)
        return took

    def test_time_tells_no_names(self):
        """The least of several tries: load makes some slower, none faster. A name that cost no hash would take a tenth."""
        known, unknown = [], []
        for i in range(15):
            known.append(self.time_of("alice"))
            unknown.append(self.time_of("nobody%d" % (i % 3)))
        self.assertGreater(min(unknown), 0.5 * min(known))
        self.assertGreater(min(known), 0.5 * min(unknown))

    def test_a_flood_of_guesses_holds_up_nobody_who_is_connected(self):
        alice = self.client("alice", "bystander")
        guesses = [self.keep(wire.Wire(self.server.address)) for _ in range(150)]
        for number, guess in enumerate(guesses):
            guess.send(wire.connect("g%d" % number, user="alice", password="guess %d" % number))
        round_trips = []
        for i in range(50):
            begun = time.monotonic()
            self.assertLess(alice.publish("a/x", "x", 1).reason, 0x80)
            round_trips.append(time.monotonic() - begun)
        for guess in guesses:
            self.assertEqual(guess.read(wire.CONNACK).reason, 0x86)
        # 150 guesses of several ms each, on this one thread, would make some of them wait for seconds
        self.assertLess(statistics.median(round_trips), 0.5)

    def test_the_description_says_what_wants_a_login(self):
        answer = self.ask("GET", "/openapi.json")
        for path, methods in json.loads(answer.text)["paths"].items():
            for method, what in methods.items():
                with self.subTest(method=method, path=path):
                    target = re.sub(r"\{[^}]*\}", "a", path)
                    status = self.ask(method.upper(), target, b"x" if method in ("post", "put") else None).status
                    self.assertEqual(status == 401, "security" in what)

    def test_who_leaves_before_the_answer_leaves_nothing_behind(self):
        for _ in range(40):
            client = wire.Wire(self.server.address)
            client.send(wire.connect("x", user="alice", password="secret?"))
            client.abort()
            web = wire.open_socket((self.server.host, self.server.http_port))
            web.sendall(b"GET /topics/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YWxpY2U6eA==\r\n\r\n")
            web.close()
        self.client("bob", "after").ping()


if __name__ == "__main__":
    harness.main()
