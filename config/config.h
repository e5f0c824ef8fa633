/**
 * The configuration: one immutable struct, made from a JSON text or from defaults alone.
 *
 * Everything here is checked before anyone sees it: a struct config that exists is valid. Whoever needs a value
 * reads it from here; nobody else looks at the text. The table in option.c says for each key its type, range,
 * default, place in these structs and what a reload does with it; comments here repeat only what a user
 * of the struct must know. Keys have the names of the members: `limits.packet_bytes`.
 *
 * Reload: config_load_file() again, config_reload() it against the one in use, swap the pointer, free the old one
 * after a grace period. Members marked [announced] are told to clients when they connect and must hold for
 * as long as the connection lives: copy them at CONNECT. Members marked [restart] are read once at start.
 * All others take effect wherever they are read next.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "config/report.h"
#include "gateway/base/log.h"

#define CONFIG_FILE_BYTES_MAX    (1024u * 1024u) /* a larger configuration text is refused unread */
#define CONFIG_LISTENERS_MAX     64u
#define CONFIG_WORKERS_MAX       64u
#define CONFIG_TRUSTED_MAX       64u        /* networks in a list */
#define CONFIG_TEXTS_MAX         64u        /* texts in a list */
#define CONFIG_NO_SESSION_EXPIRY UINT32_MAX /* limits.session_expiry_s_max: sessions may last for ever */

enum config_protocol {
    CONFIG_PROTOCOL_MQTT, /* MQTT over plain TCP or a unix socket */
    CONFIG_PROTOCOL_HTTP, /* HTTP, and MQTT over WebSocket */
};

/** A range of IP addresses; IPv4 is held as ::ffff:a.b.c.d. */
struct config_network {
    uint8_t address[16];
    uint8_t prefix_bits; /* 0..128; IPv4's 0..32 are 96..128 here */
};

/** One address to accept connections on. [restart] */
struct config_listener {
    enum config_protocol protocol;
    char *name;                           /* owned; address or path as written, for the log */
    char *unix_path;                      /* owned; absolute, fits sun_path; NULL: TCP on `address` */
    mode_t unix_mode;                     /* permission bits of the socket file; default 0660 */
    struct sockaddr_storage address;      /* AF_INET or AF_INET6, ready to bind; port 0: the system picks one */
    socklen_t address_len;                /* 0 if unix_path is set */
    bool ipv6_only;                       /* what to set IPV6_V6ONLY to; false only for "*:PORT" */
    bool optional;                        /* this machine may lack the address family: then skip it silently */
    uint32_t connections;                 /* at the same time; 0: no limit of its own */
    uint32_t backlog;                     /* of listen(2), 1..65535, default 1024 */
    bool proxy_protocol;                  /* connections start with a PROXY header, version 1 or 2 */
    struct config_network *proxy_trusted; /* owned; peers that may send it, others are closed; unix: all may */
    size_t proxy_trusted_len;             /* 1 or more if proxy_protocol and TCP */
};

struct config_access {
    bool anonymous;       /* clients without a user name are let in; default: if there is no password_file */
    bool anonymous_given; /* the text says so, it is not the default */
    char *password_file;  /* owned; user names and password hashes; NULL: none, no user name is believed */
    char *acl_file;       /* owned; who may publish and read what; NULL: none, who is in may do everything */
};

/** What happens to a new message for a session whose queue is full. */
enum queue_full_policy {
    QUEUE_DROP_OLDEST, /* the default */
    QUEUE_DROP_NEWEST,
    QUEUE_REFUSE, /* the publisher gets 0x97 (3.x: is disconnected) */
};

/** Every bound of the broker. 0 means "no limit" only where the comment says so. */
struct config_limits {
    /* What a client may send. */
    size_t packet_bytes;                /* [announced] Maximum Packet Size, whole packet; default 2 MiB */
    size_t connect_bytes;               /* packets before CONNACK, and CONNECT itself; default 128 KiB */
    uint32_t inflight_messages;         /* [announced] Receive Maximum, and our own window; 1..65535, default 100 */
    uint16_t topic_alias_max;           /* [announced] 0: none; default 10 */
    uint8_t qos_max;                    /* [announced] 0..2, default 2 */
    bool retain_available;              /* [announced] default true */
    uint16_t keep_alive_s_max;          /* [announced] 0: any, also none; else larger and 0 are replaced by it */
    uint32_t session_expiry_s_max;      /* [announced] default CONFIG_NO_SESSION_EXPIRY */
    uint32_t restart_will_grace_s;      /* [restart] wills of who was connected wait this long after one; default 60 */
    bool check_payload_format;          /* payloads that say they are UTF-8 must be (else 0x99); default false */
    uint32_t user_properties_max;       /* per packet; default 256 */
    uint32_t filter_levels;             /* of a topic or filter, 1..65535; default 128 */
    uint32_t subscriptions_per_session; /* 0: no limit; default 10000 */
    uint32_t subscriptions_per_packet;  /* 0: no limit; default 2000 */

    /* What is kept for clients. */
    uint32_t queued_messages; /* per session, beside the window; default 1000 */
    size_t queued_bytes;      /* per session; default 16 MiB */
    enum queue_full_policy queue_full;
    bool queue_qos0;                     /* keep QoS 0 for sessions that are away; default false */
    uint16_t topic_alias_out_max;        /* [announced] at most this many aliases towards a client; default 16 */
    uint32_t retained_messages;          /* 0: no limit; default 0 */
    size_t retained_bytes;               /* default 1 GiB */
    bool shared_redeliver_on_disconnect; /* an unacknowledged QoS 1 of a shared subscription goes back to the group
                                            false: when the member's session ends; true: when its connection does */

