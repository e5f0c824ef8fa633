/* ACL files: each line as Mosquitto reads it, and every verdict the same as that of a reader that goes through the rules one by one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/access/acl_file.h"
#include "protocol/topic.h"
#include "tests/check_main.h"

static struct acl *parse(const char *text)
{
    struct rule_fault fault;
    struct acl *acl = acl_parse(bytes_from_string(text), &fault);
    ck_assert_msg(acl != NULL, "line %u: %s\n%s", fault.line, fault.text, text);
    return acl;
}

static struct acl_client client_of(const char *id, const char *user)
{
    return (struct acl_client){bytes_from_string(id), bytes_from_string(user)};
}

/* "rw", "r-", "-w" or "--": what USER with client id "c" may do with TOPIC. */
static const char *rights(const struct acl *acl, const char *user, const char *topic)
{
    static const char *const words[] = {"--", "r-", "-w", "rw"};
    struct acl_client client = client_of("c", user);
    return words[acl_may_read(acl, &client, bytes_from_string(topic)) +
                 2 * acl_may_write(acl, &client, bytes_from_string(topic))];
}

/* Each line of TABLE is "USER TOPIC RIGHTS"; a user "-" has no name. */
static void expect(const char *text, const char *const table[][3])
{
    struct acl *acl = parse(text);
    for (size_t i = 0; table[i][0] != NULL; i++) {
        const char *user = strcmp(table[i][0], "-") == 0 ? "" : table[i][0];
        ck_assert_msg(strcmp(rights(acl, user, table[i][1]), table[i][2]) == 0, "%s %s: %s\n%s", table[i][0],
                      table[i][1], rights(acl, user, table[i][1]), text);
    }
    acl_free(acl);
}

START_TEST(gives_each_client_its_own_rules)
{
    expect("# topic readwrite commented\r\n"
           "\n"
           "topic read pub/#\r\n"
           "topic write in\n"
           "   topic both/ways\n"
           "user alice\n"
           "topic readwrite a/+\n"
           "user  the  bob \t\n"
           "topic b/#\n"
           "user alice\n"
           "topic read more\n",
           (const char *const[][3]){{"-", "pub", "r-"},
                                    {"-", "pub/x/y", "r-"},
                                    {"-", "in", "-w"},
                                    {"-", "both/ways", "rw"},
                                    {"-", "a/x", "--"},
                                    {"-", "commented", "--"},
                                    {"alice", "a/x", "rw"},
                                    {"alice", "a/x/y", "--"},
                                    {"alice", "more", "r-"},
                                    {"alice", "pub/x", "--"}, /* names do not inherit */
                                    {"alice", "b/x", "--"},
                                    {"the  bob", "b", "rw"},
                                    {"the bob", "b", "--"},
                                    {"carol", "pub/x", "--"},
                                    {NULL, NULL, NULL}});
}
END_TEST

START_TEST(reads_words_as_mosquitto_does)
{
    expect("topic readwrite\n"
           "topic read\n"
           "topic deny \n"
           "topic   write    a b c  \n"
           "topic /\n"
           "topic read  x\ty\n"
           "topic read %c/%u\n",
           (const char *const[][3]){{"-", "readwrite", "rw"}, /* a single word is the topic */
                                    {"-", "read", "rw"},
                                    {"-", "deny", "rw"},
                                    {"-", "a b c", "-w"},
                                    {"-", "/", "rw"},
                                    {"-", "x\ty", "r-"},
                                    {"-", "%c/%u", "r-"}, /* no placeholders in "topic" */
                                    {"-", "c/", "--"},
                                    {NULL, NULL, NULL}});
    expect("", (const char *const[][3]){{"-", "a", "--"}, {"alice", "a", "--"}, {NULL, NULL, NULL}});
}
END_TEST

