/**
 * Writes what is derived from the option table, so that it cannot say anything else:
 *
 *      make_reference schema            tidegate.schema.json (JSON Schema, draft 2020-12)
 *      make_reference table             the tables of README.md
 *
 * `make config-reference` puts both where they belong; tests/config/check_reference.sh fails if that was forgotten.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/option.h"

static _Noreturn void give_up(void)
{
    fprintf(stderr, "make_reference: out of memory or output refused\n");
    exit(EXIT_FAILURE);
}

/** VALUE becomes OBJECT's KEY. */
static void set(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        give_up();
}

static void append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        give_up();
}

/** The help text without the marks of Markdown. */
static json_t *plain_text(const char *help)
{
    char text[512];
    size_t len = 0;

    for (const char *p = help; *p && len < sizeof(text) - 1; p++) {
        if (*p != '`')
            text[len++] = *p;
    }
    text[len] = '\0';
    return json_string(text);
}

static json_t *range_schema(const struct option *row)
{
    return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)row->min, "maximum",
                     (json_int_t)row->max);
}

static json_t *number_schema(const struct option *row)
{
    json_t *schema;

    if (!row->zero || row->min <= 1) {
        schema = range_schema(row);
        if (row->zero)
            set(schema, "minimum", json_integer(0));
    } else {
        schema = json_pack("{s:[{s:i}, o]}", "anyOf", "const", 0, range_schema(row));
    }
    set(schema, "default", json_integer((json_int_t)row->number));
    return schema;
}

static json_t *choice_schema(const struct option *row)
{
    json_t *words = json_array();

    for (size_t i = 0; i < OPTION_CHOICES_MAX && row->choices[i]; i++)
        append(words, json_string(row->choices[i]));
    return json_pack("{s:o, s:s}", "enum", words, "default", row->choices[row->number]);
}

static json_t *string_schema(const struct option *row)
{
    json_t *schema =
        row->nullable ? json_pack("{s:[s, s]}", "type", "string", "null") : json_pack("{s:s}", "type", "string");

    if (row->min > 0)
        set(schema, "minLength", json_integer((json_int_t)row->min));
    if (row->max > 0)
        set(schema, "maxLength", json_integer((json_int_t)row->max));
    if (row->pattern)
        set(schema, "pattern", json_string(row->pattern));
    if (row->nullable || row->text)
        set(schema, "default", row->text ? json_string(row->text) : json_null());
    return schema;
}

static json_t *mode_schema(const struct option *row)
{
    char text[8];

    snprintf(text, sizeof(text), "%04o", (unsigned)row->number);
    return json_pack("{s:s, s:s, s:s}", "type", "string", "pattern", row->pattern, "default", text);
}

static json_t *section_schema(const char *section);

/** What of a listener depends on its other keys. */
static json_t *listener_schema(void)
{
    json_t *schema = section_schema(OPTION_LISTENER_SECTION);
    json_t *ways = json_pack("[{s:[s]}, {s:[s]}]", "required", "bind", "required", "unix");
    json_t *needs = json_pack("{s:[s], s:[s]}", "unix_mode", "unix", "proxy_trusted", "proxy_protocol");
    json_t *if_proxied = json_pack("{s:{s:{s:b}}, s:[s, s]}", "properties", "proxy_protocol", "const", 1, "required",
                                   "bind", "proxy_protocol");
    json_t *then_named = json_pack("{s:[s]}", "required", "proxy_trusted");

    set(schema, "oneOf", ways);
    set(schema, "dependentRequired", needs);
    set(schema, "if", if_proxied);
    set(schema, "then", then_named);
    set(schema, "not", json_pack("{s:[s, s]}", "required", "unix", "proxy_trusted"));
    return schema;
}

static json_t *list_schema(const struct option *row, json_t *items)
{
    return json_pack("{s:s, s:I, s:I, s:o}", "type", "array", "minItems", (json_int_t)row->min, "maxItems",
                     (json_int_t)row->max, "items", items);
}

/** What of the store depends on its other keys. */
static void add_store_rules(json_t *schema)
{
    set(schema, "if", json_pack("{s:[s]}", "required", "interval_ms"));
    set(schema, "then",
        json_pack("{s:{s:{s:s}}, s:[s]}", "properties", "sync", "const", "interval", "required", "sync"));
}

static json_t *value_schema(const struct option *row)
{
    char section[64];
    json_t *schema;

    switch (row->type) {
    case OPTION_BOOL:
        return json_pack("{s:s, s:b}", "type", "boolean", "default", (int)row->number);
    case OPTION_NUMBER:
        return number_schema(row);
    case OPTION_CHOICE:
        return choice_schema(row);
    case OPTION_STRING:
    case OPTION_ADDRESS:
    case OPTION_REMARK:
        return string_schema(row);
    case OPTION_MODE:
        return mode_schema(row);
    case OPTION_NETWORKS:
    case OPTION_TEXTS:
        return list_schema(row, json_pack("{s:s, s:s}", "type", "string", "pattern", row->pattern));
    case OPTION_LISTENERS:
        return list_schema(row, listener_schema());
    case OPTION_SECTION:
        snprintf(section, sizeof(section), "%s.", row->path);
        schema = section_schema(section);
        if (row->nullable)
            set(schema, "type", json_pack("[s, s]", "object", "null"));
        if (strcmp(row->path, "store") == 0)
            add_store_rules(schema);
        return schema;
    case OPTION_NOT_BUILT:
        break;
    }
    return NULL;
}

