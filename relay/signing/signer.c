/* signer.c - the line of those that wait for a turn's time. */
#include "signing/signer.h"

#include <stdlib.h>
#include <string.h>

#include "base/metric.h"
#include "io/turn_budget.h"

struct signer {
    struct engine *engine;
    struct snapshot_reader *reader;
    struct key_cache *keys;
    struct dkim_signer_options options;
    char *state_dir;
    struct list line; /* of signer_work.node, the first waits longest */
    struct turn_end end;
};

static void on_turn_end(struct turn_end *end);

static unsigned keys_max(const struct signer_settings *settings)
{
    return settings->keys_max != 0 ? settings->keys_max : SIGNER_KEYS_DEFAULT;
}

struct signer *signer_create(const struct signer_setup *setup)
{
    struct signer *signer = calloc(1, sizeof(*signer));

    check(signer != NULL);
    signer->engine = setup->engine;
    signer->reader = setup->reader;
    signer->options = setup->settings.options;
    signer->state_dir = strdup(setup->state_dir);
    check(signer->state_dir != NULL);
    signer->keys =
        key_cache_create(setup->engine, setup->pool, signer->state_dir, keys_max(&setup->settings));
    list_init(&signer->line);
    turn_end_init(&signer->end, on_turn_end);
    return signer;
}

void signer_configure(struct signer *signer, const struct signer_settings *settings)
{
    signer->options = settings->options;
    key_cache_configure(signer->keys, keys_max(settings));
}

void signer_stop(struct signer *signer, void (*stopped)(void *context), void *context)
{
    check(list_is_empty(&signer->line));
    key_cache_stop(signer->keys, stopped, context);
}

void signer_free(struct signer **signer)
{
    struct signer *freed = *signer;

    *signer = NULL;
    if (freed == NULL)
        return;
    check(list_is_empty(&freed->line));
    engine_turn_end_cancel(freed->engine, &freed->end);
    key_cache_free(&freed->keys);
    free(freed->state_dir);
    free(freed);
}

struct engine *signer_engine(const struct signer *signer)
{
    return signer->engine;
}

struct snapshot_reader *signer_reader(const struct signer *signer)
{
    return signer->reader;
}

struct key_cache *signer_keys(const struct signer *signer)
{
    return signer->keys;
}

const struct dkim_signer_options *signer_options(const struct signer *signer)
{
    return &signer->options;
}

/* --- a turn's time ---------------------------------------------------------------------------- */

/* False: not in this turn any more. */
static bool try_now(struct signer *signer, struct signer_work *work, bool has_waited)
{
    if (!turn_budget_begin(signer->engine, has_waited))
        return false;
    list_remove(&work->node);
    work->run(work);
    turn_budget_end(signer->engine);
    work->done(work);
    return true;
}

static void on_turn_end(struct turn_end *end)
{
    struct signer *signer = container_of(end, struct signer, end);
    struct list_node *first;

    while ((first = list_first(&signer->line)) != NULL)
        if (!try_now(signer, container_of(first, struct signer_work, node), true)) {
            engine_at_turn_end(signer->engine, end);
            return;
        }
}

void signer_run(struct signer *signer, struct signer_work *work)
{
    list_node_init(&work->node);
    if (list_is_empty(&signer->line) && try_now(signer, work, false))
        return;
    metric_inc(METRIC_DKIM_PUT_OFF);
    list_push_back(&signer->line, &work->node);
    engine_at_turn_end(signer->engine, &signer->end);
}

void signer_cancel(struct signer_work *work)
{
    if (work->node.next != NULL)
        list_remove(&work->node);
}
