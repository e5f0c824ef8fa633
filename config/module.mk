noinst_LIBRARIES += config/libconfig.a
config_libconfig_a_SOURCES = \
	config/config.h \
	config/memory.h \
	config/reload.h \
	config/report.h
