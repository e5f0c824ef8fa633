/**
 * The memory engine: nothing outlives the process, so every ticket is done at once and credit is never refused.
 */
#ifndef GATEWAY_STORE_MEMORY_H
#define GATEWAY_STORE_MEMORY_H

#include "gateway/store/store.h"

/** Returns owned, NULL without memory; free with store_free(). */
struct store *store_memory_new(void);

#endif
