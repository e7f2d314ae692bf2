/* gate.c - gates by tenant, and what is let through. */
#include "delivery/line/gate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/metric.h"
#include "delivery/line/constraint.h"
#include "delivery/line/destination.h"
#include "delivery/outcome/clearing.h"

enum {
    LET_MAX = 256,    /* of a gate at a time */
    LOOKS_MAX = 1000, /* gates a turn, and a second */
};

/* Of a tenant of which something waits here. */
struct gate {
    struct delivery *delivery;
    struct tenant *tenant; /* its flows live while their recipients wait */
    struct tenant_terms terms;
    struct list lines[RANK_COUNT];
    struct classes classes;
    uint32_t count;
    struct list_node in_gates;
    struct timeout timeout;
};

static void on_timeout(struct timeout *timeout);

static bool ask_terms(const struct delivery *delivery, const struct tenant *tenant,
                      struct tenant_terms *out)
{
    flows_ask_terms(delivery->flows, tenant, out);
    return out->allowance != NULL;
}

static struct gate *gate_of(const struct pending *pending)
{
    return pending->flow->tenant->gate;
}

static struct gate *gate_make(struct delivery *delivery, struct tenant *tenant,
                              const struct tenant_terms *terms)
{
    struct gate *gate = calloc(1, sizeof(*gate));

    check(gate != NULL);
    gate->delivery = delivery;
    gate->tenant = tenant;
    gate->terms = *terms;
    for (unsigned i = 0; i < RANK_COUNT; i++)
        list_init(&gate->lines[i]);
    timeout_init(&gate->timeout, on_timeout);
    list_node_init(&gate->in_gates);
    list_push_back(&delivery->gates, &gate->in_gates);
    delivery->gate_count++;
    tenant->gate = gate;
    return gate;
}

/* Nothing waits. */
static void gate_free(struct gate *gate)
{
    check(gate->count == 0);
    engine_timeout_cancel(gate->delivery->engine, &gate->timeout);
    list_remove(&gate->in_gates);
    gate->delivery->gate_count--;
    gate->tenant->gate = NULL;
    free(gate);
}

static struct list *line_at(struct gate *gate, const struct pending *pending)
{
    return &gate->lines[rank_of((enum mail_class)pending->flow->class)];
}

static void count(struct gate *gate, int change)
{
    gate->count += (uint32_t)change;
    gate->delivery->gated_count += (size_t)change;
    metric_add(METRIC_DELIVERY_THROTTLED, change);
    series_add(gate->tenant->counts, RECIPIENTS_THROTTLED, change);
}

static unsigned waiting_mask(const struct gate *gate)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < RANK_COUNT; i++)
        if (!list_is_empty(&gate->lines[i]))
            mask |= RANK_BIT(i);
    return mask;
}

/* Out of its gate, which stays, and gated no more; the tenant has one less that waits. */
static void take_out(struct gate *gate, struct pending *pending)
{
    pending->flags &= (uint8_t)~PENDING_HELD;
    pending->is_gated = false;
    list_remove(&pending->link);
    count(gate, -1);
    if (gate->terms.allowance != NULL)
        allowance_wait_over(gate->terms.allowance, 1);
}

/* The same, and the gate goes with the last. */
static void leave(struct pending *pending)
{
    struct gate *gate = gate_of(pending);

    check(gate != NULL);
    take_out(gate, pending);
    if (gate->count == 0)
        gate_free(gate);
}

/* --- in and out ------------------------------------------------------------------------------- */

/* What was accepted as throttled is counted since; what a start found is not, before it is here. */
static bool is_counted(const struct pending *pending)
{
    return (pending->flags & PENDING_UNTRIED) == 0;
}

static void pass(struct pending *pending, const struct tenant_terms *terms)
{
    pending->is_gated = false;
    if (is_counted(pending) && terms->allowance != NULL)
        allowance_wait_over(terms->allowance, 1);
}

static void arm(struct gate *gate, int64_t until_ms)
{
    struct engine *engine = gate->delivery->engine;

    engine_timeout(engine, &gate->timeout, MAX(until_ms - engine_now_ms(engine), (int64_t)1));
}

bool gate_holds(struct delivery *delivery, struct pending *pending)
{
    struct gate *gate = gate_of(pending);
    struct tenant_terms terms;
    int64_t until_ms = 0;

    check(pending->is_gated);
    check((pending->flags & PENDING_PLACES) == 0);
    if (gate == NULL) {
        if (!ask_terms(delivery, pending->flow->tenant, &terms)) {
            pass(pending, &terms);
            return false;
        }
        struct allowance_moment moment = allowance_moment(engine_now_ms(delivery->engine));

        if (allowance_take(terms.allowance, &terms.limits, &moment, 1, &until_ms) ==
            ALLOWANCE_LIMIT_COUNT) {
            pass(pending, &terms);
            return false;
        }
        gate = gate_make(delivery, pending->flow->tenant, &terms);
        arm(gate, until_ms);
    }
    if (!is_counted(pending))
        allowance_wait(gate->terms.allowance, 1);
    pending->flags |= PENDING_HELD;
    list_push_back(line_at(gate, pending), &pending->link);
    count(gate, 1);
    shard_let_go(delivery_shard(delivery, pending_stub(pending)), pending);
    return true;
}

void gate_forget(struct delivery *delivery, struct pending *pending)
{
    struct tenant_terms terms;

    if (!pending->is_gated)
        return;
    if (pending_waits_at_gate(pending)) {
        leave(pending);
        return;
    }
    (void)ask_terms(delivery, pending->flow->tenant, &terms);
    pass(pending, &terms);
}

/* --- letting go ------------------------------------------------------------------------------- */

