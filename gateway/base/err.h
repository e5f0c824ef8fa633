/**
 * The one list of errors that internal functions return: failures of resources and I/O.
 *
 * A peer's fault is never one of these (it is an MQTT reason code), nor is a bug of ours (that is TG_ASSERT).
 * Functions return 0 or one of the negative values below; results go through out-parameters, which stay
 * untouched on failure. Number, name and text stand in one table, so that none can be forgotten.
 */
#ifndef GATEWAY_BASE_ERR_H
#define GATEWAY_BASE_ERR_H

/* X(name, value, text for logs) */
#define TG_ERR_TABLE(X)                                                                                                \
    X(TG_ERR_NO_MEMORY, -1, "out of memory")          /* an allocation failed */                                       \
    X(TG_ERR_INVALID, -2, "invalid argument")         /* a value that the callee cannot accept */                      \
    X(TG_ERR_NOT_FOUND, -3, "not found")              /* no such entry */                                              \
    X(TG_ERR_EXISTS, -4, "exists already")            /* an entry of that name is there */                             \
    X(TG_ERR_LIMIT, -5, "limit reached")              /* a configured bound would be exceeded */                       \
    X(TG_ERR_AGAIN, -6, "not possible at the moment") /* would block; try later */                                     \
    X(TG_ERR_CLOSED, -7, "closed")                    /* the other side, or we, ended it */                            \
    X(TG_ERR_IO, -8, "input/output error")            /* a system call failed; see errno */                            \
    X(TG_ERR_TIMEOUT, -9, "timed out")                /* a deadline passed */                                          \
    X(TG_ERR_DENIED, -10, "permission denied")        /* the system, or a rule, refuses it */                          \
    X(TG_ERR_CORRUPT, -11, "corrupt data")            /* stored bytes make no sense */                                 \
    X(TG_ERR_UNSUPPORTED, -12, "not supported")       /* this build or engine cannot do it */

enum tg_err {
    TG_OK = 0,
#define TG_ERR_VALUE(name, value, text) name = (value),
    TG_ERR_TABLE(TG_ERR_VALUE)
#undef TG_ERR_VALUE
};

/** For functions whose result must be looked at. */
#define TG_MUST_CHECK __attribute__((warn_unused_result))

/**
 * The text of ERR for a log line: static, lower case, no full stop; never NULL, "unknown error" for a value
 * that is not in the table. Any thread.
 */
const char *tg_strerror(enum tg_err err);

#endif
