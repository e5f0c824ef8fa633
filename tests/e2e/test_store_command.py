"""tidegate store check, dump, backup, compact, restore: what they say, do and refuse, beside a running gateway and without one."""

import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import unittest

import harness
from harness import wire
from harness.server import IS_MOSQUITTO, PROGRAM, SANITIZER_WORDS
from test_main import LISTENER, NOBODY, Process

VALUES = {b"t/%d" % i: b"value %d" % i for i in range(20)}


@unittest.skipIf(IS_MOSQUITTO, "Tidegate's own store")
class StoreCommand(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tidegate-store-")
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.path = os.path.join(self.folder, "store")
        self.copy = os.path.join(self.folder, "copy.mdb")

    # ---- the program, in its two roles

    def launch(self, path=None, **config):
        process = Process({"listeners": [LISTENER], "store": {"path": path or self.path}, **config})
        self.addCleanup(process.discard)
        return process, process.ports()

    def client(self, port, client_id, **options):
        client = wire.Wire(("127.0.0.1", port), 5)
        self.addCleanup(client.close)
        self.assertEqual(client.connect(client_id, **options).reason, 0)
        return client

    def fill(self, **config):
        """A running gateway whose store has retained values, and a session with a queue."""
        process, port = self.launch(**config)
        reader = self.client(port, "reader", clean=False, props={"session_expiry": 3600})
        reader.subscribe(("queue/#", 1))
        reader.close()
        writer = self.client(port, "writer")
        for topic, value in VALUES.items():
            self.assertEqual(writer.publish(topic.decode(), value, 1, retain=True).reason & 0x80, 0)
        self.assertEqual(writer.publish("queue/x", b"waits", 1).reason, 0)
        return process, port

    def retained(self, port):
        client = self.client(port, "looker")
        client.subscribe("t/#")
        return {packet.topic.encode(): packet.payload for packet in client.ping() if hasattr(packet, "payload")}

    def store(self, *args, at=None, environment=None):
        """@return exit status, standard output, standard error"""
        where = [] if at is False else ["--path", at or self.path]
        done = subprocess.run([PROGRAM, "store", *args, *where], capture_output=True, timeout=harness.DEADLINE,
                              env={**os.environ, **(environment or {})})
        self.assertFalse([word for word in SANITIZER_WORDS if word in done.stderr.decode()], done.stderr)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def done(self, *args, **options):
        code, out, errors = self.store(*args, **options)
        self.assertEqual((code, errors), (0, ""))
        return out

    def refused(self, *args, word="", **options):
        code, out, errors = self.store(*args, **options)
        self.assertEqual((code, out), (2, ""))
        self.assertIn(word, errors)

    # ---- each command

    def check_counts(self):
        counts = dict(line.split(None, 1) for line in self.done("check").splitlines())
        self.assertEqual((counts["messages"].split(",")[0], counts["sessions"], counts["damaged"]), (str(len(VALUES) + 1), "1", "0"))

    def test_check_counts_what_is_there_also_while_it_is_in_use(self):
        process, _ = self.fill()
        self.check_counts()
        self.assertEqual(process.stop(), 0)
        self.check_counts()

    def test_check_finds_damage_and_exits_with_1(self):
        process, _ = self.fill()
        self.assertEqual(process.stop(), 0)
        with open(os.path.join(self.path, "data.mdb"), "r+b") as file:
            found = [match.start() for match in re.finditer(b"value 7", file.read())]
            for at in found:
                file.seek(at)
                file.write(b"VALUE")
        self.assertTrue(found)
        code, out, errors = self.store("check")
        self.assertEqual(code, 1)
        self.assertIn("damaged", errors)
        self.assertRegex(out, r"damaged +1\b")

    def test_dump_prints_an_object_in_a_line(self):
        process, _ = self.fill()
        self.assertEqual(process.stop(), 0)
        lines = [json.loads(line) for line in self.done("dump").splitlines()]
        retained = {line["topic"].encode(): bytes.fromhex(line["payload"]) for line in lines if line.get("is_retained")}
        self.assertEqual(retained, VALUES)
        queued = [line for line in lines if line.get("topic") == "queue/x"]
        self.assertEqual((len(queued), len(queued[0]["recipients"])), (1, 1))

    def test_a_backup_that_is_made_in_use_is_restored_elsewhere(self):
        process, port = self.fill()
        self.done("backup", self.copy)
        self.client(port, "late").publish("t/0", b"later", 1, retain=True)
        self.assertEqual(process.stop(), 0)
        other = os.path.join(self.folder, "a", "restored")
        self.done("restore", self.copy, at=other)
        process, port = self.launch(other)
        self.assertEqual(self.retained(port), VALUES)
        reader = self.client(port, "reader", clean=False, props={"session_expiry": 3600})
        self.assertEqual(reader.read(wire.PUBLISH).payload, b"waits")
        self.assertEqual(process.stop(), 0)

    def test_a_backup_replaces_no_file(self):
        process, _ = self.fill()
        self.assertEqual(process.stop(), 0)
        with open(self.copy, "w") as file:
            file.write("precious")
        self.refused("backup", self.copy)
        with open(self.copy) as file:
            self.assertEqual(file.read(), "precious")

    def test_restore_replaces_a_store_only_when_forced(self):
        process, port = self.fill()
        self.done("backup", self.copy)
        self.client(port, "late").publish("t/0", b"later", 1, retain=True)
        self.assertEqual(process.stop(), 0)
        self.refused("restore", self.copy, word="--force")
        process, port = self.launch()
        self.assertEqual(self.retained(port)[b"t/0"], b"later")
        self.assertEqual(process.stop(), 0)
        self.done("restore", "--force", self.copy)
        process, port = self.launch()
        self.assertEqual(self.retained(port), VALUES)
        self.assertEqual(process.stop(), 0)

    def test_restores_nothing_that_is_no_backup(self):
        process, _ = self.fill()
        self.assertEqual(process.stop(), 0)
        with open(self.copy, "wb") as file:
            file.write(b"no backup" * 10000)
        self.refused("restore", "--force", self.copy)
        self.refused("restore", "--force", os.path.join(self.folder, "absent"))
        self.check_counts()

    def test_compact_gives_back_room_and_keeps_everything(self):
        process, port = self.launch()
        writer = self.client(port, "writer")
        for payload in (b"x" * 50000, b""):
            for i in range(40):
                writer.publish("big/%d" % i, payload, 1, retain=True)
        self.assertEqual(process.stop(), 0)
        process, _ = self.fill()
        self.assertEqual(process.stop(), 0)
        before = os.stat(os.path.join(self.path, "data.mdb")).st_size
        self.done("compact")
        self.assertLess(os.stat(os.path.join(self.path, "data.mdb")).st_size, before)
        process, port = self.launch()
        self.assertEqual(self.retained(port), VALUES)
        self.assertEqual(process.stop(), 0)

    def test_what_rewrites_a_store_refuses_one_that_is_in_use(self):
        process, port = self.fill()
        self.done("backup", self.copy)
        self.refused("compact", word=self.path)
        self.refused("restore", "--force", self.copy, word=self.path)
        self.assertEqual(self.retained(port), VALUES)
        self.assertEqual(process.stop(), 0)
        self.check_counts()

    # ---- which store

    def test_works_on_the_store_of_a_configuration_or_of_none(self):
        process, _ = self.fill()
        self.assertEqual(process.stop(), 0)
        config = os.path.join(self.folder, "config.json")
        with open(config, "w") as file:
            json.dump({"store": {"path": self.path}}, file)
        self.assertIn("messages", self.done("check", "--config", config, at=False))
        os.rename(self.path, os.path.join(self.folder, "tidegate"))
        self.assertIn("messages", self.done("check", at=False, environment={"STATE_DIRECTORY": "", "XDG_STATE_HOME": self.folder}))
        with open(config, "w") as file:
            json.dump({"store": None}, file)
        self.refused("check", "-c", config, at=False, word="null")
        with open(config, "w") as file:
            json.dump({"store": {"pth": "x"}}, file)
        self.refused("check", "-c", config, at=False, word="store.pth")

    def test_no_command_makes_a_store_by_looking_for_one(self):
        for args in (("check",), ("dump",), ("compact",), ("backup", self.copy)):
            self.refused(*args, word=self.path)
            self.assertFalse(os.path.exists(self.path))
            self.assertFalse(os.path.exists(self.copy))

    @unittest.skipUnless(os.geteuid() == 0, "only root can lock others out")
    def test_root_does_not_lock_the_account_out(self):
        process, _ = self.fill(user=NOBODY)
        self.assertEqual(process.stop(), 0)
        os.unlink(os.path.join(self.path, "lock.mdb"))
        self.done("check")
        self.done("backup", self.copy)
        self.done("compact")
        self.done("restore", "--force", self.copy)
        uid = pwd.getpwnam(NOBODY).pw_uid
        self.assertEqual({name: os.stat(os.path.join(self.path, name)).st_uid for name in os.listdir(self.path)},
                         dict.fromkeys(os.listdir(self.path), uid))
        process, port = self.launch(user=NOBODY)
        self.assertEqual(self.retained(port), VALUES)
        self.assertEqual(process.stop(), 0)

    # ---- the command line

    def test_a_wrong_command_line_is_told_how_it_goes(self):
        for args in ((), ("chek",), ("check", "x"), ("backup",), ("restore",), ("restore", "a", "b"), ("check", "--force"),
                     ("check", "--config", "x", "--path", "y"), ("check", "--nonsense")):
            code, out, errors = self.store(*args, at=False)
            self.assertEqual((code, out), (2, ""), args)
            self.assertIn("usage: tidegate store", errors)

    def test_help_goes_to_standard_output(self):
        self.assertIn("usage: tidegate store", self.done("--help", at=False))


if __name__ == "__main__":
    unittest.main()