/** Keys of later versions are left out, so that they are refused like unknown ones. */
static json_t *section_schema(const char *section)
{
    json_t *properties = json_object();

    OPTION_FOREACH (row) {
        const char *name = option_name_in(row, section);
        if (!name || row->type == OPTION_NOT_BUILT)
            continue;
        json_t *schema = value_schema(row);
        set(schema, "description", plain_text(row->help));
        set(properties, name, schema);
    }
    return json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties, "additionalProperties", 0);
}

static void write_schema(void)
{
    json_t *schema = json_pack(
        "{s:s, s:s, s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema", "title", "Tidegate configuration",
        "description",
        "Beyond this, an account must exist, listeners must differ, and a listener whose address "
        "is not loopback needs access.anonymous or access.password_file to be written. tidegate --check tells all.");

    if (!schema || json_object_update_new(schema, section_schema("")) != 0 ||
        json_dumpf(schema, stdout, JSON_INDENT(2)) != 0)
        give_up();
    putchar('\n');
    json_decref(schema);
}

static const char *type_text(const struct option *row)
{
    switch (row->type) {
    case OPTION_BOOL:
        return "true or false";
    case OPTION_NUMBER:
        return "number";
    case OPTION_CHOICE:
        return "word";
    case OPTION_STRING:
        return row->nullable ? "string or null" : "string";
    case OPTION_MODE:
        return "octal string";
    case OPTION_ADDRESS:
        return "address";
    case OPTION_NETWORKS:
        return "list of networks";
    case OPTION_TEXTS:
        return "list of strings";
    case OPTION_LISTENERS:
        return "list of objects";
    case OPTION_REMARK:
        return "string";
    default:
        return row->nullable ? "object or null" : "object";
    }
}

static void write_default(const struct option *row)
{
    switch (row->type) {
    case OPTION_BOOL:
        printf("`%s`", row->number ? "true" : "false");
        break;
    case OPTION_NUMBER:
        printf("%" PRIu64, row->number);
        break;
    case OPTION_CHOICE:
        printf("`\"%s\"`", row->choices[row->number]);
        break;
    case OPTION_MODE:
        printf("`\"%04o\"`", (unsigned)row->number);
        break;
    case OPTION_STRING:
        if (row->text)
            printf("`\"%s\"`", row->text);
        else
            printf(row->nullable ? "`null`" : "none");
        break;
    case OPTION_ADDRESS:
    case OPTION_NETWORKS:
    case OPTION_TEXTS:
        printf("none");
        break;
    default:
        break;
    }
}

static void write_range(const struct option *row)
{
    switch (row->type) {
    case OPTION_NUMBER:
        printf("%" PRIu64 " to %" PRIu64, row->min, row->max);
        if (row->zero)
            printf("; 0: %s", row->zero);
        break;
    case OPTION_CHOICE:
        for (size_t i = 0; i < OPTION_CHOICES_MAX && row->choices[i]; i++)
            printf("%s`%s`", i > 0 ? ", " : "", row->choices[i]);
        break;
    case OPTION_STRING:
        printf("%" PRIu64 " to %" PRIu64 " bytes", row->min, row->max);
        break;
    case OPTION_MODE:
        printf("`\"0000\"` to `\"%04o\"`", (unsigned)row->max);
        break;
    case OPTION_NETWORKS:
    case OPTION_TEXTS:
    case OPTION_LISTENERS:
        printf("%" PRIu64 " to %" PRIu64 " entries", row->min, row->max);
        break;
    default:
        break;
    }
}

static const char *reload_text(const struct option *row)
{
    if (row->type == OPTION_SECTION || row->type == OPTION_REMARK)
        return "";
    switch (row->reload) {
    case OPTION_CONNECTIONS:
        return "new connections";
    case OPTION_RESTART:
        return "restart";
    default:
        return "at once";
    }
}

static void write_table(void)
{
    printf("| Key | Type | Default | Range | A change applies | Meaning |\n| --- | --- | --- | --- | --- | --- |\n");
    OPTION_FOREACH (row) {
        if (row->type == OPTION_NOT_BUILT)
            continue;
        printf("| `%s` | %s | ", row->path, type_text(row));
        write_default(row);
        printf(" | ");
        write_range(row);
        printf(" | %s | %s |\n", reload_text(row), row->help);
    }
    printf("\nKeys that are planned; this version refuses them:\n\n| Key | Meaning |\n| --- | --- |\n");
    OPTION_FOREACH (row) {
        if (row->type == OPTION_NOT_BUILT)
            printf("| `%s` | %s |\n", row->path, row->help);
        for (size_t i = 0; i < OPTION_CHOICES_MAX && row->not_built[i]; i++)
            printf("| `%s`: `\"%s\"` | |\n", row->path, row->not_built[i]);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "schema") == 0) {
        write_schema();
    } else if (argc == 2 && strcmp(argv[1], "table") == 0) {
        write_table();
    } else {
        fprintf(stderr, "usage: %s schema|table\n", argv[0]);
        return 2;
    }
    if (fflush(stdout) != 0)
        give_up();
    return EXIT_SUCCESS;
}
