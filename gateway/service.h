/**
 * What the service manager (systemd) is told: ready, reloading, stopping, alive. Without a service manager, or built
 * without libsystemd, all of it does nothing. Main thread.
 */
#ifndef GATEWAY_SERVICE_H
#define GATEWAY_SERVICE_H

#include <stdint.h>

/** Started, or done with a reload. STATUS is shown to the operator. */
void service_ready(const char *status);

/** A reload begins; service_ready() ends it. */
void service_reloading(void);

/** Still starting: DONE of TOTAL entries of the store (0: not known) are read, and there is more time needed. */
void service_recovering(uint64_t done, uint64_t total);

/** A clean stop begins. */
void service_stopping(void);

/** How often the watchdog wants service_is_alive(), in ms, with a margin; UINT64_MAX: not at all. */
uint64_t service_watchdog_ms(void);

/** Feed the watchdog. */
void service_is_alive(void);

#endif
