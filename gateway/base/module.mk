noinst_LIBRARIES += gateway/libbase.a
gateway_libbase_a_SOURCES = \
	gateway/base/assert.c \
	gateway/base/assert.h \
	gateway/base/base64.c \
	gateway/base/base64.h \
	gateway/base/be.h \
	gateway/base/character.c \
	gateway/base/character.h \
	gateway/base/container.h \
	gateway/base/err.c \
	gateway/base/err.h \
	gateway/base/hash.c \
	gateway/base/hash.h \
	gateway/base/log.c \
	gateway/base/log.h \
	gateway/base/rcu.c \
	gateway/base/rcu.h \
	gateway/base/timer_wheel.c \
	gateway/base/timer_wheel.h