    /* The process as a whole. */
    uint32_t connections; /* at the same time; 0: no limit */
    uint32_t sessions;    /* with a connection or without; 0: no limit */
    uint32_t
        web_connections; /* [restart] descriptors kept for HTTP; 0: 65536, or half of what the process may open if that is less */
    size_t memory_bytes;  /* 0: half of RAM or of the cgroup's limit; memory_limit_bytes() resolves it */
    size_t output_bytes;  /* waiting in one connection before QoS 0 is dropped; default 1 MiB */
    size_t mailbox_bytes; /* of one worker; default 16 MiB */

    /* Deadlines. */
    uint32_t connect_timeout_ms;     /* from accept to a whole CONNECT; default 10 s */
    uint32_t write_stall_timeout_ms; /* a peer that takes not one byte for this long is closed; default 30 s */
};

/** The web side: HTTP, and MQTT over WebSocket. */
struct config_http {
    char *directory; /* owned; absolute path of files to serve; NULL: none */
    char **hosts;    /* owned; names by which this server may be called, lower case; "*": any */
    size_t hosts_len;
    char **origins; /* owned; origins whose pages may use the server: "https://app.example" */
    size_t origins_len;
    struct config_network *trusted_proxies; /* owned; peers whose X-Forwarded-For is believed */
    size_t trusted_proxies_len;
    size_t body_bytes;              /* of a request; default 8 MiB */
    uint32_t head_timeout_ms;       /* from accept to a whole request head; default 10 s */
    uint32_t body_timeout_ms;       /* from the head to the end of the body; default 30 s */
    uint32_t keep_alive_timeout_ms; /* from an answer to the next whole request head; default 60 s */
    uint32_t websocket_ping_s;      /* to a WebSocket that is silent for this long; 0: never; default 30 */
    uint32_t rpc_calls;             /* that wait for a reply, for each worker; default 1000 */
};

/** Event streams. [connections] */
struct config_events {
    uint32_t resume_s;        /* a stream without a client id may be resumed for this long; 0: not at all; default 60 */
    uint32_t heartbeat_s;     /* default 15 */
    uint32_t queued_messages; /* kept for a stream, and again while its reader is slow or away; default 1000 */
    size_t queued_bytes;      /* of these; default 1 MiB */
    uint32_t sessions;        /* of streams without a client id; 0: no limit; default 10000 */
};

/** When what is acknowledged is on disk. */
enum store_sync {
    STORE_SYNC_ALWAYS,   /* before */
    STORE_SYNC_INTERVAL, /* at most interval_ms later */
};

/** The durable store. [restart] */
struct config_store {
    bool memory;               /* nothing survives a restart; what follows has no meaning then */
    bool given;                /* the text says whether, it is not the default */
    char *path;                /* owned; absolute path of its folder; NULL: gateway/store_folder.h finds one */
    uint64_t size_limit_bytes; /* default 16 GiB */
    enum store_sync sync;
    uint32_t interval_ms; /* default 1 s */
    char *backup_path;    /* owned; absolute path of the folder for backups; NULL: "backups" in that of the store */
};

#define CONFIG_STORE_IS_POSSIBLE (sizeof(void *) >= 8) /* it needs the address space of 64 bits */

/** immutable after it was loaded; may be read from any thread */
struct config {
    struct config_listener *listeners; /* owned; [restart] */
    size_t listeners_len;              /* 1..CONFIG_LISTENERS_MAX */
    uint32_t workers;                  /* 0: one per core; at most CONFIG_WORKERS_MAX; [restart] */
    struct config_access access;
    struct config_limits limits;
    struct config_http http;
    struct config_events events;
    struct config_store store; /* [restart] */
    uint32_t sys_interval_s;   /* between two updates of $SYS; 0: $SYS is off; default 10 */
    struct log_options log;
    char *user;                 /* owned; account to become after binding; NULL: stay who we are; [restart] */
    uint32_t drain_s;           /* longest time for a clean stop; default 10 */
    char *response_information; /* owned; [announced] prefix of the topics that a client may have replies sent to, no
                                   wildcards, at most 255 bytes; default "responses/"; "": never sent */
};

/**
 * The configuration of a gateway that was given none: for this machine alone, MQTT on port 1883 and HTTP on port 8080, both on 127.0.0.1 and ::1.
 * @return owned, free with config_free(); NULL if memory is exhausted
 */
struct config *config_default(void) __attribute__((warn_unused_result));

/**
 * Read a configuration from JSON text.
 *
 * @param text    borrowed; need not end with NUL
 * @param report  out: initialised by the caller; every problem is added
 *
 * @return owned, free with config_free(); NULL if there was any problem: then REPORT is not empty
 */
struct config *config_load_text(const char *text, size_t len, struct config_report *report)
    __attribute__((warn_unused_result));

/**
 * Like config_load_text(), from the file PATH. A file that can't be read or is too large is a problem too. Files of the access section that are
 * named by a relative path are beside PATH.
 */
struct config *config_load_file(const char *path, struct config_report *report) __attribute__((warn_unused_result));

/** A copy that shares nothing with C. @return owned, free with config_free(); NULL if memory is exhausted */
struct config *config_copy(const struct config *c) __attribute__((warn_unused_result));

/** Free C; NULL is fine. */
void config_free(struct config *c);

/** True if ADDRESS (IPv4 as ::ffff:a.b.c.d) lies in NETWORK. */
bool config_network_contains(const struct config_network *network, const uint8_t address[16]);

#endif
