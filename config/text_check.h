/**
 * Rules for single strings of the configuration. Each returns NULL, or what is wrong as static text that follows
 * the path of the value: "must ...".
 */
#ifndef CONFIG_TEXT_CHECK_H
#define CONFIG_TEXT_CHECK_H

/** An absolute path that does not end in '/'. */
const char *text_check_absolute_path(const char *text);

/** A path, relative or not, that does not end in '/'. */
const char *text_check_file(const char *text);

/** An absolute path. */
const char *text_check_folder(const char *text);

/** The name of a host without a port, or "*". */
const char *text_check_host(const char *text);

/** Scheme http or https, "://", a host, perhaps a port, and nothing else; as browsers write it: lower case, no default port. */
const char *text_check_origin(const char *text);

/** An account of this machine; asks the system. */
const char *text_check_account(const char *text);

/** Empty, or what the name of a topic may begin with: no wildcards, no '$' in front. */
const char *text_check_topic_prefix(const char *text);

#endif
