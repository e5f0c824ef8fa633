/* Lists made by a census (broker/census.h), in the order of the entries' parts and keys. So a cursor, which is the part and key of the last one
 * told, is good for as long as the process lives, whatever comes and goes meanwhile. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/container.h"
#include "gateway/broker/census.h"
#include "protocol/packet.h"
#include "protocol/topic.h"
#include "web/admin.h"
#include "web/list.h"

#define ID_BYTES_MAX 65535u
#define SLICE_MS     2u

struct census_list;

/* What differs between the lists. */
struct census_shape {
    enum census_kind kind;
    bool (*wants)(const struct census_list *list, const struct census_entry *entry);
    void (*add)(struct buffer *out, const struct census_entry *entry);
};

enum wish { ANY, NO, YES };

struct census_list { /* owner: the worker's thread */
    struct list list;
    const struct census_shape *shape;
    struct census *census;
    struct census_entry *entries; /* owned array: those that were told, sorted */
    size_t count;
    size_t capacity;
    size_t at;             /* the next one to be told */
    uint32_t resumed_part; /* up to this key of this part all has been told by the request before */
    uint64_t resumed_key;
    bool is_resumed;
    bool has_paused; /* since the last visit */
    bool has_part;   /* entries are there */
    bool is_last;    /* no part follows */

    /* what is wanted; all of the request */
    struct bytes prefix; /* of the client id */
    struct bytes filter; /* exactly this one; data NULL: any */
    struct bytes topic;  /* filters that match it; data NULL: any */
    enum wish connected;
};

/* --- entries as JSON ------------------------------------------------------------------------------------------------ */

static const char *version_text(uint8_t version)
{
    return version == MQTT_5_0 ? "5.0" : version == MQTT_3_1_1 ? "3.1.1" : version == MQTT_3_1 ? "3.1" : NULL;
}

static void add_text_member(struct buffer *out, const char *name, struct bytes value)
{
    if (value.len > 0) {
        buffer_add_f(out, ",\"%s\":", name);
        buffer_add_json(out, value);
    }
}

static const char *yes_no(bool value)
{
    return value ? "true" : "false";
}

static void add_client(struct buffer *out, const struct census_entry *entry)
{
    const char *version = version_text(entry->version);
    buffer_add_text(out, "{\"client_id\":");
    buffer_add_json(out, entry->client_id);
    buffer_add_f(out, ",\"connected\":%s", yes_no(entry->is_connected));
    add_text_member(out, "user_name", entry->user_name);
    if (entry->is_connected) {
        add_text_member(out, "transport", bytes_from_string(entry->transport));
        add_text_member(out, "peer", entry->peer);
        buffer_add_f(out, ",\"keep_alive_s\":%u", entry->keep_alive_s);
    }
    if (version != NULL) {
        add_text_member(out, "protocol_version", bytes_from_string(version));
    }
    buffer_add_f(out, ",\"worker\":%u}", entry->place);
}

static void add_session(struct buffer *out, const struct census_entry *entry)
{
    buffer_add_text(out, "{\"client_id\":");
    buffer_add_json(out, entry->client_id);
    buffer_add_f(out, ",\"connected\":%s", yes_no(entry->is_connected));
    add_text_member(out, "user_name", entry->user_name);
    if (entry->expiry_s == UINT32_MAX) {
        buffer_add_text(out, ",\"expiry_s\":null");
    } else {
        buffer_add_f(out, ",\"expiry_s\":%" PRIu32, entry->expiry_s);
    }
    buffer_add_f(out,
                 ",\"queued_messages\":%" PRIu32 ",\"queued_bytes\":%" PRIu64 ",\"inflight_messages\":%" PRIu32
                 ",\"subscriptions\":%" PRIu32 ",\"has_will\":%s,\"worker\":%u}",
                 entry->queued_messages, entry->queued_bytes, entry->inflight_messages, entry->subscriptions,
                 yes_no(entry->has_will), entry->place);
}

static void add_subscription(struct buffer *out, const struct census_entry *entry)
{
    buffer_add_text(out, "{\"client_id\":");
    buffer_add_json(out, entry->client_id);
    buffer_add_text(out, ",\"filter\":");
    buffer_add_json(out, entry->filter);
    buffer_add_f(out, ",\"qos\":%u,\"no_local\":%s,\"retain_as_published\":%s,\"retain_handling\":%u", entry->qos,
                 yes_no(entry->no_local), yes_no(entry->retain_as_published), entry->retain_handling);
    if (entry->id != 0) {
        buffer_add_f(out, ",\"subscription_identifier\":%" PRIu32, entry->id);
    }
    buffer_add_text(out, "}");
}

/* --- what is wanted --------------------------------------------------------------------------------------------------- */

