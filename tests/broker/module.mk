# Unit tests of gateway/broker/.
broker_test_libs = gateway/libbroker.a gateway/libstore.a gateway/libbase.a protocol/libprotocol.a $(CHECK_LIBS) $(URCU_LIBS)

check_PROGRAMS += tests/broker/test_outq
tests_broker_test_outq_SOURCES = tests/broker/test_outq.c
tests_broker_test_outq_LDADD = $(broker_test_libs)

check_PROGRAMS += tests/broker/test_outgoing
tests_broker_test_outgoing_SOURCES = tests/broker/test_outgoing.c
tests_broker_test_outgoing_LDADD = $(broker_test_libs)

check_PROGRAMS += tests/broker/test_retained
tests_broker_test_retained_SOURCES = tests/broker/test_retained.c $(malloc_fail_sources)
tests_broker_test_retained_LDFLAGS = $(malloc_fail_ldflags)
tests_broker_test_retained_LDADD = $(broker_test_libs)

check_PROGRAMS += tests/broker/test_index
tests_broker_test_index_SOURCES = tests/broker/test_index.c tests/broker/index_model.c tests/broker/index_model.h \
	$(malloc_fail_sources)
tests_broker_test_index_LDFLAGS = $(malloc_fail_ldflags)
tests_broker_test_index_LDADD = $(broker_test_libs)

check_PROGRAMS += tests/broker/test_sys
tests_broker_test_sys_SOURCES = tests/broker/test_sys.c $(malloc_fail_sources)
tests_broker_test_sys_LDFLAGS = $(malloc_fail_ldflags)
tests_broker_test_sys_LDADD = $(broker_test_libs)

check_PROGRAMS += tests/broker/test_route_cache
tests_broker_test_route_cache_SOURCES = tests/broker/test_route_cache.c tests/broker/index_model.c \
	tests/broker/index_model.h $(malloc_fail_sources)
tests_broker_test_route_cache_LDFLAGS = $(malloc_fail_ldflags)
tests_broker_test_route_cache_LDADD = $(broker_test_libs)

check_PROGRAMS += tests/broker/test_handover
tests_broker_test_handover_SOURCES = tests/broker/test_handover.c
tests_broker_test_handover_LDADD = gateway/libbroker.a gateway/libaccess.a gateway/libstore.a config/libconfig.a \
	$(broker_test_libs) $(system_libs)

check_PROGRAMS += tests/broker/test_census
tests_broker_test_census_SOURCES = tests/broker/test_census.c $(broker_harness)
tests_broker_test_census_LDADD = gateway/libbroker.a gateway/libaccess.a gateway/libstore.a config/libconfig.a \
	$(broker_test_libs) $(system_libs)

rules_sources = tests/broker/rules.c tests/broker/rules.h $(broker_harness)
rules_libs = gateway/libbroker.a gateway/libaccess.a gateway/libstore.a config/libconfig.a $(broker_test_libs) \
	$(system_libs)

check_PROGRAMS += tests/broker/test_rules_shared
tests_broker_test_rules_shared_SOURCES = tests/broker/test_rules_shared.c $(rules_sources)
tests_broker_test_rules_shared_LDADD = $(rules_libs)

check_PROGRAMS += tests/broker/test_rules_memory
tests_broker_test_rules_memory_SOURCES = tests/broker/test_rules_memory.c $(rules_sources) $(malloc_fail_sources)
tests_broker_test_rules_memory_LDFLAGS = $(malloc_fail_ldflags)
tests_broker_test_rules_memory_LDADD = $(rules_libs)

check_PROGRAMS += tests/broker/test_threads
tests_broker_test_threads_SOURCES = tests/broker/test_threads.c tests/broker/ram_store.c tests/broker/ram_store.h
tests_broker_test_threads_LDADD = $(rules_libs)

check_PROGRAMS += tests/broker/test_rules_flow
tests_broker_test_rules_flow_SOURCES = tests/broker/test_rules_flow.c $(rules_sources)
tests_broker_test_rules_flow_LDADD = $(rules_libs)

check_PROGRAMS += tests/broker/test_rules_local
tests_broker_test_rules_local_SOURCES = tests/broker/test_rules_local.c $(rules_sources)
tests_broker_test_rules_local_LDADD = $(rules_libs)

check_PROGRAMS += tests/broker/test_rules_access
tests_broker_test_rules_access_SOURCES = tests/broker/test_rules_access.c $(rules_sources)
tests_broker_test_rules_access_LDADD = $(rules_libs)

check_PROGRAMS += tests/broker/test_kept
tests_broker_test_kept_SOURCES = tests/broker/test_kept.c $(rules_sources)
tests_broker_test_kept_LDADD = $(rules_libs)

check_PROGRAMS += tests/broker/test_rules_session
tests_broker_test_rules_session_SOURCES = tests/broker/test_rules_session.c $(rules_sources)
tests_broker_test_rules_session_LDADD = $(rules_libs)
