/**
 * What tests of gateway/net/ do with sockets: connect, write all, read exactly, see the end. Each call gives up after
 * many seconds, so that a test fails instead of hanging.
 */
#ifndef TESTS_NET_SOCKETS_H
#define TESTS_NET_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_listener;

/** CONFIG: TCP on 127.0.0.1, port chosen by the system. */
void socket_loopback(struct config_listener *config);

/** A socket, not yet connected, with a receive buffer of RECEIVE_BYTES (0: as usual) that never blocks for ever. */
int socket_new(int family, int receive_bytes);

/** Connect FD to 127.0.0.1:PORT. */
bool socket_connect(int fd, uint16_t port);

/** A socket that is connected to 127.0.0.1:PORT. */
int socket_connected(uint16_t port);

/** A socket that is connected to the unix socket PATH; -1 if nobody listens there. */
int socket_connected_unix(const char *path);

/** Write all of TEXT. */
bool socket_say(int fd, const char *text);

/** Read until LEN bytes have come. @return how many came: fewer if the stream has ended or failed (errno is 0 if it has ended) */
size_t socket_read(int fd, void *buf, size_t len);

/** True if exactly TEXT is what comes next. */
bool socket_hears(int fd, const char *text);

/** True if the stream ends here in good order; false if there is data or it was reset. */
bool socket_ends(int fd);

/** True if the stream ends here or was reset. */
bool socket_is_over(int fd);

/** True if there is nothing to read at the moment. */
bool socket_is_silent(int fd);

#endif
