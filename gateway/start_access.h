/**
 * The access section of the configuration, turned into a provider: access_files if it names a file, else access_open.
 *
 * Main thread.
 */
#ifndef GATEWAY_START_ACCESS_H
#define GATEWAY_START_ACCESS_H

#include <stdbool.h>
#include <stdio.h>

struct access;
struct config;

/** The provider for PLACES places. Returns owned (access_free()); NULL: why has been logged. */
struct access *start_access_open(const struct config *config, unsigned places);

/** Follow CONFIG, which names files if the one that ACCESS was made from did; read them again. What is wrong with one is logged, and leaves the rules as they are. */
void start_access_reload(struct access *access, const struct config *config);

/** Read the files that CONFIG names, and write what is wrong to STREAM. @return false if something is */
bool start_access_check(const struct config *config, FILE *stream);

#endif
