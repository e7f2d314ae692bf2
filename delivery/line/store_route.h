/*
 * store_route.h - which mail is filed in our own store instead of being sent on.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/state.h"

#define STORE_SITE "local:store" /* no name of an MX set or a route */
#define STORE_HOST "store"       /* in events */

extern const struct source store_source; /* what stands for our addresses towards it */

static inline bool store_is_site(const struct delivery *delivery, struct bytes name)
{
    return delivery->store.is_hosted != NULL && bytes_equal(name, BYTES(STORE_SITE));
}

/* Whether the directory was read; where there is no store there is nothing to read. */
bool store_is_known(const struct delivery *delivery);
/* Whether mail of the domain is filed. */
bool store_takes(const struct delivery *delivery, const struct domain *domain);
/* The site as if it had been looked up; `host` is a part of the set. */
void store_set(const struct delivery *delivery, struct mx_set *set_out, struct mx_host *host_out);
