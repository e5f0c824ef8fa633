#include "gateway/start_access.h"

#include "config/config.h"
#include "gateway/access/access_files.h"
#include "gateway/access/access_open.h"
#include "gateway/base/log.h"

static bool has_files(const struct config *config)
{
    return config->access.password_file != NULL || config->access.acl_file != NULL;
}

static struct access_files_options options_of(const struct config *config)
{
    return (struct access_files_options){
        .password_file = config->access.password_file,
        .acl_file = config->access.acl_file,
        .anonymous = config->access.anonymous,
    };
}

/* EFFECT: what comes of it. */
static void log_fault(const struct access_files_fault *fault, const char *effect)
{
    char place[32] = "";
    if (fault->fault.line != 0) {
        snprintf(place, sizeof(place), ":%u", fault->fault.line);
    }
    char where[LOG_FIELD_BYTES_MAX];
    snprintf(where, sizeof(where), "%s%s", fault->file != NULL ? fault->file : "", place);
    log_error("access rules not read", LOG_STR("file", where), LOG_STR("reason", fault->fault.text),
              LOG_STR("effect", effect));
}

struct access *start_access_open(const struct config *config, unsigned places)
{
    struct access_files_fault fault;
    struct access *access;
    if (!has_files(config)) {
        access = access_open_new(config->access.anonymous);
        if (access == NULL) {
            log_error("cannot start", LOG_STR("reason", "out of memory"));
        }
        return access;
    }
    const struct access_files_options options = options_of(config);
    access = access_files_new(&options, places, &fault);
    if (access == NULL) {
        log_fault(&fault, "cannot start");
    }
    return access;
}

void start_access_reload(struct access *access, const struct config *config)
{
    struct access_files_fault fault;
    if (!has_files(config)) {
        access_open_set_anonymous(access, config->access.anonymous);
        return;
    }
    const struct access_files_options options = options_of(config);
    if (!access_files_reload(access, &options, &fault)) {
        log_fault(&fault, "the rules stay as they were");
    }
}

bool start_access_check(const struct config *config, FILE *stream)
{
    struct access_files_fault fault;
    const struct access_files_options options = options_of(config);
    if (access_files_check(&options, &fault)) {
        return true;
    }
    if (fault.file == NULL) {
        fprintf(stream, "tidegate: %s\n", fault.fault.text);
    } else if (fault.fault.line == 0) {
        fprintf(stream, "%s: %s\n", fault.file, fault.fault.text);
    } else {
        fprintf(stream, "%s:%u: %s\n", fault.file, fault.fault.line, fault.fault.text);
    }
    return false;
}
