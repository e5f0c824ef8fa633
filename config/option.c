#include "config/option.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "config/address.h"
#include "config/config.h"
#include "config/text_check.h"
#include "gateway/base/assert.h"

#define MEMBER(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)NULL)->member)
#define OF_CONFIG(member)    MEMBER(struct config, member)
#define OF_LISTENER(member)  MEMBER(struct config_listener, member)
#define RANGE(min_, max_)    .min = (min_), .max = (max_)
#define DEFAULT(number_)     .number = (number_)

#define KIB       1024u
#define MIB       (1024u * KIB)
#define GIB       (1024u * MIB)
#define BYTES_MAX (1024ull * GIB)

#define STORE_BYTES_MAX (16ull * BYTES_MAX)
#define STORE_PATH_MAX  3800u /* room for the names of files in it */

#define NETWORK_PATTERN "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"

#define PACKET_MAX 268435460u /* the largest that MQTT can announce: 1 byte, 4 of length, 2^28 - 1 */

const struct option option_table[] = {
    {"$schema", OPTION_REMARK, OPTION_NOW, .help = "where an editor finds `tidegate.schema.json`; has no effect"},

    {"listeners", OPTION_LISTENERS, OPTION_RESTART, RANGE(1, CONFIG_LISTENERS_MAX),
     .help = "where clients connect; without it 127.0.0.1 and, where there is IPv6, ::1, both with MQTT on port 1883 "
             "and HTTP "
             "on port 8080"},
    {"listeners[].protocol", OPTION_CHOICE, OPTION_RESTART, OF_LISTENER(protocol), DEFAULT(CONFIG_PROTOCOL_MQTT),
     .choices = {"mqtt", "http"}, .not_built = {"mqtts", "https"},
     .help = "what is spoken; `http` is MQTT over WebSocket, too"},
    {"listeners[].bind", OPTION_ADDRESS, OPTION_RESTART, OF_LISTENER(address),
     .pattern = "^([0-9.]+|\\[[0-9A-Fa-f:.]+(%[^\\]]+)?\\]|\\*):(0|[1-9][0-9]{0,4})$",
     .help = "address and port, such as `127.0.0.1:1883` or `[::1]:1883`; `*:1883` is every address of both families; "
             "with port 0 the system picks one. Each listener has either this or `unix`"},
    {"listeners[].unix", OPTION_STRING, OPTION_RESTART, OF_LISTENER(unix_path),
     RANGE(2, sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1), .check = text_check_absolute_path, .pattern = "^/.",
     .help = "absolute path of a unix socket to make"},
    {"listeners[].unix_mode", OPTION_MODE, OPTION_RESTART, OF_LISTENER(unix_mode), RANGE(0, 0777), DEFAULT(0660),
     .pattern = "^0?[0-7]{3}$", .help = "permissions of the unix socket, octal; who may write to it may connect"},
    {"listeners[].optional", OPTION_BOOL, OPTION_RESTART, OF_LISTENER(optional), DEFAULT(false),
     .help = "skip the listener if this machine lacks its address family, instead of refusing to start"},
    {"listeners[].connections", OPTION_NUMBER, OPTION_RESTART, OF_LISTENER(connections), RANGE(1, UINT32_MAX),
     DEFAULT(0), .zero = "no limit of its own", .help = "connections of this listener at the same time"},
    {"listeners[].backlog", OPTION_NUMBER, OPTION_RESTART, OF_LISTENER(backlog), RANGE(1, 65535), DEFAULT(1024),
     .help = "connections that the system holds until they are accepted; it has a bound of its own, "
             "`net.core.somaxconn`"},
    {"listeners[].proxy_protocol", OPTION_BOOL, OPTION_RESTART, OF_LISTENER(proxy_protocol), DEFAULT(false),
     .help = "each connection starts with a PROXY header, version 1 or 2, that names the real client"},
    {"listeners[].proxy_trusted", OPTION_NETWORKS, OPTION_RESTART, OF_LISTENER(proxy_trusted),
     RANGE(1, CONFIG_TRUSTED_MAX), .pattern = NETWORK_PATTERN,
     .help = "addresses and networks of the proxies; connections from elsewhere are closed. Needed with "
             "`proxy_protocol` on TCP, without effect on a unix socket and refused there"},

    {"workers", OPTION_NUMBER, OPTION_RESTART, OF_CONFIG(workers), RANGE(1, CONFIG_WORKERS_MAX), DEFAULT(0),
     .zero = "one per core", .help = "threads that serve connections"},
    {"user", OPTION_STRING, OPTION_RESTART, OF_CONFIG(user), RANGE(1, 255), .check = text_check_account,
     .nullable = true, .help = "account to become once the listeners are bound"},

    {"access", OPTION_SECTION, OPTION_NOW, .help = "who may use the broker"},
    {"access.anonymous", OPTION_BOOL, OPTION_CONNECTIONS, OF_CONFIG(access.anonymous), DEFAULT(true),
     .help = "clients need no account; by default not if there is `password_file`. Must be written if any listener has "
             "an address that is not loopback and there is no `password_file`"},
    {"access.password_file", OPTION_STRING, OPTION_NOW, OF_CONFIG(access.password_file), RANGE(1, 4095),
     .check = text_check_file, .pattern = "[^/]$", .nullable = true,
     .help = "file with user names and password hashes as `mosquitto_passwd` writes it (`$6$`, `$7$`, `$argon2id$`); a "
             "relative path is beside the configuration file. Read again on a reload. Without it user names are not "
             "believed: every client is anonymous"},
    {"access.acl_file", OPTION_STRING, OPTION_NOW, OF_CONFIG(access.acl_file), RANGE(1, 4095), .check = text_check_file,
     .pattern = "[^/]$", .nullable = true,
     .help =
         "file with the rules of who may publish and read what, in the format of Mosquitto's `acl_file`; a relative "
         "path is beside the configuration file. Read again on a reload. Without it who is let in may do everything"},
    {"access.jwt", OPTION_NOT_BUILT, OPTION_NOW, .help = "tokens instead of passwords"},

    {"limits", OPTION_SECTION, OPTION_NOW, .help = "every bound of the broker"},
    {"limits.packet_bytes", OPTION_NUMBER, OPTION_CONNECTIONS, OF_CONFIG(limits.packet_bytes), RANGE(128, PACKET_MAX),
     DEFAULT(2 * MIB), .help = "largest packet that a client may send (Maximum Packet Size)"},
    {"limits.connect_bytes", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.connect_bytes), RANGE(128, PACKET_MAX),
     DEFAULT(128 * KIB), .help = "largest CONNECT, and what else a client may send before it was accepted"},
    {"limits.inflight_messages", OPTION_NUMBER, OPTION_CONNECTIONS, OF_CONFIG(limits.inflight_messages),
     RANGE(1, 65535), DEFAULT(100),
     .help = "QoS 1 and 2 messages under way at the same time, in each direction (Receive Maximum)"},
    {"limits.topic_alias_max", OPTION_NUMBER, OPTION_CONNECTIONS, OF_CONFIG(limits.topic_alias_max), RANGE(0, 65535),
     DEFAULT(10), .help = "topic aliases that a client may use; 0: none"},
    {"limits.qos_max", OPTION_NUMBER, OPTION_CONNECTIONS, OF_CONFIG(limits.qos_max), RANGE(0, 2), DEFAULT(2),
     .help = "highest QoS that a client may publish with"},
    {"limits.retain_available", OPTION_BOOL, OPTION_CONNECTIONS, OF_CONFIG(limits.retain_available), DEFAULT(true),
     .help = "clients may publish retained messages"},
    {"limits.keep_alive_s_max", OPTION_NUMBER, OPTION_CONNECTIONS, OF_CONFIG(limits.keep_alive_s_max), RANGE(1, 65535),
     DEFAULT(0), .zero = "any, also none",
     .help = "longest keep-alive; a client that asks for more, or for none, is given this one"},
    {"limits.session_expiry_s_max", OPTION_NUMBER, OPTION_CONNECTIONS, OF_CONFIG(limits.session_expiry_s_max),
     RANGE(0, UINT32_MAX), DEFAULT(CONFIG_NO_SESSION_EXPIRY),
     .help = "how long a session may outlive its connection; 4294967295: for ever"},
    {"limits.restart_will_grace_s", OPTION_NUMBER, OPTION_RESTART, OF_CONFIG(limits.restart_will_grace_s),
     RANGE(0, 86400), DEFAULT(60),
     .help =
         "time after a restart in which clients that were connected may come back before their wills are published"},
    {"limits.check_payload_format", OPTION_BOOL, OPTION_NOW, OF_CONFIG(limits.check_payload_format), DEFAULT(false),
     .help = "refuse payloads that are announced as UTF-8 and are not"},
    {"limits.user_properties_max", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.user_properties_max), RANGE(0, 65535),
     DEFAULT(256), .help = "user properties of one packet; 0: none are allowed"},
    {"limits.filter_levels", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.filter_levels), RANGE(1, 65535), DEFAULT(128),
     .help = "levels of a topic or filter"},
    {"limits.subscriptions_per_session", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.subscriptions_per_session),
     RANGE(1, UINT32_MAX), DEFAULT(10000), .zero = "no limit", .help = "subscriptions of one session"},
    {"limits.subscriptions_per_packet", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.subscriptions_per_packet),
     RANGE(1, UINT32_MAX), DEFAULT(2000), .zero = "no limit",
     .help =
         "subscriptions in one SUBSCRIBE, which take a microsecond or two each, one after the other; those beyond are "
         "refused, and whoever names more than eight times as many filters in one packet is disconnected"},
    {"limits.queued_messages", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.queued_messages), RANGE(1, 100000000),
     DEFAULT(1000), .help = "messages that wait for one session, beside those under way"},
    {"limits.queued_bytes", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.queued_bytes), RANGE(KIB, BYTES_MAX),
     DEFAULT(16 * MIB), .help = "bytes of these messages"},
    {"limits.queue_full", OPTION_CHOICE, OPTION_NOW, OF_CONFIG(limits.queue_full), DEFAULT(QUEUE_DROP_OLDEST),
     .choices = {"drop_oldest", "drop_newest", "refuse"},
     .help = "what happens to a message for a session whose queue is full; `refuse`: its publisher is told so "
             "(MQTT 3: disconnected)"},
    {"limits.queue_qos0", OPTION_BOOL, OPTION_NOW, OF_CONFIG(limits.queue_qos0), DEFAULT(false),
     .help = "keep QoS 0 messages, too, for sessions that are away"},
    {"limits.topic_alias_out_max", OPTION_NUMBER, OPTION_CONNECTIONS, OF_CONFIG(limits.topic_alias_out_max),
     RANGE(0, 65535), DEFAULT(16), .help = "topic aliases that we use towards one client, if it allows them; 0: none"},
    {"limits.retained_messages", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.retained_messages), RANGE(1, UINT32_MAX),
     DEFAULT(0), .zero = "no limit", .help = "topics with a retained message"},
    {"limits.retained_bytes", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.retained_bytes), RANGE(KIB, BYTES_MAX),
     DEFAULT(GIB), .help = "bytes of all retained messages"},
    {"limits.shared_redeliver_on_disconnect", OPTION_BOOL, OPTION_NOW, OF_CONFIG(limits.shared_redeliver_on_disconnect),
     DEFAULT(false),
     .help = "an unacknowledged QoS 1 message of a shared subscription goes to another member when the connection "
             "ends, not only when the session does"},
    {"limits.connections", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.connections), RANGE(1, UINT32_MAX), DEFAULT(0),
     .zero = "no limit", .help = "connections at the same time"},
    {"limits.sessions", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.sessions), RANGE(1, UINT32_MAX), DEFAULT(0),
     .zero = "no limit",
     .help = "sessions, of clients that are connected and of those that are away; who would need another is refused "
             "(MQTT 5: 0x97, MQTT 3: server unavailable)"},
    {"limits.web_connections", OPTION_NUMBER, OPTION_RESTART, OF_CONFIG(limits.web_connections), RANGE(64, 4194304),
     DEFAULT(0), .zero = "65536, or half of what the process may open if that is less",
     .help = "descriptors kept for HTTP and WebSocket connections; more are refused. Closing one takes longer the more "
             "these "
             "are: about 2 ms for a million"},
    {"limits.memory_bytes", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.memory_bytes), RANGE(MIB, BYTES_MAX),
     DEFAULT(0), .zero = "half of the memory that the machine or the control group has",
     .help = "memory for queues, retained messages and half-received packets; above it publishers have to wait"},
    {"limits.output_bytes", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.output_bytes), RANGE(4 * KIB, GIB),
     DEFAULT(MIB), .help = "bytes that may wait in one connection before QoS 0 messages are dropped"},
    {"limits.mailbox_bytes", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.mailbox_bytes), RANGE(64 * KIB, BYTES_MAX),
     DEFAULT(16 * MIB), .help = "bytes that may wait for one worker before it stops others from reading"},
    {"limits.connect_timeout_ms", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.connect_timeout_ms), RANGE(100, 3600000),
     DEFAULT(10000), .help = "from a connection's start to its whole CONNECT"},
    {"limits.write_stall_timeout_ms", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(limits.write_stall_timeout_ms),
     RANGE(100, 3600000), DEFAULT(30000), .help = "a client that takes not one byte for this long is disconnected"},

    {"store", OPTION_SECTION, OPTION_RESTART, .nullable = true,
     .help =
         "where sessions, queued and retained messages outlive the process; `null`: nowhere, they are kept in memory "
         "alone. "
         "Left out it is `{}`; on 32-bit machines, which cannot have it, `null`"},
    {"store.path", OPTION_STRING, OPTION_RESTART, OF_CONFIG(store.path), RANGE(2, STORE_PATH_MAX),
     .check = text_check_folder, .pattern = "^/.", .nullable = true,
     .help =
         "absolute path of the store's folder, which is made if need be; by default `$STATE_DIRECTORY` (as a system "
         "service), `/var/lib/tidegate` (with `user`, when started by root), `$XDG_STATE_HOME/tidegate` or "
         "`~/.local/state/tidegate`, the first of these that there is"},
    {"store.size_limit_bytes", OPTION_NUMBER, OPTION_RESTART, OF_CONFIG(store.size_limit_bytes),
     RANGE(4 * MIB, STORE_BYTES_MAX), DEFAULT(16ull * GIB),
     .help = "most that the store's file may take; when it is nearly full, what would be kept is refused"},
    {"store.sync", OPTION_CHOICE, OPTION_RESTART, OF_CONFIG(store.sync), DEFAULT(STORE_SYNC_ALWAYS),
     .choices = {"always", "interval"},
     .help = "`always`: what is acknowledged is on disk. `interval`: it is at most `store.interval_ms` later; what was "
             "acknowledged meanwhile is lost if the process or the machine fails"},
    {"store.interval_ms", OPTION_NUMBER, OPTION_RESTART, OF_CONFIG(store.interval_ms), RANGE(10, 3600000),
     DEFAULT(1000), .help = "time between two writes to the disk; only with `store.sync` `interval`"},
    {"store.backup_path", OPTION_STRING, OPTION_RESTART, OF_CONFIG(store.backup_path), RANGE(2, STORE_PATH_MAX),
     .check = text_check_folder, .pattern = "^/.", .nullable = true,
     .help = "absolute path of the folder that `POST /api/v1/backup` writes to; by default `backups` in the store's "
             "folder"},

    {"sys_interval_s", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(sys_interval_s), RANGE(1, 86400), DEFAULT(10),
     .zero = "`$SYS` is off", .help = "time between two updates of the topics below `$SYS`"},
    {"drain_s", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(drain_s), RANGE(0, 3600), DEFAULT(10),
     .help = "longest time that a clean stop may take"},
    {"response_information", OPTION_STRING, OPTION_CONNECTIONS, OF_CONFIG(response_information), RANGE(0, 255),
     .text = "responses/", .check = text_check_topic_prefix, .pattern = "^([^+#$][^+#]*)?$",
     .help = "what MQTT 5 clients that ask for it are told to begin their response topics with; empty: nothing"},

    {"log", OPTION_SECTION, OPTION_NOW, .help = "what is written to stderr"},
    {"log.level", OPTION_CHOICE, OPTION_NOW, OF_CONFIG(log.level), DEFAULT(LOG_LEVEL_INFO),
     .choices = {"error", "warning", "info", "debug"}, .help = "this and what is graver is written"},
    {"log.format", OPTION_CHOICE, OPTION_NOW, OF_CONFIG(log.format), DEFAULT(LOG_FORMAT_TEXT),
     .choices = {"text", "json"}, .help = "one line per event, for people or for machines"},
    {"log.lines_per_s", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(log.lines_per_s), RANGE(1, 1000000),
     DEFAULT(LOG_LINES_PER_S_DEFAULT), .zero = "no limit",
     .help = "lines that one kind of event may write in a second; what is held back is counted"},

    {"http", OPTION_SECTION, OPTION_NOW, .help = "the web side: HTTP, and MQTT over WebSocket"},
    {"http.directory", OPTION_STRING, OPTION_NOW, OF_CONFIG(http.directory), RANGE(2, 4095), .check = text_check_folder,
     .pattern = "^/.", .nullable = true,
     .help = "absolute path of a folder whose files are served: your own pages. They are read into memory, and again "
             "when they change"},
    {"http.hosts", OPTION_TEXTS, OPTION_NOW, OF_CONFIG(http.hosts), RANGE(0, CONFIG_TEXTS_MAX),
     .check = text_check_host, .pattern = "^(\\*|[0-9A-Za-z]([-.0-9A-Za-z]*[0-9A-Za-z])?)$",
     .help =
         "names under which browsers reach this server, without port; `*`: any name. On a loopback address `localhost` "
         "is known, elsewhere every IP address and the name of this machine"},
    {"http.origins", OPTION_TEXTS, OPTION_NOW, OF_CONFIG(http.origins), RANGE(0, CONFIG_TEXTS_MAX),
     .check = text_check_origin,
     .pattern = "^(?!http:.*:80$)(?!https:.*:443$)https?://([-._0-9a-z]+|\\[[.:0-9a-f]*\\])(:[0-9]{1,5})?$",
     .help = "other origins, such as `https://app.example`, whose pages may use this server (CORS, WebSocket)"},
    {"http.trusted_proxies", OPTION_NETWORKS, OPTION_NOW, OF_CONFIG(http.trusted_proxies), RANGE(0, CONFIG_TRUSTED_MAX),
     .pattern = NETWORK_PATTERN,
     .help =
         "addresses and networks of proxies whose `X-Forwarded-For`, `Forwarded` and `X-Forwarded-Proto` are believed"},
    {"http.body_bytes", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(http.body_bytes), RANGE(0, 999999999), DEFAULT(8 * MIB),
     .help = "largest body of a request"},
    {"http.head_timeout_ms", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(http.head_timeout_ms), RANGE(100, 3600000),
     DEFAULT(10000), .help = "time from connecting to a whole request head"},
    {"http.body_timeout_ms", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(http.body_timeout_ms), RANGE(100, 3600000),
     DEFAULT(30000), .help = "time from there to the end of the body"},
    {"http.keep_alive_timeout_ms", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(http.keep_alive_timeout_ms),
     RANGE(100, 3600000), DEFAULT(60000),
     .help = "time from an answer to the next whole request head on a connection that stays open"},
    {"http.websocket_ping_s", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(http.websocket_ping_s), RANGE(1, 3600), DEFAULT(30),
     .zero = "never",
     .help = "a WebSocket is sent a ping this often, and is closed if it answered nothing until the next one is due; "
             "browsers answer by themselves, also in background tabs"},

    {"http.rpc_calls", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(http.rpc_calls), RANGE(1, 100000), DEFAULT(1000),
     .help = "requests to `/rpc/` that may wait for their replies at the same time, for each worker"},

    {"events", OPTION_SECTION, OPTION_NOW, .help = "live streams of messages over HTTP: `/events`"},
    {"events.resume_s", OPTION_NUMBER, OPTION_CONNECTIONS, OF_CONFIG(events.resume_s), RANGE(1, 86400), DEFAULT(60),
     .zero = "not at all",
     .help = "how long a stream without `client_id` can be resumed after its connection was lost"},
    {"events.heartbeat_s", OPTION_NUMBER, OPTION_CONNECTIONS, OF_CONFIG(events.heartbeat_s), RANGE(1, 3600),
     DEFAULT(15), .help = "a stream that was silent for this long is sent a sign of life"},
    {"events.queued_messages", OPTION_NUMBER, OPTION_CONNECTIONS, OF_CONFIG(events.queued_messages), RANGE(1, 60000),
     DEFAULT(1000),
     .help = "messages that are kept for a stream in case it has to be resumed; as many again may wait for a reader "
             "that is slow or away. What is dropped is announced by the event `gap`"},
    {"events.queued_bytes", OPTION_NUMBER, OPTION_CONNECTIONS, OF_CONFIG(events.queued_bytes), RANGE(1024, BYTES_MAX),
     DEFAULT(MIB), .help = "bytes of these messages"},
    {"events.sessions", OPTION_NUMBER, OPTION_NOW, OF_CONFIG(events.sessions), RANGE(1, UINT32_MAX), DEFAULT(10000),
     .zero = "no limit",
     .help = "streams without `client_id`, those that can still be resumed among them; who would need another is "
             "answered with 503"},

    {"webhooks", OPTION_NOT_BUILT, OPTION_NOW, .help = "messages sent on as HTTP requests"},
    {"listeners[].tls", OPTION_NOT_BUILT, OPTION_RESTART, .help = "certificate and key of a listener"},
};

