check_PROGRAMS += \
	tests/base/test_err \
	tests/base/test_assert \
	tests/base/test_hash

tests_base_test_err_SOURCES = tests/base/test_err.c
tests_base_test_err_LDADD = $(base_test_libs)

tests_base_test_assert_SOURCES = tests/base/test_assert.c
tests_base_test_assert_LDADD = $(base_test_libs)

tests_base_test_hash_SOURCES = tests/base/test_hash.c
tests_base_test_hash_LDADD = $(base_test_libs)

check_PROGRAMS += tests/base/test_timer_wheel
tests_base_test_timer_wheel_SOURCES = tests/base/test_timer_wheel.c
tests_base_test_timer_wheel_LDADD = $(base_test_libs)

check_PROGRAMS += tests/base/test_log
tests_base_test_log_SOURCES = tests/base/test_log.c
tests_base_test_log_LDADD = $(base_test_libs) $(JANSSON_LIBS)

check_PROGRAMS += tests/base/test_character
tests_base_test_character_SOURCES = tests/base/test_character.c
tests_base_test_character_LDADD = $(base_test_libs)

check_PROGRAMS += tests/base/test_rcu
tests_base_test_rcu_SOURCES = tests/base/test_rcu.c
tests_base_test_rcu_LDADD = $(base_test_libs) $(URCU_LIBS)
