#!/usr/bin/env python3
"""Write the seed corpora of the protocol's fuzz targets below the folder given (default: corpus beside this file).

The packets are put together here by hand, not with the encoders under test. Seeds are named for what they hold;
files of other names (found by fuzzing, named for the bug) are left alone.
"""
import pathlib
import sys

TARGET = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "corpus")


def varint(n):
    out = bytearray()
    while True:
        n, digit = n >> 7, n & 0x7F
        out.append(digit | (0x80 if n else 0))
        if not n:
            return bytes(out)


def u16(n):
    return n.to_bytes(2, "big")


def u32(n):
    return n.to_bytes(4, "big")


def text(s):
    raw = s if isinstance(s, bytes) else s.encode()
    return u16(len(raw)) + raw


def packet(first, *parts):
    body = b"".join(parts)
    return bytes([first]) + varint(len(body)) + body


def section(*entries):
    body = b"".join(entries)
    return varint(len(body)) + body


def entry(identifier, value):
    return bytes([identifier]) + value


USER = entry(0x26, text("key") + text("value"))
USER_2 = entry(0x26, text("key") + text(""))
REASON = entry(0x1F, text("quota exceeded"))
MESSAGE = [entry(0x01, b"\x01"), entry(0x02, u32(3600)), entry(0x03, text("text/plain")),
           entry(0x08, text("reply/to")), entry(0x09, text(b"\x00\xff\x01")), USER, USER_2]
METHOD = [entry(0x15, text("SCRAM-SHA-1")), entry(0x16, text(b"\x01\x02\x00"))]
CONNECT = [entry(0x11, u32(0xFFFFFFFF)), entry(0x21, u16(20)), entry(0x27, u32(65536)), entry(0x22, u16(10)),
           entry(0x19, b"\x01"), entry(0x17, b"\x00"), USER, *METHOD]
CONNACK = [entry(0x11, u32(60)), entry(0x21, u16(100)), entry(0x24, b"\x01"), entry(0x25, b"\x00"),
           entry(0x27, u32(1 << 20)), entry(0x12, text("assigned-1")), entry(0x22, u16(8)), REASON, USER,
           entry(0x28, b"\x01"), entry(0x29, b"\x00"), entry(0x2A, b"\x01"), entry(0x13, u16(30)),
           entry(0x1A, text("resp/")), entry(0x1C, text("other:1883")), *METHOD]
WILL = [entry(0x18, u32(5)), *MESSAGE]

NONE = section()


def connect(name, level, flags, *payload, properties=b"", keep_alive=60):
    return packet(0x10, text(name), bytes([level, flags]), u16(keep_alive), properties, *payload)


def both_ways():
    yield "v3_publish_qos0", packet(0x30, text("a/b/c"), b"hello")
    yield "v3_publish_qos1_dup", packet(0x3A, text("a/b/c"), u16(7), b"hello")
    yield "v3_publish_qos2_retain", packet(0x35, text("a/\u00fc/\U0001F600"), u16(65535), b"\x00\x01")
    yield "v3_publish_empty_payload", packet(0x31, text("a"))
    yield "v5_publish_plain", packet(0x30, text("sensors/room/7/temperature"), NONE, b"21.5")
    yield "v5_publish_all_properties", packet(0x3B, text("a"), u16(1), section(*MESSAGE, entry(0x23, u16(3))), b"x")
    yield "v5_publish_alias_only", packet(0x32, text(""), u16(9), section(entry(0x23, u16(1))), b"payload")
    yield "v5_publish_long", packet(0x30, text("long/" * 40), NONE, b"p" * 300)
    yield "bad_publish_qos3", packet(0x36, text("a"), u16(1))
    yield "bad_publish_wildcard", packet(0x30, text("a/#"), NONE)
    yield "bad_publish_id0", packet(0x32, text("a"), u16(0), NONE)
    yield "bad_publish_alias0", packet(0x30, text("a"), section(entry(0x23, u16(0))))
    yield "bad_publish_surrogate", packet(0x30, text(b"\xed\xa0\x80"), NONE)
    for name, first in (("puback", 0x40), ("pubrec", 0x50), ("pubrel", 0x62), ("pubcomp", 0x70)):
        code = b"\x92" if first > 0x60 else b"\x97"
        yield f"v3_{name}", packet(first, u16(10))
        yield f"v5_{name}_reason", packet(first, u16(10), code)
        yield f"v5_{name}_properties", packet(first, u16(10), code, section(REASON, USER, USER_2))
    yield "bad_pubrel_flags", packet(0x60, u16(10))
    yield "v5_disconnect_reason", packet(0xE0, b"\x82")
    yield "v5_auth_continue", packet(0xF0, b"\x18", section(*METHOD, REASON, USER))
    yield "bad_auth_without_method", packet(0xF0, b"\x18", NONE)
    yield "bad_length_five_bytes", b"\x30\xff\xff\xff\xff\x7f"
    yield "bad_length_overlong", b"\x30\x80\x00"
    yield "bad_type_0", b"\x00\x00"
    yield "cut_length", b"\x30\xff\xff"


