/* POST, PUT and DELETE /topics/...: publish the raw body. [http: publish by URL] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/place_publish.h"
#include "gateway/store/message.h"
#include "protocol/topic.h"
#include "web/http.h"
#include "web/idempotency.h"
#include "web/message_source.h"
#include "web/publish_status.h"
#include "web/topics.h"

/* A publication whose answer waits for the store. */
struct pending {
    struct place_wait wait;
    struct http_request *request; /* NULL: gone */
    struct place *place;
    struct idempotency *key;
    unsigned status;
    char id[PUBLISH_ID_BYTES];
    bool matched;
};

static void on_stored(struct place_wait *wait)
{
    struct pending *pending = (struct pending *)wait;
    char body[128];
    const char *type = pending->status != 204 ? "application/json" : NULL;
    int len = 0;
    if (type != NULL) {
        len = snprintf(body, sizeof(body), "{\"id\":\"%s\",\"matched\":%s}\n", pending->id,
                       pending->matched ? "true" : "false");
    }
    if (pending->request != NULL) {
        idempotency_reply(pending->request, pending->key, pending->status, type, body, (size_t)len);
    } else {
        idempotency_finish(pending->place, pending->key, pending->status, type, body, (size_t)len);
    }
    free(pending);
}

/* Who has sent a key will come again and wants to know. */
static void on_gone(void *arg)
{
    struct pending *pending = arg;
    pending->request = NULL;
    if (pending->key == NULL) {
        place_await_cancel(pending->place, &pending->wait);
        free(pending);
    }
}

/* Answer REQUEST with STATUS once PUBLISHED is on disk. */
static void confirm(struct http_request *request, struct idempotency *key, unsigned status,
                    struct place_published *published)
{
    struct pending *pending = calloc(1, sizeof(*pending));
    if (pending == NULL) {
        store_ticket_release(&published->ticket);
        idempotency_drop(http_place(request), key);
        http_problem(request, 503, "published, but there is no memory to wait for the confirmation");
        return;
    }
    pending->wait.done = on_stored;
    pending->request = request;
    pending->place = http_place(request);
    pending->key = key;
    pending->status = status;
    pending->matched = published->matched;
    publish_id(pending->id);
    http_hold(request, on_gone, pending);
    http_outlast_drain(request);
    place_await(pending->place, &pending->wait, published->ticket);
}

/* Nothing was published: a repetition tries again. */
static void refuse(struct http_request *request, struct idempotency *key, const struct place_published *published)
{
    idempotency_drop(http_place(request), key);
    unsigned status = publish_status(published->reason_code);
    if (status == 503 || status == 507) {
        http_add_header(request, "Retry-After", "1");
    }
    http_problem(request, status, "%s", published->why != NULL ? published->why : "the message was not taken");
}

/* Publish MESSAGE; SUCCESS 0: 200, or 202 if nobody was there and nothing was retained. */
static void publish(struct http_request *request, const struct place_publication *message, unsigned success)
{
    struct idempotency *key;
    if (!idempotency_begin(request, &key)) {
        return;
    }
    struct place_published published = place_publish(http_place(request), message);
    if (published.reason_code != 0) {
        refuse(request, key, &published);
        return;
    }
    unsigned status = success != 0 ? success : published.matched || message->retain ? 200 : 202;
    confirm(request, key, status, &published);
}

void topics_post(struct http_request *request)
{
    struct place_publication message;
    if (message_of_request(request, &message)) {
        publish(request, &message, 0);
    }
}

void topics_put(struct http_request *request)
{
    struct place_publication message;
    if (!message_of_request(request, &message)) {
        return;
    }
    message.retain = true;
    if (message.payload.len == 0) {
        http_problem(request, 400, "an empty body would delete the retained value: use DELETE");
        return;
    }
    publish(request, &message, 0);
}

void topics_delete(struct http_request *request)
{
    struct place_publication message = {.topic = message_topic_of(request), .retain = true};
    if (!topic_name_is_valid(message.topic)) {
        http_problem(request, 400, "this is not a valid topic name");
        return;
    }
    struct message *old = place_retained(http_place(request), message.topic);
    if (old == NULL) {
        http_problem(request, 404, "nothing is retained for this topic");
        return;
    }
    message_unref(old);
    publish(request, &message, 204);
}
