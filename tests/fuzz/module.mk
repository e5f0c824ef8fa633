# A fuzz target is one file tests/fuzz/fuzz_x.c with LLVMFuzzerTestOneInput() and a folder tests/fuzz/corpus/x.
# Configured with --enable-fuzzing it is a libFuzzer program; otherwise it replays its corpus in `make check`.
#
#     fuzz_targets += tests/fuzz/fuzz_x
#     tests_fuzz_fuzz_x_SOURCES = tests/fuzz/fuzz_x.c $(fuzz_main)
#     tests_fuzz_fuzz_x_LDFLAGS = $(fuzz_ldflags)
#     tests_fuzz_fuzz_x_LDADD = protocol/libprotocol.a

fuzz_targets =
if FUZZING
fuzz_main =
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
else
fuzz_main = tests/fuzz/replay.c
fuzz_ldflags = $(AM_LDFLAGS)
endif

packet_check = tests/fuzz/packet_check.c tests/fuzz/packet_check.h tests/fuzz/packet_codecs.c \
	tests/fuzz/packet_codecs.h tests/fuzz/fuzz.h

fuzz_targets += tests/fuzz/fuzz_config
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c tests/fuzz/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_config_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_config_LDADD = config/libconfig.a gateway/libbase.a protocol/libprotocol.a $(JANSSON_LIBS)

fuzz_targets += tests/fuzz/fuzz_input_check
tests_fuzz_fuzz_input_check_SOURCES = tests/fuzz/fuzz_input_check.c tests/fuzz/fuzz.h web/input_check.c $(fuzz_main)
tests_fuzz_fuzz_input_check_LDFLAGS = $(fuzz_ldflags)

fuzz_targets += tests/fuzz/fuzz_packet
tests_fuzz_fuzz_packet_SOURCES = tests/fuzz/fuzz_packet.c $(packet_check) $(fuzz_main)
tests_fuzz_fuzz_packet_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_packet_LDADD = protocol/libprotocol.a

fuzz_targets += tests/fuzz/fuzz_packet_client
tests_fuzz_fuzz_packet_client_SOURCES = tests/fuzz/fuzz_packet_client.c $(packet_check) $(fuzz_main)
tests_fuzz_fuzz_packet_client_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_packet_client_LDADD = protocol/libprotocol.a

fuzz_targets += tests/fuzz/fuzz_property
tests_fuzz_fuzz_property_SOURCES = tests/fuzz/fuzz_property.c $(packet_check) $(fuzz_main)
tests_fuzz_fuzz_property_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_property_LDADD = protocol/libprotocol.a

fuzz_targets += tests/fuzz/fuzz_topic
tests_fuzz_fuzz_topic_SOURCES = tests/fuzz/fuzz_topic.c tests/fuzz/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_topic_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_topic_LDADD = protocol/libprotocol.a

fuzz_targets += tests/fuzz/fuzz_utf8
tests_fuzz_fuzz_utf8_SOURCES = tests/fuzz/fuzz_utf8.c tests/fuzz/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_utf8_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_utf8_LDADD = protocol/libprotocol.a

fuzz_targets += tests/fuzz/fuzz_proxy
tests_fuzz_fuzz_proxy_SOURCES = tests/fuzz/fuzz_proxy.c tests/fuzz/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_proxy_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_proxy_LDADD = gateway/libnet.a

access_fuzz_libs = gateway/libaccess.a gateway/libbase.a protocol/libprotocol.a $(CRYPTO_LIBS) $(ARGON2_LIBS)

fuzz_targets += tests/fuzz/fuzz_acl_file
tests_fuzz_fuzz_acl_file_SOURCES = tests/fuzz/fuzz_acl_file.c tests/fuzz/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_acl_file_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_acl_file_LDADD = $(access_fuzz_libs)

fuzz_targets += tests/fuzz/fuzz_password_file
tests_fuzz_fuzz_password_file_SOURCES = tests/fuzz/fuzz_password_file.c tests/fuzz/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_password_file_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_password_file_LDADD = $(access_fuzz_libs)

if FUZZING
noinst_PROGRAMS += $(fuzz_targets)
else
check_PROGRAMS += $(fuzz_targets)
endif

EXTRA_DIST += tests/fuzz/corpus tests/fuzz/make_corpus.py
