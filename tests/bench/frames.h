/**
 * MQTT over WebSocket, from the client's side, as cheap as can be: all that waits goes out as one binary frame, masked with the key
 * 0, which changes nothing; what comes is freed of its framing in place.
 */
#ifndef TESTS_BENCH_FRAMES_H
#define TESTS_BENCH_FRAMES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct frames;

/** Ask for a WebSocket on FD, which still blocks, and wait for the answer. Dies if it is refused. @return owned, free with free() */
struct frames *frames_open(int fd);

/** Send the LEN bytes at DATA, or what is left of the frame begun before, which begins with them. @return bytes of DATA sent, -1 as send(2) */
ssize_t frames_send(struct frames *frames, int fd, const uint8_t *data, size_t len);

/** Take the framing out of the LEN bytes at DATA. @return bytes that are left. Control frames are passed over. */
size_t frames_unwrap(struct frames *frames, uint8_t *data, size_t len);

#endif