def from_client():
    yield from both_ways()
    yield "v31_connect", connect("MQIsdp", 3, 0x02, text("client"))
    yield "v31_connect_user_missing", connect("MQIsdp", 3, 0xC2, text("client"))
    yield "v31_connect_bridge", connect("MQIsdp", 0x83, 0x02, text("bridge"))
    yield "v311_connect", connect("MQTT", 4, 0x00, text("client"))
    yield "v311_connect_full", connect("MQTT", 4, 0xF6, text("client"), text("will/topic"), text("gone"),
                                       text("user"), text(b"p\x00w"))
    yield "v311_connect_bridge", connect("MQTT", 0x84, 0x02, text("bridge"))
    yield "v5_connect", connect("MQTT", 5, 0x02, text(""), properties=NONE)
    yield "v5_connect_full", connect("MQTT", 5, 0xEE, text("client"), section(*WILL), text("will/topic"), text("gone"),
                                     text("user"), text("password"), properties=section(*CONNECT))
    yield "v5_connect_password_only", connect("MQTT", 5, 0x42, text("c"), text("token"), properties=NONE)
    yield "bad_connect_level6", connect("MQTT", 6, 0x02, text("client"), properties=NONE)
    yield "bad_connect_name", connect("MQXX", 4, 0x02, text("client"))
    yield "bad_connect_reserved", connect("MQTT", 4, 0x03, text("client"))
    yield "bad_connect_will_qos3", connect("MQTT", 4, 0x1E, text("c"), text("w"), text("m"))
    yield "bad_connect_trailing", connect("MQTT", 4, 0x02, text("client"), b"x")
    yield "bad_connect_announces_256mb", b"\x10\xff\xff\xff\x7f" + text("MQTT") + b"\x05\x02"
    for version, properties in (("v3", b""), ("v5", NONE)):
        yield f"{version}_subscribe", packet(0x82, u16(1), properties, text("a/#"), b"\x01")
        yield f"{version}_subscribe_three", packet(0x82, u16(1), properties, text("a"), b"\x00", text("+/b"), b"\x02",
                                                   text("$SYS/#"), b"\x01")
        yield f"{version}_unsubscribe", packet(0xA2, u16(2), properties, text("a/#"), text("b"))
        yield f"bad_{version}_subscribe_nothing", packet(0x82, u16(1), properties)
        yield f"bad_{version}_unsubscribe_nothing", packet(0xA2, u16(1), properties)
        yield f"bad_{version}_subscribe_qos3", packet(0x82, u16(1), properties, text("a"), b"\x03")
    yield "v31_subscribe_dup", packet(0x8A, u16(1), text("a/#"), b"\x01")
    yield "v5_subscribe_options", packet(0x82, u16(1), section(entry(0x0B, varint(268435455)), USER),
                                         text("$share/group/a/+"), b"\x2d", text("b"), b"\x10")
    yield "v5_unsubscribe_user", packet(0xA2, u16(2), section(USER), text("a"))
    yield "bad_v5_subscribe_id0", packet(0x82, u16(1), section(entry(0x0B, b"\x00")), text("a"), b"\x00")
    yield "bad_v5_subscribe_handling3", packet(0x82, u16(1), NONE, text("a"), b"\x30")
    yield "pingreq", packet(0xC0)
    yield "bad_pingreq_body", packet(0xC0, b"x")
    yield "disconnect", packet(0xE0)
    yield "v5_disconnect_expiry", packet(0xE0, b"\x04", section(entry(0x11, u32(10)), REASON, USER))
    yield "v5_auth_again", packet(0xF0, b"\x19", section(*METHOD))


