# Unit tests of protocol/. Blocks with an unreadable byte behind them come from libguarded.a.
noinst_LIBRARIES += tests/protocol/libguarded.a
tests_protocol_libguarded_a_SOURCES = \
	tests/protocol/expect.h \
	tests/protocol/guarded.c \
	tests/protocol/guarded.h

check_PROGRAMS += \
	tests/protocol/test_ack \
	tests/protocol/test_connect \
	tests/protocol/test_disconnect \
	tests/protocol/test_greeting \
	tests/protocol/test_packet \
	tests/protocol/test_property \
	tests/protocol/test_publish \
	tests/protocol/test_reason \
	tests/protocol/test_subscribe \
	tests/protocol/test_topic \
	tests/protocol/test_truncation \
	tests/protocol/test_utf8 \
	tests/protocol/test_varint \
	tests/protocol/test_wire

tests_protocol_test_ack_SOURCES = tests/protocol/test_ack.c
tests_protocol_test_ack_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)

tests_protocol_test_connect_SOURCES = tests/protocol/test_connect.c
tests_protocol_test_connect_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)

tests_protocol_test_disconnect_SOURCES = tests/protocol/test_disconnect.c
tests_protocol_test_disconnect_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)

tests_protocol_test_greeting_SOURCES = tests/protocol/test_greeting.c
tests_protocol_test_greeting_LDADD = $(protocol_test_libs)

tests_protocol_test_packet_SOURCES = tests/protocol/test_packet.c
tests_protocol_test_packet_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)

tests_protocol_test_property_SOURCES = tests/protocol/test_property.c
tests_protocol_test_property_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)

tests_protocol_test_publish_SOURCES = tests/protocol/test_publish.c
tests_protocol_test_publish_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)

tests_protocol_test_reason_SOURCES = tests/protocol/test_reason.c
tests_protocol_test_reason_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)

tests_protocol_test_subscribe_SOURCES = tests/protocol/test_subscribe.c
tests_protocol_test_subscribe_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)

tests_protocol_test_topic_SOURCES = tests/protocol/test_topic.c
tests_protocol_test_topic_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)

tests_protocol_test_truncation_SOURCES = tests/protocol/test_truncation.c
tests_protocol_test_truncation_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)

tests_protocol_test_utf8_SOURCES = tests/protocol/test_utf8.c
tests_protocol_test_utf8_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)

tests_protocol_test_varint_SOURCES = tests/protocol/test_varint.c
tests_protocol_test_varint_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)

tests_protocol_test_wire_SOURCES = tests/protocol/test_wire.c
tests_protocol_test_wire_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)
