# Tests of web/: unit tests, and Python programs that drive the gateway, or tests/web/server with routes of its own, over raw sockets.

dist_check_SCRIPTS += tests/web/test_rest.py

check_PROGRAMS += tests/web/test_buffer
tests_web_test_buffer_SOURCES = tests/web/test_buffer.c $(malloc_fail_sources)
tests_web_test_buffer_LDFLAGS = $(malloc_fail_ldflags)
tests_web_test_buffer_LDADD = web/libweb.a gateway/libbase.a $(JANSSON_LIBS) $(CHECK_LIBS)

dist_check_SCRIPTS += tests/web/test_admin.py tests/web/test_browser.py tests/web/test_examples.py tests/web/test_metrics.py \
	tests/web/test_openapi.py
EXTRA_DIST += tests/web/browser.py

noinst_PROGRAMS += tests/web/server
tests_web_server_SOURCES = tests/web/server.c
tests_web_server_LDADD = $(gateway_libs) $(system_libs)

check_PROGRAMS += tests/web/test_input_check
tests_web_test_input_check_SOURCES = tests/web/test_input_check.c web/input_check.c
tests_web_test_input_check_LDADD = $(CHECK_LIBS)

check_PROGRAMS += tests/web/test_json_items
tests_web_test_json_items_SOURCES = tests/web/test_json_items.c web/json_items.c
tests_web_test_json_items_LDADD = $(CHECK_LIBS)

check_PROGRAMS += tests/web/test_origin
tests_web_test_origin_SOURCES = tests/web/test_origin.c web/origin.c
tests_web_test_origin_LDADD = $(CHECK_LIBS)

web_tests = \
	tests/web/test_http.py \
	tests/web/test_http_hostile.py \
	tests/web/test_backup.py \
	tests/web/test_slow_store.py \
	tests/web/test_starting.py \
	tests/web/test_websocket.py
dist_check_SCRIPTS += $(web_tests)
EXTRA_DIST += tests/web/gateway.py

dist_check_SCRIPTS += tests/web/test_events.py tests/web/test_rpc.py
EXTRA_DIST += tests/web/event_stream.py

check_PROGRAMS += tests/web/test_event_text
tests_web_test_event_text_SOURCES = tests/web/test_event_text.c $(malloc_fail_sources)
tests_web_test_event_text_LDFLAGS = $(malloc_fail_ldflags)
tests_web_test_event_text_LDADD = $(gateway_libs) $(system_libs) $(CHECK_LIBS)

check_PROGRAMS += tests/web/test_idempotency
tests_web_test_idempotency_SOURCES = tests/web/test_idempotency.c
tests_web_test_idempotency_LDADD = $(gateway_libs) $(system_libs) $(CHECK_LIBS)
