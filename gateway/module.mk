# The program: gateway/main.c and everything below it.
bin_PROGRAMS += tidegate
tidegate_SOURCES = \
	gateway/account.c \
	gateway/account.h \
	gateway/main.c \
	gateway/recovery.c \
	gateway/recovery.h \
	gateway/service.c \
	gateway/service.h \
	gateway/start_access.c \
	gateway/start_access.h \
	gateway/start_store.c \
	gateway/start_store.h \
	gateway/store_command.c \
	gateway/store_command.h \
	gateway/store_folder.c \
	gateway/store_folder.h
tidegate_LDADD = $(gateway_libs) $(system_libs)

dist_man_MANS = gateway/tidegate.8

# Paths in the unit are those of the installation, which only make knows.
systemdsystemunit_DATA = config/tidegate.service
config/tidegate.service: config/tidegate.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) config && sed -e 's|@bindir[@]|$(bindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' \
		$(srcdir)/config/tidegate.service.in >$@.new && mv $@.new $@
EXTRA_DIST += config/tidegate.service.in
CLEANFILES += config/tidegate.service