const size_t option_count = sizeof(option_table) / sizeof(option_table[0]);

const char *option_name_in(const struct option *row, const char *section)
{
    size_t section_len = strlen(section);
    const char *name = row->path + section_len;

    if (strncmp(row->path, section, section_len) != 0 || strpbrk(name, ".["))
        return NULL;
    return name;
}

const char *option_name(const struct option *row)
{
    const char *dot = strrchr(row->path, '.');

    return dot ? dot + 1 : row->path;
}

bool option_is_of_listener(const struct option *row)
{
    return option_name_in(row, OPTION_LISTENER_SECTION) != NULL;
}

const struct option *option_find(const char *section, const char *key)
{
    OPTION_FOREACH (row) {
        const char *name = option_name_in(row, section);
        if (name && strcmp(name, key) == 0)
            return row;
    }
    return NULL;
}

uint64_t option_number(const struct option *row, const void *base)
{
    const char *at = (const char *)base + row->offset;
    uint64_t u64;
    uint32_t u32;
    uint16_t u16;
    uint8_t u8;

    switch (row->size) {
    case sizeof(u8):
        memcpy(&u8, at, sizeof(u8));
        return u8;
    case sizeof(u16):
        memcpy(&u16, at, sizeof(u16));
        return u16;
    case sizeof(u32):
        memcpy(&u32, at, sizeof(u32));
        return u32;
    default:
        TG_ASSERT(row->size == sizeof(u64));
        memcpy(&u64, at, sizeof(u64));
        return u64;
    }
}

