/* clearing.c - loads a message to tell its recipients what became of them. */
#include "delivery/outcome/clearing.h"

#include <errno.h>

#include "base/log.h"
#include "delivery/outcome/place.h"
#include "delivery/outcome/state.h"

enum {
    ARENA_MAX = 256 * 1024,
    CLEARING_LOADS_MAX = 64, /* of these, read from disk at a time */
    LOAD_AGAIN_MS = 30 * 1000,
};

struct clearing {
    struct load load;
    struct list_node node; /* in outcomes->waiting_clearings */
    struct arena arena;
    struct outcomes *outcomes;
    struct shard *shard;
    struct judgement judgement;
    struct attempt_facts facts;
    size_t count;
    struct pending **pendings;
};

size_t clearing_size(void)
{
    return sizeof(struct clearing);
}

bool clearing_has_room(const struct outcomes *outcomes)
{
    return outcomes->clearings.count < CLEARINGS_FULL && outcomes_may_begin(outcomes);
}

static struct bytes keep(struct clearing *c, struct bytes text)
{
    struct bytes copy;

    return text.len > 0 && arena_copy(&c->arena, text, &copy) ? copy : BYTES_NONE;
}

static void clearing_free(struct clearing *c)
{
    struct outcomes *outcomes = c->outcomes;

    outcomes_count_out(outcomes, c->count);
    if (c->facts.counts != NULL)
        series_put(&c->facts.counts);
    arena_free(&c->arena);
    slab_release(&outcomes->clearings, &c);
    /* Half empty: whoever ran out of room goes on. */
    if (outcomes->clearings.count == CLEARINGS_FULL / 2)
        outcomes->hooks.room(outcomes->hooks.context);
    outcomes->hooks.ended(outcomes->hooks.context);
}

static void load_next(struct outcomes *outcomes);

static void settle(struct clearing *c, struct message *message)
{
    struct settlement *settlement =
        settlement_begin(c->outcomes, c->shard, message, &c->facts, c->count);

    for (size_t i = 0; i < c->count; i++)
        settlement_add(settlement, c->pendings[i], &c->judgement);
    settlement_commit(&settlement);
}

struct judgement clearing_damaged(void)
{
    return judgement_of_ours(
        JUDGEMENT_BOUNCED, 6, 0, "damaged", "content-damaged",
        BYTES("this message was damaged on our disk before it could be delivered, and what was "
              "damaged is lost; please send it again"));
}

/* What was to be said of its recipients, or, if they were to be tried again, that this is over. */
static void settle_damaged(struct clearing *c)
{
    char id[MESSAGE_ID_TEXT_MAX];

    message_id_format(c->load.stub->id, id);
    log_error("id=%s recipients=%zu envelope=damaged notification=lost", id, c->count);
    if (c->judgement.kind == JUDGEMENT_DEFERRED)
        c->judgement = clearing_damaged();
    settle(c, NULL);
}

static void postpone(struct clearing *c)
{
    int64_t due_ms = engine_now_ms(c->outcomes->engine) + LOAD_AGAIN_MS;

    for (size_t i = 0; i < c->count; i++) {
        pending_release(c->pendings[i]);
        shard_postpone(c->shard, c->pendings[i], due_ms);
    }
}

static void on_loaded(struct load *load, int result, struct message *message)
{
    struct clearing *c = container_of(load, struct clearing, load);
    struct outcomes *outcomes = c->outcomes;
    /* A sector that cannot be read may be read later, but not later than its time. */
    bool is_lost = result == -EBADMSG || (result == -EIO && c->judgement.kind == JUDGEMENT_EXPIRED);

    if (is_lost && !load->envelope_only) {
        /* Without its content the notification still says what matters. */
        load->envelope_only = true;
        shard_load(c->shard, load);
        return;
    }
    outcomes->clearing_loads--;
    if (result == 0) {
        settle(c, message);
        message_release(&message);
    } else if (is_lost) {
        settle_damaged(c);
    } else {
        postpone(c);
    }
    clearing_free(c);
    load_next(outcomes);
}

