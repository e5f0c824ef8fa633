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
#define DROPPED_MAX       8   /* bytes of empty lines in front of a request; for each, all that follows is moved */
#define CONTROL_BYTES_MAX 125 /* of the payload of a close, ping or pong */

/* What is looked at, and mended: DATA is LEN bytes long and has room for CAP; AT is the byte that comes next. */
struct input {
    uint8_t *data;
    size_t len, cap, at;
};

/* Methods whose requests the library reads a body of, with the space behind them. */
static const char *const body_methods[] = {"POST ", "PUT ", "PATCH "};

#define BODY_METHODS     (sizeof body_methods / sizeof body_methods[0])
#define ALL_BODY_METHODS ((1u << BODY_METHODS) - 1)

static struct { /* written once, before there are threads */
    const char *const *names;
    size_t count;
} known;

void input_check_open(const char *const *names, size_t count)
{
    known.names = names;
    known.count = count < INPUT_CHECK_NAMES_MAX ? count : INPUT_CHECK_NAMES_MAX;
}

/* Put TEXT in front of the byte at AT, which stays the one that comes next. @return false if there is no room */
static bool insert(struct input *input, const char *text)
{
    size_t len = strlen(text);
    if (len > input->cap - input->len) {
        return false;
    }
    memmove(input->data + input->at + len, input->data + input->at, input->len - input->at);
    memcpy(input->data + input->at, text, len);
    input->len += len;
    input->at += len;
    return true;
}

