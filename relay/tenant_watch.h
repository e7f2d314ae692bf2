/*
 * tenant_watch.h - what the directory says of tenants, for an engine's flows and deliveries: asked
 * for when a tenant's mail comes, and told again when the directory has changed.
 *
 * It looks four times a second whether there is a newer snapshot, as the directory does for
 * changes: a limit is live within a second.
 *
 * Thread: the engine's.
 */
#pragma once

#include "io/engine.h"

struct worker;

struct tenant_watch {
    struct worker *worker;
    struct timeout timeout;
    uint64_t version; /* of the snapshot that was told of */
};

/* Before the worker's shards are opened: what they find asks for terms. */
void tenant_watch_start(struct tenant_watch *watch, struct worker *worker);
void tenant_watch_stop(struct tenant_watch *watch);
