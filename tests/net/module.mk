# Unit tests of gateway/net/. The broker core behind them is a fake (fake_core.h), so only the output queue and RCU of the real
# one are linked.
net_test_sources = tests/net/fake_core.c tests/net/fake_core.h tests/net/sockets.c tests/net/sockets.h
net_test_libs = gateway/libnet.a gateway/libbroker.a config/libconfig.a gateway/libbase.a $(URCU_LIBS) $(EV_LIBS) \
	$(JANSSON_LIBS) $(CHECK_LIBS)

check_PROGRAMS += tests/net/test_proxy
tests_net_test_proxy_SOURCES = tests/net/test_proxy.c
tests_net_test_proxy_LDADD = gateway/libnet.a $(CHECK_LIBS)

check_PROGRAMS += tests/net/test_connection
tests_net_test_connection_SOURCES = tests/net/test_connection.c $(net_test_sources)
tests_net_test_connection_LDADD = $(net_test_libs)

check_PROGRAMS += tests/net/test_listener
tests_net_test_listener_SOURCES = tests/net/test_listener.c $(net_test_sources)
tests_net_test_listener_LDADD = $(net_test_libs)
