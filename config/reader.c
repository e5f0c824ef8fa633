#include "config/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/address.h"
#include "config/option.h"
#include "config/spelling.h"

#define PATH_BYTES 192u /* "listeners[63].proxy_trusted[...]"; a key that is not ours is cut */
#define KEY_SHOWN  64

/** Where problems go. */
struct reader {
    struct config_report *report;
    struct config *config; /* in the making */
};

/** A value, and where it stands. */
struct place {
    const char *section; /* of the option table: "limits." */
    const char *path;    /* of the object that holds the value: "limits"; "" for the text as a whole */
    void *base;          /* what offsets count from */
};

static const char *json_type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a number";
    case JSON_REAL:
        return "a number with a fraction or exponent";
    case JSON_NULL:
        return "null";
    default:
        return json_is_true(value) ? "true" : "false";
    }
}

static void report_type(struct reader *r, const char *path, const char *wanted, const json_t *value)
{
    config_report_add(r->report, path, "must be %s, not %s", wanted, json_type_name(value));
}

/** Append to OUT the path of KEY in the object at PATH. A key that is no plain word is put in brackets. */
static void join_path(char out[PATH_BYTES], const char *path, const char *key)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$-";
    size_t key_len = strlen(key);

    if (key_len > 0 && key_len <= KEY_SHOWN && strspn(key, plain) == key_len)
        snprintf(out, PATH_BYTES, "%s%s%s", path, path[0] ? "." : "", key);
    else
        snprintf(out, PATH_BYTES, "%s[\"%.*s%s\"]", path, KEY_SHOWN, key, key_len > KEY_SHOWN ? "..." : "");
}

/** The known key of SECTION that is nearest to KEY, if it is near enough to be what was meant. */
static const struct option *nearest(const char *section, const char *key)
{
    unsigned best = 2 + (unsigned)strnlen(key, KEY_SHOWN) / 4; /* one above the furthest that counts */
    const struct option *meant = NULL;

    OPTION_FOREACH (row) {
        const char *name = option_name_in(row, section);
        unsigned distance = name ? spelling_distance(key, name) : SPELLING_FAR;
        if (distance < best) {
            best = distance;
            meant = row;
        }
    }
    return meant;
}

/** The row whose key is KEY in whatever section. */
static const struct option *elsewhere(const char *key)
{
    OPTION_FOREACH (row) {
        if (strcmp(option_name(row), key) == 0)
            return row;
    }
    return NULL;
}

static void report_unknown(struct reader *r, const struct place *place, const char *path, const char *key)
{
    const struct option *meant = elsewhere(key);

    if (meant) {
        config_report_add(r->report, path, "unknown key; did you mean `%s`?", meant->path);
        return;
    }
    meant = nearest(place->section, key);
    if (meant)
        config_report_add(r->report, path, "unknown key; did you mean \"%s\"?", option_name(meant));
    else
        config_report_add(r->report, path, "unknown key");
}

static void read_bool(struct reader *r, const struct option *row, const struct place *place, const char *path,
                      const json_t *value)
{
    if (!json_is_boolean(value))
        report_type(r, path, "true or false", value);
    else
        option_set_number(row, place->base, json_is_true(value));
}

static void read_number(struct reader *r, const struct option *row, const struct place *place, const char *path,
                        const json_t *value)
{
    uint64_t max = option_max(row);
    json_int_t number = json_integer_value(value);

    if (!json_is_integer(value)) {
        report_type(r, path, "a whole number", value);
        return;
    }
    if (number >= 0 && (uint64_t)number <= max && ((uint64_t)number >= row->min || (row->zero && number == 0))) {
        option_set_number(row, place->base, (uint64_t)number);
        return;
    }
    if (row->zero && row->min > 0)
        config_report_add(r->report, path, "must be a number from %" PRIu64 " to %" PRIu64 ", or 0 (%s)", row->min, max,
                          row->zero);
    else
        config_report_add(r->report, path, "must be a number from %" PRIu64 " to %" PRIu64, row->min, max);
}

static bool is_among(const char *const words[OPTION_CHOICES_MAX], const char *word, size_t *at)
{
    for (size_t i = 0; i < OPTION_CHOICES_MAX && words[i]; i++) {
        if (strcmp(words[i], word) == 0) {
            *at = i;
            return true;
        }
    }
    return false;
}

static void read_choice(struct reader *r, const struct option *row, const struct place *place, const char *path,
                        const json_t *value)
{
    const char *word = json_string_value(value);
    char wanted[PATH_BYTES] = "";
    size_t at;

    if (word && is_among(row->choices, word, &at)) {
        option_set_number(row, place->base, at);
        return;
    }
    if (word && is_among(row->not_built, word, &at)) {
        config_report_add(r->report, path, "\"%s\" is not built in this version", word);
        return;
    }
    for (size_t i = 0, len = 0; i < OPTION_CHOICES_MAX && row->choices[i]; i++)
        len += (size_t)snprintf(wanted + len, sizeof(wanted) - len, "%s\"%s\"", i > 0 ? " or " : "", row->choices[i]);
    if (word)
        config_report_add(r->report, path, "must be %s, not \"%s\"", wanted, word);
    else
        report_type(r, path, wanted, value);
}

