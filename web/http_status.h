/** The statuses in use, as small numbers to count by. */
#ifndef WEB_HTTP_STATUS_H
#define WEB_HTTP_STATUS_H

/** A number for STATUS, small and dense: 0 for one that is not in use here. */
unsigned http_status_index(unsigned status);

/** The status that has the number INDEX; 0 for none. */
unsigned http_status_at(unsigned index);

#endif
