noinst_LIBRARIES += gateway/libstore.a
gateway_libstore_a_SOURCES = \
	gateway/store/memory.c \
	gateway/store/memory.h \
	gateway/store/store.h
