"""POST /rpc/: a request published, its reply answered; with devices of MQTT 5 and 3.1.1, and without any."""

import concurrent.futures
import http.client
import json
import os
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness  # noqa: E402
from event_stream import Refused, Stream  # noqa: E402
from harness import pahos, wire  # noqa: E402


class RpcCase(harness.Case):
    def call(self, topic, body=b"", headers=None, **query):
        """Returns status, headers and body."""
        web = http.client.HTTPConnection(self.server.host, self.server.http_port, timeout=harness.DEADLINE)
        try:
            web.request("POST", "/rpc/%s?%s" % (urllib.parse.quote(topic), urllib.parse.urlencode(query)), body, headers or {})
            answer = web.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            web.close()

    def calling(self, *args, **more):
        """The same on a thread of its own: a future."""
        pool = concurrent.futures.ThreadPoolExecutor(1)
        self.addCleanup(pool.shutdown)
        return pool.submit(self.call, *args, **more)

    def problem(self, answer, status):
        self.assertEqual(answer[0], status, answer)
        self.assertEqual(answer[1]["Content-Type"], "application/problem+json")
        return json.loads(answer[2]).get("detail", "")

    def device(self, *filters, version=pahos.V5):
        client = self.keep(pahos.Client(self.server, version=version))
        client.connect()
        client.subscribe(*[(f, 1) for f in filters])
        return client


class Rpc(RpcCase):
    options = {"http": True, "workers": 3}

    def test_a_device_of_mqtt_5_is_asked_and_its_reply_is_the_answer(self):
        device = self.device(self.name("#"))
        call = self.calling(self.name("cmd"), b"on?", headers={"Content-Type": "text/x-ask"}, userProperty="a:b")
        request = device.message()
        self.assertEqual((request.topic, request.payload, request.retain), (self.name("cmd"), b"on?", False))
        props = request.properties
        self.assertEqual((props.ContentType, props.UserProperty), ("text/x-ask", [("a", "b")]))
        self.assertLessEqual(props.MessageExpiryInterval, 5)
        self.assertTrue(props.ResponseTopic.endswith("/" + props.CorrelationData.decode()), props)
        device.publish(props.ResponseTopic, b'{"on":true}', 1, CorrelationData=props.CorrelationData,
                       ContentType="application/json", UserProperty=[("x", "1"), ("y\r\n", "2")])
        status, headers, body = call.result()
        self.assertEqual((status, headers["Content-Type"], body), (200, "application/json", b'{"on":true}'))
        self.assertEqual(headers.get_all("X-MQTT-User-Property"), ["x=1", "y%0D%0A=2"])
        self.assertEqual(headers["X-MQTT-QoS"], "1")
        self.assertIn("sandbox", headers["Content-Security-Policy"])

    def test_a_device_need_not_send_the_correlation_data_back_and_may_use_any_qos(self):
        device = self.device(self.name())
        for qos in (0, 1, 2):
            call = self.calling(self.name(), b"?", qos=1)
            request = device.message()
            self.assertEqual(request.qos, 1)
            device.publish(request.properties.ResponseTopic, b"\xff%d" % qos, qos)
            status, headers, body = call.result()
            self.assertEqual((status, headers["Content-Type"], body), (200, "application/octet-stream", b"\xff%d" % qos))

    def test_the_first_reply_is_the_answer_and_an_empty_one_is_one(self):
        device = self.device(self.name())
        call = self.calling(self.name())
        topic = device.message().properties.ResponseTopic
        device.publish(topic, b"")
        device.publish(topic, b"too late")
        self.assertEqual(call.result()[::2], (200, b""))

    def test_many_calls_at_once_get_their_own_replies(self):
        """On connections of all workers, answered in another order than asked."""
        count = 60
        device = self.device(self.name("#"))
        calls = [self.calling(self.name("%d" % i), b"%d" % i, timeout=60) for i in range(count)]
        for request in reversed(device.take(count)):
            device.publish(request.properties.ResponseTopic, b"re " + request.payload)
        for i, call in enumerate(calls):
            self.assertEqual(call.result()[::2], (200, b"re %d" % i))

    # ---- devices without properties

    def test_a_device_of_mqtt_3_replies_to_the_topic_that_the_caller_names(self):
        device = self.device(self.name("cmd"), version=pahos.V311)
        call = self.calling(self.name("cmd"), b"on?", reply=self.name("state"))
        self.assertEqual(device.message().payload, b"on?")
        device.publish(self.name("state"), b"on", 1)
        self.assertEqual(call.result()[::2], (200, b"on"))

    def test_the_id_in_the_topic_tells_calls_to_a_device_of_mqtt_3_apart(self):
        device = self.device(self.name("req/+"), version=pahos.V311)
        calls = [self.calling(self.name("req/:id"), b"%d" % i, reply=self.name("res/:id"), timeout=60) for i in range(20)]
        for request in reversed(device.take(20)):
            ident = request.topic.rsplit("/", 1)[1]
            self.assertRegex(ident, "^[0-9a-f]{32}$")
            device.publish(self.name("res/" + ident), b"re " + request.payload)
        for i, call in enumerate(calls):
            self.assertEqual(call.result()[::2], (200, b"re %d" % i))

    def test_what_was_retained_before_is_no_reply(self):
        device = self.device(self.name("cmd"), version=pahos.V311)
        device.publish(self.name("state"), b"old", 1, retain=True)
        call = self.calling(self.name("cmd"), b"?", reply=self.name("state"))
        device.message()
        device.publish(self.name("state"), b"new", 1, retain=True)
        self.assertEqual(call.result()[2], b"new")

    # ---- no reply

    def test_nobody_there_is_503_at_once(self):
        self.assertIn("nobody", self.problem(self.call(self.name(), b"?", timeout=60), 503))
        self.assertIn("nobody", self.problem(self.call(self.name(), b"?", timeout=60, reply=self.name("r")), 503))

    def test_no_reply_in_time_is_504(self):
        device = self.device(self.name())
        self.assertIn("1 s", self.problem(self.call(self.name(), b"?", timeout=1), 504))
        topic = device.message().properties.ResponseTopic
        device.publish(topic, b"too late", 1)
        call = self.calling(self.name(), b"again")
        device.publish(device.message().properties.ResponseTopic, b"in time")
        self.assertEqual(call.result()[::2], (200, b"in time"))

    # ---- refused

    def test_what_is_not_valid_is_400(self):
        self.device(self.name("#"))
        for topic, query in ((self.name("a/#"), {}), (self.name(), {"timeout": 0}), (self.name(), {"timeout": 301}),
                             (self.name(), {"retain": "true"}), (self.name(), {"responseTopic": "x"}),
                             (self.name(), {"correlationData": "aGk="}), (self.name(), {"reply": "a/+"}),
                             (self.name(), {"reply": ""}), (self.name(), {"reply": self.name()}),
                             (self.name(), {"reply": "$SYS/x"}), (self.name(), {"reply": "$tidegate/rpc/x"}),
                             (self.name(":id"), {"reply": self.name(":id")})):
            with self.subTest(topic=topic, **query):
                self.problem(self.call(topic, b"?", **query), 400)

    def test_what_is_the_brokers_own_is_403(self):
        self.problem(self.call("$SYS/x", b"?"), 403)

    def test_nobody_else_can_subscribe_to_replies(self):
        client = self.keep(wire.Wire(self.server.address))
        client.connect()
        for filters in ("$tidegate/rpc/#", "$tidegate/#", "$share/g/$tidegate/+/#", "$tidegate"):
            self.assertEqual(client.subscribe((filters, 0)), [0x87], filters)
        device = self.device(self.name())
        client.subscribe(("#", 0))
        client.subscribe(("+/#", 0))
        call = self.calling(self.name(), b"?")
        device.publish(device.message().properties.ResponseTopic, b"secret")
        call.result()
        client.publish("end", b"")
        seen = []
        while not seen or seen[-1] != "end":
            seen.append(client.read(wire.PUBLISH).topic)
        self.assertNotIn("$tidegate", "".join(seen))
        client.send(wire.disconnect())
        client.read_to_end()  # while it is there, somebody is subscribed to whatever another test asks

    def test_events_do_not_see_replies(self):
        with self.assertRaises(Refused) as raised:
            Stream(self.server, "$tidegate/rpc/#")
        self.assertEqual(raised.exception.args[0], 403)


