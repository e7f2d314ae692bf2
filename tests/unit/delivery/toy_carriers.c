/* toy_carriers.c - connections without a peer, for tests of delivery/line. */
#include "unit/delivery/toy_carriers.h"

#include <stdlib.h>

#include "base/metric.h"
#include "delivery/line/state.h"
#include "support/engine_fake.h"

enum { TURNS_MAX = 20 };

struct list toy_carriers;
static struct turn_hook end_leaving;

struct toy_carrier *toy_carrier_of(struct list_node *node)
{
    return container_of(node, struct toy_carrier, node);
}

void toy_carrier_end(struct toy_carrier *toy)
{
    if (toy->carrier.is_opening)
        carrier_given_up(&toy->carrier);
    else
        carrier_left(&toy->carrier);
    list_remove(&toy->node);
    carrier_gone(&toy->carrier);
    free(toy);
}

static void on_turn_end_leaving(struct turn_hook *hook)
{
    (void)hook;
    list_for_each(node, &toy_carriers)
        if (toy_carrier_of(node)->is_leaving)
            toy_carrier_end(toy_carrier_of(node));
}

struct engine *toy_engine_create(void)
{
    struct engine_settings settings = {0};
    struct engine *engine = engine_create(&settings);

    list_init(&toy_carriers);
    end_leaving = (struct turn_hook){.run = on_turn_end_leaving};
    list_node_init(&end_leaving.node);
    engine_add_turn_hook(engine, &end_leaving);
    return engine;
}

void toy_engine_destroy(struct engine **engine)
{
    check(list_is_empty(&toy_carriers));
    check(metric_sum(METRIC_DELIVERY_UNHELD_HEALED) == 0);
    engine_remove_turn_hook(*engine, &end_leaving);
    engine_destroy(engine);
}

static bool toy_open(void *context, const struct carrier_opening *opening)
{
    struct toy_carrier *toy = calloc(1, sizeof(*toy));

    check(toy != NULL);
    toy->world = context;
    carrier_init(&toy->carrier, opening);
    list_node_init(&toy->node);
    list_push_back(&toy_carriers, &toy->node);
    return true;
}

static void toy_wake(struct carrier *carrier)
{
    (void)carrier; /* it asks when the test lets it */
}

static void toy_leave(struct carrier *carrier)
{
    container_of(carrier, struct toy_carrier, carrier)->is_leaving = true;
}

size_t toy_carriers_count(void)
{
    size_t count = 0;

    list_for_each(node, &toy_carriers)
        count++;
    return count;
}

void toy_carriers_use(struct world *world)
{
    world->delivery->carriers = (struct carrier_kind){.open = toy_open,
                                                      .wake = toy_wake,
                                                      .leave = toy_leave,
                                                      .abort = toy_leave,
                                                      .context = world};
}

/* Delivers what it pulled. */
static void carry(struct toy_carrier *toy, struct pull *pull)
{
    static const struct judgement accepted = {.kind = JUDGEMENT_DELIVERED,
                                              .code = 250,
                                              .class = "accepted",
                                              .rule = ""};
    struct attempt_facts facts = {.is_attempt = true, .times = {-1, -1, -1, -1, -1, -1}};
    struct settlement *settlement = settlement_begin(toy->carrier.outcomes, pull->shard,
                                                     stub_message(pull->stub), &facts, pull->count);

    for (size_t i = 0; i < pull->count; i++)
        settlement_add(settlement, pull->pendings[i], &accepted);
    settlement_commit(&settlement);
    carrier_done(&toy->carrier, pull->count);
    carrier_took(&toy->carrier);
    carrier_fruitful(&toy->carrier);
    toy->messages++;
    toy->lookup_ms = pull->lookup_ms;
}

char toy_carrier_step(struct toy_carrier *toy)
{
    struct carrier *carrier = &toy->carrier;
    struct pull pull = {0};

    if (carrier->is_opening)
        carrier_ready(carrier);
    if (carrier_is_finished(carrier, toy->messages, 0) ||
        (carrier_is_idle(carrier) && carrier_idle_is_over(carrier, 0))) {
        toy_carrier_end(toy);
        return 0;
    }
    if (carrier_is_idle(carrier))
        list_remove(&carrier->in_idle);
    if (!carrier_next(carrier, &pull))
        return 0;
    char tenant = (char)flow_tenant(pull.pendings[0]->flow).ptr[0];

    carry(toy, &pull);
    return tenant;
}

char toy_slot(struct engine *engine)
{
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        list_for_each(node, &toy_carriers) {
            char tenant = toy_carrier_step(toy_carrier_of(node));

            if (tenant != 0)
                return tenant;
        }
        engine_turn(engine, 0);
    }
    return 0;
}
