# What the specification demands, proven through a whole broker in one thread (tests/broker/harness.h).
broker_harness = tests/broker/harness.c tests/broker/harness.h tests/broker/spec.c tests/broker/spec.h \
	tests/broker/test_client.c tests/broker/test_client.h tests/broker/ram_store.c tests/broker/ram_store.h
conformance_main = tests/conformance/main.c tests/conformance/conformance.h $(broker_harness)
conformance_311_main = tests/conformance/v311.h $(conformance_main)

conformance_libs = $(gateway_libs) $(CHECK_LIBS) $(system_libs)

check_PROGRAMS += tests/conformance/test_acknowledgements_311
tests_conformance_test_acknowledgements_311_SOURCES = tests/conformance/test_acknowledgements_311.c $(conformance_311_main)
tests_conformance_test_acknowledgements_311_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_connack_311
tests_conformance_test_connack_311_SOURCES = tests/conformance/test_connack_311.c $(conformance_311_main)
tests_conformance_test_connack_311_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_connect_311
tests_conformance_test_connect_311_SOURCES = tests/conformance/test_connect_311.c $(conformance_311_main)
tests_conformance_test_connect_311_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_interruptions_311
tests_conformance_test_interruptions_311_SOURCES = tests/conformance/test_interruptions_311.c $(conformance_311_main)
tests_conformance_test_interruptions_311_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_mqtt31
tests_conformance_test_mqtt31_SOURCES = tests/conformance/test_mqtt31.c $(conformance_main)
tests_conformance_test_mqtt31_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_ping_disconnect_311
tests_conformance_test_ping_disconnect_311_SOURCES = tests/conformance/test_ping_disconnect_311.c $(conformance_311_main)
tests_conformance_test_ping_disconnect_311_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_publish_311
tests_conformance_test_publish_311_SOURCES = tests/conformance/test_publish_311.c $(conformance_311_main)
tests_conformance_test_publish_311_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_qos_flows_311
tests_conformance_test_qos_flows_311_SOURCES = tests/conformance/test_qos_flows_311.c $(conformance_311_main)
tests_conformance_test_qos_flows_311_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_session_311
tests_conformance_test_session_311_SOURCES = tests/conformance/test_session_311.c $(conformance_311_main)
tests_conformance_test_session_311_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_subscribe_311
tests_conformance_test_subscribe_311_SOURCES = tests/conformance/test_subscribe_311.c $(conformance_311_main)
tests_conformance_test_subscribe_311_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_topics_311
tests_conformance_test_topics_311_SOURCES = tests/conformance/test_topics_311.c $(conformance_311_main)
tests_conformance_test_topics_311_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_unsubscribe_311
tests_conformance_test_unsubscribe_311_SOURCES = tests/conformance/test_unsubscribe_311.c $(conformance_311_main)
tests_conformance_test_unsubscribe_311_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_utf8_and_headers_311
tests_conformance_test_utf8_and_headers_311_SOURCES = tests/conformance/test_utf8_and_headers_311.c $(conformance_311_main)
tests_conformance_test_utf8_and_headers_311_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_will_311
tests_conformance_test_will_311_SOURCES = tests/conformance/test_will_311.c $(conformance_311_main)
tests_conformance_test_will_311_LDADD = $(conformance_libs)

conformance_optional_parts = tests/conformance/optional_parts.c tests/conformance/optional_parts.h

check_PROGRAMS += tests/conformance/test_ack_5
tests_conformance_test_ack_5_SOURCES = tests/conformance/test_ack_5.c $(conformance_optional_parts) $(conformance_main)
tests_conformance_test_ack_5_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_subscribe_5
tests_conformance_test_subscribe_5_SOURCES = tests/conformance/test_subscribe_5.c $(conformance_optional_parts) \
	$(conformance_main)
tests_conformance_test_subscribe_5_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_session_5
tests_conformance_test_session_5_SOURCES = tests/conformance/test_session_5.c $(conformance_main)
tests_conformance_test_session_5_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_topic_5
tests_conformance_test_topic_5_SOURCES = tests/conformance/test_topic_5.c $(conformance_main)
tests_conformance_test_topic_5_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_shared_5
tests_conformance_test_shared_5_SOURCES = tests/conformance/test_shared_5.c $(conformance_main)
tests_conformance_test_shared_5_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_flow_control_5
tests_conformance_test_flow_control_5_SOURCES = tests/conformance/test_flow_control_5.c $(conformance_main)
tests_conformance_test_flow_control_5_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_errors_5
tests_conformance_test_errors_5_SOURCES = tests/conformance/test_errors_5.c $(conformance_main)
tests_conformance_test_errors_5_LDADD = $(conformance_libs)

