noinst_LIBRARIES += gateway/libnet.a
gateway_libnet_a_SOURCES =