void option_set_number(const struct option *row, void *base, uint64_t number)
{
    char *at = (char *)base + row->offset;
    uint32_t u32 = (uint32_t)number;
    uint16_t u16 = (uint16_t)number;
    uint8_t u8 = (uint8_t)number;

    switch (row->size) {
    case sizeof(u8):
        memcpy(at, &u8, sizeof(u8));
        break;
    case sizeof(u16):
        memcpy(at, &u16, sizeof(u16));
        break;
    case sizeof(u32):
        memcpy(at, &u32, sizeof(u32));
        break;
    default:
        TG_ASSERT(row->size == sizeof(number));
        memcpy(at, &number, sizeof(number));
    }
}

uint64_t option_max(const struct option *row)
{
    uint64_t holds = row->size < sizeof(uint64_t) ? (1ull << row->size * 8) - 1 : UINT64_MAX;

    return row->max < holds ? row->max : holds;
}

/** A list at BASE: a pointer, and behind it the number of entries. */
struct list {
    void *items;
    size_t len;
};

#define IS_LIST(type, member)                                                                                          \
    _Static_assert(offsetof(type, member##_len) == offsetof(type, member) + offsetof(struct list, len),                \
                   "its length follows the list")
IS_LIST(struct config_listener, proxy_trusted);
IS_LIST(struct config, http.trusted_proxies);
IS_LIST(struct config, http.hosts);
IS_LIST(struct config, http.origins);

static struct list get_list(const struct option *row, const void *base)
{
    struct list list;

    memcpy(&list, (const char *)base + row->offset, sizeof(list));
    return list;
}

static void put_list(const struct option *row, void *base, struct list list)
{
    memcpy((char *)base + row->offset, &list, sizeof(list));
}

void option_put_list(const struct option *row, void *base, void *items, size_t len)
{
    put_list(row, base, (struct list){items, len});
}

static void free_list(const struct option *row, struct list list)
{
    char **texts = list.items;

    for (size_t i = 0; row->type == OPTION_TEXTS && i < list.len; i++)
        free(texts[i]);
    free(list.items);
}

static char *get_string(const struct option *row, const void *base)
{
    char *string;

    memcpy(&string, (const char *)base + row->offset, sizeof(string));
    return string;
}

static void put_string(const struct option *row, void *base, char *string)
{
    memcpy((char *)base + row->offset, &string, sizeof(string));
}

bool option_set_string(const struct option *row, void *base, const char *text)
{
    char *copy = text ? strdup(text) : NULL;

    if (text && !copy)
        return false;
    free(get_string(row, base));
    put_string(row, base, copy);
    return true;
}

bool option_set_default(const struct option *row, void *base)
{
    switch (row->type) {
    case OPTION_BOOL:
    case OPTION_NUMBER:
    case OPTION_CHOICE:
    case OPTION_MODE:
        option_set_number(row, base, row->number);
        return true;
    case OPTION_STRING:
        return option_set_string(row, base, row->text);
    default:
        return true;
    }
}

void option_clear(const struct option *row, void *base)
{
    switch (row->type) {
    case OPTION_STRING:
        free(get_string(row, base));
        break;
    case OPTION_NETWORKS:
    case OPTION_TEXTS:
        free_list(row, get_list(row, base));
        break;
    default:
        break;
    }
    option_forget(row, base);
}

void option_forget(const struct option *row, void *base)
{
    switch (row->type) {
    case OPTION_STRING:
        put_string(row, base, NULL);
        break;
    case OPTION_NETWORKS:
    case OPTION_TEXTS:
        put_list(row, base, (struct list){0});
        break;
    default:
        break;
    }
}

static bool copy_networks(const struct option *row, void *to, struct list from)
{
    size_t bytes = from.len * sizeof(struct config_network);
    struct list copy = {NULL, from.len};

    if (bytes == 0)
        return true;
    copy.items = malloc(bytes);
    if (!copy.items)
        return false;
    memcpy(copy.items, from.items, bytes);
    put_list(row, to, copy);
    return true;
}

static bool copy_texts(const struct option *row, void *to, struct list from)
{
    char *const *texts = from.items;
    char **copies;

    if (from.len == 0)
        return true;
    copies = calloc(from.len, sizeof(*copies));
    if (!copies)
        return false;
    put_list(row, to, (struct list){copies, from.len});
    for (size_t i = 0; i < from.len; i++) {
        copies[i] = strdup(texts[i]);
        if (!copies[i]) {
            option_clear(row, to);
            return false;
        }
    }
    return true;
}

static void copy_address(struct config_listener *to, const struct config_listener *from)
{
    to->address = from->address;
    to->address_len = from->address_len;
    to->ipv6_only = from->ipv6_only;
}

bool option_copy(const struct option *row, void *to, const void *from)
{
    switch (row->type) {
    case OPTION_BOOL:
    case OPTION_NUMBER:
    case OPTION_CHOICE:
    case OPTION_MODE:
        option_set_number(row, to, option_number(row, from));
        return true;
    case OPTION_STRING:
        return option_set_string(row, to, get_string(row, from));
    case OPTION_NETWORKS:
        return copy_networks(row, to, get_list(row, from));
    case OPTION_TEXTS:
        return copy_texts(row, to, get_list(row, from));
    case OPTION_ADDRESS:
        copy_address(to, from);
        return true;
    default:
        return true;
    }
}

static bool networks_equal(struct list a, struct list b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.items, b.items, a.len * sizeof(struct config_network)) == 0);
}

