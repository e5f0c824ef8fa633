#include "web/rpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/queue.h>

#include "config/config.h"
#include "gateway/base/container.h"
#include "gateway/base/hash.h"
#include "gateway/base/timer_wheel.h"
#include "gateway/broker/local.h"
#include "gateway/broker/place_publish.h"
#include "gateway/broker/topic_rules.h"
#include "protocol/property.h"
#include "protocol/topic.h"
#include "protocol/varint.h"
#include "web/http.h"
#include "web/message_headers.h"
#include "web/message_source.h"
#include "web/publish_status.h"
#include "web/web.h"

#define BUCKETS         256u
#define WINDOW          65535u
#define TIMEOUT_S       5u
#define TIMEOUT_S_MAX   300u
#define ID_CHARS        (PUBLISH_ID_BYTES - 1)
#define PREFIX_BYTES    64u /* "$tidegate/rpc/32 characters/" */
#define TOPIC_BYTES_MAX 65535u
#define ID_LEVEL        ":id"

TAILQ_HEAD(call_list, call);

/* One HTTP request that waits: for the session, then for its reply, then for the end of the turn. owner: the worker's thread */
struct call {
    TAILQ_ENTRY(call) link;
    struct call_list *list; /* that it is in: opening, a bucket, answered */
    struct rpc *rpc;
    struct http_request *request;
    struct place_publication message; /* borrows from request */
    struct bytes reply;               /* topic; borrows from request */
    struct timer timer;
    struct timer_wheel *timers;
    uint32_t timeout_s;
    bool is_named;         /* the caller has named the topic of the reply */
    bool has_subscription; /* to that topic */
    uint8_t *answer;       /* owned: payload and properties of the reply */
    size_t payload_len;
    size_t properties_len;
    uint8_t answer_qos;
};

struct rpc {             /* owner: the worker's thread */
    struct local *local; /* NULL: closed */
    bool is_open;
    bool has_finished; /* something up to finished_seq */
    uint64_t finished_seq;
    uint64_t seed;
    uint32_t count;                    /* of calls */
    struct call_list opening;          /* they wait for on_open() */
    struct call_list buckets[BUCKETS]; /* of those that wait for their reply: by its topic, oldest first */
    struct call_list answered;
    char prefix[PREFIX_BYTES]; /* of reply topics that are not named by callers, with the last slash */
};

/* --- calls ------------------------------------------------------------------------------------------------------- */

static struct call_list *bucket_of(struct rpc *rpc, struct bytes topic)
{
    return &rpc->buckets[tg_hash(topic.data, topic.len, rpc->seed) % BUCKETS];
}

static void move(struct call *call, struct call_list *list)
{
    TAILQ_REMOVE(call->list, call, link);
    TAILQ_INSERT_TAIL(list, call, link);
    call->list = list;
}

static struct call *find(struct rpc *rpc, struct bytes topic)
{
    struct call *call;
    TAILQ_FOREACH(call, bucket_of(rpc, topic), link)
    {
        if (bytes_equal(call->reply, topic)) {
            return call;
        }
    }
    return NULL;
}

/* Nobody waits for CALL's reply any more. Not within on_message. */
static void call_free(struct call *call)
{
    struct rpc *rpc = call->rpc;
    timer_wheel_stop(call->timers, &call->timer);
    TAILQ_REMOVE(call->list, call, link);
    rpc->count--;
    if (call->has_subscription && rpc->local != NULL && find(rpc, call->reply) == NULL) {
        (void)local_unsubscribe(rpc->local, call->reply);
    }
    free(call->answer);
    free(call);
}

static void on_gone(void *arg)
{
    call_free(arg);
}

static void on_timeout(struct timer *timer)
{
    struct call *call = TG_CONTAINER_OF(timer, struct call, timer);
    struct http_request *request = call->request;
    unsigned timeout_s = call->timeout_s;
    call_free(call);
    http_problem(request, 504, "no reply came within %u s", timeout_s);
}

/* --- replies ----------------------------------------------------------------------------------------------------- */

