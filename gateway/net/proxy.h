/**
 * The PROXY protocol, versions 1 (text) and 2 (binary): what a load balancer says, ahead of the client's bytes, about whom
 * it speaks for. Sans-I/O: bytes in, addresses out.
 *
 *      version 1   PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n
 *      version 2   12 bytes signature | version, command | family | length | addresses, TLVs
 *
 * Only the source is of use here. Whom to believe such a header is the caller's business (listener, proxy_trusted).
 */
#ifndef GATEWAY_NET_PROXY_H
#define GATEWAY_NET_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROXY_HEADER_BYTES_MAX 2048u /* a longer header (of version 2, with very many TLVs) is refused */

struct proxy_header {
    bool has_source; /* false: the connection speaks for itself (LOCAL, UNKNOWN, a unix socket): keep its own address */
    uint8_t source[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint16_t source_port;
};

/**
 * Decode the header at the start of BUF.
 *
 * @param buf  bytes received so far; borrowed for the call
 * @param out  untouched unless the call returns > 0
 *
 * @return length of the header, 1 .. PROXY_HEADER_BYTES_MAX: the client's bytes begin behind it; 0 if it has not
 *         ended yet; -1 if there is none, whatever follows. With PROXY_HEADER_BYTES_MAX bytes it is never 0.
 */
ssize_t proxy_header_decode(const uint8_t *buf, size_t len, struct proxy_header *out)
    __attribute__((warn_unused_result));

#endif
