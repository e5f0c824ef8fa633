noinst_LIBRARIES += gateway/libstore.a
gateway_libstore_a_SOURCES = \
	gateway/store/lmdb.c \
	gateway/store/lmdb.h \
	gateway/store/lmdb_backup.c \
	gateway/store/lmdb_batch.c \
	gateway/store/lmdb_code.c \
	gateway/store/lmdb_code.h \
	gateway/store/lmdb_copy.h \
	gateway/store/lmdb_delete.c \
	gateway/store/lmdb_engine.h \
	gateway/store/lmdb_files.c \
	gateway/store/lmdb_pages.c \
	gateway/store/lmdb_put.c \
	gateway/store/lmdb_quarantine.c \
	gateway/store/lmdb_reader.c \
	gateway/store/lmdb_recover.c \
	gateway/store/lmdb_space.c \
	gateway/store/lmdb_tool.c \
	gateway/store/lmdb_tool.h \
	gateway/store/lmdb_walk.c \
	gateway/store/lmdb_walk.h \
	gateway/store/lmdb_writer.c \
	gateway/store/memory.c \
	gateway/store/memory.h \
	gateway/store/message.c \
	gateway/store/message.h \
	gateway/store/record.c \
	gateway/store/record.h \
	gateway/store/record_engine.h \
	gateway/store/store.c \
	gateway/store/store.h
