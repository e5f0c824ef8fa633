# WebSocket and HTTP on libwebsockets.
noinst_LIBRARIES += web/libweb.a
web_libweb_a_SOURCES = \
	web/base64.c \
	web/base64.h \
	web/compat.c \
	web/connection.h \
	web/forwarded.c \
	web/forwarded.h \
	web/health.c \
	web/health.h \
	web/http.c \
	web/http.h \
	web/http_answer.c \
	web/http_connection.c \
	web/http_connection.h \
	web/http_request.h \
	web/idempotency.c \
	web/idempotency.h \
	web/lws_guard.c \
	web/lws_guard.h \
	web/message_json.c \
	web/message_json.h \
	web/message_source.c \
	web/message_source.h \
	web/origin.c \
	web/origin.h \
	web/publish_bulk.c \
	web/publish_status.c \
	web/publish_status.h \
	web/routes.c \
	web/routes.h \
	web/static_files.c \
	web/static_files.h \
	web/topics.h \
	web/topics_publish.c \
	web/topics_read.c \
	web/web.c \
	web/web.h \
	web/ws.c \
	web/ws.h
web_libweb_a_CPPFLAGS = $(AM_CPPFLAGS) -DLWS_EVLIB_EV='"$(LWS_EVLIB_EV)"'
