/* reload.c - compares settings. */
#include "delivery/line/reload.h"

#include <string.h>

#include "delivery/line/destination.h"
#include "delivery/line/router.h"

static bool texts_are_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool addresses_are_equal(const struct address *a, const struct address *b)
{
    return address_equal(a, b) && address_port(a) == address_port(b);
}

static bool source_is_equal(const struct source *a, const struct source *b)
{
    return texts_are_equal(a->name, b->name) && texts_are_equal(a->ehlo, b->ehlo) &&
           a->weight == b->weight && a->has_address4 == b->has_address4 &&
           a->has_address6 == b->has_address6 &&
           (!a->has_address4 || address_equal(&a->address4, &b->address4)) &&
           (!a->has_address6 || address_equal(&a->address6, &b->address6));
}

static bool sources_are_equal(const struct delivery_settings *a, const struct delivery_settings *b)
{
    bool are_equal = a->source_count == b->source_count;

    for (size_t i = 0; are_equal && i < a->source_count; i++)
        are_equal = source_is_equal(&a->sources[i], &b->sources[i]);
    return are_equal;
}

static bool mx_rules_are_equal(const struct mx_rules *a, const struct mx_rules *b)
{
    bool are_equal = bytes_equal(a->our_name, b->our_name) && a->port == b->port &&
                     a->use_ipv4 == b->use_ipv4 && a->use_ipv6 == b->use_ipv6 &&
                     a->allow_private_count == b->allow_private_count &&
                     a->ours_count == b->ours_count;

    for (size_t i = 0; are_equal && i < a->allow_private_count; i++)
        are_equal = a->allow_private[i].prefix_len == b->allow_private[i].prefix_len &&
                    memcmp(a->allow_private[i].bytes, b->allow_private[i].bytes,
                           sizeof(a->allow_private[i].bytes)) == 0;
    for (size_t i = 0; are_equal && i < a->ours_count; i++)
        are_equal = addresses_are_equal(&a->ours[i], &b->ours[i]);
    return are_equal;
}

/* It leads to the same place; what it matches does not matter. */
static bool route_is_equal(const struct route *a, const struct route *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    bool is_equal = a->use_mx == b->use_mx && a->target_count == b->target_count;

    for (size_t i = 0; is_equal && i < a->target_count; i++)
        is_equal = texts_are_equal(a->targets[i], b->targets[i]);
    return is_equal;
}

static void reroute_all(struct delivery *delivery)
{
    list_for_each(node, &delivery->all_destinations)
        destination_reroute(container_of(node, struct destination, in_all));
}

void reload_apply(struct delivery *delivery, const struct delivery_settings *before)
{
    const struct delivery_settings *now = delivery->settings;

    if (!sources_are_equal(before, now)) {
        /* Connections of the old sites end when they have nothing to do; new sites take over. */
        list_for_each(node, &delivery->all_sites)
            site_abandon(container_of(node, struct site, in_all));
        reroute_all(delivery);
        return;
    }
    list_for_each(node, &delivery->all_sites) {
        struct site *site = container_of(node, struct site, in_all);

        if (site->is_current)
            site_reconfigure(site);
    }
    if (!mx_rules_are_equal(&before->mx, &now->mx)) {
        reroute_all(delivery);
        return;
    }
    list_for_each(node, &delivery->all_destinations) {
        struct destination *d = container_of(node, struct destination, in_all);
        const struct route *route = router_route(now, domain_name(d->domain));

        if (d->state != DESTINATION_NEW && route_is_equal(d->route, route))
            destination_keep_route(d, route);
        else
            destination_reroute(d);
    }
}
