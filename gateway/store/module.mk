noinst_LIBRARIES += gateway/libstore.a
gateway_libstore_a_SOURCES = \
	gateway/store/memory.c \
	gateway/store/memory.h \
	gateway/store/message.c \
	gateway/store/message.h \
	gateway/store/record.c \
	gateway/store/record.h \
	gateway/store/record_engine.h \
	gateway/store/store.c \
	gateway/store/store.h
