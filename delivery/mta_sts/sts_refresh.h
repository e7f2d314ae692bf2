/*
 * sts_refresh.h - policies are fetched again before they expire, whether or not mail asks (RFC 8461
 * section 3.3): else who can keep us from fetching waits until a policy is over.
 *
 * Each engine looks once a second, and has one look-up at a time.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/mta_sts/sts_lookup.h"

struct sts_refresh {
    struct sts_lookup *lookup; /* under way */
};

/* Once a second. */
void sts_refresh_tick(struct sts_refresh *refresh, struct sts_store *store,
                      struct resolver *resolver, const struct sts_rules *rules);
void sts_refresh_stop(struct sts_refresh *refresh);
