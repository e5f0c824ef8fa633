#include "web/input_check.h"

#include <string.h>

enum state {
    STATE_LINE, /* the request line */
    STATE_NAME, /* of a header, or the empty line */
    STATE_VALUE,
    STATE_BODY,
    STATE_FRAME,  /* first byte of a frame */
    STATE_LENGTH, /* its second byte */
    STATE_LENGTH_MORE,
    STATE_MASK,
    STATE_PAYLOAD,
    STATE_ANYTHING,
};

enum header {
    HEADER_OTHER,
    HEADER_LENGTH,
    HEADER_ENCODING,
    HEADER_UPGRADE,
};

#define LENGTH_DIGITS_MAX 9
#define MASK_BYTES        4

static struct { /* written once, before there are threads */
    const char *const *names;
    size_t count;
} known;

void input_check_open(const char *const *names, size_t count)
{
    known.names = names;
    known.count = count < INPUT_CHECK_NAMES_MAX ? count : INPUT_CHECK_NAMES_MAX;
}

static char lower(uint8_t c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool is_token_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* --- names ------------------------------------------------------------------------------------------------------- */

static void begin_name(struct input_check *check)
{
    check->state = STATE_NAME;
    check->first = 0;
    check->matching = (uint8_t)known.count;
    check->at = 0;
}

/* Of the names that match so far, keep those that go on with C. They stand together, as they are sorted. */
static void narrow(struct input_check *check, char c)
{
    while (check->matching > 0 && known.names[check->first][check->at] != c) {
        check->first++;
        check->matching--;
    }
    while (check->matching > 0 && known.names[check->first + check->matching - 1][check->at] != c) {
        check->matching--;
    }
}

static enum header header_of(const struct input_check *check)
{
    static const struct {
        const char *name;
        enum header header;
    } headers[] = {
        {"content-length", HEADER_LENGTH},
        {"transfer-encoding", HEADER_ENCODING},
        {"upgrade", HEADER_UPGRADE},
    };
    const char *name = known.names[check->first];
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        if (strcmp(name, headers[i].name) == 0) {
            return headers[i].header;
        }
    }
    return HEADER_OTHER;
}

static const char *end_name(struct input_check *check)
{
    bool is_known = check->matching > 0 && known.names[check->first][check->at] == '\0';
    if (check->at == 0) {
        return "a header without a name";
    }
    if (check->matching > 0 && !is_known) {
        return "a header whose name is the beginning of another one's is not supported";
    }
    check->header = is_known ? (uint8_t)header_of(check) : HEADER_OTHER;
    if (check->header == HEADER_ENCODING || (check->header == HEADER_LENGTH && check->has_length)) {
        check->is_unknown = true;
    }
    check->has_length |= check->header == HEADER_LENGTH;
    check->state = STATE_VALUE;
    check->at = 0;
    return NULL;
}

static const char *take_name(struct input_check *check, uint8_t c)
{
    if (c == ':') {
        return end_name(check);
    }
    if (!is_token_char(c)) {
        return "a header's name has a character that none may have";
    }
    narrow(check, lower(c));
    if (check->at < UINT8_MAX) {
        check->at++; /* a longer one than any that is known: none matches any more */
    }
    return NULL;
}

/* --- values ------------------------------------------------------------------------------------------------------ */

static void take_value(struct input_check *check, uint8_t c)
{
    static const char websocket[] = "websocket";
    if (check->header == HEADER_LENGTH) {
        bool is_digit = c >= '0' && c <= '9' && check->digits < LENGTH_DIGITS_MAX;
        if (is_digit) {
            check->length = check->length * 10 + (c - '0');
            check->digits++;
        } else if (c != ' ' || check->digits > 0) {
            check->is_unknown = true;
        }
    } else if (check->header == HEADER_UPGRADE) {
        if (check->at < sizeof websocket - 1 && lower(c) == websocket[check->at]) {
            check->at++;
        } else if (c != ' ' || check->at > 0) {
            check->at = UINT8_MAX;
        }
        check->is_upgrade = check->at == sizeof websocket - 1;
    }
}

static void end_head(struct input_check *check)
{
    if (check->has_length && check->digits == 0) {
        check->is_unknown = true;
    }
    uint64_t length = check->length;
    enum state next = check->is_unknown   ? STATE_ANYTHING
                      : check->is_upgrade ? STATE_FRAME
                      : length > 0        ? STATE_BODY
                                          : STATE_LINE;
    *check = (struct input_check){.left = length, .state = (uint8_t)next};
}

static const char *end_line(struct input_check *check)
{
    if (check->state == STATE_NAME && check->at > 0) {
        return "a header without a colon";
    }
    if (check->state == STATE_NAME) {
        end_head(check);
    } else {
        begin_name(check);
    }
    return NULL;
}

static const char *take_head(struct input_check *check, uint8_t c)
{
    bool had_cr = check->has_cr;
    check->has_cr = c == '\r';
    if (c == '\n') {
        return end_line(check);
    }
    if (had_cr) {
        return "a carriage return without a line feed";
    }
    if (c == '\r') {
        return NULL;
    }
    if (check->state == STATE_NAME) {
        return take_name(check, c);
    }
    if ((c < ' ' && c != '\t') || c == 0x7F) {
        return "a control character";
    }
    if (check->state == STATE_VALUE) {
        take_value(check, c);
    }
    return NULL;
}

/* --- frames ------------------------------------------------------------------------------------------------------ */

static const char *take_frame(struct input_check *check, uint8_t c)
{
    switch (check->state) {
    case STATE_FRAME:
        check->state = STATE_LENGTH;
        return NULL;
    case STATE_LENGTH:
        if ((c & 0x80) == 0) {
            return "a frame without a mask";
        }
        check->left = c & 0x7F;
        check->at = check->left == 126 ? 2 : check->left == 127 ? 8 : 0; /* bytes of the length that follow */
        check->left = check->at > 0 ? 0 : check->left;
        check->state = check->at > 0 ? STATE_LENGTH_MORE : STATE_MASK;
        check->digits = 0;
        return NULL;
    case STATE_LENGTH_MORE:
        check->left = check->left << 8 | c;
        check->at--;
        check->state = check->at > 0 ? STATE_LENGTH_MORE : STATE_MASK;
        return NULL;
    default: /* STATE_MASK */
        if (++check->digits == MASK_BYTES) {
            check->state = check->left > 0 ? STATE_PAYLOAD : STATE_FRAME;
        }
        return NULL;
    }
}

const char *input_check_bytes(struct input_check *check, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        const char *wrong = NULL;
        size_t taken = 1;
        if (check->state == STATE_ANYTHING) {
            return NULL;
        }
        if (check->state == STATE_BODY || check->state == STATE_PAYLOAD) {
            taken = check->left < len ? (size_t)check->left : len;
            check->left -= taken;
            if (check->left == 0) {
                check->state = check->state == STATE_BODY ? STATE_LINE : STATE_FRAME;
            }
        } else if (check->state <= STATE_VALUE) {
            wrong = take_head(check, *bytes);
        } else {
            wrong = take_frame(check, *bytes);
        }
        if (wrong != NULL) {
            return wrong;
        }
        bytes += taken;
        len -= taken;
    }
    return NULL;
}