def from_server():
    yield from both_ways()
    yield "v3_connack", packet(0x20, b"\x01\x00")
    yield "v3_connack_refused", packet(0x20, b"\x00\x05")
    yield "v5_connack", packet(0x20, b"\x00\x00", NONE)
    yield "v5_connack_full", packet(0x20, b"\x01\x00", section(*CONNACK))
    yield "v5_connack_refused", packet(0x20, b"\x00\x87", section(REASON))
    yield "bad_connack_present_refused", packet(0x20, b"\x01\x87", NONE)
    yield "bad_connack_flags", packet(0x20, b"\x02\x00", NONE)
    yield "v5_publish_subscription_ids", packet(0x30, text("a"), section(entry(0x0B, b"\x01"), USER,
                                                                         entry(0x0B, varint(300))), b"x")
    yield "v3_suback", packet(0x90, u16(1), b"\x00\x01\x02\x80")
    yield "v5_suback", packet(0x90, u16(1), section(REASON, USER), b"\x00\x02\x97\xa2")
    yield "v3_unsuback", packet(0xB0, u16(1))
    yield "v5_unsuback", packet(0xB0, u16(1), section(REASON), b"\x00\x11\x8f")
    yield "bad_suback_empty", packet(0x90, u16(1), NONE)
    yield "bad_suback_code", packet(0x90, u16(1), NONE, b"\x03")
    yield "pingresp", packet(0xD0)
    yield "v5_disconnect_moved", packet(0xE0, b"\x9d", section(entry(0x1C, text("b:1883")), REASON, USER))
    yield "v5_auth_success", packet(0xF0, b"\x00", section(*METHOD))
    yield "v5_auth_empty", packet(0xF0)


def topics():
    pairs = [("a/b/c", "a/b/c"), ("a/+/c", "a/b/c"), ("a/#", "a"), ("a/#", "a/b/c"), ("#", "$SYS/x"), ("+/x", "$SYS/x"),
             ("$SYS/#", "$SYS/x"), ("+/+", "/"), ("/+", "/a"), ("+", "/a"), ("a//b", "a//b"), ("a/+/b", "a//b"),
             ("#", "/"), ("a/#/b", "a"), ("a#", "a"), ("a/b+", "a"), ("+a", "a"), ("$share/g/a/+", "a/b"),
             ("$share/g/#", "$x"), ("$share/g", "a"), ("$share//a", "a"), ("$share/g/", "a"), ("$share/+/a", "a"),
             ("$share", "$share"), ("$shared/a", "$shared/a"), ("$share/g//", "/"), ("a/+/+/#", "a/b"), ("a/+/+/#", "a/b/c"),
             ("\u00e4/\U0001F600", "\u00e4/\U0001F600"), ("a/" * 60 + "#", "a/" * 59 + "a"), ("+/" * 60 + "+", "/" * 60)]
    for number, (topic_filter, name) in enumerate(pairs):
        yield f"pair_{number:02}", topic_filter.encode() + b"\x00" + name.encode()


