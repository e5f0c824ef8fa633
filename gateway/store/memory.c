#include "gateway/store/memory.h"

#include <stdlib.h>

#include "gateway/base/assert.h"

static enum store_admission memory_admit(struct store *store, size_t bytes)
{
    (void)store;
    (void)bytes;
    return STORE_ADMITTED;
}

static void memory_submit(struct store *store, struct store_operation *list)
{
    (void)store;
    (void)list;
    TG_ASSERT(false); /* there are no ports */
}

static void memory_fetch(struct store *store, struct store_fetch *fetch)
{
    (void)store;
    (void)fetch;
    TG_ASSERT(false); /* nothing is anywhere else than in memory */
}

static enum tg_err memory_recover(struct store *store, const struct store_visitor *visitor)
{
    (void)store;
    (void)visitor;
    return TG_OK;
}

static void memory_figures(struct store *store, struct store_figures *out)
{
    (void)store;
    *out = (struct store_figures){0};
}

static enum tg_err memory_backup(struct store *store, const char *path)
{
    (void)store;
    (void)path;
    return TG_ERR_UNSUPPORTED;
}

static void memory_settle(struct store *store)
{
    (void)store;
}

static void memory_free(struct store *store)
{
    free(store);
}

static const struct store_engine memory_engine = {
    .name = "memory",
    .admit = memory_admit,
    .submit = memory_submit,
    .fetch = memory_fetch,
    .recover = memory_recover,
    .figures = memory_figures,
    .backup = memory_backup,
    .settle = memory_settle,
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
