noinst_LIBRARIES += config/libconfig.a
config_libconfig_a_SOURCES = \
	config/address.c \
	config/address.h \
	config/config.c \
	config/config.h \
	config/json_text.c \
	config/json_text.h \
	config/memory.c \
	config/memory.h \
	config/option.c \
	config/option.h \
	config/reader.c \
	config/reader.h \
	config/reload.c \
	config/reload.h \
	config/report.c \
	config/report.h \
	config/rules.c \
	config/rules.h \
	config/spelling.c \
	config/spelling.h \
	config/text_check.c \
	config/text_check.h

noinst_PROGRAMS += config/make_reference
config_make_reference_SOURCES = config/make_reference.c
config_make_reference_LDADD = config/libconfig.a gateway/libbase.a protocol/libprotocol.a $(JANSSON_LIBS)

# Bring the JSON Schema and the tables of README.md up to date with the option table.
config-reference: config/make_reference
	bash $(srcdir)/config/update_reference.sh config/make_reference $(srcdir)/config
.PHONY: config-reference

dist_pkgdata_DATA = config/tidegate.schema.json
exampledir = $(sysconfdir)/tidegate
dist_example_DATA = config/tidegate.example.json
EXTRA_DIST += config/README.md config/update_reference.sh
