/*
 * Property sections: the first byte says in which packet, the rest is the section and what follows it.
 *
 * A section is accepted or refused by its own bytes alone: all that stands behind it makes no difference, and
 * any cut of an accepted one is refused.
 */
#include "protocol/property.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/packet_check.h"

static int decode(const uint8_t *data, size_t len, unsigned place, struct properties *out)
{
    struct fault fault = {0, NULL};
    int used = properties_decode(data, len, place, out, &fault);
    REQUIRE(used == -1 || (used >= 1 && (size_t)used <= len));
    REQUIRE(used > 0 || (fault.reason_code >= 0x80 && fault.why != NULL));
    return used;
}

static void check_cuts(const uint8_t *section, size_t section_len, unsigned place)
{
    for (size_t len = 0; len < section_len; len++) {
        uint8_t *cut = exact_copy(section, len);
        struct properties p;
        REQUIRE(decode(cut, len, place, &p) == -1);
        free(cut);
    }
}

/* The entries make up the section without a gap, and are what the struct says. */
static void check_entries(const struct properties *p)
{
    struct bytes cursor = p->raw;
    struct property_entry e;
    const uint8_t *at = p->raw.data;
    uint64_t present = 0;
    size_t users = 0;
    size_t ids = 0;
    while (properties_next(&cursor, &e)) {
        REQUIRE(e.whole.data == at && e.whole.len >= 2);
        require_inside(e.name, e.whole);
        require_inside(e.value, e.whole);
        at += e.whole.len;
        if (e.id == PROPERTY_SUBSCRIPTION_IDENTIFIER && ids == 0) {
            REQUIRE(p->subscription_identifier == e.number);
        }
        users += e.id == PROPERTY_USER_PROPERTY;
        ids += e.id == PROPERTY_SUBSCRIPTION_IDENTIFIER;
        present |= UINT64_C(1) << (unsigned)e.id;
    }
    REQUIRE(at == p->raw.data + p->raw.len);
    REQUIRE(present == p->present);
    REQUIRE(p->user_properties == (users < UINT16_MAX ? users : UINT16_MAX));
    REQUIRE(p->subscription_identifiers == (ids < UINT16_MAX ? ids : UINT16_MAX));
}

static void check_forwarded(const struct properties *p)
{
    uint8_t *buf = exact_alloc(p->raw.len);
    struct bytes forwarded = properties_forwarded(p, buf);
    struct bytes all = p->raw;
    struct bytes kept = forwarded;
    struct property_entry e;
    struct property_entry f;
    while (properties_next(&all, &e)) {
        bool stays_behind = e.id == PROPERTY_MESSAGE_EXPIRY_INTERVAL || e.id == PROPERTY_TOPIC_ALIAS ||
                            e.id == PROPERTY_SUBSCRIPTION_IDENTIFIER || e.id == PROPERTY_WILL_DELAY_INTERVAL;
        if (!stays_behind) {
            REQUIRE(properties_next(&kept, &f) && bytes_equal(e.whole, f.whole));
        }
    }
    REQUIRE(!properties_next(&kept, &f) && kept.len == 0);
    REQUIRE(forwarded.len < p->raw.len || forwarded.data == p->raw.data || forwarded.len == 0);
    free(buf);
}

static void check_round_trip(const struct properties *p, int used, unsigned place)
{
    uint8_t *entries = exact_alloc(p->raw.len);
    struct bytes users = collect_entries(p, PROPERTY_USER_PROPERTY, entries);
    struct bytes ids = collect_entries(p, PROPERTY_SUBSCRIPTION_IDENTIFIER, entries + users.len);
    struct bytes extra = {entries, users.len + ids.len};
    size_t len = properties_encoded_len(p, extra);
    REQUIRE(len == (size_t)used); /* nothing but the order of entries can differ */
    uint8_t *buf = exact_alloc(len);
    REQUIRE(properties_encode(buf, len, p, extra) == len);
    REQUIRE(properties_encode(buf, len - 1, p, extra) == 0);
    struct properties q;
    REQUIRE(decode(buf, len, place, &q) == used);
    require_same_properties(p, &q);
    free(buf);
    free(entries);
}

static void check_user_entry(struct bytes name, struct bytes value)
{
    size_t len = 5 + name.len + value.len;
    uint8_t *buf = exact_alloc(len);
    REQUIRE(property_encode_user(buf, len, name, value) == len);
    REQUIRE(property_encode_user(buf, len - 1, name, value) == 0);
    struct bytes cursor = {buf, len};
    struct property_entry e;
    REQUIRE(properties_next(&cursor, &e) && cursor.len == 0 && e.id == PROPERTY_USER_PROPERTY);
    REQUIRE(bytes_equal(e.name, name) && bytes_equal(e.value, value));
    free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    unsigned place = data[0] & 0x0Fu;
    uint8_t *copy = exact_copy(data + 1, size - 1);
    struct properties p;
    int used = decode(copy, size - 1, place, &p);
    if (used > 0) {
        uint8_t *section = exact_copy(copy, (size_t)used);
        REQUIRE(decode(section, (size_t)used, place, &p) == used);
        require_inside(p.raw, (struct bytes){section, (size_t)used});
        REQUIRE(p.raw.data + p.raw.len == section + used);
        check_entries(&p);
        check_forwarded(&p);
        check_round_trip(&p, used, place);
        if (size <= 512) {
            check_cuts(section, (size_t)used, place);
        }
        free(section);
    } else if (size <= 65535) {
        /* an unchecked section must not lead the iterator out of it either */
        struct bytes cursor = {copy, size - 1};
        struct property_entry e;
        while (properties_next(&cursor, &e)) {
            require_inside(e.whole, (struct bytes){copy, size - 1});
        }
        check_user_entry((struct bytes){copy, (size - 1) / 2}, (struct bytes){copy, size - 1});
    }
    free(copy);
    return 0;
}
