noinst_LIBRARIES += protocol/libprotocol.a
protocol_libprotocol_a_SOURCES = \
	protocol/ack.h \
	protocol/bytes.h \
	protocol/connect.h \
	protocol/disconnect.h \
	protocol/packet.h \
	protocol/property.h \
	protocol/publish.h \
	protocol/reason.h \
	protocol/subscribe.h \
	protocol/topic.h \
	protocol/utf8.h \
	protocol/varint.h
