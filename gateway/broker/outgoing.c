#include "gateway/broker/outgoing.h"

#include <stdlib.h>

#include "gateway/base/assert.h"
#include "gateway/store/message.h"
#include "gateway/store/record.h"

#define RING_CAPACITY_MIN 4u

static bool ring_grow(struct outgoing_ring *ring)
{
    uint32_t capacity = ring->capacity > 0 ? ring->capacity * 2 : RING_CAPACITY_MIN;
    struct outgoing_entry *slots = malloc(capacity * sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < ring->count; i++) {
        slots[i] = *outgoing_at(ring, i);
    }
    free(ring->slots);
    ring->slots = slots;
    ring->capacity = capacity;
    ring->head = 0;
    return true;
}

bool outgoing_push(struct outgoing_ring *ring, const struct outgoing_entry *entry)
{
    if (ring->count == ring->capacity && !ring_grow(ring)) {
        return false;
    }
    ring->count++;
    *outgoing_at(ring, ring->count - 1) = *entry;
    return true;
}

struct outgoing_entry outgoing_pop(struct outgoing_ring *ring)
{
    TG_ASSERT(ring->count > 0);
    struct outgoing_entry entry = *outgoing_at(ring, 0);
    ring->head = (ring->head + 1) & (ring->capacity - 1);
    ring->count--;
    return entry;
}

struct outgoing_entry outgoing_remove(struct outgoing_ring *ring, uint32_t at)
{
    TG_ASSERT(at < ring->count);
    struct outgoing_entry entry = *outgoing_at(ring, at);
    if (at < ring->count / 2) {
        for (uint32_t i = at; i > 0; i--) {
            *outgoing_at(ring, i) = *outgoing_at(ring, i - 1);
        }
        ring->head = (ring->head + 1) & (ring->capacity - 1);
    } else {
        for (uint32_t i = at; i + 1 < ring->count; i++) {
            *outgoing_at(ring, i) = *outgoing_at(ring, i + 1);
        }
    }
    ring->count--;
    return entry;
}

int64_t outgoing_find(const struct outgoing *outgoing, uint16_t packet_id)
{
    const struct outgoing_ring *window = &outgoing->window;
    if (window->count == 0 || packet_id == 0) {
        return -1;
    }
    /* The window spans less than 65 535 sequence numbers, so an id names one of them. */
    uint64_t lowest = outgoing_at(window, 0)->seq;
    uint64_t seq = lowest + (packet_id - 1u + 65535u - lowest % 65535u) % 65535u;
    uint32_t low = 0;
    uint32_t high = window->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (outgoing_at(window, middle)->seq < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < window->count && outgoing_at(window, low)->seq == seq ? (int64_t)low : -1;
}

void outgoing_unmark(struct outgoing *outgoing, const struct outgoing_entry *entry)
{
    if (entry->state == OUTGOING_RESEND || entry->state == OUTGOING_RERELEASE) {
        outgoing->resend--;
        outgoing->rerelease -= entry->state == OUTGOING_RERELEASE;
    }
}

size_t outgoing_size(const struct outgoing_entry *entry)
{
    if (entry->message != NULL) {
        return message_size(entry->message);
    }
    return entry->record != NULL ? store_record_message_size(entry->record) : 0;
}

bool outgoing_fill(struct outgoing_ring *ring, const struct outgoing_entry *entries, uint32_t count)
{
    TG_ASSERT(ring->count == 0);
    while (ring->capacity < count) {
        if (!ring_grow(ring)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        ring->count++;
        *outgoing_at(ring, i) = entries[i];
    }
    return true;
}

void outgoing_entry_fini(struct outgoing_entry *entry)
{
    message_unref(entry->message);
    store_record_unref(entry->record);
    entry->record = NULL;
    free(entry->more);
    entry->message = NULL;
    entry->more = NULL;
}

void outgoing_ring_fini(struct outgoing_ring *ring)
{
    TG_ASSERT(ring->count == 0);
    free(ring->slots);
    *ring = (struct outgoing_ring){0};
}
