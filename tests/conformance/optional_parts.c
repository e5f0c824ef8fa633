#include "tests/conformance/optional_parts.h"

#include <stdio.h>

#include "tests/conformance/conformance.h"

/* PROVOKE's packet on a connection whose Maximum Packet Size is MAX; 0: none was said. */
static const struct properties *provoke_within(struct harness *h, unsigned max, provoke_fn *provoke, struct tc **c)
{
    char id[16];
    char properties[32];
    snprintf(id, sizeof(id), "max-%u", max);
    snprintf(properties, sizeof(properties), "packet_max:%u", max);
    *c = tc_connect_with(h, .id = id, .properties = max > 0 ? properties : NULL);
    return provoke(*c);
}

void check_optional_parts(struct harness *h, provoke_fn *provoke)
{
    struct tc *c;
    const struct properties *p = provoke_within(h, 0, provoke, &c);
    ck_assert_msg(properties_has(p, PROPERTY_REASON_STRING), "nothing to leave out");
    unsigned len = 2u + tc_last_bytes(c)[1];
    ck_assert_uint_lt(len, 128);
    p = provoke_within(h, len, provoke, &c); /* the client checks the size */
    ck_assert(properties_has(p, PROPERTY_REASON_STRING));
    p = provoke_within(h, len - 1, provoke, &c);
    ck_assert(!properties_has(p, PROPERTY_REASON_STRING));
    ck_assert(!properties_has(p, PROPERTY_USER_PROPERTY));
}
