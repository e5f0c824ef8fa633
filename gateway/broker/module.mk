noinst_LIBRARIES += gateway/libbroker.a
gateway_libbroker_a_SOURCES = \
	gateway/broker/broker.h \
	gateway/broker/client.h \
	gateway/broker/index.h \
	gateway/broker/message.h \
	gateway/broker/outq.h \
	gateway/broker/place.h \
	gateway/broker/retained.h