static bool has_prefix(struct bytes text, struct bytes prefix)
{
    return prefix.len <= text.len && (prefix.len == 0 || memcmp(text.data, prefix.data, prefix.len) == 0);
}

static bool wants_session(const struct census_list *list, const struct census_entry *entry)
{
    return has_prefix(entry->client_id, list->prefix) &&
           (list->connected == ANY || (list->connected == YES) == entry->is_connected);
}

static bool wants_subscription(const struct census_list *list, const struct census_entry *entry)
{
    struct topic_filter parsed;
    if (!has_prefix(entry->client_id, list->prefix) ||
        (list->filter.data != NULL && !bytes_equal(list->filter, entry->filter))) {
        return false;
    }
    return list->topic.data == NULL ||
           (topic_filter_parse(entry->filter, &parsed) && topic_matches(parsed.filter, list->topic));
}

static const struct census_shape clients = {CENSUS_SESSIONS, wants_session, add_client};
static const struct census_shape sessions = {CENSUS_SESSIONS, wants_session, add_session};
static const struct census_shape subscriptions = {CENSUS_SUBSCRIPTIONS, wants_subscription, add_subscription};

/* --- a part after the other -------------------------------------------------------------------------------------------- */

static void on_entry(void *owner, const struct census_entry *entry)
{
    struct census_list *list = owner;
    if (!list->shape->wants(list, entry)) {
        return;
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        struct census_entry *grown = realloc(list->entries, capacity * sizeof(*grown));
        if (grown == NULL) {
            list->list.is_incomplete = true;
            return;
        }
        list->entries = grown;
        list->capacity = capacity;
    }
    list->entries[list->count++] = *entry;
}

static int compare(const void *a, const void *b)
{
    const struct census_entry *left = a, *right = b;
    if (left->part != right->part) {
        return left->part < right->part ? -1 : 1;
    }
    return (left->key > right->key) - (left->key < right->key);
}

static void on_part(void *owner, bool is_complete, bool failed)
{
    struct census_list *list = owner;
    list->is_last = is_complete;
    list->has_part = true;
    list->at = 0;
    if (failed) {
        list->list.is_incomplete = true;
    }
    if (list->count > 1) {
        qsort(list->entries, list->count, sizeof(list->entries[0]), compare);
    }
    while (list->is_resumed && list->at < list->count && list->entries[list->at].part == list->resumed_part &&
           list->entries[list->at].key <= list->resumed_key) {
        list->at++;
    }
    list_go_on(&list->list);
}

static const struct census_ops census_ops = {on_entry, on_part};

static enum list_state fill(struct list *base)
{
    struct census_list *list = TG_CONTAINER_OF(base, struct census_list, list);
    if (!list->has_part) {
        return LIST_WAITS;
    }
    while (list->at < list->count && !list_is_full(base)) {
        const struct census_entry *entry = &list->entries[list->at++];
        list->shape->add(list_add_item(base), entry);
        if (base->left == 0) {
            snprintf(base->cursor, sizeof base->cursor, "%" PRIx32 ".%016" PRIx64, entry->part, entry->key);
        }
    }
    bool is_told = list->at == list->count;
    if (is_told && list->is_last) {
        base->cursor[0] = '\0';
        return LIST_ENDS;
    }
    if (base->left == 0) {
        return LIST_ENDS;
    }
    /* A pause: visits in a row would be one turn of the place that is visited. */
    bool is_late = list_clock_ms(base) - http_now_ms(base->request) >= SLICE_MS;
    if (!is_told || (!list->has_paused && (is_late || census_stays(list->census)))) {
        list->has_paused = true;
        return LIST_MORE;
    }
    list->has_paused = false;
    list->has_part = false;
    list->count = 0;
    census_continue(list->census);
    return LIST_WAITS;
}

static void free_list(struct list *base)
{
    struct census_list *list = TG_CONTAINER_OF(base, struct census_list, list);
    census_free(list->census);
    free(list->entries);
    free(list);
}

static const struct list_ops list_ops = {fill, free_list};

/* --- requests ------------------------------------------------------------------------------------------------------------ */

/* A number of 1 to MAX hexadecimal digits at the beginning of TEXT, which is moved behind it. @return false if there is none */
static bool take_hex(struct bytes *text, size_t max, uint64_t *out)
{
    size_t len = 0;
    *out = 0;
    for (; len < text->len && len < max && isxdigit(text->data[len]) != 0; len++) {
        unsigned digit = isdigit(text->data[len]) != 0 ? text->data[len] - (unsigned)'0'
                                                       : (unsigned)tolower(text->data[len]) - 'a' + 10;
        *out = *out << 4 | digit;
    }
    *text = (struct bytes){text->data + len, text->len - len};
    return len > 0;
}

