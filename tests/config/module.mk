config_test_libs = config/libconfig.a gateway/libbase.a protocol/libprotocol.a $(JANSSON_LIBS) $(CHECK_LIBS)

check_PROGRAMS += tests/config/test_config
tests_config_test_config_SOURCES = tests/config/test_config.c tests/config/load.h
tests_config_test_config_LDADD = $(config_test_libs)
