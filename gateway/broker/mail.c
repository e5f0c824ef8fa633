#include "gateway/broker/mail.h"

#include "gateway/broker/core.h"

void mail_post(struct place *from, unsigned to, struct mail *mail)
{
    struct broker *broker = from->broker;
    struct mailbox *mailbox = &broker->places[to]->mailbox;
    if (mail->charge > 0) {
        atomic_fetch_add_explicit(&mailbox->charged, mail->charge, memory_order_relaxed);
    }
    struct mail *newest = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    do {
        mail->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &newest, mail, memory_order_acq_rel,
                                                    memory_order_relaxed));
    if (newest == NULL) {
        broker->wake(broker->wake_arg, to);
    }
}

struct mail *mailbox_take(struct mailbox *mailbox)
{
    if (mailbox->taken == NULL) {
        struct mail *mail = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
        if (mail != NULL) {
            mail = atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acq_rel);
        }
        while (mail != NULL) { /* the newest comes first: turn them round */
            struct mail *older = mail->next;
            mail->next = mailbox->taken;
            mailbox->taken = mail;
            mail = older;
        }
    }
    struct mail *oldest = mailbox->taken;
    if (oldest != NULL) {
        mailbox->taken = oldest->next;
        oldest->next = NULL;
    }
    return oldest;
}

bool mail_is_full(const struct place *from, unsigned to)
{
    return atomic_load_explicit(&from->broker->places[to]->mailbox.charged, memory_order_relaxed) >
           from->settings->limits.mailbox_bytes;
}

void mailbox_settle(struct place *place, size_t charge)
{
    struct mailbox *mailbox = &place->mailbox;
    size_t left = atomic_fetch_sub_explicit(&mailbox->charged, charge, memory_order_acq_rel) - charge;
    if (left > place->settings->limits.mailbox_bytes / 2) {
        return;
    }
    uint64_t waiting = atomic_load_explicit(&mailbox->waiting, memory_order_acquire);
    if (waiting != 0) {
        mailbox_tell_drained(place->broker, place->index, atomic_exchange(&mailbox->waiting, 0));
    }
}

void mailbox_tell_drained(struct broker *broker, unsigned drained, uint64_t waiting)
{
    for (; waiting != 0; waiting &= waiting - 1) {
        unsigned to = (unsigned)__builtin_ctzll(waiting);
        atomic_fetch_or(&broker->places[to]->drained, UINT64_C(1) << drained);
        broker->wake(broker->wake_arg, to);
    }
}

void mailbox_wait(struct place *from, unsigned to)
{
    struct mailbox *mailbox = &from->broker->places[to]->mailbox;
    atomic_fetch_or(&mailbox->waiting, UINT64_C(1) << from->index);
    if (!mail_is_full(from, to)) { /* it may have drained before it could see us waiting */
        atomic_fetch_or(&from->drained, UINT64_C(1) << to);
        from->broker->wake(from->broker->wake_arg, from->index);
    }
}
