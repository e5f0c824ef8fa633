config_test_libs = config/libconfig.a gateway/libbase.a protocol/libprotocol.a $(JANSSON_LIBS) $(CHECK_LIBS)

check_PROGRAMS += tests/config/test_config
tests_config_test_config_SOURCES = tests/config/test_config.c tests/config/load.h
tests_config_test_config_LDADD = $(config_test_libs)

check_PROGRAMS += tests/config/test_address
tests_config_test_address_SOURCES = tests/config/test_address.c
tests_config_test_address_LDADD = $(config_test_libs)

check_PROGRAMS += tests/config/test_memory
tests_config_test_memory_SOURCES = tests/config/test_memory.c
tests_config_test_memory_LDADD = $(config_test_libs)

check_PROGRAMS += tests/config/test_option
tests_config_test_option_SOURCES = tests/config/test_option.c tests/config/load.h
tests_config_test_option_LDADD = $(config_test_libs)

check_PROGRAMS += tests/config/test_out_of_memory
tests_config_test_out_of_memory_SOURCES = tests/config/test_out_of_memory.c tests/config/load.h $(malloc_fail_sources)
tests_config_test_out_of_memory_LDFLAGS = $(malloc_fail_ldflags)
tests_config_test_out_of_memory_LDADD = $(config_test_libs)

check_PROGRAMS += tests/config/test_reload
tests_config_test_reload_SOURCES = tests/config/test_reload.c tests/config/load.h
tests_config_test_reload_LDADD = $(config_test_libs)

check_PROGRAMS += tests/config/test_report
tests_config_test_report_SOURCES = tests/config/test_report.c
tests_config_test_report_LDADD = $(config_test_libs)

# The schema and the reference against the table and the reader.
dist_check_SCRIPTS += tests/config/check_reference.sh tests/config/test_schema.py
noinst_PROGRAMS += tests/config/accepts
tests_config_accepts_SOURCES = tests/config/accepts.c
tests_config_accepts_LDADD = config/libconfig.a gateway/libbase.a protocol/libprotocol.a $(JANSSON_LIBS)