/* Keep a copy of MESSAGE for CALL. @return false without memory */
static bool keep_reply(struct call *call, const struct local_message *message)
{
    size_t len = message->payload.len + message->properties.len;
    call->answer = malloc(len > 0 ? len : 1);
    if (call->answer == NULL) {
        return false;
    }
    call->payload_len = message->payload.len;
    call->properties_len = message->properties.len;
    call->answer_qos = message->published_qos;
    if (message->payload.len > 0) {
        memcpy(call->answer, message->payload.data, message->payload.len);
    }
    if (message->properties.len > 0) {
        memcpy(call->answer + message->payload.len, message->properties.data, message->properties.len);
    }
    return true;
}

/* Must not call the broker; an answer may let the next request of its connection in. So it is given at the end of the turn. */
static void on_message(void *owner, const struct local_message *message)
{
    struct rpc *rpc = owner;
    if (message->qos > 0) {
        rpc->finished_seq = message->seq;
        rpc->has_finished = true;
    }
    struct call *call = find(rpc, message->topic);
    if (call == NULL || !keep_reply(call, message)) {
        return; /* too late, or asked for by nobody; without memory it looks the same */
    }
    move(call, &rpc->answered);
}

static void answer(struct call *call)
{
    struct http_request *request = call->request;
    struct bytes properties = {call->answer + call->payload_len, call->properties_len};
    const char *type = message_headers_add(request, properties);
    uint8_t *body = call->answer;
    size_t body_len = call->payload_len;
    http_add_header_f(request, "X-MQTT-QoS", "%u", call->answer_qos);
    http_add_header(request, "Cache-Control", "no-store");
    call->answer = NULL;
    call_free(call);
    http_reply(request, 200, type, body, body_len);
    free(body);
}

static void on_end_turn(void *owner)
{
    struct rpc *rpc = owner;
    struct call *call;
    if (rpc->has_finished) {
        rpc->has_finished = false;
        local_finish_up_to(rpc->local, rpc->finished_seq);
    }
    while ((call = TAILQ_FIRST(&rpc->answered)) != NULL) {
        answer(call);
    }
}

/* --- sending ----------------------------------------------------------------------------------------------------- */

static void refuse_call(struct call *call, unsigned status, const char *why)
{
    struct http_request *request = call->request;
    call_free(call);
    if (status == 503 || status == 507) {
        http_add_header(request, "Retry-After", "1");
    }
    http_problem(request, status, "%s", why);
}

/* Receive what comes to the topic that the caller has named. */
static bool listen_for(struct call *call, const char **why)
{
    struct local_subscription subscription = {.filter = call->reply, .qos = 1, .retain_handling = 2};
    call->has_subscription = local_subscribe(call->rpc->local, &subscription, why) < 0x80;
    return call->has_subscription;
}

/* The session is there: publish CALL's message, and wait for the reply. */
static void start(struct call *call)
{
    const char *why = NULL;
    move(call, bucket_of(call->rpc, call->reply));
    if (call->is_named && !listen_for(call, &why)) {
        refuse_call(call, 503, why);
        return;
    }
    struct place_published published = place_publish(http_place(call->request), &call->message);
    store_ticket_release(&published.ticket); /* the device's reply is what is waited for */
    if (published.reason_code != 0) {
        refuse_call(call, publish_status(published.reason_code), published.why);
    } else if (!published.matched) {
        refuse_call(call, 503, "nobody is subscribed to the topic of the request");
    }
}

/* --- the standing session ---------------------------------------------------------------------------------------- */

static void on_open(void *owner, bool session_present)
{
    struct rpc *rpc = owner;
    char filter[PREFIX_BYTES + 1];
    const char *why;
    struct call *call;
    (void)session_present; /* its id is random: there never was one */
    (void)snprintf(filter, sizeof(filter), "%s+", rpc->prefix);
    struct local_subscription subscription = {.filter = bytes_from_string(filter), .qos = 1, .retain_handling = 2};
    rpc->is_open = local_subscribe(rpc->local, &subscription, &why) < 0x80;
    if (!rpc->is_open) {
        local_close(rpc->local, 0);
        return;
    }
    while ((call = TAILQ_FIRST(&rpc->opening)) != NULL) {
        start(call);
    }
}

static void on_synced(void *owner)
{
    (void)owner; /* retained values are not asked for */
}

static void refuse_all(struct call_list *list, const char *why)
{
    struct call *call;
    while ((call = TAILQ_FIRST(list)) != NULL) {
        refuse_call(call, 503, why);
    }
}