class OneWorker(RpcCase):
    options = {"http": True, "workers": 1, "config": {"http": {"rpc_calls": 3}}}

    def test_calls_that_wait_for_the_same_topic_are_answered_in_their_order(self):
        device = self.device(self.name("cmd"), version=pahos.V311)
        calls = []
        for i in range(3):
            calls.append(self.calling(self.name("cmd"), b"%d" % i, reply=self.name("state"), timeout=60))
            self.assertEqual(device.message().payload, b"%d" % i)
        for i, call in enumerate(calls):
            device.publish(self.name("state"), b"re %d" % i, 1)
            self.assertEqual(call.result()[::2], (200, b"re %d" % i))
            self.assertEqual([c.done() for c in calls], [True] * (i + 1) + [False] * (2 - i))

    def test_more_calls_than_may_wait_are_503(self):
        device = self.device(self.name())
        calls = [self.calling(self.name(), b"%d" % i, timeout=60) for i in range(3)]
        requests = device.take(3)
        answer = self.call(self.name(), b"one too many")
        self.assertIn("too many", self.problem(answer, 503))
        self.assertEqual(answer[1]["Retry-After"], "1")
        for request in requests:
            device.publish(request.properties.ResponseTopic, b"done")
        self.assertEqual([c.result()[0] for c in calls], [200] * 3)
        call = self.calling(self.name(), b"room again")
        device.publish(device.message().properties.ResponseTopic, b"done")
        self.assertEqual(call.result()[0], 200)


    def test_callers_that_go_away_are_forgotten(self):
        device = self.device(self.name())
        for _ in range(3):
            web = http.client.HTTPConnection(self.server.host, self.server.http_port, timeout=harness.DEADLINE)
            web.request("POST", "/rpc/%s?timeout=300" % self.name(), b"?")
            device.message()
            web.close()
        harness.wait_until(lambda: self.call(self.name(), b"?", timeout=1)[0] == 504, "there is room for another call")


class Stopping(RpcCase):
    def test_calls_that_wait_when_the_server_stops_are_503(self):
        with harness.Server(http=True, workers=2) as server:
            self.server = server
            device = self.device("cmd")
            call = self.calling("cmd", b"?", timeout=300)
            device.message()
            server.stop()
            self.problem(call.result(), 503)

    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass


if __name__ == "__main__":
    harness.main()
