#include "protocol/greeting.h"

#include <string.h>

#define HTTP_TEXT "an HTTP request came to a listener of MQTT: HTTP and WebSocket need one with \"protocol\": \"http\""
#define PROXY_TEXT                                                                                                     \
    "a PROXY header came to a listener that expects none: set its \"proxy_protocol\" and \"proxy_trusted\", or turn "  \
    "it off in the load balancer"
#define TLS_TEXT                                                                                                       \
    "a TLS handshake came to a listener of plain MQTT: let the client connect without TLS, or to something that "      \
    "ends TLS before this listener"

struct greeting {
    const char *begins; /* no prefix is that of another */
    size_t len;
    const char *text;
};

#define GREETING(begins, text)                                                                                         \
    {                                                                                                                  \
        begins, sizeof(begins) - 1, text                                                                               \
    }

static const struct greeting greetings[] = {
    GREETING("\x16\x03", TLS_TEXT), /* handshake, version 3.x of SSL; as MQTT a CONNECT with flags that it never has */
    GREETING("PROXY ", PROXY_TEXT),  GREETING("\r\n\r\n\0\r\nQUIT\n", PROXY_TEXT), /* version 2 */
    GREETING("GET ", HTTP_TEXT),     GREETING("HEAD ", HTTP_TEXT),
    GREETING("POST ", HTTP_TEXT),    GREETING("PUT ", HTTP_TEXT),
    GREETING("DELETE ", HTTP_TEXT),  GREETING("OPTIONS ", HTTP_TEXT),
    GREETING("CONNECT ", HTTP_TEXT), GREETING("PRI * HTTP/2", HTTP_TEXT),
};

const char *greeting_recognize(const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < sizeof greetings / sizeof greetings[0]; i++) {
        if (len >= greetings[i].len && memcmp(buf, greetings[i].begins, greetings[i].len) == 0) {
            return greetings[i].text;
        }
    }
    return NULL;
}
