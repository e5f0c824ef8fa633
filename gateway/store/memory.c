#include "gateway/store/memory.h"

#include <stdlib.h>

static bool memory_admit(struct store *store, size_t bytes)
{
    (void)store;
    (void)bytes;
    return true;
}

static struct store_ticket memory_submit(struct store *store, const struct store_operation *operation)
{
    (void)store;
    (void)operation;
    return (struct store_ticket){0, 0};
}

static uint64_t memory_done_up_to(struct store *store, uint32_t domain)
{
    (void)store;
    (void)domain;
    return UINT64_MAX;
}

static void memory_free(struct store *store)
{
    free(store);
}

static const struct store_engine memory_engine = {
    .name = "memory",
    .admit = memory_admit,
    .submit = memory_submit,
    .done_up_to = memory_done_up_to,
    .free = memory_free,
};

struct store *store_memory_new(void)
{
    struct store *store = calloc(1, sizeof(*store));
    if (store != NULL) {
        store->engine = &memory_engine;
    }
    return store;
}
