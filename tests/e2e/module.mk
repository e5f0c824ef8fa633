# End-to-end tests: each is a Python program that starts the gateway just built and drives it with real clients.
# `make check TESTS=tests/e2e/test_takeover` runs one; E2E_BROKER=mosquitto runs it against Mosquitto instead.

e2e_tests = \
	tests/e2e/test_access.py \
	tests/e2e/test_bad_input.py \
	tests/e2e/test_connect_flood.py \
	tests/e2e/test_expiry.py \
	tests/e2e/test_keep_alive.py \
	tests/e2e/test_main.py \
	tests/e2e/test_message_expiry.py \
	tests/e2e/test_mosquitto_clients.py \
	tests/e2e/test_mosquitto_sessions.py \
	tests/e2e/test_mqttjs.py \
	tests/e2e/test_paho.py \
	tests/e2e/test_reconnect.py \
	tests/e2e/test_slow_readers.py \
	tests/e2e/test_store_command.py \
	tests/e2e/test_store_start.py \
	tests/e2e/test_takeover.py \
	tests/e2e/test_transports.py \
	tests/e2e/test_websocket.py \
	tests/e2e/test_workers.py

dist_check_SCRIPTS += $(e2e_tests)

EXTRA_DIST += \
	tests/e2e/package.json \
	tests/e2e/package-lock.json \
	tests/e2e/mqttjs/clients.cjs \
	tests/e2e/mqttjs/native.cjs \
	tests/e2e/harness/__init__.py \
	tests/e2e/harness/case.py \
	tests/e2e/harness/clock.py \
	tests/e2e/harness/pahos.py \
	tests/e2e/harness/server.py \
	tests/e2e/harness/session.py \
	tests/e2e/harness/timed.py \
	tests/e2e/harness/tools.py \
	tests/e2e/harness/websocket.py \
	tests/e2e/harness/wire.py

# The tests that measure memory, alone: make check in a build with sanitizers allows several times as much.
.PHONY: e2e-memory
e2e-memory: tidegate$(EXEEXT)
	@$(AM_TESTS_ENVIRONMENT) for test in test_connect_flood test_slow_readers test_bad_input; do \
		$(PYTHON) $(srcdir)/tests/e2e/$$test.py || exit 1; done
