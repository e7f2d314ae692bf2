/* store_look.c - looks at every destination once for each state of the directory. */
#include "delivery/line/store_look.h"

#include "delivery/line/destination.h"
#include "delivery/line/store_route.h"

enum { LOOKS_MAX = 2000 /* destinations a turn: some tenths of a millisecond */ };

void store_look_tick(struct delivery *delivery)
{
    const struct delivery_store *store = &delivery->store;

    if (store->is_hosted == NULL)
        return;
    uint64_t version = store->version(store->context);

    if (version == delivery->store_version)
        return;
    delivery->store_version = version;
    delivery->store_looks = delivery->destination_count;
    if (delivery->store_looks > 0)
        delivery_drive_later(delivery);
}

/* From the front to the back of all, so that each is met once. */
void store_look(struct delivery *delivery)
{
    for (size_t i = 0; i < LOOKS_MAX && delivery->store_looks > 0; i++) {
        struct list_node *node = list_pop_front(&delivery->all_destinations);

        delivery->store_looks--;
        if (node == NULL) {
            delivery->store_looks = 0;
            return;
        }
        list_push_back(&delivery->all_destinations, node);
        if (delivery->unheld.destinations_left > 0) /* which goes round the same list */
            delivery->unheld.destinations_left++;
        struct destination *d = container_of(node, struct destination, in_all);

        if (d->state == DESTINATION_NEW && d->lookup == NULL)
            destination_dirty(d); /* it may have waited for the first word */
        else if (store_takes(delivery, d->domain) != d->is_filed)
            destination_reroute(d);
    }
    if (delivery->store_looks > 0)
        delivery_drive_later(delivery);
}
