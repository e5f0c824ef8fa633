#include "gateway/broker/will.h"

#include <stdlib.h>

#include "gateway/base/log.h"
#include "gateway/broker/core.h"
#include "gateway/broker/kept.h"
#include "gateway/broker/publication.h"
#include "gateway/broker/route.h"
#include "gateway/broker/session.h"
#include "gateway/store/message.h"

static void on_delay(struct timer *timer)
{
    struct will *will = (struct will *)timer;
    will_publish(will->session->place, will->session);
}

struct will *will_new(struct session *session, struct message *message)
{
    struct will *will = calloc(1, sizeof(*will));
    if (will == NULL) {
        message_unref(message);
        return NULL;
    }
    timer_init(&will->timer, on_delay);
    will->session = session;
    will->message = message;
    return will;
}

void will_publish(struct place *place, struct session *session)
{
    struct will *will = session->will;
    if (will == NULL) {
        return;
    }
    session->will = NULL; /* what it sets off may end this session */
    timer_wheel_stop(place->wheel, &will->timer);
    struct publication publication;
    /* Its expiry counts from now and its version is yet to be given, so what receivers keep is made anew. */
    publication_over_message(&publication, will->message);
    publication.expires_ms =
        will->has_expiry ? place->now_ms + (uint64_t)will->expiry_interval_s * 1000 : MESSAGE_NEVER_EXPIRES;
    uint8_t reason_code = route_publish(place, &publication, NULL);
    struct store_ticket ticket = publication_commit(place, &publication, kept_take_will(session));
    store_ticket_release(&ticket);
    if (reason_code != 0) {
        struct bytes id = session_client_id(session);
        log_warning("will not published", LOG_BYTES("client_id", id.data, id.len),
                    LOG_CODE("reason_code", reason_code));
    }
    STATS_ADD(&place->stats, wills_published, 1);
    publication_fini(place, &publication);
    message_unref(will->message);
    free(will);
}

void will_arm_ms(struct place *place, struct session *session, uint64_t delay_ms)
{
    struct will *will = session->will;
    will->due_ms = place->now_ms + delay_ms;
    timer_wheel_set(place->wheel, &will->timer, will->due_ms);
}

void will_arm(struct place *place, struct session *session, uint32_t delay_s)
{
    will_arm_ms(place, session, (uint64_t)delay_s * 1000);
}

void will_disarm(struct place *place, struct session *session)
{
    if (session->will != NULL) {
        timer_wheel_stop(place->wheel, &session->will->timer);
    }
}

void will_free(struct place *place, struct session *session)
{
    struct will *will = session->will;
    if (will != NULL) {
        will_disarm(place, session);
        session->will = NULL;
        message_unref(will->message);
        free(will);
    }
}

void will_drop(struct place *place, struct session *session)
{
    if (session->will == NULL) {
        return;
    }
    kept_forget(place, kept_take_will(session));
    will_free(place, session);
}

void will_forget_restart(struct place *place, struct session *session)
{
    if (session->will != NULL && session->will->after_restart) {
        will_drop(place, session);
    }
}
