#include "tests/net/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/config.h"

#define PATIENCE_S 30

void socket_loopback(struct config_listener *config)
{
    static char name[] = "127.0.0.1:0";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *config = (struct config_listener){.name = name, .address_len = sizeof address, .backlog = 128};
    memcpy(&config->address, &address, sizeof address);
}

int socket_new(int family, int receive_bytes)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0) {
        abort();
    }
    if (receive_bytes > 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes) != 0) {
        abort();
    }
    return fd;
}

bool socket_connect(int fd, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(port),
    };
    return connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
}

int socket_connected(uint16_t port)
{
    int fd = socket_new(AF_INET, 0);
    if (!socket_connect(fd, port)) {
        abort();
    }
    return fd;
}

int socket_connected_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket_new(AF_UNIX, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

bool socket_say(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        text += sent;
        len -= (size_t)sent;
    }
    return true;
}

size_t socket_read(int fd, void *buf, size_t len)
{
    size_t have = 0;
    while (have < len) {
        errno = 0;
        ssize_t got = recv(fd, (char *)buf + have, len - have, 0);
        if (got <= 0) {
            break;
        }
        have += (size_t)got;
    }
    return have;
}

bool socket_hears(int fd, const char *text)
{
    char buf[1024];
    size_t len = strlen(text);
    return len <= sizeof buf && socket_read(fd, buf, len) == len && memcmp(buf, text, len) == 0;
}

bool socket_ends(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0) == 0;
}

bool socket_is_over(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, 0);
    return got == 0 || (got < 0 && (errno == ECONNRESET || errno == EPIPE));
}

bool socket_is_silent(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 0;
}
