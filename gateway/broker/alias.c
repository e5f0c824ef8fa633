/* Topic aliases of one connection. [MQTT-3.3.2-7] [MQTT-3.3.2-12]
 *
 * Theirs: a table that grows up to the highest alias used. Ours: first come, first served, without replacement; what a
 * client hears most often comes early, and a table that never changes needs no new definitions. */
#include <stdlib.h>
#include <string.h>

#include "gateway/base/assert.h"
#include "gateway/base/hash.h"
#include "gateway/broker/connection_state.h"

#define ALIASES_OUT_MAX 64u /* ours are searched one by one */
#define ALIAS_TOPIC_MIN 4u  /* a shorter topic costs no more than its alias */

struct aliases_in { /* owner: the place's thread */
    uint32_t count; /* topics[0 .. count) */
    struct alias_topic {
        uint8_t *bytes; /* owned; NULL: not set */
        size_t len;
    } topics[];
};

struct aliases_out { /* owner: the place's thread */
    uint16_t max;
    uint16_t count;
    struct alias_out_entry {
        uint64_t hash;
        uint8_t *bytes; /* owned */
        size_t len;
    } entries[];
};

struct bytes alias_in_find(const struct client *client, uint16_t alias)
{
    const struct aliases_in *in = client->aliases_in;
    if (in == NULL || alias > in->count) {
        return (struct bytes){NULL, 0};
    }
    return (struct bytes){in->topics[alias - 1].bytes, in->topics[alias - 1].len};
}

bool alias_in_set(struct client *client, uint16_t alias, struct bytes topic)
{
    TG_ASSERT(alias > 0);
    struct aliases_in *in = client->aliases_in;
    uint32_t count = in != NULL ? in->count : 0;
    if (alias > count) {
        in = realloc(in, sizeof(*in) + alias * sizeof(in->topics[0]));
        if (in == NULL) {
            return false;
        }
        memset(&in->topics[count], 0, (alias - count) * sizeof(in->topics[0]));
        in->count = alias;
        client->aliases_in = in;
    }
    struct alias_topic *slot = &in->topics[alias - 1];
    if (slot->bytes != NULL && slot->len == topic.len && memcmp(slot->bytes, topic.data, topic.len) == 0) {
        return true;
    }
    uint8_t *copy = malloc(topic.len);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, topic.data, topic.len);
    STATS_ADD(&client->place->stats, input_bytes, topic.len - slot->len);
    free(slot->bytes);
    slot->bytes = copy;
    slot->len = topic.len;
    return true;
}

bool alias_out_init(struct client *client, uint16_t max)
{
    if (max == 0) {
        return true;
    }
    max = max < ALIASES_OUT_MAX ? max : ALIASES_OUT_MAX;
    client->aliases_out = calloc(1, sizeof(struct aliases_out) + max * sizeof(struct alias_out_entry));
    if (client->aliases_out == NULL) {
        return false;
    }
    client->aliases_out->max = max;
    return true;
}

uint16_t alias_out_find(struct client *client, struct bytes topic, bool *is_new)
{
    struct aliases_out *out = client->aliases_out;
    *is_new = false;
    if (topic.len < ALIAS_TOPIC_MIN) {
        return 0;
    }
    uint64_t hash = tg_hash(topic.data, topic.len, client->place->broker->hash_seed);
    for (uint16_t i = 0; i < out->count; i++) {
        const struct alias_out_entry *entry = &out->entries[i];
        if (entry->hash == hash && entry->len == topic.len && memcmp(entry->bytes, topic.data, topic.len) == 0) {
            return (uint16_t)(i + 1);
        }
    }
    if (out->count == out->max) {
        return 0;
    }
    uint8_t *copy = malloc(topic.len);
    if (copy == NULL) {
        return 0; /* it goes without */
    }
    memcpy(copy, topic.data, topic.len);
    out->entries[out->count++] = (struct alias_out_entry){hash, copy, topic.len};
    *is_new = true;
    return out->count;
}

void aliases_free(struct client *client)
{
    struct aliases_in *in = client->aliases_in;
    for (uint32_t i = 0; in != NULL && i < in->count; i++) {
        STATS_ADD(&client->place->stats, input_bytes, -(uint64_t)in->topics[i].len);
        free(in->topics[i].bytes);
    }
    free(in);
    client->aliases_in = NULL;
    struct aliases_out *out = client->aliases_out;
    for (uint16_t i = 0; out != NULL && i < out->count; i++) {
        free(out->entries[i].bytes);
    }
    free(out);
    client->aliases_out = NULL;
}
