"""GET /events: snapshot and live without a gap, resumed without loss, losses told, slow readers bounded, polls, lines."""

import base64
import http.client
import os
import selectors
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness  # noqa: E402
from event_stream import Lines, Refused, Stream, poll  # noqa: E402
from harness import wire  # noqa: E402

MEBIBYTE = 1024 * 1024
FULL_SIZE = os.environ.get("EVENTS_FULL_SIZE") == "1"  # readers and messages as many as in the field


class EventsCase(harness.Case):
    def stream(self, filters, kind=Stream, **more):
        return self.keep(kind(self.server, filters, **more))

    def resume(self, stream, filters, **more):
        return self.stream(filters, kind=type(stream), last_id=stream.last_id, **more)

    def cut(self, *streams):
        """Cut STREAMS and wait until the server knows."""
        for stream in streams:
            stream.cut()
        self.wait_until_gone(*streams)

    def wait_until_gone(self, *streams):
        for stream in streams:
            harness.wait_until(lambda s=stream: any(
                "client disconnected" in line and 'peer="%s"' % s.peer in line
                for line in self.server.log().splitlines()), "the server knows that %s has gone" % stream.peer)

    def retain_many(self, count):
        """Retain COUNT values of 200 bytes; returns their topics, sorted."""
        sender = self.sender()
        names = [self.name("%05d" % i) for i in range(count)]
        for name in names:
            sender.send(wire.publish(name, b"x" * 200, retain=True))
        sender.ping()
        return names

    def sender(self, version=5):
        client = self.keep(wire.Wire(self.server.address, version))
        client.connect("")
        return client

    def publish(self, topic, payload, qos=0, retain=False, props=None):
        client = self.sender()
        client.publish(topic, payload, qos, retain=retain, props=props)
        client.ping()  # with QoS 0 nothing else tells that it has been taken
        client.close()

    def refused(self, status, filters, **more):
        with self.assertRaises(Refused) as raised:
            self.stream(filters, **more)
        self.assertEqual(raised.exception.args[0], status, raised.exception.args)
        return raised.exception.args

    def assert_counts_on(self, numbers, first, last):
        self.assertEqual(numbers, list(range(first, last + 1)))


