#include "tests/bench/frames.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/bench/loop.h"

#define HEAD_BYTES_MAX   14u /* two, eight of length, four of mask */
#define BINARY           0x82u
#define MASKED           0x80u
#define CONTROL          0x08u
#define ANSWER_BYTES_MAX 2048u

struct frames {
    uint8_t head[HEAD_BYTES_MAX]; /* of the frame that is being sent */
    size_t head_len;
    size_t head_at;
    size_t out_left;            /* of its payload */
    uint8_t in[HEAD_BYTES_MAX]; /* a header that came in part */
    size_t in_len;
    uint64_t in_left; /* of the payload of the frame that is being received */
    bool in_is_control;
};

struct frames *frames_open(int fd)
{
    static const char request[] =
        "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    char answer[ANSWER_BYTES_MAX];
    size_t len = 0;
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1) {
        die("send: %s", strerror(errno));
    }
    while (len < 4 || memcmp(answer + len - 4, "\r\n\r\n", 4) != 0) {
        if (len == sizeof answer || read(fd, answer + len, 1) != 1) {
            die("the server does not answer the request for a WebSocket");
        }
        len++;
    }
    if (len < 12 || memcmp(answer + 9, "101", 3) != 0) {
        die("the server refuses a WebSocket: %.*s", (int)(len < 60 ? len : 60), answer);
    }
    return must_calloc(1, sizeof(struct frames));
}

static void begin(struct frames *frames, size_t len)
{
    size_t at = 0;
    frames->head[at++] = BINARY;
    if (len < 126) {
        frames->head[at++] = (uint8_t)(MASKED | len);
    } else if (len < 65536) {
        frames->head[at++] = MASKED | 126u;
        frames->head[at++] = (uint8_t)(len >> 8);
        frames->head[at++] = (uint8_t)len;
    } else {
        frames->head[at++] = MASKED | 127u;
        for (int shift = 56; shift >= 0; shift -= 8) {
            frames->head[at++] = (uint8_t)((uint64_t)len >> shift);
        }
    }
    memset(frames->head + at, 0, 4);
    frames->head_len = at + 4;
    frames->head_at = 0;
    frames->out_left = len;
}

ssize_t frames_send(struct frames *frames, int fd, const uint8_t *data, size_t len)
{
    if (frames->out_left == 0) {
        begin(frames, len);
    }
    size_t head_left = frames->head_len - frames->head_at;
    struct iovec parts[] = {{frames->head + frames->head_at, head_left}, {(void *)(uintptr_t)data, frames->out_left}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (n < 0) {
        return n;
    }
    size_t of_head = (size_t)n < head_left ? (size_t)n : head_left;
    frames->head_at += of_head;
    frames->out_left -= (size_t)n - of_head;
    return n - (ssize_t)of_head;
}

/* @return bytes of the whole header, as far as it is known */
static size_t header_len(const struct frames *frames)
{
    if (frames->in_len < 2) {
        return 2;
    }
    size_t short_len = frames->in[1] & 0x7Fu;
    return short_len == 126 ? 4 : short_len == 127 ? 10 : 2;
}

static void header_done(struct frames *frames)
{
    size_t short_len = frames->in[1] & 0x7Fu;
    frames->in_is_control = (frames->in[0] & CONTROL) != 0;
    frames->in_left = short_len;
    if (short_len >= 126) {
        frames->in_left = 0;
        for (size_t i = 2; i < frames->in_len; i++) {
            frames->in_left = frames->in_left << 8 | frames->in[i];
        }
    }
    frames->in_len = 0;
}

size_t frames_unwrap(struct frames *frames, uint8_t *data, size_t len)
{
    size_t kept = 0;
    size_t at = 0;
    while (at < len) {
        if (frames->in_left == 0) {
            frames->in[frames->in_len++] = data[at++];
            if (frames->in_len == header_len(frames)) {
                header_done(frames);
            }
            continue;
        }
        size_t take = frames->in_left < len - at ? (size_t)frames->in_left : len - at;
        if (!frames->in_is_control) {
            memmove(data + kept, data + at, take);
            kept += take;
        }
        at += take;
        frames->in_left -= take;
    }
    return kept;
}
