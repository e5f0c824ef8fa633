/*
 * The parts of the cursor that are not worth inlining: faults, checked strings, property sections.
 */
#include "protocol/wire.h"

#include "protocol/utf8.h"

void wire_fail(struct wire *w, uint8_t code, const char *why)
{
    if (w->fault.reason_code == 0) {
        w->fault = (struct fault){code, why};
    }
    w->at = w->end;
}

bool wire_refuse(struct fault *fault, uint8_t code, const char *why)
{
    *fault = (struct fault){code, why};
    return false;
}

uint32_t wire_get_varint(struct wire *w)
{
    uint32_t value = 0;
    int used = varint_decode(w->at, wire_left(w), &value);
    if (used > 0) {
        w->at += used;
    } else {
        wire_fail(w, REASON_MALFORMED_PACKET,
                  used == 0 ? "packet ends inside a field" : "variable byte integer is malformed");
    }
    return value;
}

struct bytes wire_get_string(struct wire *w, const char *why)
{
    struct bytes string = wire_get_block(w);
    if (!utf8_is_valid_string(string)) {
        wire_fail(w, REASON_MALFORMED_PACKET, why);
        return (struct bytes){NULL, 0};
    }
    return string;
}

void wire_get_properties(struct wire *w, unsigned place, struct properties *out)
{
    struct fault fault;
    int used = properties_decode(w->at, wire_left(w), place, out, &fault);
    if (used < 0) {
        wire_fail(w, fault.reason_code, fault.why);
        wire_no_properties(out);
        return;
    }
    w->at += used;
}