class Events(EventsCase):
    options = {"http": True, "workers": 3, "config": {
        "events": {"resume_s": 60, "heartbeat_s": 1, "queued_messages": 60000, "queued_bytes": 64 * MEBIBYTE}}}

    # ---- what comes

    def test_retained_values_come_first_then_synced_then_live(self):
        for topic in "abc":
            self.publish(self.name(topic), topic.encode(), retain=True)
        stream = self.stream(self.name("#"))
        self.assertEqual(stream.headers["content-type"], "text/event-stream")
        self.assertEqual(stream.headers["cache-control"], "no-store")
        kept = stream.until("synced")
        self.assertEqual(sorted((e.data["topic"], e.payload, e.data["retain"]) for e in kept),
                         [(self.name(t), t, True) for t in "abc"])
        self.assertEqual(stream.retry, 500)
        self.publish(self.name("d"), b"live")
        self.assertEqual(stream.message().data,
                         {"topic": self.name("d"), "payload": "live", "qos": 0, "retain": False})

    def test_without_retained_values_it_is_synced_at_once(self):
        self.publish(self.name(), b"kept", retain=True)
        self.assertEqual(self.stream(self.name("none")).event().name, "synced")
        self.assertEqual(self.stream(self.name(), retained="skip").event().name, "synced")

    def test_several_filters_are_one_stream_and_a_message_comes_once(self):
        stream = self.stream([self.name("a"), self.name("+"), self.name("b/#")])
        stream.until("synced")
        for topic in ("a", "b/c", "d"):
            self.publish(self.name(topic), b"x")
        self.assertEqual([stream.message().data["topic"] for _ in range(3)],
                         [self.name(t) for t in ("a", "b/c", "d")])

    def test_properties_come_along_and_binary_is_base64(self):
        stream = self.stream(self.name(), qos=1)
        stream.until("synced")
        self.publish(self.name(), b"\x00\xff", 1, props={"content_type": "x/y", "response_topic": "r",
                                                         "user_property": [("k", "v")], "message_expiry": 60})
        data = stream.message().data
        self.assertEqual((data["payload_encoding"], base64.b64decode(data["payload"])), ("base64", b"\x00\xff"))
        self.assertEqual(data["qos"], 1)
        properties = data["properties"]
        self.assertIn(properties.pop("message_expiry_interval"), (59, 60))
        self.assertEqual(properties, {"content_type": "x/y", "response_topic": "r", "user_properties": {"k": "v"}})
        self.publish(self.name(), "line\nfeed \u2028 é".encode())
        self.assertEqual(stream.message().payload, "line\nfeed \u2028 é")

    def test_lines_of_json_carry_the_same(self):
        self.publish(self.name("a"), b"kept", retain=True)
        stream = self.stream(self.name("#"), kind=Lines)
        self.assertEqual(stream.headers["content-type"], "application/x-ndjson")
        self.assertEqual([e.name for e in (stream.event(), stream.event(), stream.event())],
                         ["open", "message", "synced"])
        self.publish(self.name("b"), b"1")
        message = stream.message()
        self.assertEqual((message.payload, message.id), ("1", stream.last_id))
        stream.cut()
        self.publish(self.name("b"), b"2")
        again = self.resume(stream, self.name("#"))
        self.assertEqual([e.payload for e in again.until("synced")[1:]], ["2"])

    def test_a_silent_stream_is_sent_signs_of_life(self):
        stream = self.stream(self.name())
        lines = self.stream(self.name(), kind=Lines)
        stream.until("synced")
        lines.until("synced")
        self.assertEqual(lines.event().name, "heartbeat")
        self.publish(self.name(), b"x")
        stream.message()
        self.assertGreaterEqual(stream.comments, 1)

    def test_a_snapshot_meets_what_comes_live_without_gap_or_repetition(self):
        """50 topics count on at 1000 messages a second while streams begin: each topic is seen from some number on, complete."""
        topics = [self.name("%02d" % i) for i in range(50)]
        last = 40
        sender = self.sender()

        def count_on():
            for number in range(last + 1):
                for topic in topics:
                    sender.send(wire.publish(topic, b"%d" % number, retain=True))
                time.sleep(0.05)

        thread = threading.Thread(target=count_on)
        thread.start()
        streams = []
        while thread.is_alive():
            streams.append(self.stream(self.name("#")))
            thread.join(0.1)
        streams.append(self.stream(self.name("#")))
        for stream in streams:
            seen = {}
            ended = 0
            while ended < len(topics):
                event = stream.event()
                if event.name != "message":
                    self.assertEqual(event.name, "synced")
                    continue
                seen.setdefault(event.data["topic"], []).append(event.number)
                ended += event.number == last
            for topic in topics:
                self.assert_counts_on(seen[topic], seen[topic][0], last)
        self.assertGreater(len(streams), 10)

    # ---- resumed

    def test_20_cuts_lose_and_double_nothing(self):
        count = 20000 if FULL_SIZE else 6000
        sender = self.sender()

        def send():
            for number in range(count):
                sender.send(wire.publish(self.name(), b"%d" % number))
                if number % 50 == 49:
                    time.sleep(0.005)

        stream = self.stream(self.name())
        stream.until("synced")
        thread = threading.Thread(target=send)
        thread.start()
        numbers = []
        cuts = [count * (i + 1) // 22 for i in range(20)]
        while len(numbers) < count:
            event = stream.event()
            self.assertIn(event.name, ("message", "synced"))
            if event.name == "message":
                numbers.append(event.number)
            if cuts and len(numbers) == cuts[0]:
                cuts.pop(0)
                stream.cut()
                stream = self.resume(stream, self.name())
        thread.join()
        self.assert_counts_on(numbers, 0, count - 1)

    def test_what_came_while_away_comes_from_any_worker(self):
        stream = self.stream(self.name("#"))
        stream.until("synced")
        for round_ in range(6):  # connections go round the workers
            stream.cut()
            self.publish(self.name("a"), b"%d" % (2 * round_))
            self.publish(self.name("b"), b"%d" % (2 * round_ + 1), 1)
            stream = self.resume(stream, self.name("#"))
            self.assertEqual([e.number for e in stream.until("synced")], [2 * round_, 2 * round_ + 1])

    def test_a_reader_that_names_an_older_event_is_given_what_follows_it_again(self):
        stream = self.stream(self.name())
        stream.until("synced")
        for number in range(5):
            self.publish(self.name(), b"%d" % number)
        events = [stream.message() for _ in range(5)]
        stream.cut()
        again = self.stream(self.name(), since=events[1].id)
        self.assertEqual([e.number for e in again.until("synced")], [2, 3, 4])

    def test_a_second_reader_takes_the_stream_and_the_first_is_told(self):
        first = self.stream(self.name(), client_id=self.name(), session_expiry=60)
        first.until("synced")
        second = self.stream(self.name(), client_id=self.name(), session_expiry=60)
        second.until("synced")
        self.assertEqual(first.event().name, "closed")
        self.assertRaises(EOFError, first.event)
        self.publish(self.name(), b"x", 1)
        self.assertEqual(second.message().payload, "x")

    def test_a_durable_stream_keeps_qos_1_while_it_is_away(self):
        durable = {"client_id": self.name(), "session_expiry": 60}
        stream = self.stream(self.name(), **durable)
        stream.until("synced")
        self.cut(stream)
        for number in range(3):
            self.publish(self.name(), b"%d" % number, 1)
        again = self.resume(stream, self.name(), **durable)
        self.assertEqual([e.number for e in again.until("synced")], [0, 1, 2])
        # without an id nobody knows what arrived: all that was not acknowledged comes again
        self.cut(again)
        third = self.stream(self.name(), **durable)
        self.assertEqual([e.number for e in third.until("synced")], [0, 1, 2])
        # and it is an ordinary session, which a client of MQTT may take
        client = self.keep(wire.Wire(self.server.address))
        self.assertTrue(client.connect(self.name(), clean=False, props={"session_expiry": 60}).session_present)
        self.assertEqual(int(client.read(wire.PUBLISH).payload), 0)

    def test_a_durable_stream_is_subscribed_to_what_its_last_request_says(self):
        durable = {"client_id": self.name(), "session_expiry": 60}
        self.stream([self.name("a"), self.name("b")], **durable).until("synced")
        stream = self.stream([self.name("b"), self.name("c")], **durable)
        stream.until("synced")
        for topic in "abc":
            self.publish(self.name(topic), topic.encode(), 1)
        self.assertEqual([stream.message().payload for _ in range(2)], ["b", "c"])

    def test_a_snapshot_that_is_cut_goes_on(self):
        names = self.retain_many(2000)
        stream = self.stream(self.name("#"), receive_buffer=4096)
        seen = []
        for _ in range(5):
            seen += [stream.message().data["topic"] for _ in range(300)]
            stream.cut()
            stream = self.resume(stream, self.name("#"), receive_buffer=4096)
        self.assertEqual(sorted(seen + [e.data["topic"] for e in stream.until("synced")]), names)

    # ---- polls

    def test_a_poll_answers_with_the_snapshot_and_then_as_soon_as_there_is_something(self):
        self.publish(self.name("a"), b"kept", retain=True)
        status, headers, lines = poll(self.server, self.name("#"), wait=10)
        self.assertEqual(status, 200)
        self.assertEqual([line.get("payload", line.get("event")) for line in lines], ["kept", "synced"])
        cursor = headers["X-Cursor"]
        begin = time.monotonic()
        timer = threading.Timer(0.3, self.publish, (self.name("b"), b"live"))
        timer.start()
        status, headers, lines = poll(self.server, self.name("#"), wait=10, since=cursor)
        timer.join()
        self.assertEqual((status, [line["payload"] for line in lines if "payload" in line]), (200, ["live"]))
        self.assertLess(time.monotonic() - begin, 9)
        self.assertEqual(headers["X-Cursor"], lines[-1]["id"])

    def test_a_poll_without_anything_is_204_and_goes_on_from_there(self):
        status, headers, lines = poll(self.server, self.name(), wait=0)
        self.assertEqual((status, lines), (204, []))
        self.publish(self.name(), b"while nobody polls")
        status, _, lines = poll(self.server, self.name(), accept="application/json", wait=10, since=headers["X-Cursor"])
        self.assertEqual((status, lines[0]["payload"], lines[1]["event"]), (200, "while nobody polls", "synced"))

    def test_polls_take_a_snapshot_piece_by_piece(self):
        names = self.retain_many(2000)
        seen = []
        query = {}
        polls = 0
        while len(seen) < len(names):
            status, headers, lines = poll(self.server, self.name("#"), wait=10, **query)
            self.assertEqual(status, 200)
            seen += [line["topic"] for line in lines if "topic" in line]
            query = {"since": headers["X-Cursor"]}
            polls += 1
        self.assertEqual(sorted(seen), names)
        self.assertGreater(polls, 2)

    def test_polls_lose_and_double_nothing(self):
        count = 500
        sender = self.sender()

        def send():
            for number in range(count):
                sender.send(wire.publish(self.name(), b"%d" % number))
                time.sleep(0.001)

        _, headers, _ = poll(self.server, self.name(), wait=0)
        thread = threading.Thread(target=send)
        thread.start()
        numbers = []
        while len(numbers) < count:
            _, headers, lines = poll(self.server, self.name(), wait=10, since=headers["X-Cursor"])
            self.assertNotIn("gap", [line.get("event") for line in lines])
            numbers += [int(line["payload"]) for line in lines if "payload" in line]
        thread.join()
        self.assert_counts_on(numbers, 0, count - 1)

    # ---- refused

    def test_what_is_not_valid_is_400(self):
        name = self.name()
        for filters, query in (("a/#/b", {}), ("", {}), ([], {}), (["a"] * 65, {}), (name, {"qos": 2}),
                               (name, {"qos": "x"}), (name, {"retained": "maybe"}), (name, {"wait": 301}),
                               (name, {"session_expiry": 1}), (name, {"client_id": ""}), (name, {"since": "x"}),
                               (name, {"since": "A" * 22 + "."}), (name, {"since": "A" * 21 + ".1"}),
                               (name, {"since": "A" * 22 + ".99999999999999999999"}), (name, {"since": ".1"}),
                               (name, {"client_id": "c", "since": "A" * 22 + ".1"})):
            with self.subTest(filters=str(filters)[:20], **query):
                self.refused(400, filters, **query)
        self.refused(400, name, last_id="x")

    def test_a_form_that_events_do_not_have_is_406(self):
        self.refused(406, self.name(), headers={"Accept": "image/png"})
        self.refused(406, self.name(), headers={"Accept": "application/json"})
        self.assertEqual(self.stream(self.name(), headers={"Accept": "image/png, text/*;q=0.1"}).event().name, "synced")

    def test_what_only_the_gateway_reads_is_403(self):
        for filters in ("$tidegate/rpc/#", "$tidegate/#", "$share/g/$tidegate/+"):
            self.refused(403, [self.name(), filters])

    def test_an_image_or_a_link_on_another_site_does_not_take_a_session(self):
        victim = self.keep(wire.Wire(self.server.address))
        victim.connect(self.name())
        for site in ("cross-site", "same-site"):
            for mode in ("no-cors", "navigate"):
                self.page_gets(403, site, mode)
        victim.ping()
        for site in ("none", "same-origin"):
            self.page_gets(400, site, "no-cors", filters="a/%23/b")

    def test_where_browsers_do_not_say_whose_page_asks_a_session_needs_a_referer_of_ours(self):
        browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
        ours = "http://127.0.0.1:%d" % self.server.http_port
        victim = self.keep(wire.Wire(self.server.address))
        victim.connect(self.name())
        for referer in (None, "", "http://evil.example/", "http://evil.example/%s/" % ours, "http://127.0.0.1:1/x", "about:blank",
                        "http://evil.example?" + ours, ours + "@evil.example/", "x" * 1000):
            headers = {"User-Agent": browser} if referer is None else {"User-Agent": browser, "Referer": referer}
            self.assertEqual(self.ask("/events?wait=0&filter=a&client_id=" + self.name(), headers)[0], 403, referer)
        victim.ping()
        self.assertEqual(self.ask("/events?wait=0&filter=a", {"User-Agent": browser})[0], 204)
        for headers in ({"User-Agent": "curl/7.88.1"}, {}, {"User-Agent": browser, "Origin": ours},
                        {"User-Agent": browser, "Referer": ours + "/page?x#y"}, {"User-Agent": browser, "Referer": ours}):
            self.assertEqual(self.ask("/events?wait=0&filter=a&client_id=" + self.name("mine"), headers)[0], 204, headers)

    def ask(self, target, headers):
        web = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=harness.DEADLINE)
        self.addCleanup(web.close)
        web.request("GET", target, headers=headers)
        response = web.getresponse()
        return response.status, response.headers, response.read()

    def page_gets(self, status, site, mode, filters="a"):
        web = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=harness.DEADLINE)
        self.addCleanup(web.close)
        web.request("GET", "/events?wait=0&filter=%s&client_id=%s" % (filters, self.name()),
                    headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode})
        self.assertEqual(web.getresponse().status, status, (site, mode))

    def test_a_cursor_that_nobody_has_is_410_and_for_a_browser_a_gap(self):
        unknown = "A" * 22 + ".17"
        self.publish(self.name(), b"kept", retain=True)
        self.refused(410, self.name(), since=unknown)
        self.assertEqual(poll(self.server, self.name(), wait=1, since=unknown)[0], 410)
        stream = self.stream(self.name(), last_id=unknown)
        self.assertEqual([e.name for e in (stream.event(), stream.event(), stream.event())],
                         ["gap", "message", "synced"])
        self.publish(self.name(), b"live")
        stream.message()
        stream.cut()
        self.publish(self.name(), b"later")
        again = self.resume(stream, self.name())
        self.assertEqual({again.event().name, again.event().name}, {"synced", "message"})

    def test_head_answers_without_a_stream(self):
        status, headers, lines = poll(self.server, self.name(), method="HEAD")
        self.assertEqual((status, headers["Content-Type"], lines), (200, "text/event-stream", []))

    def test_an_old_http_client_reads_until_the_end(self):
        import socket
        with socket.create_connection((self.server.host, self.server.http_port), harness.DEADLINE) as sock:
            sock.sendall(("GET /events?filter=%s HTTP/1.0\r\nHost: localhost\r\n\r\n" % self.name()).encode())
            text = b""
            while b"event: synced" not in text:
                text += sock.recv(65536)
            self.assertNotIn(b"chunked", text)


