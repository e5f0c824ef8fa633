# The program: gateway/main.c and everything below it.
bin_PROGRAMS += tidegate
tidegate_SOURCES = \
	gateway/account.c \
	gateway/account.h \
	gateway/main.c \
	gateway/service.c \
	gateway/service.h
tidegate_LDADD = $(gateway_libs) $(system_libs)
