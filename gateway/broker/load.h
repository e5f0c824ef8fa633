/**
 * Messages of a session's queue that are on disk alone, on their way into memory: the next few are read at once by the store's reader, and
 * come back by mail. Sending goes on then. What cannot be read for a reason that passes is asked for again a little later.
 */
#ifndef GATEWAY_BROKER_LOAD_H
#define GATEWAY_BROKER_LOAD_H

#include <stdbool.h>

struct outgoing_entry;
struct place;
struct session;

/**
 * Let ENTRY, in the window or queue of SESSION, which is connected, have its message.
 * @return false if it, and what comes behind it, is being read: session_pump() is called again when it is there
 */
bool load_entry(struct place *place, struct session *session, struct outgoing_entry *entry);

/** What is being read for SESSION is not for it any more: it moves or ends. */
void load_forget(struct session *session);

#endif