class Bounded(EventsCase):
    """Windows and queues that are too small for what comes."""

    options = {"http": True, "workers": 2, "limits": {"write_stall_timeout_ms": 60000, "queue_full": "refuse"},
               "config": {"events": {"queued_messages": 20, "queued_bytes": 65536}}}

    def assert_losses_are_told(self, events):
        """Every jump in the numbers has a gap before it, and no gap comes without one."""
        previous = None
        gap = False
        for event in events:
            if event.name == "gap":
                gap = True
            elif event.name == "message" and not event.data["retain"]:
                self.assertTrue(previous is None or gap or event.number == previous + 1, (previous, event))
                previous, gap = event.number, False

    def test_more_than_the_bound_while_away_is_a_gap_and_the_snapshot_again(self):
        self.publish(self.name("kept"), b"kept", retain=True)
        stream = self.stream(self.name("#"))
        stream.until("synced")
        self.publish(self.name("n"), b"0")
        stream.message()
        self.cut(stream)
        sender = self.sender()
        for number in range(1, 101):
            sender.publish(self.name("n"), b"%d" % number, 1)
        again = self.resume(stream, self.name("#"))
        events = again.until("synced")
        self.assertEqual(events[0].name, "gap")
        self.assertEqual([e.number for e in events[1:] if not e.data["retain"]], list(range(81, 101)))
        self.assertEqual([e.payload for e in events[1:] if e.data["retain"]], ["kept"])
        # from there on there is no gap
        self.cut(again)
        sender.publish(self.name("n"), b"101", 1)
        third = self.resume(again, self.name("#"))
        self.assertEqual({e.name for e in (third.event(), third.event())}, {"synced", "message"})

    def test_what_the_window_has_forgotten_is_a_gap(self):
        stream = self.stream(self.name())
        stream.until("synced")
        sender = self.sender()
        first = stream.last_id
        for number in range(50):
            sender.publish(self.name(), b"%d" % number, 1)
        for number in range(50):
            self.assertEqual(stream.message().number, number)
        stream.cut()
        again = self.stream(self.name(), last_id=first)
        self.assertEqual(again.event().name, "gap")
        rest = [again.message().number for _ in range(20)]
        self.assertEqual(rest, list(range(30, 50)))

    def test_a_reader_that_was_slow_is_told_what_it_missed(self):
        for qos, more in ((0, {}), (1, {}), (0, {"client_id": "slow0", "qos": 0}), (1, {"client_id": "slow1"})):
            with self.subTest(published=qos, **more):
                topic = self.name("%d%s" % (qos, more.get("client_id", "")))
                self.publish(topic + "/kept", b"kept", retain=True)
                sleeper = self.stream(topic + "/#", receive_buffer=4096, **more)
                sleeper.until("synced")
                sender = self.sender()
                for number in range(2000):
                    sender.publish(topic + "/n", b"%d " % number + b" " * 8000, qos)
                sender.ping()
                events = []
                while not any(e.name == "synced" for e in events):
                    events.append(sleeper.event())
                self.publish(topic + "/n", b"2000", 1)  # what comes before may be part of the gap
                while not any(e.name == "message" and e.number == 2000 for e in events if not e.data.get("retain")):
                    events.append(sleeper.event())
                self.assertIn("gap", [e.name for e in events])
                self.assert_losses_are_told(events)
                self.assertIn("kept", [e.payload for e in events if e.data.get("retain")])

    def test_a_snapshot_larger_than_the_bound_comes_whole_to_a_slow_reader(self):
        names = self.retain_many(2000)
        stream = self.stream(self.name("#"), receive_buffer=4096)
        self.assertEqual(sorted(e.data.get("topic", e.name) for e in stream.until("synced")), names)

    def test_a_message_larger_than_the_bound_is_a_gap(self):
        stream = self.stream(self.name())
        stream.until("synced")
        self.cut(stream)
        self.publish(self.name(), b"0 " + b" " * 70000, 1)
        self.publish(self.name(), b"1", 1)
        again = self.resume(stream, self.name())
        events = [again.event() for _ in range(3)]
        self.assertEqual([e.name for e in events if e.name != "synced"], ["gap", "message"])
        self.assertEqual(events[-1].number if events[-1].name == "message" else events[1].number, 1)


