/*
 * tenant_privacy.h - whose events show no local parts of addresses (event/event_privacy.h).
 *
 * By a tenant's name, and kept when the tenant goes: its mail on the way is still its own.
 *
 * Thread: the store's.
 */
#pragma once

#include "directory/store.h"

/* `mode`: 0 none, 1 hash, 2 cut. STORE_SAME: it is so. */
enum store_result tenant_privacy_set(struct store *store, struct bytes tenant, unsigned mode);
enum store_result tenant_privacy_list(struct store *store,
                                      void (*visit)(void *context, struct bytes tenant,
                                                    unsigned mode),
                                      void *context);
