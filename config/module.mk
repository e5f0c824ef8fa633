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
