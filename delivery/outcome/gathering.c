/* gathering.c - which failures wait, and until when. */
#include "delivery/outcome/gathering.h"

#include "delivery/outcome/clearing.h"
#include "delivery/outcome/place.h"
#include "delivery/outcome/settlement.h"

enum { GATHERINGS_MAX = 64 };

static const struct stub *stub_of(const struct settlement *s)
{
    return pending_stub(s->recipients[0].pending);
}

/* Few wait at a time, and mostly none. Theirs are unfinished recipients, so a stub of one of these
 * lives. */
static struct settlement *find(struct outcomes *outcomes, const struct stub *stub)
{
    list_for_each(node, &outcomes->gatherings) {
        struct settlement *g = container_of(node, struct settlement, in_gatherings);

        if (stub_of(g) == stub)
            return g;
    }
    return NULL;
}

static bool is_failure(const struct settlement *s, const struct settled *r)
{
    enum dsn_action action;

    return settled_wants_notice(s, r, &action) && action == DSN_FAILED;
}

static bool has_failure(const struct settlement *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (is_failure(s, &s->recipients[i]))
            return true;
    return false;
}

/* Whether more than `count` recipients may come to an end soon. */
static bool has_more_ready(const struct stub *stub, size_t count)
{
    size_t ready = 0;

    for (size_t i = 0; i < stub->recipient_count && ready <= count; i++)
        ready += stub->pendings[i].state == PENDING_READY;
    return ready > count;
}

static void commit(struct settlement *g)
{
    list_remove(&g->in_gatherings);
    g->outcomes->gathering_count--;
    for (size_t i = 0; i < g->count; i++)
        pending_release(g->recipients[i].pending);
    settlement_give(g);
}

static void arm(struct outcomes *outcomes)
{
    struct list_node *node = list_first(&outcomes->gatherings);

    engine_timeout_cancel(outcomes->engine, &outcomes->gathering_timeout);
    if (node == NULL)
        return;
    struct settlement *g = container_of(node, struct settlement, in_gatherings);
    int64_t left_ms = g->ripe_ms - engine_now_ms(outcomes->engine);

    engine_timeout(outcomes->engine, &outcomes->gathering_timeout, MAX(left_ms, (int64_t)1));
}

static void on_ripe(struct timeout *timeout)
{
    struct outcomes *outcomes = container_of(timeout, struct outcomes, gathering_timeout);
    int64_t now_ms = engine_now_ms(outcomes->engine);
    struct list_node *node;

    while ((node = list_first(&outcomes->gatherings)) != NULL) { /* oldest first */
        struct settlement *g = container_of(node, struct settlement, in_gatherings);

        if (g->ripe_ms > now_ms)
            break;
        commit(g);
    }
    arm(outcomes);
}

static struct settlement *open_for(struct settlement *s)
{
    struct outcomes *outcomes = s->outcomes;
    size_t count_max = MIN((size_t)stub_of(s)->live_count, (size_t)CLEARING_RECIPIENTS_MAX);

    if (outcomes->gathering_count == GATHERINGS_MAX)
        commit(container_of(list_first(&outcomes->gatherings), struct settlement, in_gatherings));
    struct settlement *g = settlement_begin(outcomes, s->shard, s->message, &s->facts, count_max);

    g->ripe_ms = engine_now_ms(outcomes->engine) + (int64_t)outcomes->settings.notice_wait_s * 1000;
    list_push_back(&outcomes->gatherings, &g->in_gatherings);
    outcomes->gathering_count++;
    return g;
}

void gathering_take(struct settlement *s)
{
    struct outcomes *outcomes = s->outcomes;
    const struct stub *stub = stub_of(s);
    struct settlement *g = find(outcomes, stub);
    const struct attempt_facts *facts = NULL;
    size_t kept = 0;

    if (outcomes->is_stopping || s->answer_count > 0 || !has_failure(s))
        return;
    if (g == NULL && (outcomes->settings.notice_wait_s == 0 || !has_more_ready(stub, s->count)))
        return;
    if (g == NULL)
        g = open_for(s);
    for (size_t i = 0; i < s->count; i++) {
        struct settled *r = &s->recipients[i];

        if (g->count == g->count_max || !is_failure(s, r)) {
            s->recipients[kept++] = *r;
            continue;
        }
        if (facts == NULL)
            facts = settlement_keep_facts(g, &s->facts);
        settlement_move(g, r, facts);
        pending_occupy(r->pending);
    }
    s->count = kept;
    if (g->count == g->count_max)
        commit(g);
    arm(outcomes);
}

void gathering_ripen(struct outcomes *outcomes, const struct stub *stub)
{
    struct settlement *g = find(outcomes, stub);

    if (g == NULL || has_more_ready(stub, g->count))
        return;
    commit(g);
    arm(outcomes);
}

void gathering_commit_all(struct outcomes *outcomes)
{
    struct list_node *node;

    while ((node = list_first(&outcomes->gatherings)) != NULL)
        commit(container_of(node, struct settlement, in_gatherings));
    arm(outcomes);
}

void gathering_init(struct outcomes *outcomes)
{
    list_init(&outcomes->gatherings);
    timeout_init(&outcomes->gathering_timeout, on_ripe);
}