class Expiring(EventsCase):
    options = {"http": True, "workers": 2, "config": {
        "events": {"resume_s": 1}, "log": {"level": "debug"}}}

    def test_a_stream_that_is_not_resumed_in_time_begins_anew(self):
        stream = self.stream(self.name())
        stream.until("synced")
        self.publish(self.name(), b"0")
        stream.message()
        stream.cut()
        harness.wait_until(lambda: "session expired" in self.server.log(), "the session has expired")
        self.refused(410, self.name(), since=stream.last_id)
        again = self.resume(stream, self.name())
        self.assertEqual(again.event().name, "gap")
        self.publish(self.name(), b"1")
        self.assertEqual([e.number for e in (again.event(), again.event()) if e.name == "message"], [1])
        # an id of the stream's former life is none of this one's
        again.cut()
        third = self.stream(self.name(), last_id=stream.last_id)
        self.assertEqual(third.event().name, "gap")
        self.assertEqual([e.number for e in (third.event(), third.event()) if e.name == "message"], [1])


class Few(EventsCase):
    options = {"http": True, "workers": 2, "config": {"events": {"resume_s": 1, "sessions": 3}}}

    def figure(self, name):
        web = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=harness.DEADLINE)
        self.addCleanup(web.close)
        web.request("GET", "/metrics")
        text = web.getresponse().read().decode()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))

    def test_more_sessions_of_streams_than_there_may_be_are_503_and_counted(self):
        streams = [self.stream(self.name()) for _ in range(3)]
        for stream in streams:
            stream.until("synced")
        headers = self.refused(503, self.name())[1]
        self.assertEqual(headers["retry-after"], "1")
        self.refused(503, self.name(), last_id="A" * 22 + ".17")
        self.assertEqual((self.figure("tidegate_event_sessions"), self.figure("tidegate_sessions_refused_total")), (3, 2))
        again = self.resume(streams[0], self.name())  # what is there may be gone on with
        self.stream(self.name(), client_id=self.name(), session_expiry=0).until("synced")
        again.cut()
        harness.wait_until(lambda: self.figure("tidegate_event_sessions") == 2, "the session has expired")
        self.stream(self.name()).until("synced")


