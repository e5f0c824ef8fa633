/**
 * The one table of all configuration keys. Reader, defaults, copy, reload, JSON Schema and the reference in
 * README.md follow it; to add a key is to add a row here and a member in config.h.
 *
 * A row stands for one key. Sections are the part of the path in front of the key's name: "" for the text as a
 * whole, "limits.", "listeners[]." for what each listener has.
 *
 *      path                    base that offset counts from
 *      "workers"               struct config
 *      "limits.packet_bytes"   struct config
 *      "listeners[].backlog"   struct config_listener
 */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTION_LISTENER_SECTION "listeners[]."
#define OPTION_TEXT_BYTES       256u /* what option_text() writes at most, with the NUL */
#define OPTION_CHOICES_MAX      4u

enum option_type {
    OPTION_BOOL,      /* bool: true or false */
    OPTION_NUMBER,    /* unsigned member of any size: a whole number from min to max, or 0 if `zero` says so */
    OPTION_CHOICE,    /* enum: one of `choices`, in the order of the enum */
    OPTION_STRING,    /* owned char *: min to max bytes that `check` accepts; NULL is its default if `text` is NULL */
    OPTION_MODE,      /* mode_t: permission bits as an octal string */
    OPTION_ADDRESS,   /* the address members of a listener */
    OPTION_NETWORKS,  /* owned struct config_network *, followed by its size_t length: a list of networks */
    OPTION_TEXTS,     /* owned char **, followed by its size_t length: a list of strings that `check` accepts */
    OPTION_SECTION,   /* an object that holds the keys of its section; no member of its own */
    OPTION_LISTENERS, /* the list of listeners */
    OPTION_REMARK,    /* a string for editors and people; forgotten */
    OPTION_NOT_BUILT, /* documented, refused by this version */
};

/** When a changed value takes effect. */
enum option_reload {
    OPTION_NOW,         /* wherever it is read next */
    OPTION_CONNECTIONS, /* for clients that connect from now on */
    OPTION_RESTART,     /* at the next start */
};

struct option {
    const char *path;
    enum option_type type;
    enum option_reload reload;
    size_t offset; /* of the member from its base */
    size_t size;   /* of the member */
    uint64_t min;
    uint64_t max;
    uint64_t number;                         /* default of BOOL, NUMBER, CHOICE and MODE */
    const char *text;                        /* default of STRING */
    const char *zero;                        /* NUMBER: what 0 means although it is below min; NULL: nothing */
    const char *choices[OPTION_CHOICES_MAX]; /* CHOICE; NULL: no more */
    const char *not_built[OPTION_CHOICES_MAX];
    const char *(*check)(const char *text); /* STRING, TEXTS: what is wrong with it, static text; NULL: nothing */
    const char *pattern; /* STRING, MODE, ADDRESS, TEXTS, NETWORKS: regular expression for the JSON Schema */
    bool nullable;       /* null may be written and means the default */
    const char *help;    /* what it does, for the reference: one line of Markdown */
};

/** All keys, in the order of the reference. */
extern const struct option option_table[];
extern const size_t option_count;

/** For each ROW of the table. */
#define OPTION_FOREACH(row) for (const struct option *row = option_table; row < option_table + option_count; row++)

/** The key's name without its section, if ROW belongs to SECTION; else NULL. */
const char *option_name_in(const struct option *row, const char *section);

/** The key's name without its section. */
const char *option_name(const struct option *row);

/** True if the member of ROW lies in a struct config_listener. */
bool option_is_of_listener(const struct option *row);

/** The row of KEY in SECTION; NULL if there is none. */
const struct option *option_find(const char *section, const char *key);

/** The number, choice, mode or bool that ROW has at BASE. */
uint64_t option_number(const struct option *row, const void *base);

/** Set it. NUMBER fits the member. */
void option_set_number(const struct option *row, void *base, uint64_t number);

/** The largest number that may be written for ROW on this machine: its max, or what the member can hold. */
uint64_t option_max(const struct option *row);

/** Replace the string that ROW has at BASE by a copy of TEXT (NULL: none). @return false without memory */
bool option_set_string(const struct option *row, void *base, const char *text) __attribute__((warn_unused_result));

/** Set the list that ROW, of type NETWORKS or TEXTS, has at BASE, where there is none yet, to LEN ITEMS (taken). */
void option_put_list(const struct option *row, void *base, void *items, size_t len);

/** Set ROW at BASE to its default. @return false without memory */
bool option_set_default(const struct option *row, void *base) __attribute__((warn_unused_result));

/** Free what ROW owns at BASE and leave nothing there. */
void option_clear(const struct option *row, void *base);

/** Like option_clear(), but what was there belongs to somebody else. */
void option_forget(const struct option *row, void *base);

/** Make ROW at TO, which was cleared, what it is at FROM. @return false without memory */
bool option_copy(const struct option *row, void *to, const void *from) __attribute__((warn_unused_result));

/** True if both bases have the same value for ROW. */
bool option_equal(const struct option *row, const void *a, const void *b);

/** Write the value that ROW has at BASE, as in JSON; cut with "..." if it is long. */
void option_text(const struct option *row, const void *base, char out[OPTION_TEXT_BYTES]);

#endif
