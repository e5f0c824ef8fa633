/**
 * Who a request is from: its Authorization header, asked of the same provider as an MQTT client's CONNECT. Private to the files of http.h.
 *
 *      no header     an anonymous client, if such may connect
 *      Basic         user name and password; the answer may come later, the request is held meanwhile
 *      other         401
 *
 * owner: the worker's thread
 */
#ifndef WEB_HTTP_LOGIN_H
#define WEB_HTTP_LOGIN_H

struct http_login;
struct http_request;

enum http_login_state {
    HTTP_LOGIN_IN,       /* go on */
    HTTP_LOGIN_ANSWERED, /* REQUEST is gone */
    HTTP_LOGIN_WAITS,    /* REQUEST is held; its continuation is called when the answer is there */
};

/** Find out who REQUEST, which is complete, is from. GO_ON is called later, once, in the case of HTTP_LOGIN_WAITS, unless REQUEST ends before or is refused. */
enum http_login_state http_login(struct http_request *request, void (*go_on)(struct http_request *request));

/** REQUEST ends: ask no more, forget who it was from. */
void http_login_fini(struct http_request *request);

#endif
