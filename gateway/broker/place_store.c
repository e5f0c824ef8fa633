#include "gateway/broker/place_store.h"

#include "gateway/broker/core.h"
#include "gateway/broker/route_cache.h"

bool place_is_durable(const struct place *place)
{
    return place->port != NULL;
}

bool place_write(struct place *place, struct store_write *writes, struct store_ticket *out)
{
    struct store_ticket ticket = STORE_TICKET_DONE;
    if (writes != NULL && !store_port_write(place->port, writes, &ticket)) {
        return false;
    }
    if (out != NULL) {
        *out = ticket;
    }
    return true;
}

bool place_has_interest(struct place *place, struct bytes topic)
{
    return route_cache_find(place->cache, topic)->count > 0;
}