class Crowd(EventsCase):
    """Fast readers among ones that do not read at all."""

    options = {"http": True, "workers": 2, "environment": harness.SMALL_QUARANTINE,
               "limits": {"write_stall_timeout_ms": 3000},
               "config": {"events": {"queued_messages": 200, "queued_bytes": 262144}, "log": {"lines_per_s": 0}}}

    def test_stalled_readers_cost_others_nothing_and_are_cut_off(self):
        readers, stalled_count = (1000, 100) if FULL_SIZE else (100, 10)
        count = 600
        stalled = [self.stream(self.name(), receive_buffer=4096) for _ in range(stalled_count)]
        fast = [self.stream(self.name()) for _ in range(readers - stalled_count)]
        for stream in fast + stalled:
            stream.until("synced")
        before = self.server.rss_bytes()
        most = before
        sender = self.sender()
        selector = selectors.DefaultSelector()
        received = dict.fromkeys(fast, 0)
        for stream in fast:
            stream.sock.setblocking(False)
            selector.register(stream.sock, selectors.EVENT_READ, stream)
        sent = 0
        behind = 0  # how many readers have not all of what was sent
        while sent < count or behind:
            if not behind:  # a burst that they have room for, although one thread reads for all of them
                for _ in range(10):
                    sender.publish(self.name(), b"%d " % sent + b"x" * 10000, 1)
                    sent += 1
                behind = len(fast)
                most = max(most, self.server.rss_bytes())
            for key, _ in selector.select(harness.DEADLINE):
                stream = key.data
                data = stream.sock.recv(1 << 20)
                self.assertTrue(data, "a fast reader was cut off")
                stream.raw += data
                stream._unchunk()
                *blocks, stream.text = stream.text.split(b"\n\n")
                for block in blocks:
                    if block == b":":
                        continue
                    self.assertIn(b'"payload":"%d ' % received[stream], block[:200])
                    received[stream] += 1
                    behind -= received[stream] == sent
        # what is kept for each: the window, the queue, some text; messages themselves are shared
        self.assertLess(most - before, harness.memory((64 if FULL_SIZE else 24) * MEBIBYTE))
        self.wait_until_gone(*stalled)


if __name__ == "__main__":
    harness.main()
