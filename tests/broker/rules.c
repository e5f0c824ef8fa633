#include "tests/broker/rules.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/publish.h"
#include "protocol/subscribe.h"

void feed_publish(struct tc *c, struct tc_message message)
{
    ck_assert(message.qos == 0 || message.id != 0);
    struct bytes payload = {(const uint8_t *)message.payload, message.payload_len > 0   ? message.payload_len
                                                              : message.payload != NULL ? strlen(message.payload)
                                                                                        : 0};
    const struct publish_head head = {
        .dup = message.dup,
        .retain = message.retain,
        .qos = message.qos,
        .packet_id = message.id,
        .topic = bytes_from_string(message.topic),
        .payload_len = payload.len,
    };
    size_t len = publish_encoded_len(&head, c->version);
    uint8_t *buf = malloc(len + 1);
    ck_assert_ptr_nonnull(buf);
    size_t head_len = publish_encode_head(buf, len, &head, c->version, NULL);
    if (payload.len > 0) {
        memcpy(buf + head_len, payload.data, payload.len);
    }
    tc_feed(c, buf, len);
    free(buf);
}

void feed_unsubscribe(struct tc *c, const char *filter, uint16_t packet_id)
{
    struct bytes f = bytes_from_string(filter);
    uint8_t buf[256];
    size_t len = unsubscribe_encode(buf, sizeof(buf), packet_id, &f, 1, (struct bytes){NULL, 0}, c->version);
    ck_assert_uint_gt(len, 0);
    tc_feed(c, buf, len);
}

size_t take_publishes(struct tc *c)
{
    size_t count = 0;
    while (tc_next_is(c, PACKET_PUBLISH)) {
        (void)tc_expect_any_publish(c);
        count++;
    }
    return count;
}

char *long_text(size_t len)
{
    char *text = malloc(len + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', len);
    text[len] = '\0';
    return text;
}