static bool texts_equal(struct list a, struct list b)
{
    char *const *texts_a = a.items, *const *texts_b = b.items;
    bool equal = a.len == b.len;

    for (size_t i = 0; equal && i < a.len; i++)
        equal = strcmp(texts_a[i], texts_b[i]) == 0;
    return equal;
}

static bool addresses_equal(const struct config_listener *a, const struct config_listener *b)
{
    return a->address_len == b->address_len && a->ipv6_only == b->ipv6_only &&
           memcmp(&a->address, &b->address, a->address_len) == 0;
}

bool option_equal(const struct option *row, const void *a, const void *b)
{
    const char *string_a, *string_b;

    switch (row->type) {
    case OPTION_BOOL:
    case OPTION_NUMBER:
    case OPTION_CHOICE:
    case OPTION_MODE:
        return option_number(row, a) == option_number(row, b);
    case OPTION_STRING:
        string_a = get_string(row, a);
        string_b = get_string(row, b);
        return string_a && string_b ? strcmp(string_a, string_b) == 0 : string_a == string_b;
    case OPTION_NETWORKS:
        return networks_equal(get_list(row, a), get_list(row, b));
    case OPTION_TEXTS:
        return texts_equal(get_list(row, a), get_list(row, b));
    case OPTION_ADDRESS:
        return addresses_equal(a, b);
    default:
        return true;
    }
}

