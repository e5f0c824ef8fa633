# WebSocket and HTTP on libwebsockets.
noinst_HEADERS += web/http.h web/routes.h
