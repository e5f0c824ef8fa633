/* Place 0 publishes $SYS: gathers the counters of all places and gives what sys.c makes of them to routing. */
#include <malloc.h>

#include "gateway/base/container.h"
#include "gateway/broker/core.h"
#include "gateway/broker/publication.h"
#include "gateway/broker/retained.h"
#include "gateway/broker/route.h"
#include "gateway/broker/sys.h"
#include "gateway/store/message.h"

static bool publish(void *arg, struct bytes topic, struct bytes payload)
{
    struct place *place = arg;
    struct publication publication = {
        .topic = topic,
        .payload = payload,
        .expires_ms = MESSAGE_NEVER_EXPIRES,
        .retain = true,
        .is_volatile = true,
    };
    bool done = route_publish(place, &publication, NULL) == 0;
    publication_fini(place, &publication);
    return done;
}

static uint64_t heap_bytes(void)
{
    struct mallinfo2 heap = mallinfo2();
    return heap.uordblks + heap.hblkhd;
}

static void update(struct place *place)
{
    const struct broker *broker = place->broker;
    struct stats stats;
    broker_sum_stats(broker, &stats);
    struct sys_values values = {
        .uptime_ms = place->now_ms - broker->started_ms,
        .clients_connected = stats.clients_connected,
        .clients_disconnected = stats.sessions > stats.clients_connected ? stats.sessions - stats.clients_connected : 0,
        .subscriptions = stats.subscriptions,
        .shared_subscriptions = stats.shared_subscriptions,
        .retained_messages = retained_count(broker->retained),
        .stored_messages = retained_count(broker->retained) + stats.queued_messages,
        .stored_bytes = retained_bytes(broker->retained) + stats.queued_bytes,
        .heap_bytes = heap_bytes(),
        .clients_expired = stats.sessions_expired,
        .sockets_opened = stats.connections_opened,
        .connects_received = stats.connects_accepted + stats.connects_refused,
        .packets_received = stats.packets_received,
        .packets_sent = stats.packets_sent,
        .bytes_received = stats.bytes_received,
        .bytes_sent = stats.bytes_sent,
        .publish_received = stats.publish_received[0] + stats.publish_received[1] + stats.publish_received[2],
        .publish_sent = stats.publish_sent[0] + stats.publish_sent[1] + stats.publish_sent[2],
        .publish_dropped = stats.dropped_output_full + stats.dropped_queue_full + stats.dropped_expired +
                           stats.dropped_too_large + stats.dropped_denied + stats.dropped_no_memory +
                           stats.dropped_no_member,
        .publish_bytes_received =
            stats.publish_bytes_received[0] + stats.publish_bytes_received[1] + stats.publish_bytes_received[2],
        .publish_bytes_sent = stats.publish_bytes_sent[0] + stats.publish_bytes_sent[1] + stats.publish_bytes_sent[2],
    };
    sys_update(place->sys, &values, publish, place);
}

static void arm(struct place *place)
{
    if (place->settings->sys_interval_s > 0) {
        timer_wheel_set(place->wheel, &place->sys_timer,
                        place->now_ms + (uint64_t)place->settings->sys_interval_s * 1000);
    } else {
        timer_wheel_stop(place->wheel, &place->sys_timer);
    }
}

static void on_timer(struct timer *timer)
{
    struct place *place = TG_CONTAINER_OF(timer, struct place, sys_timer);
    update(place);
    arm(place);
}

bool sys_place_init(struct place *place)
{
    timer_init(&place->sys_timer, on_timer);
    place->sys = sys_new(PACKAGE_VERSION);
    if (place->sys == NULL) {
        return false;
    }
    if (place->settings->sys_interval_s > 0) {
        timer_wheel_set(place->wheel, &place->sys_timer, place->now_ms); /* the first values at once */
    }
    return true;
}

void sys_place_fini(struct place *place)
{
    sys_free(place->sys);
}

void sys_place_reconfigure(struct place *place)
{
    if (place->sys != NULL) {
        arm(place);
    }
}
