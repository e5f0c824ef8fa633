/**
 * Texts of the errors; the table in err.h is the only list.
 */
#include "gateway/base/err.h"

const char *tg_strerror(enum tg_err err)
{
    switch (err) {
    case TG_OK:
        return "ok";
#define TG_ERR_CASE(name, value, text)                                                                                 \
    case name:                                                                                                         \
        return text;
        TG_ERR_TABLE(TG_ERR_CASE)
#undef TG_ERR_CASE
    }
    return "unknown error";
}
