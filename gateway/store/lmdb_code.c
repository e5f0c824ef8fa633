#include "gateway/store/lmdb_code.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "gateway/base/be.h"

const char *const lmdb_table_names[LMDB_TABLES] = {
    [LMDB_META] = "meta",
    [LMDB_MESSAGES] = "messages",
    [LMDB_RECIPIENTS] = "recipients",
    [LMDB_PARTS] = "parts",
    [LMDB_ENTRIES + STORE_SESSIONS] = "sessions",
    [LMDB_ENTRIES + STORE_WILLS] = "wills",
    [LMDB_ENTRIES + STORE_SUBSCRIPTIONS] = "subscriptions",
    [LMDB_ENTRIES + STORE_POSITIONS] = "positions",
    [LMDB_ENTRIES + STORE_RECEIVED] = "received",
    [LMDB_ENTRIES + STORE_SENT] = "sent",
    [LMDB_ENTRIES + STORE_IDEMPOTENCY] = "idempotency",
};

static uint32_t check_of(enum lmdb_table table, const MDB_val *key, const uint8_t *bytes, size_t len)
{
    uint64_t seed = XXH3_64bits_withSeed(key->mv_data, key->mv_size, (uint64_t)table);
    return (uint32_t)XXH3_64bits_withSeed(bytes, len, seed);
}

void lmdb_seal(enum lmdb_table table, const MDB_val *key, uint8_t *value, size_t len)
{
    value[0] = LMDB_VALUE_VERSION;
    tg_put_be(value + 1, check_of(table, key, value + LMDB_HEAD_BYTES, len - LMDB_HEAD_BYTES), 4);
}

struct bytes lmdb_unseal(enum lmdb_table table, const MDB_val *key, const MDB_val *value)
{
    const uint8_t *at = value->mv_data;
    size_t len = value->mv_size;
    if (len < LMDB_HEAD_BYTES || at[0] != LMDB_VALUE_VERSION ||
        tg_get_be(at + 1, 4) != check_of(table, key, at + LMDB_HEAD_BYTES, len - LMDB_HEAD_BYTES)) {
        return (struct bytes){NULL, 0};
    }
    return (struct bytes){at + LMDB_HEAD_BYTES, len - LMDB_HEAD_BYTES};
}

uint8_t *lmdb_message_encode(const struct lmdb_message *message, uint8_t *value)
{
    uint8_t *at = value + LMDB_HEAD_BYTES;
    *at++ = message->flags;
    *at++ = message->qos;
    at = tg_put_be(at, message->topic_len, 2);
    at = tg_put_be(at, message->properties_len, 4);
    at = tg_put_be(at, message->payload_len, 4);
    at = tg_put_be(at, message->expires_ms, 8);
    at = tg_put_be(at, message->stored_ms, 8);
    at = tg_put_be(at, message->version, 8);
    at = tg_put_be(at, message->publisher, 8);
    at = tg_put_be(at, message->more_count, 4);
    return tg_put_be(at, (uint64_t)message->recipient_count << 32 | message->recipients_len, 8);
}

bool lmdb_message_decode(struct bytes value, struct lmdb_message *out)
{
    const uint8_t *at = value.data;
    if (value.len < LMDB_MESSAGE_BYTES - LMDB_HEAD_BYTES) {
        return false;
    }
    *out = (struct lmdb_message){
        .flags = at[0],
        .qos = at[1],
        .topic_len = (uint16_t)tg_get_be(at + 2, 2),
        .properties_len = (uint32_t)tg_get_be(at + 4, 4),
        .payload_len = (uint32_t)tg_get_be(at + 8, 4),
        .expires_ms = tg_get_be(at + 12, 8),
        .stored_ms = tg_get_be(at + 20, 8),
        .version = tg_get_be(at + 28, 8),
        .publisher = tg_get_be(at + 36, 8),
        .more_count = (uint32_t)tg_get_be(at + 44, 4),
        .recipient_count = (uint32_t)tg_get_be(at + 48, 4),
        .recipients_len = (uint32_t)tg_get_be(at + 52, 4),
    };
    at += LMDB_MESSAGE_BYTES - LMDB_HEAD_BYTES;
    size_t rest = value.len - (LMDB_MESSAGE_BYTES - LMDB_HEAD_BYTES);
    bool in_parts = (out->flags & LMDB_FLAG_PARTS) != 0;
    if (out->qos > 2 || out->recipients_len > rest ||
        rest - out->recipients_len != (in_parts ? 0 : lmdb_body_len(out))) {
        return false;
    }
    out->recipients = (struct bytes){at, out->recipients_len};
    out->body = (struct bytes){at + out->recipients_len, rest - out->recipients_len};
    uint32_t count;
    return lmdb_recipients_count(out->recipients, &count) && count == out->recipient_count;
}

uint8_t lmdb_message_flags(const MDB_val *value)
{
    return value->mv_size > LMDB_HEAD_BYTES ? ((const uint8_t *)value->mv_data)[LMDB_HEAD_BYTES] : 0;
}

void lmdb_message_set_flags(uint8_t *value, uint8_t flags)
{
    value[LMDB_HEAD_BYTES] = flags;
}

size_t lmdb_recipient_len(const uint8_t *encoded)
{
    struct store_recipient recipient;
    return store_recipient_decode((struct bytes){encoded, SIZE_MAX}, &recipient);
}

bool lmdb_recipients_count(struct bytes encoded, uint32_t *out)
{
    uint32_t count = 0;
    while (encoded.len > 0) {
        struct store_recipient recipient;
        size_t len = store_recipient_decode(encoded, &recipient);
        if (len == 0) {
            return false;
        }
        encoded.data += len;
        encoded.len -= len;
        count++;
    }
    *out = count;
    return true;
}
