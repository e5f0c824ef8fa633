#include "config/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/assert.h"

#define IPV4_MAPPED_BITS 96u
#define FORM             "must be an address and a port, such as \"127.0.0.1:1883\", \"[::1]:1883\" or \"*:1883\""

/** A decimal number without sign, blanks or leading zeros, at most MAX. */
static bool parse_number(const char *text, unsigned max, unsigned *number)
{
    unsigned n = 0;

    if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        n = n * 10 + (unsigned)(*text - '0');
        if (n > max)
            return false;
    }
    *number = n;
    return true;
}

static const char *parse_ipv4(const char *host, in_port_t port, struct config_listener *listener)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = port};

    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        return FORM ": names are not looked up";
    memcpy(&listener->address, &address, sizeof(address));
    listener->address_len = sizeof(address);
    listener->ipv6_only = true;
    return NULL;
}

static const char *parse_ipv6(char *host, in_port_t port, struct config_listener *listener)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = port};
    char *scope = strchr(host, '%');

    if (scope)
        *scope++ = '\0';
    if (inet_pton(AF_INET6, host, &address.sin6_addr) != 1)
        return "must have an IPv6 address between the brackets";
    if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr))
        return "must name an IPv4 address as such, without \"::ffff:\"";
    if (IN6_IS_ADDR_LINKLOCAL(&address.sin6_addr) != (scope != NULL))
        return "must name the interface of a link-local address, and of no other, as in \"[fe80::1%eth0]:1883\"";
    if (scope && (address.sin6_scope_id = if_nametoindex(scope)) == 0)
        return "names a network interface that this machine does not have";
    memcpy(&listener->address, &address, sizeof(address));
    listener->address_len = sizeof(address);
    listener->ipv6_only = true;
    return NULL;
}

static void any_address(in_port_t port, struct config_listener *listener)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_ANY_INIT};

    memcpy(&listener->address, &address, sizeof(address));
    listener->address_len = sizeof(address);
    listener->ipv6_only = false;
}

const char *address_parse(const char *text, struct config_listener *listener)
{
    char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 3]; /* with brackets and '%' */
    const char *colon = strrchr(text, ':');
    unsigned port_number;

    if (!colon || (size_t)(colon - text) >= sizeof(host) || colon == text)
        return FORM;
    size_t host_len = (size_t)(colon - text);
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    if (!parse_number(colon + 1, UINT16_MAX, &port_number))
        return FORM ": the port is a number from 0 to 65535";
    in_port_t port = htons((uint16_t)port_number);
    if (strcmp(host, "*") == 0) {
        any_address(port, listener);
        return NULL;
    }
    if (host[0] != '[')
        return strchr(host, ':') ? "must have an IPv6 address in brackets, such as \"[::1]:1883\""
                                 : parse_ipv4(host, port, listener);
    if (host[host_len - 1] != ']')
        return FORM;
    host[host_len - 1] = '\0';
    return parse_ipv6(host + 1, port, listener);
}

bool address_is_local(const struct config_listener *listener)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (listener->address_len == 0)
        return true;
    if (listener->address.ss_family == AF_INET) {
        memcpy(&v4, &listener->address, sizeof(v4));
        return ntohl(v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    memcpy(&v6, &listener->address, sizeof(v6));
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

bool address_is_same(const struct config_listener *a, const struct config_listener *b)
{
    struct sockaddr_in6 a6, b6;
    struct sockaddr_in a4, b4;

    if (a->unix_path || b->unix_path)
        return a->unix_path && b->unix_path && strcmp(a->unix_path, b->unix_path) == 0;
    if (a->address_len == 0 || a->address_len != b->address_len)
        return false;
    if (a->address.ss_family == AF_INET) {
        memcpy(&a4, &a->address, sizeof(a4));
        memcpy(&b4, &b->address, sizeof(b4));
        return a4.sin_port != 0 && a4.sin_port == b4.sin_port && a4.sin_addr.s_addr == b4.sin_addr.s_addr;
    }
    memcpy(&a6, &a->address, sizeof(a6));
    memcpy(&b6, &b->address, sizeof(b6));
    return a6.sin6_port != 0 && a6.sin6_port == b6.sin6_port && a6.sin6_scope_id == b6.sin6_scope_id &&
           IN6_ARE_ADDR_EQUAL(&a6.sin6_addr, &b6.sin6_addr);
}

/** The network's own address has no bit set behind its prefix. */
static bool is_masked(const struct config_network *network)
{
    for (unsigned bit = network->prefix_bits; bit < 128; bit++) {
        if (network->address[bit / 8] & (0x80u >> bit % 8))
            return false;
    }
    return true;
}

const char *network_parse(const char *text, struct config_network *network)
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    struct config_network parsed = {.prefix_bits = 128};
    char host[INET6_ADDRSTRLEN];
    size_t host_len = strcspn(text, "/");
    unsigned bits = 128;

    if (host_len >= sizeof(host))
        return "must be a network, such as \"10.0.0.0/8\" or \"fd00::/8\"";
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    if (inet_pton(AF_INET, host, parsed.address + sizeof(mapped)) == 1) {
        memcpy(parsed.address, mapped, sizeof(mapped));
        bits = 32;
    } else if (inet_pton(AF_INET6, host, parsed.address) != 1) {
        return "must be a network, such as \"10.0.0.0/8\" or \"fd00::/8\"";
    }
    unsigned unused = 128 - bits;
    if (text[host_len] == '/' && !parse_number(text + host_len + 1, bits, &bits))
        return unused > 0 ? "must have from 0 to 32 bits behind the slash"
                          : "must have from 0 to 128 bits behind the slash";
    parsed.prefix_bits = (uint8_t)(unused + bits);
    if (!is_masked(&parsed))
        return "names a host: the bits behind the prefix must be 0";
    if (unused == 0 && memcmp(parsed.address, mapped, sizeof(mapped)) == 0 && parsed.prefix_bits >= IPV4_MAPPED_BITS)
        return "must name IPv4 addresses as such, without \"::ffff:\"";
    *network = parsed;
    return NULL;
}

bool config_network_contains(const struct config_network *network, const uint8_t address[16])
{
    size_t whole = network->prefix_bits / 8u;
    unsigned rest = network->prefix_bits % 8u;

    if (memcmp(network->address, address, whole) != 0)
        return false;
    return rest == 0 || (network->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

void network_text(const struct config_network *network, char out[NETWORK_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN];
    struct in6_addr address;
    unsigned bits = network->prefix_bits;
    const char *written;

    memcpy(&address, network->address, sizeof(address));
    if (IN6_IS_ADDR_V4MAPPED(&address) && bits >= IPV4_MAPPED_BITS) {
        bits -= IPV4_MAPPED_BITS;
        written = inet_ntop(AF_INET, network->address + 12, host, sizeof(host));
    } else {
        written = inet_ntop(AF_INET6, &address, host, sizeof(host));
    }
    TG_ASSERT(written != NULL);
    snprintf(out, NETWORK_TEXT_BYTES, "%s/%u", host, bits);
}