/* Take the byte at AT away. */
static void drop(struct input *input)
{
    input->len--;
    memmove(input->data + input->at, input->data + input->at + 1, input->len - input->at);
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

/* --- the request line -------------------------------------------------------------------------------------------- */

static const char *take_line(struct input_check *check, uint8_t c)
{
    if (check->at == 0) {
        check->methods = ALL_BODY_METHODS;
        check->in_method = true;
        check->has_small = false;
    }
    check->has_small |= check->in_method && c >= 'a' && c <= 'z';
    if (check->in_method && c == ' ' && check->has_small) {
        return "the method is not known: they are written in capitals";
    }
    for (size_t i = 0; i < BODY_METHODS && check->in_method; i++) {
        if ((check->methods & 1u << i) != 0 && body_methods[i][check->at] != (char)c) {
            check->methods &= (uint8_t) ~(1u << i);
        }
    }
    check->in_method &= c != ' ';
    check->is_http_1_0 = c == '0'; /* the last character, at the end */
    check->at = check->in_method && check->methods != 0 ? check->at + 1 : UINT8_MAX;
    return NULL;
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

/* A name that only begins like a known one gets another end, with which the library takes it for what it is: unknown. */
static const char *end_name(struct input_check *check, struct input *input)
{
    bool is_known = check->matching > 0 && known.names[check->first][check->at] == '\0';
    if (check->at == 0) {
        return "a header without a name";
    }
    if (check->matching > 0 && !is_known && !insert(input, "!")) {
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

static const char *take_name(struct input_check *check, struct input *input, uint8_t c)
{
    if (c == ':') {
        return end_name(check, input);
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

/* Neither Content-Length nor Transfer-Encoding: the body is empty [RFC 9112, 6.3]. The library would wait for one. */
static bool lacks_length(const struct input_check *check)
{
    return check->methods != 0 && !check->is_http_1_0 && !check->has_length && !check->is_unknown;
}

static const char *end_head(struct input_check *check, struct input *input)
{
    if (check->has_length && check->digits == 0 && !check->is_unknown) {
        return "Content-Length is empty";
    }
    if (lacks_length(check)) {
        insert(input, "Content-Length: 0\r\n"); /* without room the request is refused for lack of a length */
        if (check->has_held_cr) {
            insert(input, "\r");
        }
    }
    uint64_t length = check->length;
    enum state next = check->is_unknown   ? STATE_ANYTHING
                      : check->is_upgrade ? STATE_FRAME
                      : length > 0        ? STATE_BODY
                                          : STATE_LINE;
    *check = (struct input_check){.left = length, .state = (uint8_t)next};
    return NULL;
}

static const char *end_line(struct input_check *check, struct input *input)
{
    if (check->state == STATE_NAME && check->at > 0) {
        return "a header without a colon";
    }
    if (check->state == STATE_NAME) {
        return end_head(check, input);
    }
    begin_name(check);
    return NULL;
}

/* @return true if the byte is not for the library: an empty line in front of a request [RFC 9112, 2.2], or the CR that ends a head, for which a
 * header may yet have to be put in */
static bool is_held_back(struct input_check *check, uint8_t c)
{
    if (check->state == STATE_LINE) {
        return check->at == 0 && (c == '\r' || c == '\n');
    }
    if (check->state == STATE_NAME && check->at == 0 && c == '\r' && lacks_length(check)) {
        check->has_held_cr = true;
        return true;
    }
    return false;
}

/* Look at the byte that comes next, and go past it. */
static const char *take_head(struct input_check *check, struct input *input)
{
    uint8_t c = input->data[input->at];
    bool had_cr = check->has_cr;
    const char *wrong = NULL;
    check->has_cr = c == '\r';
    if (had_cr && c != '\n') {
        return "a carriage return without a line feed";
    }
    if (is_held_back(check, c)) {
        drop(input);
        return check->state == STATE_LINE && ++check->dropped > DROPPED_MAX
                   ? "too many empty lines in front of a request"
                   : NULL;
    }
    if (c == '\n') {
        wrong = end_line(check, input);
    } else if (c == '\r') {
        wrong = NULL;
    } else if (check->state == STATE_NAME) {
        wrong = take_name(check, input, c);
    } else if ((c < ' ' && c != '\t') || c == 0x7F) {
        wrong = "a control character";
    } else if (check->state == STATE_VALUE) {
        take_value(check, c);
    } else {
        wrong = take_line(check, c);
    }
    input->at++;
    return wrong;
}

/* --- frames ------------------------------------------------------------------------------------------------------ */

static const char *take_frame(struct input_check *check, uint8_t c)
{
    switch (check->state) {
    case STATE_FRAME:
        check->state = STATE_LENGTH;
        check->is_control = (c & 0x08) != 0;
        return NULL;
    case STATE_LENGTH:
        if ((c & 0x80) == 0) {
            return "a frame without a mask";
        }
        check->left = c & 0x7F;
        if (check->is_control && check->left > CONTROL_BYTES_MAX) {
            return "a control frame of more than 125 bytes";
        }
        check->at = check->left == 126 ? 2 : check->left == 127 ? 8 : 0; /* bytes of the length that follow */
        check->left = check->at > 0 ? 0 : check->left;
        check->state = check->at > 0 ? STATE_LENGTH_MORE : STATE_MASK;
        check->digits = 0;
        return NULL;
    case STATE_LENGTH_MORE:
        check->left = check->left << 8 | c;
        check->at--;
        if (check->at == 0 && check->left > INT64_MAX) {
            return "the length of a frame has its highest bit set";
        }
        check->state = check->at > 0 ? STATE_LENGTH_MORE : STATE_MASK;
        return NULL;
    default: /* STATE_MASK */
        if (++check->digits == MASK_BYTES) {
            check->state = check->left > 0 ? STATE_PAYLOAD : STATE_FRAME;
        }
        return NULL;
    }
}

size_t input_check_room(const struct input_check *check, size_t cap)
{
    return check->state <= STATE_BODY && cap > 1 ? cap / 2
                                                 : cap; /* what is put into requests is at most as long as they are */
}

bool input_check_has_upgraded(const struct input_check *check)
{
    return check->state >= STATE_FRAME && check->state <= STATE_PAYLOAD;
}

const char *input_check_bytes(struct input_check *check, uint8_t *bytes, size_t *len, size_t cap)
{
    struct input input = {.data = bytes, .len = *len, .cap = cap};
    const char *wrong = NULL;
    while (wrong == NULL && input.at < input.len && check->state != STATE_ANYTHING) {
        if (check->state == STATE_BODY || check->state == STATE_PAYLOAD) {
            size_t rest = input.len - input.at;
            size_t taken = check->left < rest ? (size_t)check->left : rest;
            check->left -= taken;
            if (check->left == 0) {
                check->state = check->state == STATE_BODY ? STATE_LINE : STATE_FRAME;
            }
            input.at += taken;
        } else if (check->state <= STATE_VALUE) {
            wrong = take_head(check, &input);
        } else {
            wrong = take_frame(check, input.data[input.at++]);
        }
    }
    *len = input.len;
    return wrong;
}