def strings():
    samples = [b"", b"a", b"abc", b"abcd", b"abcdefg", b"abcdefgh", b"abcdefghi", b"sensors/room/7/temperature",
               b"a\x00", b"abcdefgh\x00", b"a+", b"abcdefgh#", b"\xc3\xbc", b"\xe2\x82\xac", b"\xf0\x9f\x98\x80",
               b"\xef\xbb\xbfa", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xed\x9f\xbf", b"\xed\xa0\x80",
               b"\xee\x80\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe0\xa0\x80", b"\xf0\x80\x80\x80",
               b"\xf0\x90\x80\x80", b"\x80", b"\xbf", b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xf8\x88\x80\x80\x80",
               "Gr\u00fc\u00dfe aus K\u00f6ln".encode(), "\u6e29\u5ea6/\u5ba4\u5185".encode()]
    for number, sample in enumerate(samples):
        yield f"string_{number:02}", sample


def sections():
    places = {"will": (0, WILL), "connect": (1, CONNECT), "connack": (2, CONNACK), "publish": (3, MESSAGE),
              "puback": (4, [REASON, USER]), "subscribe": (8, [entry(0x0B, b"\x05"), USER]),
              "disconnect": (14, [entry(0x11, u32(1)), REASON, entry(0x1C, text("other")), USER]),
              "auth": (15, [*METHOD, REASON])}
    for name, (place, entries) in places.items():
        yield f"{name}_all", bytes([place]) + section(*entries) + b"rest"
        yield f"{name}_twice", bytes([place]) + section(entries[0], entries[0])
    yield "publish_empty", b"\x03\x00"
    yield "publish_identifiers", b"\x03" + section(entry(0x0B, b"\x01"), entry(0x0B, varint(16384)), USER, entry(0x0B, b"\x7f"))
    yield "publish_alias_expiry", b"\x03" + section(USER, entry(0x23, u16(1)), entry(0x02, u32(1)), USER_2)
    yield "publish_many_users", b"\x03" + section(*[USER_2] * 40)
    yield "bad_unknown", b"\x03" + section(entry(0x04, b"\x00"))
    yield "bad_place", b"\x03" + section(entry(0x21, u16(1)))
    yield "bad_length", b"\x03\x10" + USER
    yield "bad_overlong_length", b"\x03\x80\x00"
    yield "bad_flag", b"\x01" + section(entry(0x17, b"\x02"))
    yield "bad_response_topic", b"\x03" + section(entry(0x08, text("a/+")))
    yield "bad_zero", b"\x01" + section(entry(0x21, u16(0)))


def proxy_headers():
    signature = b"\r\n\r\n\x00\r\nQUIT\n"

    def binary(version_command, family, body):
        return signature + bytes([version_command, family]) + u16(len(body)) + body

    ports = u16(56324) + u16(1883)
    ipv4 = bytes([192, 0, 2, 7, 198, 51, 100, 1]) + ports
    ipv6 = bytes(range(16)) + bytes(16) + ports
    yield "v1_tcp4", b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n" + CLIENT_BYTES
    yield "v1_tcp6", b"PROXY TCP6 2001:db8::7 ::ffff:1.2.3.4 1 65535\r\n"
    yield "v1_unknown", b"PROXY UNKNOWN ::1 ::1 1 1\r\n" + CLIENT_BYTES
    yield "v1_cut", b"PROXY TCP4 192.0.2.7 198.51"
    yield "v2_tcp4", binary(0x21, 0x11, ipv4) + CLIENT_BYTES
    yield "v2_tcp6_tlvs", binary(0x21, 0x21, ipv6 + b"\x03\x00\x04\x12\x34\x56\x78\x04\x00\x00")
    yield "v2_unix", binary(0x21, 0x31, b"/run/a".ljust(108, b"\x00") + b"/run/b".ljust(108, b"\x00"))
    yield "v2_local", binary(0x20, 0x00, b"") + CLIENT_BYTES
    yield "v2_unspecified", binary(0x21, 0x00, b"abc")
    yield "v2_longest", binary(0x21, 0x11, ipv4 + bytes(2048 - 16 - len(ipv4)))
    yield "v2_cut", binary(0x21, 0x21, ipv6)[:30]
    yield "bad_mqtt", CLIENT_BYTES
    yield "bad_v1_zero", b"PROXY TCP4 192.0.2.7 198.51.100.1 056324 1883\r\n"
    yield "bad_v1_long", b"PROXY UNKNOWN " + b"x" * 100
    yield "bad_v1_newline", b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\n"
    yield "bad_v2_udp", binary(0x21, 0x12, ipv4)
    yield "bad_v2_short", binary(0x21, 0x21, ipv6[:35])
    yield "bad_v2_long", binary(0x21, 0x11, bytes(2048 - 15))