START_TEST(a_deny_decides_wherever_it_stands_but_within_its_list)
{
    expect("user alice\n"
           "topic deny a/secret/#\n"
           "topic readwrite a/#\n"
           "topic deny a/late\n"
           "topic write only\n"
           "pattern deny #\n"
           "pattern read only\n"
           "pattern readwrite p/%u\n",
           (const char *const[][3]){{"alice", "a/x", "rw"}, /* a pattern deny does not override */
                                    {"alice", "a/secret", "--"},
                                    {"alice", "a/secret/x", "--"},
                                    {"alice", "a/late", "--"},
                                    {"alice", "only", "-w"}, /* nothing of her own lets her read: the patterns deny */
                                    {"alice", "p/alice", "--"},
                                    {NULL, NULL, NULL}});
    expect("user alice\ntopic deny p/alice\npattern readwrite p/%u\n",
           (const char *const[][3]){{"alice", "p/alice", "--"}, {"bob", "p/bob", "rw"}, {NULL, NULL, NULL}});
}
END_TEST

START_TEST(patterns_are_for_everybody_and_replace_whole_levels)
{
    expect("pattern readwrite u/%u/#\n"
           "user alice\n"
           "pattern read c/%c/x\n"
           "pattern write x%u\n"
           "pattern write %u\n"
           "pattern read plain/+\n",
           (const char *const[][3]){{"alice", "u/alice", "rw"},
                                    {"alice", "u/alice/x", "rw"},
                                    {"alice", "u/bob/x", "--"},
                                    {"alice", "u/%u/x", "--"},
                                    {"alice", "c/c/x", "r-"},
                                    {"alice", "c/d/x", "--"},
                                    {"alice", "xalice", "--"},
                                    {"alice", "x%u", "-w"},
                                    {"alice", "alice", "-w"},
                                    {"alice", "plain/x", "r-"},
                                    {"-", "u", "--"}, /* %u is never nobody */
                                    {"-", "u/", "--"},
                                    {"-", "c/c/x", "r-"},
                                    {"-", "plain/x", "r-"},
                                    {NULL, NULL, NULL}});
}
END_TEST

START_TEST(who_brings_wildcards_gets_no_patterns_cve_2017_7650)
{
    static const struct {
        const char *id, *user;
        bool may;
    } cases[] = {{"c", "u", true},  {"+", "u", false}, {"#", "u", false},   {"c+d", "u", false},
                 {"c", "#", false}, {"c", "+", false}, {"c/#", "u", false}, {"%c", "%u", true}};
    struct acl *acl = parse("user #\ntopic read own\npattern readwrite d/%c/#\npattern readwrite plain\n");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct acl_client client = client_of(cases[i].id, cases[i].user);
        char topic[32];
        snprintf(topic, sizeof(topic), "d/%s/x", cases[i].id);
        ck_assert_int_eq(acl_may_read(acl, &client, bytes_from_string("plain")), cases[i].may);
        ck_assert_int_eq(acl_may_read(acl, &client, bytes_from_string(topic)), cases[i].may);
        ck_assert(!acl_may_read(acl, &client, bytes_from_string("d/victim/x")));
        ck_assert_int_eq(acl_classify(acl, &client, bytes_from_string("plain")),
                         cases[i].may ? ACCESS_ALL : ACCESS_NONE);
    }
    struct acl_client hash = client_of("c", "#");
    ck_assert(acl_may_read(acl, &hash, bytes_from_string("own")));
    acl_free(acl);
}
END_TEST

START_TEST(an_id_with_slashes_is_as_many_levels)
{
    struct acl *acl = parse("pattern read d/%c/x\n");
    struct acl_client client = client_of("a/b", "");
    ck_assert(acl_may_read(acl, &client, bytes_from_string("d/a/b/x")));
    ck_assert(!acl_may_read(acl, &client, bytes_from_string("d/a/bc/x")));
    ck_assert(!acl_may_read(acl, &client, bytes_from_string("d/a/b")));
    ck_assert_int_eq(acl_classify(acl, &client, bytes_from_string("d/+/b/#")), ACCESS_SOME);
    ck_assert_int_eq(acl_classify(acl, &client, bytes_from_string("d/+/x")), ACCESS_NONE);
    acl_free(acl);
}
END_TEST

START_TEST(topics_with_a_dollar_need_rules_with_one)
{
    expect("topic read #\n"
           "topic read +/x\n"
           "topic read $SYS/#\n"
           "topic deny $SYS/secret\n"
           "pattern read %u/x\n",
           (const char *const[][3]){{"-", "a", "r-"},
                                    {"-", "$SYS", "r-"},
                                    {"-", "$SYS/a", "r-"},
                                    {"-", "$SYS/secret", "--"},
                                    {"-", "$other/x", "--"},
                                    {"$SYS", "$SYS/x", "--"},
                                    {NULL, NULL, NULL}});
}
END_TEST

