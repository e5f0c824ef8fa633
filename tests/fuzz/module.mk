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

if FUZZING
noinst_PROGRAMS += $(fuzz_targets)
else
check_PROGRAMS += $(fuzz_targets)
endif
