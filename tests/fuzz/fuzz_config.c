/*
 * A configuration text gives either a valid configuration or problems, never both or neither; what is said about it
 * is printable; and what was loaded can be copied, and reloaded onto itself without a change.
 */
#include "config/option.h"
#include "config/reload.h"
#include "config/rules.h"
#include "gateway/base/character.h"

#include "tests/fuzz/fuzz.h"

static void check_printable(const char *text)
{
    size_t len = strlen(text);

    while (len > 0) {
        uint32_t c;
        size_t taken = character_decode((const uint8_t *)text, len, &c);
        REQUIRE(taken > 0);
        REQUIRE(!character_is_deceptive(c));
        text += taken;
        len -= taken;
    }
}

static void check_report(const struct config_report *report)
{
    REQUIRE(!report->out_of_memory);
    for (size_t i = 0; i < report->len; i++) {
        check_printable(report->problems[i].path);
        check_printable(report->problems[i].text);
        REQUIRE(report->problems[i].text[0] != '\0');
    }
}

static void check_value(const struct option *row, const void *base)
{
    char text[OPTION_TEXT_BYTES];

    if (row->type == OPTION_NUMBER) {
        uint64_t number = option_number(row, base);
        REQUIRE(number <= option_max(row));
        REQUIRE(number >= row->min || (row->zero != NULL && number == 0));
    }
    if (row->type == OPTION_CHOICE)
        REQUIRE(option_number(row, base) < OPTION_CHOICES_MAX && row->choices[option_number(row, base)] != NULL);
    option_text(row, base, text);
    REQUIRE(option_equal(row, base, base));
}

static void check_listener(const struct config_listener *listener)
{
    REQUIRE(listener->name != NULL);
    REQUIRE((listener->unix_path == NULL) == (listener->address_len > 0));
    REQUIRE((listener->proxy_trusted_len > 0) >= (listener->proxy_protocol && listener->unix_path == NULL));
    OPTION_FOREACH (row) {
        if (option_is_of_listener(row))
            check_value(row, listener);
    }
}

static void check_config(const struct config *c)
{
    struct config_changes changes;
    size_t open;

    REQUIRE(c->listeners_len >= 1 && c->listeners_len <= CONFIG_LISTENERS_MAX);
    REQUIRE(!rules_anonymous_is_missing(c, &open));
    for (size_t i = 0; i < c->listeners_len; i++)
        check_listener(&c->listeners[i]);
    OPTION_FOREACH (row) {
        if (!option_is_of_listener(row))
            check_value(row, c);
    }
    config_changes_init(&changes);
    struct config *merged = config_reload(c, c, &changes);
    REQUIRE(merged != NULL);
    REQUIRE(config_report_is_empty(&changes.now));
    REQUIRE(config_report_is_empty(&changes.connections));
    REQUIRE(config_report_is_empty(&changes.restart));
    config_changes_fini(&changes);
    config_free(merged);
}

/** Whatever replaces the configuration in use: no listener that stays may be opened by silence. */
static void check_reload(const struct config *in_use, const struct config *next)
{
    struct config_changes changes;
    size_t open;

    config_changes_init(&changes);
    struct config *merged = config_reload(in_use, next, &changes);
    REQUIRE(merged != NULL);
    REQUIRE(merged->listeners_len == in_use->listeners_len);
    REQUIRE(!rules_anonymous_is_missing(merged, &open));
    check_report(&changes.now);
    check_report(&changes.connections);
    check_report(&changes.restart);
    config_changes_fini(&changes);
    config_free(merged);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_report report;
    uint8_t *text = exact_copy(data, size);

    config_report_init(&report);
    struct config *c = config_load_text((const char *)text, size, &report);
    REQUIRE((c == NULL) == !config_report_is_empty(&report));
    check_report(&report);
    if (c != NULL) {
        struct config *defaults = config_default();
        REQUIRE(defaults != NULL);
        check_config(c);
        check_reload(defaults, c);
        check_reload(c, defaults);
        config_free(defaults);
    }
    config_free(c);
    config_report_fini(&report);
    free(text);
    return 0;
}