def http_input():
    line = b"GET / HTTP/1.1\r\nHost: a\r\n"
    yield "requests", line + b"\r\n" + line + b"Content-Length: 5\r\n\r\nabcde" + line + b"\r\n"
    yield "line_feeds", b"GET / HTTP/1.1\nHost: a\n\n"
    yield "websocket", line + b"Upgrade: websocket\r\n\r\n\x82\x82maskab\x82\xfe\x00\x7emask" + bytes(126) + b"\x89\x80mask"
    yield "unknown_length", line + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    yield "bad_unmasked", line + b"Upgrade: websocket\r\n\r\n\x82\x02ab"
    yield "no_length", b"POST / HTTP/1.1\r\nHost: a\r\n\r\nPUT / HTTP/1.1\n\nPATCH / HTTP/1.0\r\n\r\n" + line + b"\r\n"
    yield "empty_lines", b"\r\n\n" + line + b"Content-Length: 1\r\n\r\nx\r\n" + line + b"\r\n"
    yield "bad_small_letters", b"get / HTTP/1.1\r\n\r\n"
    yield "beginning_of_a_name", line + b"Accep: x\r\nContent-Length: 5\r\n\r\n"
    yield "bad_white_space", line + b"Content-Length : 5\r\n\r\n"
    yield "bad_return", line + b"Zz: a\rb\r\n\r\n"


def acl_files():
    yield "mosquitto", (b"# a comment\ntopic read pub/#\n\nuser alice\ntopic readwrite a/+\ntopic deny a/secret\nuser the bob\n"
                        b"topic b\r\npattern write dev/%c/#\npattern read $SYS/%u\n")
    yield "words", b"topic readwrite\ntopic  write   a b \npattern %u\npattern deny +/%u/#\n topic /\n"
    yield "denied_all", b"topic read a/#\ntopic deny a\ntopic deny a/+\ntopic deny a/+/+/#\n"
    yield "bad_filter", b"topic a\ntopic read a#\n"
    yield "bad_word", b"user u\ntopic rad a b\n"
    yield "bad_tab", b"topic read\ta\n"
    yield "bad_levels", b"topic " + b"/" * 200
    yield "bad_zero", b"topic a\0b\n"


def password_files():
    sha = b"$6$AAECAwQFBgcICQoL$ulGyqdovJv6B/D7hFSQlWTfsa+xIg160N8WYxVZ04VqlD4iSLedYQzKl5NJHhwkMsU38Or2znFWu327hCPlTVA=="
    pbkdf2 = sha.replace(b"$6$", b"$7$1$")
    argon2 = b"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21l$ngZPvxJKdJI99FSUmtMviiqyfQcSzpLQ/p8aRBypscc"
    yield "mosquitto", b"# a comment:\nnothing\n a b : " + sha + b" \r\nc:" + pbkdf2 + b":x\nd:" + argon2
    yield "sha512", sha
    yield "pbkdf2", pbkdf2
    yield "argon2id", argon2
    yield "bad_twice", b"a:" + sha + b"\na:" + sha
    yield "bad_clear", b"a:b"
    yield "bad_iterations", b"a:" + sha.replace(b"$6$", b"$7$4294967296$")


CLIENT_BYTES = packet(0x10, text("MQTT"), b"\x04\x02", u16(60), text("client"))
CORPORA = {"packet": from_client, "packet_client": from_server, "topic": topics, "utf8": strings, "property": sections,
           "proxy": proxy_headers, "input_check": http_input, "acl_file": acl_files, "password_file": password_files}

for corpus, seeds in CORPORA.items():
    folder = TARGET / corpus
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in seeds():
        (folder / name).write_bytes(content)