/** All that fits into OUT; "..." at its end if that is not all. */
static void list_text(const struct option *row, struct list list, char out[OPTION_TEXT_BYTES])
{
    const struct config_network *networks = list.items;
    char *const *texts = list.items;
    char network[NETWORK_TEXT_BYTES];
    size_t len = 0;

    out[len++] = '[';
    for (size_t i = 0; i < list.len; i++) {
        const char *item = network;
        if (row->type == OPTION_TEXTS)
            item = texts[i];
        else
            network_text(&networks[i], network);
        if (len + strlen(item) + sizeof("\"\", , ...]") > OPTION_TEXT_BYTES) {
            len += (size_t)snprintf(out + len, OPTION_TEXT_BYTES - len, "%s...", i > 0 ? ", " : "");
            break;
        }
        len += (size_t)snprintf(out + len, OPTION_TEXT_BYTES - len, "%s\"%s\"", i > 0 ? ", " : "", item);
    }
    snprintf(out + len, OPTION_TEXT_BYTES - len, "]");
}

static void string_text(const char *string, char out[OPTION_TEXT_BYTES])
{
    if (!string)
        snprintf(out, OPTION_TEXT_BYTES, "null");
    else if (snprintf(out, OPTION_TEXT_BYTES, "\"%s\"", string) >= (int)OPTION_TEXT_BYTES)
        memcpy(out + OPTION_TEXT_BYTES - sizeof("..."), "...", sizeof("..."));
}

void option_text(const struct option *row, const void *base, char out[OPTION_TEXT_BYTES])
{
    const struct config_listener *listener;

    out[0] = '\0';
    switch (row->type) {
    case OPTION_BOOL:
        snprintf(out, OPTION_TEXT_BYTES, "%s", option_number(row, base) ? "true" : "false");
        break;
    case OPTION_NUMBER:
        snprintf(out, OPTION_TEXT_BYTES, "%" PRIu64, option_number(row, base));
        break;
    case OPTION_CHOICE:
        string_text(row->choices[option_number(row, base)], out);
        break;
    case OPTION_MODE:
        snprintf(out, OPTION_TEXT_BYTES, "\"%04o\"", (unsigned)option_number(row, base));
        break;
    case OPTION_STRING:
        string_text(get_string(row, base), out);
        break;
    case OPTION_NETWORKS:
    case OPTION_TEXTS:
        list_text(row, get_list(row, base), out);
        break;
    case OPTION_ADDRESS:
        listener = base;
        string_text(listener->address_len > 0 ? listener->name : NULL, out);
        break;
    default:
        break;
    }
}
