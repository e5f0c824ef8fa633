/**
 * The provider without rules: everybody may connect and do everything, or (anonymous false) nobody may connect.
 * Credentials are not checked, for there is nothing to check them against. No authentication method is known: 0x8C.
 */
#ifndef GATEWAY_ACCESS_ACCESS_OPEN_H
#define GATEWAY_ACCESS_ACCESS_OPEN_H

#include "gateway/access/access.h"

/** ANONYMOUS: let everybody in; else refuse every CONNECT with 0x87. Returns owned, NULL without memory. */
struct access *access_open_new(bool anonymous);

/** Change the answer for connections to come. Any thread. */
void access_open_set_anonymous(struct access *access, bool anonymous);

#endif
