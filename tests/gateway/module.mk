# Unit tests of what surrounds main(): the broker core is a fake in the test itself.
check_PROGRAMS += tests/gateway/test_recovery
tests_gateway_test_recovery_SOURCES = tests/gateway/test_recovery.c gateway/recovery.c
tests_gateway_test_recovery_LDADD = gateway/libbase.a $(CHECK_LIBS)

check_PROGRAMS += tests/gateway/test_store_folder
tests_gateway_test_store_folder_SOURCES = tests/gateway/test_store_folder.c gateway/store_folder.c
tests_gateway_test_store_folder_LDADD = config/libconfig.a gateway/libbase.a protocol/libprotocol.a $(JANSSON_LIBS) \
	$(CHECK_LIBS)
