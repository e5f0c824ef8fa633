# What was acknowledged is on disk: the gateway is killed, the power is cut (in effigy), the disk fills up. `make check` runs a few rounds of each;
# DURABILITY_ROUNDS=100 tests/durability/test_kill.py and DURABILITY_CUTS=200 tests/durability/test_power_cut.py are the long
# runs, DURABILITY_FULL=1 tests/durability/test_full_size.py measures memory and the time of a start.

durability_tests = \
	tests/durability/test_disk.py \
	tests/durability/test_full_size.py \
	tests/durability/test_kill.py \
	tests/durability/test_power_cut.py \
	tests/durability/test_restart.py

dist_check_SCRIPTS += $(durability_tests)

EXTRA_DIST += \
	tests/durability/README.md \
	tests/durability/actors.py \
	tests/durability/churn.py \
	tests/durability/compare.py \
	tests/durability/gateway.py \
	tests/durability/kill.py \
	tests/durability/power_cut.py \
	tests/durability/recorder.c \
	tests/durability/scene.py \
	tests/durability/world.py

# Loaded into the gateway before all else, so it is no part of a build with sanitizers.
check_DATA = tests/durability/recorder.so
CLEANFILES += tests/durability/recorder.so
tests/durability/recorder.so: tests/durability/recorder.c
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && $(CC) -std=gnu11 -O1 -Wall -Wextra -Werror -fPIC -shared -o $@ $< -ldl -lpthread

noinst_PROGRAMS += tests/durability/set_schema
tests_durability_set_schema_SOURCES = tests/durability/set_schema.c
tests_durability_set_schema_LDADD = $(LMDB_LIBS)