START_TEST(a_line_that_is_wrong_makes_the_file_wrong)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *why;
    } cases[] = {
        {"topic\tread a", 1, "begins with none of"},
        {"topic read\ta", 1, "not by a tab"},
        {"\ntopic  read\ta b", 2, "is not read, write, readwrite or deny"},
        {"topic", 1, "no topic"},
        {"topic   ", 1, "no topic"},
        {"pattern\n", 1, "no topic"},
        {"user", 1, "no user name"},
        {"#\n\nuser  \t\n", 3, "no user name"},
        {"topic rw a", 1, "\"rw\" is not read"},
        {"topic Read a", 1, "\"Read\""},
        {"topic foo#", 1, "not valid"},
        {"topic read a/#/b", 1, "not valid"},
        {"topic a+/b", 1, "not valid"},
        {"topic read a/\xff", 1, "not UTF-8"},
        {" # no comment", 1, "begins with none of"},
        {"Topic a", 1, "begins with none of"},
        {"topics a", 1, "begins with none of"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rule_fault fault;
        struct acl *acl = acl_parse(bytes_from_string(cases[i].text), &fault);
        ck_assert_msg(acl == NULL, "%s is accepted", cases[i].text);
        ck_assert_msg(fault.line == cases[i].line && strstr(fault.text, cases[i].why) != NULL, "%s: %u, %s",
                      cases[i].text, fault.line, fault.text);
    }
    struct rule_fault fault;
    ck_assert_ptr_null(acl_parse((struct bytes){(const uint8_t *)"topic a\0b", 9}, &fault));
}
END_TEST

START_TEST(levels_of_a_rule_are_bounded)
{
    char text[1024] = "topic read a";
    struct rule_fault fault;
    for (unsigned i = 1; i < ACL_LEVELS_MAX; i++) {
        strcat(text, "/+");
    }
    acl_free(parse(text));
    strcat(text, "/+");
    ck_assert_ptr_null(acl_parse(bytes_from_string(text), &fault));
    ck_assert_ptr_nonnull(strstr(fault.text, "levels"));
}
END_TEST

START_TEST(says_what_a_log_may_warn_of)
{
    struct acl *acl = parse("topic a\npattern read x/%c\npattern read x\npattern read y\n");
    ck_assert_uint_eq(acl_plain_pattern_line(acl), 3);
    ck_assert(!acl_has_users(acl));
    acl_free(acl);
    acl = parse("pattern read x/%u\n");
    ck_assert_uint_eq(acl_plain_pattern_line(acl), 0);
    ck_assert(acl_has_users(acl));
    acl_free(acl);
    acl = parse("user x\n");
    ck_assert(acl_has_users(acl));
    acl_free(acl);
}
END_TEST

/* --- classes of filters ------------------------------------------------------------------------------------------------ */

START_TEST(classes_filters_by_what_could_be_read)
{
    static const struct {
        const char *filter;
        enum access_class class;
    } cases[] = {
        {"a", ACCESS_ALL},           {"a/b", ACCESS_ALL},      {"a/+", ACCESS_SOME},    {"a/#", ACCESS_SOME},
        {"a/no", ACCESS_NONE},       {"a/no/x", ACCESS_ALL},   {"a/no/#", ACCESS_SOME}, {"#", ACCESS_SOME},
        {"+", ACCESS_SOME},          {"x", ACCESS_NONE},       {"x/#", ACCESS_NONE},    {"w/x", ACCESS_NONE},
        {"full/x", ACCESS_NONE},     {"full/#", ACCESS_NONE},  {"+/x", ACCESS_SOME},    {"$SYS/#", ACCESS_NONE},
        {"one/+/three", ACCESS_ALL}, {"one/+/+", ACCESS_SOME}, {"odd/+", ACCESS_NONE},  {"odd/+/x", ACCESS_ALL},
        {"odd/#", ACCESS_SOME},
    };
    struct acl *acl = parse("topic read a/#\n"
                            "topic deny a/no\n"
                            "topic write w/#\n"
                            "topic read full/#\n"
                            "topic deny full/#\n"
                            "topic read one/+/three\n"
                            "topic read odd/#\n" /* all but odd and what is one level below */
                            "topic deny odd/+\n"
                            "topic deny odd\n");
    struct acl_client client = client_of("c", "");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_msg(acl_classify(acl, &client, bytes_from_string(cases[i].filter)) == cases[i].class, "%s",
                      cases[i].filter);
    }
    acl_free(acl);
}
END_TEST

