"""Starting with a durable store: where it is, whose it is, what is said about it, and when the gateway refuses to start."""

import json
import os
import pwd
import shutil
import signal
import stat
import tempfile
import unittest
import urllib.request

import harness
from harness import wire
from harness.server import IS_MOSQUITTO
from test_main import LISTENER, NOBODY, SILENT, Process

WEB = {"protocol": "http", "bind": "127.0.0.1:0"}


@unittest.skipIf(IS_MOSQUITTO, "Tidegate's own store")
class StoreStart(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tidegate-store-")
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.path = os.path.join(self.folder, "state", "store")

    def launch(self, store=None, environment=None, **config):
        """STORE: None: at self.path; SILENT: the configuration says nothing of it."""
        store = {"path": self.path} if store is None else store
        process = Process({"listeners": [LISTENER, WEB], "store": store, **config}, environment=environment)
        self.addCleanup(process.discard)
        return process

    def refused(self, word, **options):
        process = self.launch(**options)
        self.assertEqual(process.end(), 1)
        errors = [line for line in process.lines if json.loads(line)["level"] == "error"]
        self.assertEqual(len(errors), 1, process.lines)
        self.assertIn(word, errors[0])

    def connect(self, port, client_id, **options):
        client = wire.Wire(("127.0.0.1", port), 5)
        self.addCleanup(client.close)
        return client, client.connect(client_id, **options)

    # ---- what is kept

    def test_sessions_queues_retained_values_and_keys_outlive_kill_9(self):
        process = self.launch()
        port, web = process.ports(2)
        reader, _ = self.connect(port, "reader", clean=False, props={"session_expiry": 3600})
        reader.subscribe(("home/#", 1))
        reader.close()
        writer, _ = self.connect(port, "writer")
        self.assertEqual(writer.publish("home/queued", b"queued", 1).reason, 0)

        def post():
            request = urllib.request.Request("http://127.0.0.1:%d/topics/home/kept?retain=true&qos=1" % web, b"kept",
                                             {"Idempotency-Key": "once", "Content-Type": "text/plain"})
            with urllib.request.urlopen(request, timeout=harness.DEADLINE) as answer:
                return answer.headers.get("Idempotency-Replayed"), answer.read()

        replayed, first = post()
        self.assertIsNone(replayed)
        process.process.send_signal(signal.SIGKILL)
        process.process.wait()
        process = self.launch()
        port, web = process.ports(2)
        self.assertEqual(post(), ("true", first))
        with urllib.request.urlopen("http://127.0.0.1:%d/topics/home/kept" % web, timeout=harness.DEADLINE) as answer:
            self.assertEqual(answer.read(), b"kept")
        reader, connack = self.connect(port, "reader", clean=False, props={"session_expiry": 3600})
        self.assertTrue(connack.session_present)
        self.assertEqual([reader.read(wire.PUBLISH).payload for _ in range(2)], [b"queued", b"kept"])
        reader.ping()
        self.assertEqual(process.stop(), 0)

    # ---- what is said

    def test_says_where_the_store_is_and_what_it_promises(self):
        process = self.launch()
        opened = process.event("store opened")
        self.assertEqual((opened["path"], opened["sync"], opened["limit_bytes"]), (self.path, "always", 16 << 30))
        process.event("ready")
        self.assertEqual(process.stop(), 0)
        self.assertFalse([line for line in process.lines if json.loads(line)["level"] in ("warning", "error")])

    def test_interval_says_what_may_be_lost(self):
        process = self.launch({"path": self.path, "sync": "interval", "interval_ms": 250, "size_limit_bytes": 64 << 20})
        self.assertEqual(process.event("store opened")["sync"], "interval")
        lost = process.event("what was acknowledged may be lost if the gateway or the machine fails")
        self.assertEqual((lost["level"], lost["at_most_ms"]), ("warning", 250))
        process.event("ready")
        self.assertEqual(process.stop(), 0)

    def test_memory_says_that_nothing_survives(self):
        process = Process({"listeners": [LISTENER]})
        self.addCleanup(process.discard)
        self.assertIn("null", process.event("nothing survives a restart", store="memory")["reason"])
        process.event("ready")
        self.assertEqual(process.stop(), 0)

    # ---- where it is, and whose

    def test_is_in_the_state_folder_when_the_configuration_is_silent(self):
        for variable, path in (("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "/tidegate"), ("HOME", "/.local/state/tidegate")):
            home = os.path.join(self.folder, variable)
            environment = {"STATE_DIRECTORY": "", "XDG_STATE_HOME": "", "HOME": "", variable: home}
            process = self.launch(SILENT, environment)
            self.assertEqual(process.event("store opened")["path"], home + path)
            process.event("ready")
            self.assertEqual(process.stop(), 0)
            self.assertEqual(stat.S_IMODE(os.stat(home + path).st_mode), 0o700)

    def test_a_machine_that_has_no_place_for_it_is_told_so(self):
        self.refused("store.path", store=SILENT, environment={"STATE_DIRECTORY": "", "XDG_STATE_HOME": "", "HOME": ""})

    @unittest.skipUnless(os.geteuid() == 0, "only root can give root up")
    def test_the_account_gets_the_folder(self):
        process = self.launch(user=NOBODY)
        process.event("ready")
        self.assertEqual(process.stop(), 0)
        for path in (self.path, os.path.join(self.path, "data.mdb")):
            self.assertEqual(os.stat(path).st_uid, pwd.getpwnam(NOBODY).pw_uid, path)
        process = self.launch(user=NOBODY)
        process.event("ready")
        self.assertEqual(process.stop(), 0)

    @unittest.skipUnless(os.geteuid() == 0, "only root can give root up")
    def test_a_store_of_another_account_is_refused(self):
        process = self.launch()
        process.event("ready")
        self.assertEqual(process.stop(), 0)
        self.refused("ermission", user=NOBODY)

    # ---- refusals

    def test_refuses_a_folder_that_is_none(self):
        os.makedirs(os.path.dirname(self.path))
        with open(self.path, "w"):
            pass
        self.refused("Not a directory")

    def test_refuses_a_store_that_another_process_has_open(self):
        process = self.launch()
        process.event("ready")
        self.refused(self.path)
        self.assertEqual(process.stop(), 0)

    def test_refuses_a_file_that_is_no_store(self):
        os.makedirs(self.path, 0o700)
        with open(os.path.join(self.path, "data.mdb"), "wb") as file:
            file.write(b"this is no store" * 4096)
        self.refused(self.path)
        with open(os.path.join(self.path, "data.mdb"), "rb") as file:
            self.assertEqual(file.read(), b"this is no store" * 4096)

    # ---- copies

    def test_a_copy_can_be_made_while_it_serves(self):
        process = self.launch()
        _, web = process.ports(2)
        request = urllib.request.Request("http://127.0.0.1:%d/api/v1/backup" % web, b"", {}, method="POST")
        with urllib.request.urlopen(request, timeout=harness.DEADLINE) as answer:
            self.assertEqual(answer.status, 201)
            told = json.load(answer)
        self.assertEqual(told["folder"], os.path.join(self.path, "backups"))
        copy = os.stat(os.path.join(told["folder"], told["file"]))
        self.assertEqual((copy.st_size, stat.S_IMODE(copy.st_mode)), (told["bytes"], 0o600))
        self.assertEqual(process.stop(), 0)


if __name__ == "__main__":
    unittest.main()