static void read_string(struct reader *r, const struct option *row, const struct place *place, const char *path,
                        const json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);

    if (!text) {
        report_type(r, path, row->nullable ? "a string or null" : "a string", value);
        return;
    }
    if (len < row->min || len > row->max) {
        config_report_add(r->report, path, "must have from %" PRIu64 " to %" PRIu64 " bytes, not %zu", row->min,
                          row->max, len);
        return;
    }
    const char *wrong = row->check ? row->check(text) : NULL;
    if (wrong)
        config_report_add(r->report, path, "%s", wrong);
    else if (!option_set_string(row, place->base, text))
        r->report->out_of_memory = true;
}

static void read_mode(struct reader *r, const struct option *row, const struct place *place, const char *path,
                      const json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    bool octal = text && strspn(text, "01234567") == len && (len == 3 || (len == 4 && text[0] == '0'));

    if (!octal)
        config_report_add(r->report, path, "must be octal permissions in a string, such as \"0660\"");
    else
        option_set_number(row, place->base, strtoul(text, NULL, 8));
}

static void read_address(struct reader *r, const struct place *place, const char *path, const json_t *value)
{
    const char *text = json_string_value(value);

    if (!text) {
        report_type(r, path, "a string", value);
        return;
    }
    const char *wrong = address_parse(text, place->base);
    if (wrong)
        config_report_add(r->report, path, "%s", wrong);
}

/** Read one entry of the list of ROW into ITEM. @return false: a problem has been reported */
static bool read_item(struct reader *r, const struct option *row, const char *path, const json_t *value, void *item)
{
    const char *text = json_string_value(value);
    const char *wrong;

    if (!text) {
        report_type(r, path, "a string", value);
        return false;
    }
    wrong = row->type == OPTION_NETWORKS ? network_parse(text, item) : row->check(text);
    if (wrong) {
        config_report_add(r->report, path, "%s", wrong);
        return false;
    }
    if (row->type == OPTION_TEXTS) {
        char *copy = strdup(text);
        memcpy(item, &copy, sizeof(copy));
        r->report->out_of_memory |= !copy;
        return copy != NULL;
    }
    return true;
}

static void read_list(struct reader *r, const struct option *row, const struct place *place, const char *path,
                      const json_t *value)
{
    const char *what = row->type == OPTION_NETWORKS ? "networks" : "strings";
    size_t item_size = row->type == OPTION_NETWORKS ? sizeof(struct config_network) : sizeof(char *);
    size_t count = json_array_size(value), len = 0;
    char item_path[PATH_BYTES + 24]; /* "[N]" */
    char *items;

    if (!json_is_array(value)) {
        report_type(r, path, row->type == OPTION_NETWORKS ? "a list of networks" : "a list of strings", value);
        return;
    }
    if (count < row->min || count > row->max) {
        config_report_add(r->report, path, "must have from %" PRIu64 " to %" PRIu64 " %s, not %zu", row->min, row->max,
                          what, count);
        return;
    }
    if (count == 0)
        return;
    items = calloc(count, item_size);
    if (!items) {
        r->report->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        snprintf(item_path, sizeof(item_path), "%s[%zu]", path, i);
        len += read_item(r, row, item_path, json_array_get(value, i), items + len * item_size);
    }
    option_put_list(row, place->base, items, len);
}

static void read_object(struct reader *r, const struct place *place, const json_t *object);

static void read_section(struct reader *r, const struct option *row, const struct place *place, const char *path,
                         const json_t *value)
{
    char section[PATH_BYTES];
    struct place inner = {.section = section, .path = path, .base = place->base};

    if (!json_is_object(value)) {
        report_type(r, path, row->nullable ? "an object or null" : "an object", value);
        return;
    }
    snprintf(section, sizeof(section), "%s.", row->path);
    read_object(r, &inner, value);
}

/** What a listener's keys must be together. OBJECT tells what was written, also if it could not be read. */
static void check_listener(struct reader *r, const char *path, const json_t *object,
                           const struct config_listener *listener)
{
    bool has_bind = json_object_get(object, "bind") != NULL;
    bool has_unix = json_object_get(object, "unix") != NULL;
    bool has_trusted = json_object_get(object, "proxy_trusted") != NULL;
    char key_path[PATH_BYTES];

    if (has_bind && has_unix)
        config_report_add(r->report, path, "has both \"bind\" and \"unix\"; make two listeners");
    if (!has_bind && !has_unix)
        config_report_add(r->report, path, "must have \"bind\", such as \"127.0.0.1:1883\", or \"unix\"");
    if (!has_unix && json_object_get(object, "unix_mode")) {
        join_path(key_path, path, "unix_mode");
        config_report_add(r->report, key_path, "has no effect without \"unix\"");
    }
    join_path(key_path, path, "proxy_trusted");
    if (has_trusted && has_unix)
        config_report_add(r->report, key_path, "has no effect on a unix socket: its permissions say who may connect");
    else if (has_trusted && !json_object_get(object, "proxy_protocol"))
        config_report_add(r->report, key_path, "has no effect without \"proxy_protocol\": true");
    else if (!has_trusted && !has_unix && listener->proxy_protocol)
        config_report_add(r->report, key_path,
                          "must be written with \"proxy_protocol\": the addresses of the proxies, such as "
                          "[\"127.0.0.1\"]");
}

