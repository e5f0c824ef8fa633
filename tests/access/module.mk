# Unit tests of gateway/access/.
access_test_libs = gateway/libaccess.a gateway/libbase.a protocol/libprotocol.a $(CHECK_LIBS) $(URCU_LIBS) \
	$(CRYPTO_LIBS) $(ARGON2_LIBS)
noinst_HEADERS += tests/access/hashes.h

check_PROGRAMS += tests/access/test_password_hash
tests_access_test_password_hash_SOURCES = tests/access/test_password_hash.c
tests_access_test_password_hash_LDADD = $(access_test_libs)

check_PROGRAMS += tests/access/test_password_file
tests_access_test_password_file_SOURCES = tests/access/test_password_file.c
tests_access_test_password_file_LDADD = $(access_test_libs)

check_PROGRAMS += tests/access/test_acl_file
tests_access_test_acl_file_SOURCES = tests/access/test_acl_file.c
tests_access_test_acl_file_LDADD = $(access_test_libs)

check_PROGRAMS += tests/access/test_access_files
tests_access_test_access_files_SOURCES = tests/access/test_access_files.c
tests_access_test_access_files_LDADD = $(access_test_libs)

check_PROGRAMS += tests/access/test_memory
tests_access_test_memory_SOURCES = tests/access/test_memory.c $(malloc_fail_sources)
tests_access_test_memory_LDFLAGS = $(malloc_fail_ldflags)
tests_access_test_memory_LDADD = $(access_test_libs)
