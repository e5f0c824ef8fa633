# The MQTT codec. Sans-I/O: it includes no other folder and links nothing.
noinst_LIBRARIES += protocol/libprotocol.a

protocol_libprotocol_a_SOURCES = \
	protocol/ack.c \
	protocol/ack.h \
	protocol/bytes.h \
	protocol/connect.c \
	protocol/connect.h \
	protocol/disconnect.c \
	protocol/disconnect.h \
	protocol/greeting.c \
	protocol/greeting.h \
	protocol/packet.c \
	protocol/packet.h \
	protocol/property.c \
	protocol/property.h \
	protocol/publish.c \
	protocol/publish.h \
	protocol/reason.c \
	protocol/reason.h \
	protocol/subscribe.c \
	protocol/subscribe.h \
	protocol/topic.c \
	protocol/topic.h \
	protocol/utf8.c \
	protocol/utf8.h \
	protocol/utf8_scan.h \
	protocol/varint.c \
	protocol/varint.h \
	protocol/wire.c \
	protocol/wire.h
