noinst_LIBRARIES += gateway/libaccess.a
gateway_libaccess_a_SOURCES = \
	gateway/access/access.h \
	gateway/access/access_files.c \
	gateway/access/access_files.h \
	gateway/access/access_open.c \
	gateway/access/access_open.h \
	gateway/access/access_port.c \
	gateway/access/access_port.h \
	gateway/access/acl_file.c \
	gateway/access/acl_file.h \
	gateway/access/password_file.c \
	gateway/access/password_file.h \
	gateway/access/password_hash.c \
	gateway/access/password_hash.h \
	gateway/access/rule_text.c \
	gateway/access/rule_text.h \
	gateway/access/verified_cache.c \
	gateway/access/verified_cache.h \
	gateway/access/work_pool.c \
	gateway/access/work_pool.h
