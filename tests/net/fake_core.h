/**
 * A broker core for tests of gateway/net/: the functions that workers, listeners and connections call (broker.h, place.h,
 * client.h), with clients that obey lines instead of MQTT.
 *
 *      echo TEXT   answer "TEXT\n"
 *      send N      answer N bytes of fake_pattern()
 *      bye TEXT    answer "TEXT\n" and close
 *      close       close, without a word
 *      pause       stop reading until fake_resume()
 *      buffer N    give the socket a send buffer of N bytes; answer "no" if that is not permitted, else "yes"
 *      peer        answer what the transport describes as the peer
 *
 * What it saw is counted, and a test waits for it with fake_wait_...(): on a condition, never on time.
 */
#ifndef TESTS_NET_FAKE_CORE_H
#define TESTS_NET_FAKE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;

enum fake_count {
    FAKE_CLIENTS, /* there now */
    FAKE_CLIENTS_EVER,
    FAKE_RECEIVED,  /* bytes */
    FAKE_BLOCKED,   /* times that a transport said it was blocked after it had not been */
    FAKE_UNBLOCKED, /* times that it said it was not after it had been */
    FAKE_FLUSHES,   /* calls of flush() */
    FAKE_PAUSES,
    FAKE_NODELAY,   /* clients whose socket has TCP_NODELAY */
    FAKE_GONE_PEER, /* by enum client_end, in its order */
    FAKE_GONE_CLOSED,
    FAKE_GONE_WRITE_STALL,
    FAKE_GONE_IO_ERROR,
    FAKE_GONE_NO_PROXY_HEADER,
    FAKE_COUNTS,
};

/** A core with PLACES places, to be waked with WAKE; aborts without memory. Free it when workers have stopped. */
struct broker *fake_new(unsigned places, void (*wake)(void *arg, unsigned place), void *wake_arg);
void fake_free(struct broker *broker);

/** COUNT now, over all places. */
size_t fake_get(struct broker *broker, enum fake_count count);

/** Clients that are at PLACE now. */
size_t fake_clients_at(struct broker *broker, unsigned place);

/** Wait until COUNT is at least (or exactly) VALUE. @return false if that takes many seconds */
bool fake_wait_at_least(struct broker *broker, enum fake_count count, size_t value);
bool fake_wait_exactly(struct broker *broker, enum fake_count count, size_t value);

/** Wait until the worker of PLACE, waked, has ended a whole turn that began after this call. */
bool fake_wait_turn(struct broker *broker, unsigned place);

/** Turns ended at PLACE. */
size_t fake_turns(struct broker *broker, unsigned place);

/** Let all paused clients read again. */
void fake_resume(struct broker *broker);

/** What broker_is_memory_short() answers, and whether client_new() fails. */
void fake_set_memory_short(struct broker *broker, bool is_short);
void fake_set_no_memory(struct broker *broker, bool none);

/** Let place_next_ms() be MS until the time has come; wait until it has. */
void fake_set_next_ms(struct broker *broker, uint64_t ms);
bool fake_wait_next_passed(struct broker *broker);

/** Byte number AT of what "send" gives. */
uint8_t fake_pattern(size_t at);

#endif
