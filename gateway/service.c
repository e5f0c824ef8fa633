/* A failed notification is no reason to stop: the manager will notice what it misses. */
#include "gateway/service.h"

#ifdef HAVE_SYSTEMD

#include <inttypes.h>
#include <time.h>

#include <systemd/sd-daemon.h>

#define RECOVERY_TIMEOUT_US 60000000u /* to be told again that it goes on */
#define WATCHDOG_SHARE      4000u     /* feed four times in its interval of microseconds */

void service_ready(const char *status)
{
    (void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void service_reloading(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t us = (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, us);
}

/* Called many times a second, but told only now and then. */
void service_recovering(uint64_t done, uint64_t total)
{
    static uint64_t told_s;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    if (told_s == (uint64_t)t.tv_sec) {
        return;
    }
    told_s = (uint64_t)t.tv_sec;
    (void)sd_notifyf(0, "STATUS=Reading the store: %" PRIu64 " of %" PRIu64 " entries\nEXTEND_TIMEOUT_USEC=%u", done,
                     total, RECOVERY_TIMEOUT_US);
}

void service_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1\nSTATUS=Draining");
}

uint64_t service_watchdog_ms(void)
{
    uint64_t us = 0;
    if (sd_watchdog_enabled(0, &us) <= 0) {
        return UINT64_MAX;
    }
    return us < WATCHDOG_SHARE ? 1 : us / WATCHDOG_SHARE;
}

void service_is_alive(void)
{
    (void)sd_notify(0, "WATCHDOG=1");
}

#else

void service_ready(const char *status)
{
    (void)status;
}

void service_reloading(void)
{
}

void service_recovering(uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
}

void service_stopping(void)
{
}

uint64_t service_watchdog_ms(void)
{
    return UINT64_MAX;
}

void service_is_alive(void)
{
}

#endif
