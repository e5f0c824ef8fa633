# Unit tests of gateway/store/.
store_test_libs = gateway/libstore.a gateway/libbase.a $(LMDB_LIBS) $(CHECK_LIBS)
lmdb_kit_sources = tests/store/lmdb_kit.c tests/store/lmdb_kit.h

check_PROGRAMS += tests/store/test_lmdb_records
tests_store_test_lmdb_records_SOURCES = tests/store/test_lmdb_records.c $(lmdb_kit_sources) $(malloc_fail_sources)
tests_store_test_lmdb_records_LDFLAGS = $(malloc_fail_ldflags)
tests_store_test_lmdb_records_LDADD = $(store_test_libs)

check_PROGRAMS += tests/store/test_lmdb_files
tests_store_test_lmdb_files_SOURCES = tests/store/test_lmdb_files.c $(lmdb_kit_sources)
tests_store_test_lmdb_files_LDADD = $(store_test_libs)

check_PROGRAMS += tests/store/test_lmdb_crash
tests_store_test_lmdb_crash_SOURCES = tests/store/test_lmdb_crash.c $(lmdb_kit_sources)
tests_store_test_lmdb_crash_LDADD = $(store_test_libs)

check_PROGRAMS += tests/store/test_lmdb_full
tests_store_test_lmdb_full_SOURCES = tests/store/test_lmdb_full.c $(lmdb_kit_sources)
tests_store_test_lmdb_full_LDADD = $(store_test_libs)

check_PROGRAMS += tests/store/test_lmdb_tool
tests_store_test_lmdb_tool_SOURCES = tests/store/test_lmdb_tool.c $(lmdb_kit_sources)
tests_store_test_lmdb_tool_LDADD = $(store_test_libs)
