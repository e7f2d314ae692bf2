/* outcomes.c - how the outcomes of an engine begin and end. */
#include "delivery/outcome/outcomes.h"

#include <stdlib.h>

#include "delivery/outcome/clearing.h"
#include "delivery/outcome/gathering.h"
#include "delivery/outcome/outcome.h"
#include "delivery/outcome/state.h"

enum {
    SETTLEMENTS_MAX = 1000000, /* beyond what is in attempts when SETTLEMENTS_FULL is reached */
    CLEARINGS_MAX = 2 * CLEARINGS_FULL,
};

struct outcomes *outcomes_create(struct engine *engine, const struct outcome_settings *settings,
                                 const struct outcome_hooks *hooks)
{
    struct outcomes *o = calloc(1, sizeof(*o));

    check(o != NULL);
    o->engine = engine;
    o->settings = *settings;
    o->hooks = *hooks;
    o->started_ms = engine_now_ms(engine);
    o->sure_from_ms = o->started_ms;
    o->nowhere = series_begin(&family_sites, BYTES_NONE);
    slab_init(&o->settlements, settlement_size(), SETTLEMENTS_MAX);
    slab_init(&o->clearings, clearing_size(), CLEARINGS_MAX);
    list_init(&o->waiting_clearings);
    gathering_init(o);
    return o;
}

void outcomes_free(struct outcomes **outcomes)
{
    struct outcomes *o = *outcomes;

    *outcomes = NULL;
    check(outcomes_are_none(o));
    check(o->in_attempt_count == 0);
    check(o->settled_count == 0);
    check(o->notice_bytes == 0);
    engine_timeout_cancel(o->engine, &o->gathering_timeout);
    slab_free_all(&o->settlements);
    slab_free_all(&o->clearings);
    series_put(&o->nowhere);
    class_counts_end(&o->classes);
    free(o);
}

void outcomes_set_home(struct outcomes *o, struct shard *home)
{
    o->home = home;
}

void outcomes_sign(struct outcomes *o, struct signer *signer)
{
    o->signer = signer;
}

void outcomes_configure(struct outcomes *o, const struct outcome_settings *settings)
{
    o->settings = *settings;
}

void outcomes_stop(struct outcomes *o)
{
    o->is_stopping = true;
    gathering_commit_all(o);
    clearing_drop_waiting(o);
}
