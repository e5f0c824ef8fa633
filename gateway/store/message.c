#include "gateway/store/message.h"

#include <stdlib.h>
#include <string.h>

struct message *message_new(size_t topic_len, size_t properties_len, size_t payload_len)
{
    if (topic_len > UINT16_MAX || properties_len > UINT32_MAX || payload_len > UINT32_MAX) {
        return NULL; /* larger than any MQTT packet */
    }
    struct message *message = malloc(sizeof(*message) + topic_len + properties_len + payload_len);
    if (message == NULL) {
        return NULL;
    }
    memset(message, 0, sizeof(*message));
    atomic_init(&message->refs, 1);
    message->topic_len = (uint16_t)topic_len;
    message->properties_len = (uint32_t)properties_len;
    message->payload_len = (uint32_t)payload_len;
    return message;
}

void message_unref(struct message *message)
{
    if (message == NULL || atomic_fetch_sub_explicit(&message->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    free(message);
}