/* Random rules, all topics of up to four levels from a few words: what the rules say one by one, and what of it the classes promise. */

#define RULES 7
#define WORDS 7

static uint32_t random_state = 12345;

static unsigned random_below(unsigned n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 10) % n;
}

struct model_rule {
    int list;   /* 0: anonymous, 1: user u, 2: pattern */
    int access; /* 1 read, 2 write, 3 both, 4 deny */
    char filter[64];
};

static void random_filter(char *out, bool is_pattern)
{
    static const char *const words[] = {"a", "b", "+", "+", "%c", "%u", "$x", ""};
    unsigned levels = 1 + random_below(3);
    out[0] = '\0';
    for (unsigned i = 0; i < levels; i++) {
        unsigned word = random_below(8);
        word = (word == 6 && i > 0) || (word == 7 && i == 0) ? 0 : word;
        word = !is_pattern && (word == 4 || word == 5) ? 1 : word;
        strcat(strcat(out, i > 0 ? "/" : ""), words[word]);
    }
    if (random_below(3) == 0) {
        strcat(out, "/#");
    } else if (random_below(12) == 0) {
        strcpy(out, "#");
    }
}

static void substitute(const char *filter, const char *id, const char *user, char *out)
{
    struct bytes rest = bytes_from_string(filter), level;
    bool is_first = true;
    out[0] = '\0';
    while (topic_next_level(&rest, &level)) {
        strcat(out, is_first ? "" : "/");
        is_first = false;
        if (bytes_equal(level, bytes_from_string("%c"))) {
            strcat(out, id);
        } else if (bytes_equal(level, bytes_from_string("%u"))) {
            strcat(out, user);
        } else {
            strncat(out, (const char *)level.data, level.len);
        }
    }
}

/* What the rules of LIST say: -1 deny, 1 grant, 0 nothing. */
static int model_ask(const struct model_rule *rules, int list, const char *topic, int access, const char *user)
{
    int verdict = 0;
    for (int i = 0; i < RULES; i++) {
        char filter[128];
        if (rules[i].list != list || (list == 2 && user[0] == '\0' && strstr(rules[i].filter, "%u") != NULL) ||
            (topic[0] == '$') != (rules[i].filter[0] == '$')) {
            continue;
        }
        substitute(rules[i].filter, "a", user, filter);
        if (!topic_matches(bytes_from_string(filter), bytes_from_string(topic))) {
            continue;
        }
        if (rules[i].access == 4) {
            return -1;
        }
        verdict |= (rules[i].access & access) != 0;
    }
    return verdict;
}

static bool model_may(const struct model_rule *rules, const char *topic, int access, const char *user)
{
    int verdict = model_ask(rules, user[0] == '\0' ? 0 : 1, topic, access, user);
    verdict = verdict == 0 ? model_ask(rules, 2, topic, access, user) : verdict;
    return verdict > 0;
}

/* The topic of NUMBER, whose digits are words, 0 an end. */
static void make_topic(unsigned number, char *out)
{
    static const char *const words[WORDS] = {"", "a", "b", "u", "q", "$x", ""};
    out[0] = '\0';
    for (bool is_first = true; number % WORDS != 0; number /= WORDS, is_first = false) {
        strcat(strcat(out, is_first ? "" : "/"), words[number % WORDS]);
    }
}

