# Tests of web/: against the program, over HTTP.
dist_check_SCRIPTS += tests/web/test_rest.py

check_PROGRAMS += tests/web/test_buffer
tests_web_test_buffer_SOURCES = tests/web/test_buffer.c $(malloc_fail_sources)
tests_web_test_buffer_LDFLAGS = $(malloc_fail_ldflags)
tests_web_test_buffer_LDADD = web/libweb.a gateway/libbase.a $(JANSSON_LIBS) $(CHECK_LIBS)

dist_check_SCRIPTS += tests/web/test_admin.py tests/web/test_metrics.py tests/web/test_openapi.py
