/*
 * ACL files: nothing behind the text is read; a fault names a line of the text; what is accepted answers alike when it is read again,
 * and a class is never more than each topic is allowed.
 */
#include "gateway/access/acl_file.h"

#include "protocol/topic.h"
#include "tests/fuzz/fuzz.h"

static const char *const topics[] = {"a", "a/b", "a/b/c", "/", "$SYS/x", "c", "u/c", "b/u"};
static const char *const filters[] = {"#", "+", "a/#", "a/+", "+/b", "$SYS/#", "a/b"};

static void look(const struct acl *acl, const struct acl_client *client)
{
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        struct bytes filter = bytes_from_string(filters[i]);
        enum access_class class = acl_classify(acl, client, filter);
        for (size_t t = 0; t < sizeof(topics) / sizeof(topics[0]); t++) {
            struct bytes topic = bytes_from_string(topics[t]);
            bool may_read = acl_may_read(acl, client, topic);
            (void)acl_may_write(acl, client, topic);
            if (topic_matches(filter, topic)) {
                REQUIRE(class != ACCESS_ALL || may_read);
                REQUIRE(class != ACCESS_NONE || !may_read);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = exact_copy(data, size);
    struct rule_fault fault = {.line = 0};
    struct acl *acl = acl_parse((struct bytes){copy, size}, &fault);
    free(copy); /* the rules keep what they need */
    if (acl == NULL) {
        size_t lines = 1;
        for (size_t i = 0; i < size; i++) {
            lines += data[i] == '\n';
        }
        REQUIRE(fault.line >= 1 && fault.line <= lines && fault.text[0] != '\0');
        return 0;
    }
    static const char *const names[][2] = {{"c", "u"}, {"c", ""}, {"", "u"}, {"a/b", "#"}, {"$SYS", "a"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct acl_client client = {bytes_from_string(names[i][0]), bytes_from_string(names[i][1])};
        look(acl, &client);
    }
    acl_free(acl);
    return 0;
}
