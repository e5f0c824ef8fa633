"""POST /api/v1/backup: where copies go, one at a time, and that nobody waits for them but who asked."""

import os
import re
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import SERVER, Case, Gateway, request, wait_until  # noqa: E402


class Backup(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="tidegate-backup-")
        cls.target = os.path.join(cls.folder, "copies")
        cls.gateway = Gateway(SERVER, store={"backup_path": cls.target}, workers=2)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.folder)

    def setUp(self):
        self.hold(False)
        self.addCleanup(self.hold, False)

    def hold(self, hold):
        self.assertEqual(self.ask(b"GET", b"/store?hold=" + (b"true" if hold else b"false")).status, 200)

    def names(self):
        return sorted(os.listdir(self.target)) if os.path.exists(self.target) else []

    def begin(self):
        """A request whose copy is under way."""
        self.hold(True)
        connection = self.connect()
        connection.send(request(b"POST", b"/api/v1/backup", body=b""))
        wait_until(lambda: "part.mdb" in self.names(), "the copy is begun")
        return connection

    def test_answers_with_name_and_size_when_the_copy_is_complete(self):
        before = self.names()
        answer = self.ask(b"POST", b"/api/v1/backup", body=b"")
        self.assertEqual(answer.status, 201)
        told = answer.json()
        self.assertRegex(told["file"], r"^tidegate-\d{8}T\d{6}\.\d{3}Z\.mdb$")
        self.assertEqual((told["folder"], told["bytes"]), (self.target, 4))
        self.assertEqual(self.names(), sorted(before + [told["file"]]))
        self.assertEqual(os.stat(self.target).st_mode & 0o777, 0o700)

    def test_a_second_one_meanwhile_is_refused_and_workers_go_on(self):
        first = self.begin()
        for _ in range(4):  # whichever worker
            answer = self.ask(b"POST", b"/api/v1/backup", body=b"")
            self.assertEqual((answer.status, answer.headers["retry-after"]), (409, "1"))
        self.hold(False)
        self.assertEqual(first.answer().status, 201)
        wait_until(lambda: self.ask(b"POST", b"/api/v1/backup", body=b"").status == 201, "the next one is taken")

    def test_who_goes_away_has_the_copy_made_all_the_same(self):
        before = self.names()
        connection = self.begin()
        connection.socket.close()
        self.hold(False)
        wait_until(lambda: len(self.names()) == len(before) + 1 and "part.mdb" not in self.names(), "the copy is complete")
        self.check_alive()

    def test_what_is_left_of_a_copy_that_was_cut_short_is_in_nobodys_way(self):
        os.makedirs(self.target, 0o700, exist_ok=True)
        with open(os.path.join(self.target, "part.mdb"), "w") as file:
            file.write("half")
        self.assertEqual(self.ask(b"POST", b"/api/v1/backup", body=b"").status, 201)
        self.assertNotIn("part.mdb", self.names())

    def test_no_request_says_where_it_goes(self):
        for query in (b"?path=/tmp/x", b"?file=x"):
            self.assertEqual(self.ask(b"POST", b"/api/v1/backup" + query, body=b"").status, 400)

    def test_pages_of_other_sites_and_callers_behind_proxies_make_none(self):
        self.assertEqual(self.ask(b"POST", b"/api/v1/backup", b"Origin: http://other.example\r\n", body=b"").status, 403)
        self.assertEqual(self.ask(b"POST", b"/api/v1/backup", b"X-Forwarded-For: 192.0.2.1\r\n", body=b"").status, 403)

    def test_a_folder_that_cannot_be_made_is_an_error(self):
        shutil.rmtree(self.target, ignore_errors=True)
        with open(self.target, "w"):
            pass
        try:
            answer = self.ask(b"POST", b"/api/v1/backup", body=b"")
            self.assertEqual(answer.status, 500)
            wait_until(lambda: "backup failed" in self.gateway.log(), "the log says so")
        finally:
            os.unlink(self.target)

    def test_metrics_tell_of_the_store(self):
        page = self.ask(b"GET", b"/metrics").body.decode()
        for line in ('tidegate_store_info{engine="slow"} 1', "tidegate_store_commits_total 5", "tidegate_store_operations_total 50",
                     "tidegate_store_used_bytes 1000", "tidegate_store_limit_bytes 4000", "tidegate_store_free_bytes 3000",
                     'tidegate_store_commit_duration_seconds_bucket{le="6.4e-05"} 3',
                     'tidegate_store_commit_duration_seconds_bucket{le="0.000256"} 4',
                     'tidegate_store_commit_duration_seconds_bucket{le="+Inf"} 5',
                     "tidegate_store_commit_duration_seconds_sum 1.500000000", "tidegate_store_commit_duration_seconds_count 5",
                     "tidegate_store_slowest_commit_seconds 1.000000000", "tidegate_store_oldest_waiting_seconds 0.250000000"):
            self.assertTrue(re.search("^%s$" % re.escape(line), page, re.M), line)
        stats = self.ask(b"GET", b"/api/v1/stats").json()
        self.assertEqual((stats["store_engine"], stats["store_commits_total"], stats["store_oldest_waiting_ms"]), ("slow", 5, 250))
        self.assertEqual(stats["store_commit_durations"][0], {"at_most_us": 64, "commits": 3})
        self.assertEqual(stats["store_commit_durations"][-1], {"at_most_us": None, "commits": 1})


class InMemory(Case):
    """A gateway that was not told where copies go, as one without a durable store."""

    def test_there_is_nothing_to_copy_in_memory(self):
        answer = self.ask(b"POST", b"/api/v1/backup", body=b"")
        self.assertEqual(answer.status, 409)
        self.assertIn("in memory", answer.json()["detail"])


if __name__ == "__main__":
    unittest.main()