static struct pending *first_of(struct gate *gate, enum rank rank)
{
    return container_of(list_first(&gate->lines[rank]), struct pending, link);
}

/* It may go, and does at the end of the turn; until then it is here still. */
static void let_through(struct gate *gate, struct pending *pending)
{
    list_remove(&pending->link);
    list_push_back(&gate->delivery->let_through, &pending->link);
    delivery_drive_later(gate->delivery);
}

struct pending *gate_next(struct delivery *delivery)
{
    struct list_node *node = list_first(&delivery->let_through);

    if (node == NULL)
        return NULL;
    struct pending *pending = container_of(node, struct pending, link);

    leave(pending);
    return pending;
}

/* As many as may go now. */
static void drive(struct gate *gate)
{
    struct delivery *delivery = gate->delivery;
    struct allowance_moment moment = allowance_moment(engine_now_ms(delivery->engine));
    int64_t until_ms = moment.now_ms + 1;

    for (unsigned i = 0; i < LET_MAX && waiting_mask(gate) != 0; i++) {
        enum rank rank = classes_next(&gate->classes, waiting_mask(gate));

        if (allowance_take(gate->terms.allowance, &gate->terms.limits, &moment, 1, &until_ms) !=
            ALLOWANCE_LIMIT_COUNT)
            break;
        classes_charge(&gate->classes, rank, 1);
        let_through(gate, first_of(gate, rank));
    }
    if (waiting_mask(gate) != 0)
        arm(gate, until_ms);
}

static void on_timeout(struct timeout *timeout)
{
    drive(container_of(timeout, struct gate, timeout));
}

/* --- limits that change ----------------------------------------------------------------------- */

/* A tenant without limits, or none at all any more: what waits may go, and the allowance that it
 * was counted in is the one that the gate had. */
static void check_terms(struct gate *gate)
{
    struct tenant_terms terms;

    if (ask_terms(gate->delivery, gate->tenant, &terms) && terms.allowance == gate->terms.allowance)
        gate->terms = terms;
    else
        gate->terms.limits = (struct allowance_limits){0};
    drive(gate);
}

void gates_check_all(struct delivery *delivery)
{
    delivery->gates_to_check = delivery->gate_count;
    delivery_drive_later(delivery);
}

/* To the end of the list before it is looked at, as it may go. */
static struct gate *next_gate(struct delivery *delivery)
{
    struct list_node *node = list_pop_front(&delivery->gates);

    if (node == NULL)
        return NULL;
    list_push_back(&delivery->gates, node);
    return container_of(node, struct gate, in_gates);
}

void gates_drive(struct delivery *delivery)
{
    struct gate *gate;

    for (unsigned i = 0; i < LOOKS_MAX && delivery->gates_to_check > 0; i++) {
        delivery->gates_to_check--;
        if ((gate = next_gate(delivery)) != NULL)
            check_terms(gate);
    }
    if (delivery->gates_to_check > 0)
        delivery_drive_later(delivery);
}

/* --- age -------------------------------------------------------------------------------------- */

/* In each line the first came first, but for what a start found: that is younger than it seems. */
static void expire(struct gate *gate)
{
    struct delivery *delivery = gate->delivery;

    for (unsigned rank = 0; rank < RANK_COUNT; rank++) {
        for (unsigned i = 0; i < LOOKS_MAX && !list_is_empty(&gate->lines[rank]); i++) {
            struct pending *pending = first_of(gate, (enum rank)rank);

            if (!destination_is_overdue(delivery, pending) ||
                !clearing_has_room(delivery->outcomes))
                break;
            take_out(gate, pending);
            destination_expire(delivery, pending,
                               "waited for its tenant's rate until its time was over");
        }
    }
    if (gate->count == 0)
        gate_free(gate);
}

void gates_tick(struct delivery *delivery)
{
    struct list_node *first = list_first(&delivery->gates);
    struct gate *gate;

    for (unsigned i = 0; i < LOOKS_MAX && (gate = next_gate(delivery)) != NULL; i++) {
        bool is_round = i > 0 && &gate->in_gates == first;

        if (is_round)
            return;
        expire(gate);
    }
}

void gates_drop(struct delivery *delivery)
{
    struct list_node *node;

    while (gate_next(delivery) != NULL)
        ;
    while ((node = list_first(&delivery->gates)) != NULL) {
        struct gate *gate = container_of(node, struct gate, in_gates);

        for (unsigned rank = 0; rank < RANK_COUNT; rank++)
            while (!list_is_empty(&gate->lines[rank]))
                take_out(gate, first_of(gate, (enum rank)rank));
        gate_free(gate);
    }
}

/* --- what is asked of it ---------------------------------------------------------------------- */

void gate_constraint(const struct delivery *delivery, const struct pending *pending,
                     struct constraint *out)
{
    const struct gate *gate = gate_of(pending);
    struct allowance_moment moment = allowance_moment(engine_now_ms(delivery->engine));
    uint32_t waiting = atomic_load(&gate->terms.allowance->waiting);
    enum allowance_limit limit =
        allowance_stopper(gate->terms.allowance, &gate->terms.limits, &moment);

    out->name = "throttled";
    if (limit == ALLOWANCE_LIMIT_COUNT)
        return; /* it is about to go */
    snprintf(out->rule, sizeof(out->rule), "tenant %.*s %s %" PRIu32,
             BYTES_ARG(gate->tenant->node.key), allowance_limit_name(limit),
             gate->terms.limits.max[limit]);
    snprintf(out->detail, sizeof(out->detail),
             "%" PRIu32 " recipients of its tenant wait; all of them are let go by then", waiting);
    out->until_ms = delivery_wall_ms(delivery, allowance_foresee_ms(&gate->terms.limits, &moment,
                                                                    limit, waiting));
}
