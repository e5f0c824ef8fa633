# What the specification demands, proven through a whole broker in one thread (tests/broker/harness.h).
broker_harness = tests/broker/harness.c tests/broker/harness.h tests/broker/spec.c tests/broker/spec.h \
	tests/broker/test_client.c tests/broker/test_client.h
EXTRA_DIST += $(broker_harness)
