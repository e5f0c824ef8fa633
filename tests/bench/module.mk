# Programs that measure: built by `make bench`, run by hand, no part of `make check`.
bench_programs = tests/bench/micro_index
EXTRA_PROGRAMS += $(bench_programs)
CLEANFILES += $(bench_programs)

bench: $(bench_programs)
.PHONY: bench

tests_bench_micro_index_SOURCES = tests/bench/micro_index.c
tests_bench_micro_index_LDADD = gateway/libbroker.a gateway/libbase.a protocol/libprotocol.a $(URCU_LIBS)
