noinst_LIBRARIES += gateway/libaccess.a
gateway_libaccess_a_SOURCES = \
	gateway/access/access.h \
	gateway/access/access_open.c \
	gateway/access/access_open.h