/** The listener's name: what it is reached at, as written. @return false without memory */
static bool name_listener(const json_t *object, struct config_listener *listener)
{
    const json_t *bind = json_object_get(object, "bind");
    const char *text = json_string_value(bind ? bind : json_object_get(object, "unix"));

    listener->name = strdup(text ? text : "");
    return listener->name != NULL;
}

static void read_listener(struct reader *r, size_t index, const json_t *value, struct config_listener *listener)
{
    char path[PATH_BYTES];
    struct place place = {.section = OPTION_LISTENER_SECTION, .path = path, .base = listener};

    snprintf(path, sizeof(path), "listeners[%zu]", index);
    if (!json_is_object(value)) {
        report_type(r, path, "an object", value);
        return;
    }
    OPTION_FOREACH (row) {
        if (option_is_of_listener(row) && !option_set_default(row, listener))
            r->report->out_of_memory = true;
    }
    read_object(r, &place, value);
    check_listener(r, path, value, listener);
    if (!name_listener(value, listener))
        r->report->out_of_memory = true;
}

static void read_listeners(struct reader *r, const struct option *row, const char *path, const json_t *value)
{
    size_t len = json_array_size(value);

    if (!json_is_array(value)) {
        report_type(r, path, "a list of listeners", value);
        return;
    }
    if (len < row->min || len > row->max) {
        config_report_add(r->report, path, "must have from %" PRIu64 " to %" PRIu64 " listeners, not %zu", row->min,
                          row->max, len);
        return;
    }
    r->config->listeners = calloc(len, sizeof(*r->config->listeners));
    if (!r->config->listeners) {
        r->report->out_of_memory = true;
        return;
    }
    r->config->listeners_len = len;
    for (size_t i = 0; i < len; i++)
        read_listener(r, i, json_array_get(value, i), &r->config->listeners[i]);
}

static void read_value(struct reader *r, const struct option *row, const struct place *place, const char *path,
                       const json_t *value)
{
    if (row->nullable && json_is_null(value))
        return;
    switch (row->type) {
    case OPTION_BOOL:
        read_bool(r, row, place, path, value);
        break;
    case OPTION_NUMBER:
        read_number(r, row, place, path, value);
        break;
    case OPTION_CHOICE:
        read_choice(r, row, place, path, value);
        break;
    case OPTION_STRING:
        read_string(r, row, place, path, value);
        break;
    case OPTION_MODE:
        read_mode(r, row, place, path, value);
        break;
    case OPTION_ADDRESS:
        read_address(r, place, path, value);
        break;
    case OPTION_NETWORKS:
    case OPTION_TEXTS:
        read_list(r, row, place, path, value);
        break;
    case OPTION_SECTION:
        read_section(r, row, place, path, value);
        break;
    case OPTION_LISTENERS:
        read_listeners(r, row, path, value);
        break;
    case OPTION_REMARK:
        if (!json_is_string(value))
            report_type(r, path, "a string", value);
        break;
    case OPTION_NOT_BUILT:
        config_report_add(r->report, path, "is not built in this version (%s)", row->help);
        break;
    }
}

static void read_object(struct reader *r, const struct place *place, const json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
        const struct option *row = option_find(place->section, key);
        char path[PATH_BYTES];

        join_path(path, place->path, key);
        if (row)
            read_value(r, row, place, path, value);
        else
            report_unknown(r, place, path, key);
    }
}

/** Whether there is a store at all, and what its keys must be together. */
static void check_store(struct reader *r, const json_t *store)
{
    struct config_store *config = &r->config->store;

    config->given = store != NULL;
    if (json_is_null(store))
        config->memory = true;
    if (!json_is_object(store))
        return;
    if (!CONFIG_STORE_IS_POSSIBLE)
        config_report_add(r->report, "store", "must be null: the durable store needs a 64-bit machine");
    config->memory = false;
    if (json_object_get(store, "interval_ms") && config->sync != STORE_SYNC_INTERVAL)
        config_report_add(r->report, "store.interval_ms", "has no effect without \"sync\": \"interval\"");
}

void reader_read(const json_t *root, struct config *config, struct config_report *report)
{
    struct reader r = {.report = report, .config = config};
    struct place place = {.section = "", .path = "", .base = config};

    if (!json_is_object(root)) {
        report_type(&r, "", "an object", root);
        return;
    }
    read_object(&r, &place, root);
    check_store(&r, json_object_get(root, "store"));
    config->access.anonymous_given = json_object_get(json_object_get(root, "access"), "anonymous") != NULL;
    if (!config->access.anonymous_given)
        config->access.anonymous = config->access.password_file == NULL;
}