static void load_next(struct outcomes *outcomes)
{
    struct list_node *node;

    while (outcomes->clearing_loads < CLEARING_LOADS_MAX &&
           (node = list_pop_front(&outcomes->waiting_clearings)) != NULL) {
        struct clearing *c = container_of(node, struct clearing, node);

        outcomes->clearing_loads++;
        shard_load(c->shard, &c->load);
    }
}

static struct clearing *clearing_new(struct outcomes *outcomes, struct shard *shard,
                                     struct stub *stub, size_t recipient_max,
                                     const struct judgement *judgement,
                                     const struct attempt_facts *facts)
{
    struct clearing *c = slab_alloc(&outcomes->clearings);

    check(c != NULL); /* cancelling comes on top of CLEARINGS_FULL; the slab has room for it */
    *c = (struct clearing){
        .load = {.stub = stub, .done = on_loaded},
        .outcomes = outcomes,
        .shard = shard,
        .judgement = *judgement,
        .facts = *facts,
    };
    arena_init(&c->arena, ARENA_MAX);
    c->judgement.text = keep(c, judgement->text);
    c->facts.source = keep(c, facts->source);
    c->facts.source_ip = keep(c, facts->source_ip);
    c->facts.site = keep(c, facts->site);
    c->facts.mx_host = keep(c, facts->mx_host);
    c->facts.mx_ip = keep(c, facts->mx_ip);
    if (facts->counts != NULL)
        series_keep(facts->counts);
    c->pendings = arena_alloc(&c->arena, recipient_max * sizeof(struct pending *));
    check(c->pendings != NULL);
    list_node_init(&c->node);
    list_node_init(&c->load.node);
    /* What bounces may have to be returned. */
    c->load.envelope_only =
        judgement->kind == JUDGEMENT_DEFERRED || judgement->kind == JUDGEMENT_CANCELLED;
    return c;
}

void clearing_drop_waiting(struct outcomes *outcomes)
{
    struct list_node *node;

    while ((node = list_pop_front(&outcomes->waiting_clearings)) != NULL)
        clearing_free(container_of(node, struct clearing, node));
}

static void start(struct clearing *c)
{
    list_push_back(&c->outcomes->waiting_clearings, &c->node);
    outcomes_count_in(c->outcomes, c->count);
    load_next(c->outcomes);
}

size_t clearing_start(struct outcomes *outcomes, struct shard *shard, struct list *waiting,
                      size_t recipient_max, const struct judgement *judgement,
                      const struct attempt_facts *facts,
                      void (*taken)(void *context, struct pending *pending), void *context)
{
    struct list_node *node = list_first(waiting);
    size_t count_max = MIN(recipient_max, (size_t)CLEARING_RECIPIENTS_MAX);

    check(node != NULL);
    check(count_max > 0);
    struct stub *stub = pending_stub(container_of(node, struct pending, link));
    struct clearing *c =
        clearing_new(outcomes, shard, stub, MIN(count_max, (size_t)stub->recipient_count),
                     judgement, facts);

    while (c->count < count_max && node != &waiting->head) {
        struct pending *pending = container_of(node, struct pending, link);

        if (pending_stub(pending) != stub)
            break;
        node = node->next;
        taken(context, pending); /* with the last one the list may be gone */
        pending_occupy(pending);
        c->pendings[c->count++] = pending;
    }
    size_t count = c->count;

    start(c);
    return count;
}

void clearing_start_one(struct outcomes *outcomes, struct shard *shard, struct pending *pending,
                        const struct judgement *judgement, const struct attempt_facts *facts)
{
    struct clearing *c = clearing_new(outcomes, shard, pending_stub(pending), 1, judgement, facts);

    check(!list_is_linked(&pending->link));
    pending_occupy(pending);
    c->pendings[c->count++] = pending;
    start(c);
}
