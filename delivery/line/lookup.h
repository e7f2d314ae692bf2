/*
 * lookup.h - the hosts of a destination: the targets of its route, or its MX.
 *
 * Numeric targets are the operator's word and are not checked against the private networks; names
 * of a route are looked up one after the other and tried in the order given.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/state.h"

struct lookup;

/* Called later, once; the set and its policies, one a host, are valid during the call; the lookup
 * is freed after it. A route's set has the preferences 0, 1, 2... and is named after its targets.
 */
typedef void lookup_done(void *context, const struct mx_set *set,
                         struct tls_policy *const *policies);

struct lookup *lookup_start(struct delivery *delivery, const struct route *route,
                            const struct domain *domain, lookup_done *done, void *context);
void lookup_cancel(struct lookup **lookup);
