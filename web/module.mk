# WebSocket and HTTP on libwebsockets.
noinst_LIBRARIES += web/libweb.a
web_libweb_a_SOURCES = \
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
	web/lws_guard.c \
	web/lws_guard.h \
	web/origin.c \
	web/origin.h \
	web/routes.c \
	web/routes.h \
	web/static_files.c \
	web/static_files.h \
	web/web.c \
	web/web.h \
	web/ws.c \
	web/ws.h
web_libweb_a_CPPFLAGS = $(AM_CPPFLAGS) -DLWS_EVLIB_EV='"$(LWS_EVLIB_EV)"'
