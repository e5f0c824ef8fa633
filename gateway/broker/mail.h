/**
 * Mail between places: the only way in which one place's thread makes another one act.
 *
 * Each place has one mailbox, a lock-free stack that its owner takes whole and reverses; so mail that was posted later in
 * the order of causes is received later, from whichever thread. Publishing to another place is one piece of
 * mail per place and turn, not one per message.
 *
 * Only mail with a charge counts against a mailbox's bound (limits.mailbox_bytes): publications, which were read from a socket that
 * can be paused. Barriers, completions and hand-overs are never held up.
 */
#ifndef GATEWAY_BROKER_MAIL_H
#define GATEWAY_BROKER_MAIL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct mail;
struct place;

/** Act on MAIL, which the receiver owns from now on. */
typedef void (*mail_receive_fn)(struct place *place, struct mail *mail);

struct mail {          /* the sender's until posted, then the receiving place's */
    struct mail *next; /* towards older mail while in the stack */
    mail_receive_fn receive;
    size_t charge; /* bytes that count against the mailbox's bound */
};

struct mailbox { /* any thread posts, the place's thread takes */
    _Atomic(struct mail *) newest;
    _Atomic size_t charged;   /* bytes posted and not yet received */
    _Atomic uint64_t waiting; /* bit p: place p has paused clients until this mailbox has drained */
    struct mail *taken;       /* oldest first; owner: the place's thread */
};

/**
 * Post MAIL (taken) to place number TO. Any place's thread. Wakes the receiver unless mail was waiting there already.
 */
void mail_post(struct place *from, unsigned to, struct mail *mail);

/** Oldest mail, or NULL. The place's thread. */
struct mail *mailbox_take(struct mailbox *mailbox);

/** PLACE has acted on mail with CHARGE: tell those who wait for its mailbox if half of it is free. PLACE's thread. */
void mailbox_settle(struct place *place, size_t charge);

/** Tell the places in the bitmap WAITING that the mailbox of place DRAINED has room again. Any thread. */
void mailbox_tell_drained(struct broker *broker, unsigned drained, uint64_t waiting);

/** FROM has paused clients because place TO's mailbox is full: it is woken, with bit TO of its `drained` set, once there is room. FROM's thread. */
void mailbox_wait(struct place *from, unsigned to);

/** True if place number TO's mailbox holds more than its bound. Any thread. */
bool mail_is_full(const struct place *from, unsigned to);

#endif
