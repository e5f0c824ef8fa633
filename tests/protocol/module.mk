# Unit tests of protocol/.
noinst_LIBRARIES += tests/protocol/libguarded.a
tests_protocol_libguarded_a_SOURCES = \
	tests/protocol/expect.h \
	tests/protocol/guarded.c \
	tests/protocol/guarded.h

check_PROGRAMS += \
	tests/protocol/test_topic \
	tests/protocol/test_utf8 \
	tests/protocol/test_varint

tests_protocol_test_topic_SOURCES = tests/protocol/test_topic.c
tests_protocol_test_topic_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)

tests_protocol_test_utf8_SOURCES = tests/protocol/test_utf8.c
tests_protocol_test_utf8_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)

tests_protocol_test_varint_SOURCES = tests/protocol/test_varint.c
tests_protocol_test_varint_LDADD = tests/protocol/libguarded.a $(protocol_test_libs)
