# Every test is a program or script that exits 0, 77 (skipped) or else; unit tests are libcheck programs with
# tests/check_main.h. `make check TESTS=tests/base/test_err` runs one.

TEST_EXTENSIONS = .sh .py
SH_LOG_COMPILER = bash
PY_LOG_COMPILER = $(PYTHON)
AM_TESTS_ENVIRONMENT = \
	export CK_TIMEOUT_MULTIPLIER=$${CK_TIMEOUT_MULTIPLIER:-10}; \
	export ASAN_OPTIONS=$${ASAN_OPTIONS:-detect_stack_use_after_return=1}; \
	export TIDEGATE=$${TIDEGATE:-$(abs_top_builddir)/tidegate}; \
	export PYTHONDONTWRITEBYTECODE=1; \
	export UBSAN_OPTIONS=$${UBSAN_OPTIONS:-print_stacktrace=1}; \
	export TSAN_OPTIONS=$${TSAN_OPTIONS:-halt_on_error=1 second_deadlock_stack=1 atexit_sleep_ms=50 suppressions=$(abs_top_srcdir)/tests/tsan.supp};

# A unit test of protocol/ links $(protocol_test_libs) alone; of gateway/base $(base_test_libs); of anything
# above, what it tests and the libraries below that.
protocol_test_libs = protocol/libprotocol.a $(CHECK_LIBS)
base_test_libs = gateway/libbase.a $(CHECK_LIBS)
AM_CFLAGS += $(CHECK_CFLAGS)
noinst_HEADERS += tests/check_main.h
dist_check_SCRIPTS += tests/check_layers.sh

# For a test that makes allocations fail, see tests/malloc_fail.h.
malloc_fail_sources = tests/malloc_fail.c tests/malloc_fail.h
malloc_fail_ldflags = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc \
	-Wl,--wrap=posix_memalign,--wrap=strdup,--wrap=strndup

EXTRA_DIST += tests/tsan.supp

include tests/base/module.mk
include tests/protocol/module.mk
include tests/config/module.mk
include tests/conformance/module.mk
include tests/broker/module.mk
include tests/store/module.mk
include tests/access/module.mk
include tests/gateway/module.mk
include tests/net/module.mk
include tests/web/module.mk
include tests/fuzz/module.mk
include tests/bench/module.mk
include tests/e2e/module.mk
include tests/durability/module.mk
