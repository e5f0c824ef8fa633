"""Answers that wait for the disk: who goes away meanwhile, who asks again meanwhile, on whichever worker."""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import Case, request, wait_until  # noqa: E402

BULK = json.dumps([{"topic": "bulk/%d" % i, "payload": "x", "retain": True} for i in range(3)]).encode()


class SlowStore(Case):
    def setUp(self):
        self.control = self.connect()
        self.hold(False)
        self.descriptors = self.count_descriptors()

    def store(self, hold):
        """Let nothing get onto the disk, or all of it. Returns what has been handed over so far."""
        self.control.send(request(b"GET", b"/store?hold=" + (b"true" if hold else b"false")))
        return self.control.answer().json()

    def hold(self, hold):
        return self.store(hold)["submitted"]

    def count_descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.gateway.process.pid))

    def post(self, path=b"/topics/a?retain=true", body=b"x"):
        connection = self.connect()
        key = b"Idempotency-Key: " + self._testMethodName.encode() + b"\r\n"
        connection.send(request(b"POST", path, key + b"Content-Type: application/json\r\n", body=body))
        return connection

    def leave(self, connection, others=0):
        connection.socket.close()
        wait_until(lambda: self.count_descriptors() <= self.descriptors + others, "the server knows that the peer has gone")

    def check_repeated_after_leaving(self, submissions, **what):
        before = self.hold(True)
        first = self.post(**what)
        wait_until(lambda: self.hold(True) == before + submissions, "it is handed over")
        self.leave(first)
        again = self.post(**what)
        self.hold(False)
        answers = [again.answer(), self.post(**what).answer()]
        for answer in answers:
            self.assertEqual((answer.status, answer.headers.get("idempotency-replayed")), (200, "true"))
            self.assertEqual(answer.body, answers[0].body)
        self.assertEqual(self.hold(False), before + submissions)

    def test_who_left_before_the_answer_and_repeats_the_key_publishes_nothing_twice(self):
        self.check_repeated_after_leaving(1)

    def test_the_same_goes_for_a_bulk(self):
        self.check_repeated_after_leaving(3, path=b"/publish", body=BULK)

    def test_repetitions_on_all_workers_wait_for_the_first(self):
        before = self.hold(True)
        connections = [self.post() for _ in range(9)]
        wait_until(lambda: self.hold(True) > before, "the first is handed over")
        self.leave(connections.pop(), others=len(connections))
        self.hold(False)
        answers = [connection.answer() for connection in connections]
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertEqual(len({answer.body for answer in answers}), 1)
        self.assertEqual(self.hold(False), before + 1)

    def test_the_answer_is_stored_with_the_message(self):
        before = self.store(True)
        first = self.post()
        wait_until(lambda: self.hold(True) > before["submitted"], "it is handed over")
        self.assertEqual(self.store(True)["keys_put"], before["keys_put"] + 1)
        self.hold(False)
        self.assertEqual(first.answer().status, 200)
        self.assertEqual(self.store(False)["keys_put"], before["keys_put"] + 1)

    def test_a_message_that_need_not_last_waits_for_its_key(self):
        before = self.store(True)
        first = self.post(path=b"/topics/nobody")
        wait_until(lambda: self.store(True)["keys_put"] > before["keys_put"], "the key is handed over")
        self.assertEqual(self.hold(True), before["submitted"])
        first.socket.setblocking(False)
        self.assertRaises(BlockingIOError, first.socket.recv, 1)
        first.socket.setblocking(True)
        self.hold(False)
        self.assertEqual((first.answer().status, self.post(path=b"/topics/nobody").answer().headers["idempotency-replayed"]), (202, "true"))

    def test_the_answer_to_a_bulk_is_stored_when_all_of_it_is_on_disk(self):
        before = self.store(True)
        first = self.post(path=b"/publish", body=BULK)
        wait_until(lambda: self.hold(True) == before["submitted"] + 3, "it is handed over")
        self.assertEqual(self.store(True)["keys_put"], before["keys_put"])
        self.hold(False)
        self.assertEqual(first.answer().status, 200)
        self.assertEqual(self.store(False)["keys_put"], before["keys_put"] + 1)

    def test_nothing_is_stored_of_what_is_refused_or_has_no_key(self):
        before = self.store(False)
        self.assertEqual(self.post(path=b"/topics/a?qos=1&topic=$SYS/x").answer().status, 403)
        self.assertEqual(self.ask(b"POST", b"/topics/a?retain=true", body=b"x").status, 200)
        self.assertEqual(self.store(False)["keys_put"], before["keys_put"])

    def test_what_is_forgotten_leaves_the_store(self):
        before = self.store(False)
        bulk = json.dumps([{"topic": "t" * 200, "payload": ""}] * 10000).encode()
        self.assertEqual(self.post(path=b"/topics/forgotten").answer().status, 202)
        for i in range(16):
            with self.gateway.connect() as connection:
                connection.send(request(b"POST", b"/publish", b"Content-Type: application/json\r\nIdempotency-Key: %d\r\n" % i, body=bulk))
                self.assertEqual(connection.answer().status, 200)
        after = self.store(False)
        self.assertEqual(after["keys_put"], before["keys_put"] + 17)
        self.assertGreater(after["keys_deleted"], before["keys_deleted"])

    def test_without_a_key_nothing_is_left_of_who_has_gone(self):
        before = self.hold(True)
        connection = self.connect()
        connection.send(request(b"POST", b"/topics/a?retain=true", body=b"x"))
        wait_until(lambda: self.hold(True) > before, "it is handed over")
        self.leave(connection)
        self.hold(False)
        self.check_alive()


if __name__ == "__main__":
    unittest.main()