static void on_close(void *owner, uint8_t reason_code, const char *why)
{
    struct rpc *rpc = owner;
    (void)reason_code;
    rpc->local = NULL;
    rpc->is_open = false;
    refuse_all(&rpc->opening, why);
    refuse_all(&rpc->answered, why);
    for (unsigned i = 0; i < BUCKETS; i++) {
        refuse_all(&rpc->buckets[i], why);
    }
}

static void describe(void *owner, char *buf, size_t cap)
{
    (void)owner;
    (void)snprintf(buf, cap, "rpc");
}

static const struct local_ops local_ops = {
    .on_open = on_open,
    .on_message = on_message,
    .on_synced = on_synced,
    .on_end_turn = on_end_turn,
    .on_close = on_close,
    .describe = describe,
    .name = "rpc",
};

static struct rpc *rpc_new(void)
{
    struct rpc *rpc = calloc(1, sizeof(*rpc));
    if (rpc == NULL) {
        return NULL;
    }
    rpc->seed = tg_hash_seed_new();
    TAILQ_INIT(&rpc->opening);
    TAILQ_INIT(&rpc->answered);
    for (unsigned i = 0; i < BUCKETS; i++) {
        TAILQ_INIT(&rpc->buckets[i]);
    }
    return rpc;
}

void rpc_free(struct rpc *rpc)
{
    free(rpc);
}

/* The RPC of REQUEST's worker, open or opening. @return NULL: not now */
static struct rpc *rpc_of(struct http_request *request)
{
    struct http_parts *parts = http_parts(request);
    if (parts->rpc == NULL) {
        parts->rpc = rpc_new();
    }
    struct rpc *rpc = parts->rpc;
    if (rpc != NULL && rpc->local == NULL) {
        char id[PUBLISH_ID_BYTES];
        struct local_options options = {.clean_start = true, .window = WINDOW, .is_gateway = true};
        publish_id(id);
        (void)snprintf(rpc->prefix, sizeof(rpc->prefix), "$tidegate/rpc/%s/", id);
        rpc->local = local_open(http_place(request), &local_ops, rpc, &options, NULL);
    }
    return rpc != NULL && rpc->local != NULL ? rpc : NULL;
}

/* --- the request ------------------------------------------------------------------------------------------------- */

static bool refuse(struct http_request *request, const char *what)
{
    http_problem(request, 400, "%s", what);
    return false;
}

/* TOPIC with each level ":id" replaced by ID. @return false without memory */
static bool put_id(struct http_request *request, struct bytes *topic, const char *id)
{
    size_t mark_len = sizeof(ID_LEVEL) - 1;
    size_t marks = 0;
    for (size_t i = 0; i + mark_len <= topic->len; i++) {
        marks += memcmp(topic->data + i, ID_LEVEL, mark_len) == 0;
    }
    uint8_t *out = marks > 0 ? http_alloc(request, topic->len + marks * ID_CHARS) : NULL;
    if (out == NULL) {
        return marks == 0;
    }
    size_t len = 0;
    size_t at = 0;
    while (at < topic->len) {
        const uint8_t *slash = memchr(topic->data + at, '/', topic->len - at);
        size_t end = slash != NULL ? (size_t)(slash - topic->data) : topic->len;
        struct bytes level = {topic->data + at, end - at};
        if (bytes_equal(level, bytes_from_string(ID_LEVEL))) {
            level = (struct bytes){(const uint8_t *)id, ID_CHARS};
        }
        if (level.len > 0) {
            memcpy(out + len, level.data, level.len);
        }
        len += level.len;
        if (slash != NULL) {
            out[len++] = '/';
        }
        at = end + (slash != NULL);
    }
    *topic = (struct bytes){out, len};
    return true;
}

/* Add response topic and correlation data to MESSAGE. @return false without memory */
static bool put_properties(struct http_request *request, struct place_publication *message, struct bytes reply,
                           const char *id)
{
    struct properties p = {.response_topic = reply, .correlation_data = {(const uint8_t *)id, ID_CHARS}};
    properties_set(&p, PROPERTY_RESPONSE_TOPIC);
    properties_set(&p, PROPERTY_CORRELATION_DATA);
    size_t len = properties_encoded_len(&p, message->properties);
    uint8_t *buf = http_alloc(request, len);
    uint32_t section_len;
    if (buf == NULL || properties_encode(buf, len, &p, message->properties) != len) {
        return false;
    }
    int skip = varint_decode(buf, len, &section_len);
    message->properties = (struct bytes){buf + skip, section_len};
    return true;
}

