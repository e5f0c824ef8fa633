"""Keep-alive: a silent client is closed after one and a half times its interval, one that speaks is not."""

import threading
import time

import harness
from harness import pahos, wire

LATE_S = 6.0


class KeepAlive(harness.Case):
    @harness.not_mosquitto("looks every few seconds, and closes without DISCONNECT")
    def test_a_silent_client_is_closed_after_one_and_a_half_intervals(self):
        watcher = self.keep(wire.Wire(self.server.address))
        watcher.connect()
        watcher.subscribe(self.name())
        silent = {}
        for version in (3, 4, 5):
            client = self.keep(wire.Wire(self.server.address, version))
            begun = time.monotonic()
            client.connect("silent %d" % version, keep_alive=1, will=(self.name(), "%d" % version, 0, False, None))
            silent[version] = client, begun
        for version, (client, begun) in silent.items():
            told = [one.reason for one in client.read_to_end()]
            lasted = time.monotonic() - begun
            self.assertEqual(told, [0x8D] if version == 5 else [])
            self.assertTrue(1.49 <= lasted < 1.5 + LATE_S, lasted)
        self.assertEqual(sorted(watcher.read(wire.PUBLISH).payload for _ in silent), [b"3", b"4", b"5"])

    def test_every_packet_counts_as_a_sign_of_life(self):
        talkers = []
        for talk in (wire.PING, wire.publish("x", b""), wire.subscribe(1, [("y", 0)])):
            client = self.keep(wire.Wire(self.server.address))
            client.connect(keep_alive=2)
            talkers.append((client, talk))
        # a fourth client falls silent with the last interval; when it is closed, 3 s have passed for all
        silent = self.keep(wire.Wire(self.server.address))
        silent.connect(keep_alive=2)
        over = threading.Event()

        def chatter():
            while not over.wait(0.2):
                for client, talk in talkers:
                    client.send(talk)

        thread = threading.Thread(target=chatter)
        thread.start()
        try:
            silent.read_to_end()
        finally:
            over.set()
            thread.join()
        for client, _talk in talkers:
            for got in client.ping():
                self.assertNotIsInstance(got, wire.Disconnect)

    def test_bytes_of_an_unfinished_packet_are_no_sign_of_life(self):
        client = self.keep(wire.Wire(self.server.address))
        begun = time.monotonic()
        client.connect(keep_alive=1)
        packet = wire.publish("topic", b"x" * 1000)
        try:
            for at in range(len(packet)):
                client.send(packet[at : at + 1])
                # the peer's close ends this wait early
                try:
                    pkt = client.read_packet(timeout=0.1)
                    self.assertEqual(pkt.kind, wire.DISCONNECT)
                except TimeoutError:
                    pass
                if time.monotonic() - begun > 1.5 + LATE_S:
                    self.fail("still connected")
        except (wire.Closed, OSError):
            pass
        self.assertGreaterEqual(time.monotonic() - begun, 1.4)

    def test_an_interval_of_0_never_ends(self):
        client = self.keep(wire.Wire(self.server.address))
        client.connect(keep_alive=0)
        silent = self.keep(wire.Wire(self.server.address))
        silent.connect(keep_alive=1)
        silent.read_to_end()
        self.assertEqual(client.ping(), [])

    def test_paho_stays_connected_by_its_pings(self):
        client = self.keep(pahos.Client(self.server, self.name()))
        client.connect(keep_alive=2)
        silent = self.keep(wire.Wire(self.server.address))
        silent.connect(keep_alive=2)
        silent.read_to_end()
        client.publish(self.name(), b"x", 1)
        self.assertTrue(client.disconnects.empty())


@harness.not_mosquitto("refuses a maximum below 10")
class ServerKeepAlive(harness.Case):
    options = {"limits": {"keep_alive_s_max": 2}}

    def test_the_server_may_shorten_the_interval(self):
        for asked, told in ((0, 2), (60, 2), (2, None), (1, None)):
            client = self.keep(wire.Wire(self.server.address))
            answer = client.connect(keep_alive=asked)
            self.assertIn(answer.props.get("server_keep_alive"), (told,))

    def test_and_then_holds_the_client_to_it(self):
        client = self.keep(wire.Wire(self.server.address))
        begun = time.monotonic()
        client.connect(keep_alive=0)
        self.assertEqual([one.reason for one in client.read_to_end()], [0x8D])
        self.assertTrue(2.99 <= time.monotonic() - begun < 3 + LATE_S)


if __name__ == "__main__":
    harness.main()
