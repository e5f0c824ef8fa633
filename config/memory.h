/**
 * How much memory this process may use: the machine's RAM or what its control group allows, whichever is less.
 */
#ifndef CONFIG_MEMORY_H
#define CONFIG_MEMORY_H

#include <stddef.h>
#include <stdint.h>

struct config_limits;

/**
 * RAM of the machine, or the lowest limit of the control groups (version 1 or 2) above this process.
 *
 * @param root  directory below which proc/ and sys/ are looked for; "" for the real ones
 *
 * @return bytes; 0 if neither could be found out
 */
uint64_t memory_available_bytes(const char *root);

/**
 * The bound that limits.memory_bytes means: its value, or if that is 0 half of memory_available_bytes("").
 * Reads files: for start and reload, not for an event loop.
 *
 * @return bytes; never 0: 256 MiB if the machine does not tell
 */
size_t memory_limit_bytes(const struct config_limits *limits);

#endif
