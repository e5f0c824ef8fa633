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

static uint8_t *append(uint8_t *at, struct bytes part)
{
    if (part.len > 0) {
        memcpy(at, part.data, part.len);
    }
    return at + part.len;
}

struct message *message_of_parts(struct bytes topic, struct bytes properties, struct bytes payload)
{
    struct message *message = message_new(topic.len, properties.len, payload.len);
    if (message != NULL) {
        uint8_t *at = append(message->bytes, topic);
        at = append(at, properties);
        (void)append(at, payload);
    }
    return message;
}

void message_unref(struct message *message)
{
    if (message == NULL || atomic_fetch_sub_explicit(&message->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    free(message);
}