static void compare(const struct acl *acl, const struct model_rule *rules, const char *user, const char *text)
{
    char filter[64], topic[64];
    struct acl_client client = client_of("a", user);
    random_filter(filter, false);
    unsigned readable = 0, matching = 0;
    for (unsigned n = 0; n < WORDS * WORDS * WORDS * WORDS; n++) {
        make_topic(n, topic);
        if (topic[0] == '\0') {
            continue;
        }
        bool may_read = acl_may_read(acl, &client, bytes_from_string(topic));
        bool may_write = acl_may_write(acl, &client, bytes_from_string(topic));
        ck_assert_msg(may_read == model_may(rules, topic, 1, user), "read %s by \"%s\"\n%s", topic, user, text);
        ck_assert_msg(may_write == model_may(rules, topic, 2, user), "write %s by \"%s\"\n%s", topic, user, text);
        if (topic_matches(bytes_from_string(filter), bytes_from_string(topic))) {
            matching++;
            readable += may_read;
        }
    }
    enum access_class class = acl_classify(acl, &client, bytes_from_string(filter));
    ck_assert_msg(class != ACCESS_ALL || readable == matching, "%s is not all of \"%s\"\n%s", filter, user, text);
    /* With a word that no rule has, and more levels than any, this is all that there is. */
    ck_assert_msg((class == ACCESS_NONE) == (readable == 0), "%s: class %d, %u of %u for \"%s\"\n%s", filter,
                  (int)class, readable, matching, user, text);
}

START_TEST(says_what_the_rules_say_one_by_one)
{
    static const char *const accesses[] = {"", "read ", "write ", "readwrite ", "deny "};
    static const char *const heads[] = {"", "user u\n", ""};
    for (int round = 0; round < 40; round++) {
        struct model_rule rules[RULES];
        char text[2048] = "";
        for (int list = 0; list < 3; list++) {
            strcat(text, heads[list]);
            for (int i = 0; i < RULES; i++) {
                if (i * 3 / RULES != list) {
                    continue;
                }
                rules[i].list = list;
                rules[i].access = 1 + (int)random_below(4);
                random_filter(rules[i].filter, list == 2);
                strcat(strcat(text, list == 2 ? "pattern " : "topic "), accesses[rules[i].access]);
                strcat(strcat(text, rules[i].filter), "\n");
            }
        }
        struct acl *acl = parse(text);
        compare(acl, rules, "", text);
        compare(acl, rules, "u", text);
        acl_free(acl);
    }
}
END_TEST

START_TEST(many_rules_cost_no_more_than_few)
{
    enum { MANY = 20000 };
    size_t cap = MANY * 40, len = 0;
    char *text = malloc(cap);
    ck_assert_ptr_nonnull(text);
    len += (size_t)snprintf(text, cap, "user u\n");
    for (int i = 0; i < MANY; i++) {
        len += (size_t)snprintf(text + len, cap - len, "topic read site/%d/+/x\n", i);
    }
    struct rule_fault fault;
    struct acl *acl = acl_parse((struct bytes){(const uint8_t *)text, len}, &fault);
    ck_assert_ptr_nonnull(acl);
    struct acl_client client = client_of("c", "u");
    for (int i = 0; i < MANY; i++) { /* a walk through all rules for each would take minutes */
        char topic[40];
        snprintf(topic, sizeof(topic), "site/%d/y/x", i);
        ck_assert(acl_may_read(acl, &client, bytes_from_string(topic)));
        ck_assert(!acl_may_write(acl, &client, bytes_from_string(topic)));
    }
    acl_free(acl);
    free(text);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("acl_file");
    TCase *tc = tcase_create("file");
    tcase_add_test(tc, gives_each_client_its_own_rules);
    tcase_add_test(tc, reads_words_as_mosquitto_does);
    tcase_add_test(tc, a_deny_decides_wherever_it_stands_but_within_its_list);
    tcase_add_test(tc, patterns_are_for_everybody_and_replace_whole_levels);
    tcase_add_test(tc, who_brings_wildcards_gets_no_patterns_cve_2017_7650);
    tcase_add_test(tc, an_id_with_slashes_is_as_many_levels);
    tcase_add_test(tc, topics_with_a_dollar_need_rules_with_one);
    tcase_add_test(tc, a_line_that_is_wrong_makes_the_file_wrong);
    tcase_add_test(tc, levels_of_a_rule_are_bounded);
    tcase_add_test(tc, says_what_a_log_may_warn_of);
    suite_add_tcase(s, tc);
    tc = tcase_create("class");
    tcase_add_test(tc, classes_filters_by_what_could_be_read);
    tcase_add_test(tc, says_what_the_rules_say_one_by_one);
    tcase_add_test(tc, many_rules_cost_no_more_than_few);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
