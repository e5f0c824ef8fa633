# Programs that measure: built by `make bench`, run by ./dev bench or by hand; make check runs the tests of the generator and a
# short smoke run.
bench_programs = tests/bench/micro_index tests/bench/micro_store
EXTRA_PROGRAMS += $(bench_programs)
CLEANFILES += $(bench_programs)

bench: $(bench_programs) tests/bench/load tests/bench/forward tidegate
.PHONY: bench

tests_bench_micro_index_SOURCES = tests/bench/micro_index.c
tests_bench_micro_index_LDADD = gateway/libbroker.a gateway/libbase.a protocol/libprotocol.a $(URCU_LIBS)

tests_bench_micro_store_SOURCES = tests/bench/micro_store.c
tests_bench_micro_store_LDADD = gateway/libstore.a gateway/libbase.a $(LMDB_LIBS)

check_PROGRAMS += tests/bench/test_figures
tests_bench_test_figures_SOURCES = tests/bench/test_figures.c tests/bench/histogram.c tests/bench/histogram.h \
	tests/bench/process.c tests/bench/process.h tests/bench/sequence.c tests/bench/sequence.h
tests_bench_test_figures_LDADD = $(CHECK_LIBS)

noinst_PROGRAMS += tests/bench/load tests/bench/forward
tests_bench_load_SOURCES = tests/bench/load.c tests/bench/load.h tests/bench/connections.c tests/bench/flow.c \
	tests/bench/frames.c tests/bench/frames.h tests/bench/post.c \
	tests/bench/histogram.c tests/bench/histogram.h tests/bench/loop.c tests/bench/loop.h tests/bench/mqtt.c \
	tests/bench/mqtt.h tests/bench/process.c tests/bench/process.h tests/bench/retained.c tests/bench/sequence.c \
	tests/bench/sequence.h
tests_bench_load_LDADD = protocol/libprotocol.a $(JANSSON_LIBS)
tests_bench_forward_SOURCES = tests/bench/forward.c
tests_bench_forward_LDADD = protocol/libprotocol.a

dist_check_SCRIPTS += tests/bench/test_smoke.py
EXTRA_DIST += tests/bench/README.md tests/bench/bench.py