check_PROGRAMS += tests/broker/test_pitfalls_random
tests_broker_test_pitfalls_random_SOURCES = tests/broker/test_pitfalls_random.c $(broker_harness)
tests_broker_test_pitfalls_random_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_auth_5
tests_conformance_test_auth_5_SOURCES = tests/conformance/test_auth_5.c $(conformance_main)
tests_conformance_test_auth_5_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_disconnect_5
tests_conformance_test_disconnect_5_SOURCES = tests/conformance/test_disconnect_5.c $(conformance_optional_parts) \
	$(conformance_main)
tests_conformance_test_disconnect_5_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_connack_5
tests_conformance_test_connack_5_SOURCES = tests/conformance/test_connack_5.c $(conformance_main)
tests_conformance_test_connack_5_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_connect_5
tests_conformance_test_connect_5_SOURCES = tests/conformance/test_connect_5.c $(conformance_main)
tests_conformance_test_connect_5_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_publish_5
tests_conformance_test_publish_5_SOURCES = tests/conformance/test_publish_5.c $(conformance_main)
tests_conformance_test_publish_5_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_will_5
tests_conformance_test_will_5_SOURCES = tests/conformance/test_will_5.c $(conformance_main)
tests_conformance_test_will_5_LDADD = $(conformance_libs)

check_PROGRAMS += tests/conformance/test_qos_5
tests_conformance_test_qos_5_SOURCES = tests/conformance/test_qos_5.c $(conformance_main)
tests_conformance_test_qos_5_LDADD = $(conformance_libs)

check_PROGRAMS += tests/broker/test_pitfalls_limits
tests_broker_test_pitfalls_limits_SOURCES = tests/broker/test_pitfalls_limits.c $(conformance_main)
tests_broker_test_pitfalls_limits_LDADD = $(conformance_libs)

check_PROGRAMS += tests/broker/test_pitfalls_sessions
tests_broker_test_pitfalls_sessions_SOURCES = tests/broker/test_pitfalls_sessions.c $(conformance_main)
tests_broker_test_pitfalls_sessions_LDADD = $(conformance_libs)

check_PROGRAMS += tests/broker/test_pitfalls_routing
tests_broker_test_pitfalls_routing_SOURCES = tests/broker/test_pitfalls_routing.c $(conformance_main)
tests_broker_test_pitfalls_routing_LDADD = $(conformance_libs)

check_PROGRAMS += tests/broker/test_pitfalls_packets
tests_broker_test_pitfalls_packets_SOURCES = tests/broker/test_pitfalls_packets.c $(conformance_main)
tests_broker_test_pitfalls_packets_LDADD = $(conformance_libs)

check_PROGRAMS += tests/broker/test_pitfalls_rights
tests_broker_test_pitfalls_rights_SOURCES = tests/broker/test_pitfalls_rights.c $(conformance_main)
tests_broker_test_pitfalls_rights_LDADD = $(conformance_libs)

check_PROGRAMS += tests/broker/test_spec
tests_broker_test_spec_SOURCES = tests/broker/test_spec.c tests/broker/spec.c tests/broker/spec.h
tests_broker_test_spec_LDADD = $(protocol_test_libs)

dist_check_SCRIPTS += tests/conformance/check_page.sh
EXTRA_DIST += tests/conformance.md tests/conformance/generate.py tests/conformance/statements.tsv \
	tests/conformance/reasons.tsv

check_PROGRAMS += tests/broker/test_pitfalls_stop
tests_broker_test_pitfalls_stop_SOURCES = tests/broker/test_pitfalls_stop.c $(conformance_main)
tests_broker_test_pitfalls_stop_LDADD = $(conformance_libs)

check_PROGRAMS += tests/broker/test_hostile
tests_broker_test_hostile_SOURCES = tests/broker/test_hostile.c $(conformance_main)
tests_broker_test_hostile_LDADD = $(conformance_libs)
