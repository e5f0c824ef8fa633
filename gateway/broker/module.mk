noinst_LIBRARIES += gateway/libbroker.a
gateway_libbroker_a_SOURCES = \
	gateway/broker/broker.h \
	gateway/broker/client.h \
	gateway/broker/index.c \
	gateway/broker/index.h \
	gateway/broker/level_table.c \
	gateway/broker/level_table.h \
	gateway/broker/mail.h \
	gateway/broker/message.c \
	gateway/broker/message.h \
	gateway/broker/outgoing.c \
	gateway/broker/outgoing.h \
	gateway/broker/outq.c \
	gateway/broker/outq.h \
	gateway/broker/packet_ids.c \
	gateway/broker/packet_ids.h \
	gateway/broker/place.h \
	gateway/broker/publication.h \
	gateway/broker/rcu.c \
	gateway/broker/rcu.h \
	gateway/broker/retained.c \
	gateway/broker/retained.h \
	gateway/broker/route.h \
	gateway/broker/route_cache.c \
	gateway/broker/route_cache.h \
	gateway/broker/share.h \
	gateway/broker/stats.h \
	gateway/broker/sys.c \
	gateway/broker/sys.h \
	gateway/broker/subscription.h
