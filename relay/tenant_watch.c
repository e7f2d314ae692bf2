/* tenant_watch.c - terms of tenants out of the newest snapshot. */
#include "relay/tenant_watch.h"

#include "relay/worker.h"
#include "submission/allowed.h"

enum { LOOK_MS = 250, SLICE_MS = 2, TENANTS_MAX = 1000 /* a look */ };

static void on_terms(void *context, struct bytes tenant, struct tenant_terms *out)
{
    struct worker *worker = context;
    const struct directory_tenant *row = snapshot_tenant(snapshot_begin(worker->reader), tenant);

    if (row != NULL) {
        out->weight = (unsigned)row->limits[LIMIT_WEIGHT];
        out->allowance = allowed_of(row, engine_now_ms(worker->engine), &out->limits);
    }
    snapshot_end(worker->reader);
}

static void on_timeout(struct timeout *timeout)
{
    struct tenant_watch *watch = container_of(timeout, struct tenant_watch, timeout);
    struct worker *worker = watch->worker;
    uint64_t version = snapshot_version(snapshot_begin(worker->reader));

    snapshot_end(worker->reader);
    if (version != watch->version) {
        watch->version = version;
        flows_weigh_all(worker->flows);
        delivery_terms_changed(worker->delivery);
    }
    bool has_more = flows_weigh_some(worker->flows, TENANTS_MAX);

    engine_timeout(worker->engine, &watch->timeout, has_more ? SLICE_MS : LOOK_MS);
}

void tenant_watch_start(struct tenant_watch *watch, struct worker *worker)
{
    watch->worker = worker;
    timeout_init(&watch->timeout, on_timeout);
    flows_set_terms(worker->flows, on_terms, worker);
    engine_timeout(worker->engine, &watch->timeout, LOOK_MS);
}

void tenant_watch_stop(struct tenant_watch *watch)
{
    engine_timeout_cancel(watch->worker->engine, &watch->timeout);
}
