/* POST, PUT and DELETE /topics/...: publish the raw body. [http: publish by URL] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/place_publish.h"
#include "gateway/broker/place_store.h"
#include "gateway/store/message.h"
#include "protocol/topic.h"
#include "web/http.h"
#include "web/idempotency.h"
#include "web/message_source.h"
#include "web/publish_status.h"
#include "web/topics.h"

#define BODY_BYTES 128u

/* A publication whose answer waits for the store. */
struct pending {
    struct place_wait wait;
    struct http_request *request; /* NULL: gone */
    struct place *place;
    struct idempotency *key;
    unsigned status;
    const char *type; /* of the body; NULL: there is none */
    int len;
    char body[BODY_BYTES];
    char id[PUBLISH_ID_BYTES];
};

static void on_stored(struct place_wait *wait)
{
    struct pending *pending = (struct pending *)wait;
    size_t len = (size_t)pending->len;
    if (wait->failed) {
        idempotency_drop(pending->place, pending->key);
        if (pending->request != NULL) {
            http_problem(pending->request, 503, "out of memory");
        }
    } else if (pending->request != NULL) {
        idempotency_reply(pending->request, pending->key, pending->status, pending->type, pending->body, len);
    } else {
        idempotency_finish(pending->place, pending->key, pending->status, pending->type, pending->body, len);
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

/* What will be answered. SUCCESS 0: 200, or 202 if nobody was there and nothing was retained. */
static void prepare_answer(struct pending *pending, unsigned success, bool matched, bool retain)
{
    pending->status = success != 0 ? success : matched || retain ? 200 : 202;
    pending->type = pending->status != 204 ? "application/json" : NULL;
    if (pending->type != NULL) {
        pending->len = snprintf(pending->body, sizeof(pending->body), "{\"id\":\"%s\",\"matched\":%s}\n", pending->id,
                                matched ? "true" : "false");
    }
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

/* Who has sent a key is told after a restart, too, what is told now: the answer is stored with the message, and so made before it is published. */
static bool keep_answer(struct pending *pending, struct place_publication *message, unsigned success)
{
    bool matched = topic_name_is_valid(message->topic) && place_has_interest(pending->place, message->topic);
    prepare_answer(pending, success, matched, message->retain);
    return idempotency_store(pending->place, pending->key, pending->status, pending->type, pending->body,
                             (size_t)pending->len, &message->writes);
}

/* Publish MESSAGE, and answer REQUEST once it is on disk. */
static void publish(struct http_request *request, struct place_publication *message, unsigned success)
{
    struct idempotency *key;
    if (!idempotency_begin(request, &key)) {
        return;
    }
    struct pending *pending = calloc(1, sizeof(*pending));
    if (pending != NULL) {
        pending->wait.done = on_stored;
        pending->request = request;
        pending->place = http_place(request);
        pending->key = key;
        publish_id(pending->id);
    }
    if (pending == NULL || !keep_answer(pending, message, success)) {
        free(pending);
        idempotency_drop(http_place(request), key);
        http_problem(request, 503, "out of memory");
        return;
    }
    bool is_kept = message->writes != NULL;
    struct place_published published = place_publish(pending->place, message);
    if (published.reason_code != 0) {
        free(pending);
        refuse(request, key, &published);
        return;
    }
    if (!is_kept) {
        prepare_answer(pending, success, published.matched, message->retain);
    }
    http_hold(request, on_gone, pending);
    http_outlast_drain(request);
    place_await(pending->place, &pending->wait, published.ticket);
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
    struct place_publication message = {
        .topic = message_topic_of(request), .retain = true, .identity = http_identity(request)};
    if (!topic_name_is_valid(message.topic)) {
        http_problem(request, 400, "this is not a valid topic name");
        return;
    }
    if (!place_may_publish(http_place(request), message.identity,
                           message.topic)) { /* nor is told whether there is one */
        http_problem(request, 403, "not allowed to publish to this topic");
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
