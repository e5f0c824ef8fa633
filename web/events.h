/**
 * GET /events: a live subscription as an event stream, as lines of JSON, or by polling.
 *
 *      retry, id          where the reader stands
 *      gap                something was lost since where it stood: what follows begins anew
 *      (messages)         what waited for it, or the retained values
 *      synced             all of these have been sent; new messages may have come between them
 *      (messages)         live
 *
 * A stream is a session of the broker (gateway/broker/local.h) with its transport, and outlives its connection: what was sent and may not have
 * arrived is kept, bounded by events.queued_messages and queued_bytes, until the reader names the last event that it has. Messages are numbered by
 * the session, so what was dropped, or has expired, is a hole in the numbers, and is told.
 *
 * A reader that is slow: its socket takes no more, some text waits, then the session's queue, all of them bounded; a reader that takes nothing for
 * limits.write_stall_timeout_ms is cut off.
 */
#ifndef WEB_EVENTS_H
#define WEB_EVENTS_H

struct http_request;

/** The handler of GET /events. */
void events_get(struct http_request *request);

#endif
