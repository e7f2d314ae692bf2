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

static void route_anew(struct delivery *delivery, const struct delivery_settings *before)
{
    bool are_mx_rules_equal = mx_rules_are_equal(&before->mx, &delivery->settings->mx) &&
                              before->dane == delivery->settings->dane &&
                              before->mta_sts == delivery->settings->mta_sts;

    list_for_each(node, &delivery->all_destinations) {
        struct destination *d = container_of(node, struct destination, in_all);
        const struct route *route = router_route(delivery->settings, domain_name(d->domain));

        if (are_mx_rules_equal && d->state != DESTINATION_NEW && route_is_equal(d->route, route) &&
            router_tls_is_equal(before, delivery->settings, domain_name(d->domain)))
            destination_keep_route(d, route);
        else
            destination_reroute(d);
    }
}

/* Limits are put together before any is told: a site must not be without those of its domains even
 * for a moment, in which another slot would be given out. */
void reload_apply(struct delivery *delivery, const struct delivery_settings *before)
{
    list_for_each(node, &delivery->all_sites)
        site_forget_domains(container_of(node, struct site, in_all));
    route_anew(delivery, before);
    list_for_each(node, &delivery->all_sites)
        site_reconfigure(container_of(node, struct site, in_all));
}
