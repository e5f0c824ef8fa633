/**
 * From an embedded member back to the struct that holds it.
 */
#ifndef GATEWAY_BASE_CONTAINER_H
#define GATEWAY_BASE_CONTAINER_H

#include <stddef.h>

/** The struct TYPE whose member MEMBER is at POINTER. */
#define TG_CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
