/* unheld.c - finds mail that waits for nothing, a slice a second. */
#include "delivery/line/unheld.h"

#include "base/log.h"
#include "base/metric.h"
#include "delivery/line/destination.h"
#include "delivery/line/store_route.h"

enum {
    ROUND_TICKS = 10,
    LOOKS_MAX = 10000, /* in a tick, of sites and of destinations: about a millisecond */
};

bool site_is_unheld(const struct site *site)
{
    if (site->waiting_count == 0 || site->delivery->is_stopping)
        return false;
    if (list_is_linked(&site->in_dirty) || list_is_linked(&site->in_starved))
        return false;
    /* At rest it gives back what comes: nothing is to wait for the end of that. */
    if (site->timeout_at_ms != 0 && site->state != SITE_RESTING)
        return false;
    for (const struct site_egress *e = site->egresses; e != NULL; e = e->next)
        if (e->is_waiting || egress_share_is_awaited(&e->sender))
            return false;
    size_t idle = 0;

    list_for_each(node, &site->idle)
        idle++;
    return site->carrier_count == idle; /* a busy connection pulls when it is done */
}

bool destination_is_unheld(const struct destination *d)
{
    return d->lines.count > 0 && d->site == NULL && d->lookup == NULL &&
           !list_is_linked(&d->in_dirty) && !list_is_linked(&d->in_starved) &&
           store_is_known(d->delivery);
}

/* To the end of its list: who has been looked at is behind those who have not. */
static struct list_node *take_turn(struct list *list)
{
    struct list_node *node = list_pop_front(list);

    if (node != NULL)
        list_push_back(list, node);
    return node;
}

static uint64_t look_at_sites(struct delivery *delivery)
{
    struct unheld_round *round = &delivery->unheld;
    uint64_t found = 0;

    for (unsigned i = 0; i < LOOKS_MAX && round->sites_left > 0; i++, round->sites_left--) {
        struct list_node *node = take_turn(&delivery->all_sites);

        if (node == NULL)
            continue;
        struct site *site = container_of(node, struct site, in_all);

        if (!site_is_unheld(site))
            continue;
        found += site->waiting_count;
        site_dirty(site);
    }
    return found;
}

static uint64_t look_at_destinations(struct delivery *delivery)
{
    struct unheld_round *round = &delivery->unheld;
    uint64_t found = 0;

    for (unsigned i = 0; i < LOOKS_MAX && round->destinations_left > 0;
         i++, round->destinations_left--) {
        struct list_node *node = take_turn(&delivery->all_destinations);

        if (node == NULL)
            continue;
        if (delivery->store_looks > 0) /* this one was taken from the front of that round */
            delivery->store_looks++;
        struct destination *d = container_of(node, struct destination, in_all);

        if (!destination_is_unheld(d))
            continue;
        found += d->lines.count;
        destination_dirty(d);
    }
    return found;
}

void unheld_tick(struct delivery *delivery)
{
    struct unheld_round *round = &delivery->unheld;

    round->ticks++;
    if (round->sites_left == 0 && round->destinations_left == 0) {
        if (round->ticks < ROUND_TICKS)
            return;
        round->ticks = 0;
        round->sites_left = delivery->site_count;
        round->destinations_left = delivery->destination_count;
    }
    uint64_t found = look_at_sites(delivery) + look_at_destinations(delivery);

    if (found > 0) {
        round->found += found;
        log_limited(LOG_LEVEL_ERROR,
                    "unheld=%llu what=\"mail waits that nothing would have woken\"",
                    (unsigned long long)found);
        metric_inc(METRIC_DELIVERY_UNHELD_HEALED);
    }
    if (round->sites_left > 0 || round->destinations_left > 0)
        return;
    round->found_before = round->found;
    round->found = 0;
}

uint64_t unheld_count(const struct delivery *delivery)
{
    return MAX(delivery->unheld.found, delivery->unheld.found_before);
}
