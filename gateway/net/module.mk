noinst_LIBRARIES += gateway/libnet.a
gateway_libnet_a_SOURCES = \
	gateway/net/connection.c \
	gateway/net/connection.h \
	gateway/net/listener.c \
	gateway/net/listener.h \
	gateway/net/proxy.c \
	gateway/net/proxy.h \
	gateway/net/worker.c \
	gateway/net/worker.h