static bool has_own_addressing(struct bytes properties)
{
    struct property_entry entry;
    while (properties_next(&properties, &entry)) {
        if (entry.id == PROPERTY_RESPONSE_TOPIC || entry.id == PROPERTY_CORRELATION_DATA) {
            return true;
        }
    }
    return false;
}

/* What is to be published, but for the reply's address. @return false: REQUEST has been answered */
static bool read_request(struct http_request *request, struct place_publication *message, uint64_t *timeout_s)
{
    *timeout_s = TIMEOUT_S;
    if (!message_of_request(request, message) || !http_query_number(request, "timeout", 1, TIMEOUT_S_MAX, timeout_s)) {
        return false;
    }
    if (message->retain) {
        return refuse(request, "a request is not to be retained");
    }
    if (has_own_addressing(message->properties)) {
        return refuse(request, "responseTopic and correlationData are chosen here; see reply");
    }
    if (!message->has_expiry) { /* a device that was away must not act on what nobody waits for any more */
        message->has_expiry = true;
        message->expiry_s = (uint32_t)*timeout_s;
    }
    return true;
}

/* Where the reply is to come to. @return false: REQUEST has been answered */
static bool choose_reply(struct http_request *request, const struct rpc *rpc, struct place_publication *message,
                         const char *id, struct bytes *reply, bool *is_named)
{
    *reply = http_query(request, "reply");
    *is_named = reply->data != NULL;
    if (*is_named) {
        if (!topic_name_is_valid(*reply) || topic_is_reserved(*reply) || filter_is_reserved(*reply)) {
            return refuse(request, "reply is not a valid topic name");
        }
        if (!put_id(request, reply, id) || !put_id(request, &message->topic, id)) {
            http_problem(request, 503, "out of memory");
            return false;
        }
        if (reply->len > TOPIC_BYTES_MAX) {
            return refuse(request, "reply is too long");
        }
        if (bytes_equal(*reply, message->topic)) {
            return refuse(request, "reply must be another topic than the request's");
        }
        if (!place_may_read(http_place(request), http_identity(request), *reply)) {
            http_problem(request, 403, "not allowed to read the reply's topic");
            return false;
        }
        return true;
    }
    size_t prefix_len = strlen(rpc->prefix);
    char *topic = http_alloc(request, prefix_len + ID_CHARS + 1);
    if (topic == NULL || !put_id(request, &message->topic, id)) {
        http_problem(request, 503, "out of memory");
        return false;
    }
    (void)snprintf(topic, prefix_len + ID_CHARS + 1, "%s%s", rpc->prefix, id);
    *reply = bytes_from_string(topic);
    return true;
}

void rpc_post(struct http_request *request)
{
    struct place_publication message;
    uint64_t timeout_s;
    if (!read_request(request, &message, &timeout_s)) {
        return;
    }
    struct rpc *rpc = rpc_of(request);
    if (rpc == NULL || rpc->count >= http_settings(request)->config->http.rpc_calls) {
        http_add_header(request, "Retry-After", "1");
        http_problem(request, 503, rpc == NULL ? "requests cannot be sent now" : "too many requests wait for a reply");
        return;
    }
    char id[PUBLISH_ID_BYTES];
    struct bytes reply;
    bool is_named;
    publish_id(id);
    if (!choose_reply(request, rpc, &message, id, &reply, &is_named)) {
        return;
    }
    struct call *call = put_properties(request, &message, reply, id) ? calloc(1, sizeof(*call)) : NULL;
    if (call == NULL) {
        http_problem(request, 503, "out of memory");
        return;
    }
    call->rpc = rpc;
    call->request = request;
    call->message = message;
    call->reply = reply;
    call->is_named = is_named;
    call->timers = http_timers(request);
    call->timeout_s = (uint32_t)timeout_s;
    call->list = &rpc->opening;
    TAILQ_INSERT_TAIL(call->list, call, link);
    rpc->count++;
    timer_init(&call->timer, on_timeout);
    timer_wheel_set(call->timers, &call->timer, http_now_ms(request) + timeout_s * 1000);
    http_hold(request, on_gone, call);
    if (rpc->is_open) {
        start(call);
    }
}