/* cursor=PART.KEY. @return false: REQUEST has been answered */
static bool read_cursor(struct http_request *request, struct census_list *list)
{
    struct bytes cursor = http_query(request, "cursor");
    uint64_t part;
    if (cursor.data == NULL) {
        return true;
    }
    bool ok = take_hex(&cursor, 8, &part) && cursor.len > 0 && cursor.data[0] == '.';
    if (ok) {
        cursor = (struct bytes){cursor.data + 1, cursor.len - 1};
        ok = take_hex(&cursor, 16, &list->resumed_key) && cursor.len == 0;
    }
    if (!ok) {
        http_problem(request, 400, "cursor must be one that a list ended with");
        return false;
    }
    list->resumed_part = (uint32_t)part;
    list->is_resumed = true;
    return true;
}

/* @return false: REQUEST has been answered */
static bool read_wishes(struct http_request *request, struct census_list *list)
{
    bool connected = false;
    list->prefix = http_query(request, "prefix");
    list->filter = http_query(request, "filter");
    list->topic = http_query(request, "topic");
    if (!http_query_bool(request, "connected", &connected)) {
        return false;
    }
    if (http_query(request, "connected").data != NULL) {
        list->connected = connected ? YES : NO;
    }
    if (list->topic.data != NULL && !topic_name_is_valid(list->topic)) {
        http_problem(request, 400, "topic is not a valid topic name");
        return false;
    }
    return read_cursor(request, list);
}

static void begin(struct http_request *request, const struct census_shape *shape)
{
    if (!admin_is_allowed(request)) {
        return;
    }
    struct census_list *list = calloc(1, sizeof(*list));
    if (list == NULL) {
        http_problem(request, 503, "out of memory");
        return;
    }
    list->shape = shape;
    struct bytes id = http_query(request, "client_id");
    if (!read_wishes(request, list)) {
        free(list);
        return;
    }
    list->census = id.data != NULL
                       ? census_find(http_place(request), shape->kind, id, &census_ops, list)
                       : census_start(http_place(request), shape->kind, list->resumed_part, &census_ops, list);
    if (list->census == NULL) {
        free(list);
        http_problem(request, 503, "out of memory");
        return;
    }
    list->list.is_waiting = true;
    if (!list_begin(&list->list, &list_ops, request)) {
        free_list(&list->list);
    }
}

void admin_list_clients(struct http_request *request)
{
    begin(request, &clients);
}

void admin_list_sessions(struct http_request *request)
{
    begin(request, &sessions);
}

void admin_list_subscriptions(struct http_request *request)
{
    begin(request, &subscriptions);
}

/* --- just one --------------------------------------------------------------------------------------------------------------- */

struct single { /* owner: the worker's thread */
    struct http_request *request;
    const struct census_shape *shape;
    struct census *census;
    struct buffer text;
};

static void single_free(struct single *single)
{
    census_free(single->census);
    buffer_fini(&single->text);
    free(single);
}

static void on_single_gone(void *arg)
{
    single_free(arg);
}

static void on_single_entry(void *owner, const struct census_entry *entry)
{
    struct single *single = owner;
    buffer_cut(&single->text, 0);
    single->shape->add(&single->text, entry);
    buffer_add_text(&single->text, "\n");
}

static void on_single_part(void *owner, bool is_complete, bool failed)
{
    struct single *single = owner;
    if (failed || single->text.has_failed) {
        http_problem(single->request, 503, "out of memory");
    } else if (single->text.len > 0) {
        http_add_header(single->request, "Cache-Control", "no-store");
        http_reply(single->request, 200, "application/json", single->text.at, single->text.len);
    } else if (is_complete) {
        http_problem(single->request, 404, "there is no such client");
    } else {
        census_continue(single->census);
        return;
    }
    single_free(single);
}

static const struct census_ops single_ops = {on_single_entry, on_single_part};

static void get(struct http_request *request, const struct census_shape *shape)
{
    struct bytes id = http_path_rest(request);
    if (!admin_is_allowed(request)) {
        return;
    }
    struct single *single = id.len <= ID_BYTES_MAX ? calloc(1, sizeof(*single)) : NULL;
    if (single != NULL) {
        single->request = request;
        single->shape = shape;
        single->census = census_find(http_place(request), shape->kind, id, &single_ops, single);
    }
    if (single == NULL || single->census == NULL) {
        free(single);
        http_problem(request, 503, "out of memory");
        return;
    }
    http_hold(request, on_single_gone, single);
}

void admin_get_client(struct http_request *request)
{
    get(request, &clients);
}

void admin_get_session(struct http_request *request)
{
    get(request, &sessions);
}
