"""paho-mqtt with its callbacks turned into queues that a test can wait on."""

import queue
import socket

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCodes
from paho.mqtt.subscribeoptions import SubscribeOptions

from .clock import DEADLINE

V31, V311, V5 = paho.MQTTv31, paho.MQTTv311, paho.MQTTv5

__all__ = ["Client", "PacketTypes", "ReasonCodes", "SubscribeOptions", "V31", "V311", "V5", "properties"]


def properties(kind, **values):
    """Properties for packet type KIND; a list of pairs for UserProperty adds each."""
    out = Properties(kind)
    for name, value in values.items():
        if name == "UserProperty" and isinstance(value, list):
            for pair in value:
                out.UserProperty = pair
        else:
            setattr(out, name, value)
    return out


class Client:
    """A client on its own thread. It reconnects by itself, at once, when the connection is lost."""

    def __init__(self, server, client_id="", version=V5, clean=True, ipv6=False):
        self.address = ("::1", server.port6) if ipv6 else (server.host, server.port)
        self.version = version
        self.clean = clean
        session = {} if version == V5 else {"clean_session": clean}
        self.paho = paho.Client(client_id, protocol=version, **session)
        self.paho.reconnect_delay_set(min_delay=0, max_delay=1)
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_message = lambda _client, _data, message: self.messages.put(message)
        self.paho.on_subscribe = self._on_subscribe
        self.paho.on_unsubscribe = self._on_unsubscribe
        self.paho.on_publish = lambda _client, _data, mid: self.published.put(mid)
        self.messages = queue.Queue()
        self.connects = queue.Queue()  # (session present, reason, properties)
        self.disconnects = queue.Queue()  # (reason, properties)
        self.subscribes = queue.Queue()  # (mid, reasons)
        self.unsubscribes = queue.Queue()
        self.published = queue.Queue()

    # ---- callbacks, on paho's thread

    def _on_connect(self, _client, _data, flags, reason, props=None):
        self.connects.put((bool(flags["session present"]), int(getattr(reason, "value", reason)), props))

    def _on_disconnect(self, _client, _data, reason, props=None):
        self.disconnects.put((int(getattr(reason, "value", reason)), props))

    def _on_subscribe(self, _client, _data, mid, granted, _props=None):
        self.subscribes.put((mid, [int(getattr(one, "value", one)) for one in granted]))

    def _on_unsubscribe(self, _client, _data, mid, _props=None, _reasons=None):
        self.unsubscribes.put(mid)

    # ---- dialogues, on the test's thread

    def connect(self, keep_alive=60, props=None, expect=0):
        """Connect; returns (session present, properties of CONNACK)."""
        more = {"clean_start": self.clean, "properties": props} if self.version == V5 else {}
        self.paho.connect(*self.address, keepalive=keep_alive, **more)
        self.paho.loop_start()
        present, reason, answer = get(self.connects, "CONNACK")
        assert reason == expect, "CONNACK says 0x%02x" % reason
        return present, answer

    def disconnect(self, reason=None, props=None):
        more = {"reasoncode": reason, "properties": props} if self.version == V5 else {}
        self.paho.disconnect(**more)
        get(self.disconnects, "end of the connection")
        self.paho.loop_stop()

    def subscribe(self, *filters, props=None):
        """Filters are (filter, QoS) or (filter, SubscribeOptions); returns the granted codes."""
        more = {"properties": props} if self.version == V5 else {}
        _rc, mid = self.paho.subscribe(list(filters), **more)
        got, granted = get(self.subscribes, "SUBACK")
        assert got == mid
        return granted

    def unsubscribe(self, *filters):
        _rc, mid = self.paho.unsubscribe(list(filters))
        assert get(self.unsubscribes, "UNSUBACK") == mid

    def publish(self, topic, payload=b"", qos=0, retain=False, **props):
        """Publish, and wait until paho calls it published (sent, for QoS 0; acknowledged, else)."""
        more = {"properties": properties(PacketTypes.PUBLISH, **props)} if props else {}
        info = self.paho.publish(topic, payload, qos, retain, **more)
        info.wait_for_publish(DEADLINE)
        assert info.is_published(), "not acknowledged: " + topic

    def message(self):
        return get(self.messages, "message")

    def take(self, count):
        return [self.message() for _ in range(count)]

    def cut(self):
        """End the connection under paho's feet, without DISCONNECT."""
        sock = self.paho.socket()
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()
        self.paho._reset_sockets()


def get(source, what):
    try:
        return source.get(timeout=DEADLINE)
    except queue.Empty:
        raise AssertionError("no %s came" % what) from None
