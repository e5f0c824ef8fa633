#include "web/publish_status.h"

#include <sys/random.h>

#include "gateway/base/assert.h"
#include "protocol/reason.h"

unsigned publish_status(uint8_t code)
{
    switch (code) {
    case REASON_SUCCESS:
        return 200;
    case REASON_TOPIC_NAME_INVALID:
        return 400;
    case REASON_NOT_AUTHORIZED:
        return 403;
    case REASON_PACKET_TOO_LARGE:
        return 413;
    case REASON_PAYLOAD_FORMAT_INVALID:
    case REASON_QOS_NOT_SUPPORTED:
    case REASON_RETAIN_NOT_SUPPORTED:
        return 422;
    case REASON_QUOTA_EXCEEDED:
        return 507;
    default:
        return 503;
    }
}

void publish_id(char out[PUBLISH_ID_BYTES])
{
    uint8_t random[16];
    TG_ASSERT(getrandom(random, sizeof(random), 0) == (ssize_t)sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++) {
        static const char digits[] = "0123456789abcdef";
        out[2 * i] = digits[random[i] >> 4];
        out[2 * i + 1] = digits[random[i] & 15u];
    }
    out[PUBLISH_ID_BYTES - 1] = '\0';
}
