/* threads: one */
/*
 * Random histories of a shard against a model: accept, deliver, defer, postpone, notices, content
 * of all sizes, compaction, reopening and crashes. $HISTORY_SEED replays one, $HISTORY_ROUNDS runs
 * more of them.
 */
#include "support/engine_fake.h"
#include "tests/unit/queue/shard_world.h"

enum {
    SEGMENT = 512 * 1024,
    MESSAGES_MAX = 400,
    RECIPIENTS_MAX = 6,
    STEPS = 700,
    DUE_S_MAX = 7200,
};

struct model_recipient {
    bool is_final, is_told, is_forwarded;
    unsigned attempts;
    int64_t due_ms; /* wall; 0: at once */
};

struct model_message {
    struct message_id id;
    unsigned seed, recipient_count;
    size_t size;
    uint32_t next_seq;
    bool lives;
    struct model_recipient recipients[RECIPIENTS_MAX];
};

struct history {
    struct world world;
    uint64_t random;
    unsigned next_seed;
    struct model_message messages[MESSAGES_MAX];
    size_t count;
    uint64_t accepted, finished, reopened, moved;
};

static uint64_t below(struct history *h, uint64_t bound)
{
    h->random ^= h->random << 13;
    h->random ^= h->random >> 7;
    h->random ^= h->random << 17;
    return h->random % bound;
}

static struct model_message *model_find(struct history *h, struct message_id id)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->messages[i].lives && h->messages[i].id.value == id.value)
            return &h->messages[i];
    return NULL;
}

static size_t random_size(struct history *h)
{
    switch (below(h, 20)) {
    case 0:
        return 0;
    case 1:
        return 1 + below(h, 3 * CONTENT_CHUNK_MAX); /* may be in several records */
    case 2:
        return CONTENT_CHUNK_MAX;
    default:
        return 1 + below(h, 12000);
    }
}

static struct model_message *model_add(struct history *h)
{
    for (size_t i = 0; i < h->count; i++)
        if (!h->messages[i].lives)
            return &h->messages[i];
    return h->count < MESSAGES_MAX ? &h->messages[h->count++] : NULL;
}

static struct message *new_message(struct history *h, struct model_message *model)
{
    struct message *message;

    *model = (struct model_message){
        .seed = h->next_seed++,
        .recipient_count = 1 + (unsigned)below(h, below(h, 3) == 0 ? RECIPIENTS_MAX : 1),
        .size = random_size(h),
    };
    model->next_seq = model->recipient_count;
    if (model->size > 0 && below(h, 8) == 0) {
        message = world_envelope(model->recipient_count, model->seed);
        assert_int_equal(world_write_content(&h->world, message, model->seed, model->size), 0);
    } else {
        message = world_message(model->recipient_count, model->size, model->seed);
    }
    return message;
}

static void accept_one(struct history *h)
{
    struct model_message *model = model_add(h);

    if (model == NULL)
        return;
    struct message *message = new_message(h, model);
    assert_int_equal(world_accept(&h->world, message, &model->id), 0);
    model->lives = true;
    h->accepted++;
}

static struct pending *take_due(struct history *h)
{
    struct world *w = &h->world;

    if (w->due_count == 0)
        return NULL;
    size_t at = below(h, w->due_count);
    struct pending *pending = w->due[at];
    w->due[at] = w->due[--w->due_count];
    return pending;
}

static void model_outcome(struct history *h, struct model_message *model, uint32_t number,
                          enum event_kind kind, int64_t due_ms)
{
    struct model_recipient *r = &model->recipients[number];
    bool has_live = false;

    model->next_seq++;
    if (kind == EVENT_DELAYED) {
        r->is_told = true;
    } else if (kind == EVENT_FORWARDED) {
        r->is_forwarded = true;
    } else if (kind == EVENT_DEFERRED) {
        r->attempts++;
        r->due_ms = due_ms;
    } else {
        r->is_final = true;
    }
    for (unsigned i = 0; i < model->recipient_count; i++)
        has_live = has_live || !model->recipients[i].is_final;
    if (!has_live) {
        model->lives = false;
        h->finished++;
    }
}

/* Some due recipients get an outcome, in one commit; sometimes with a message that tells of it. */
static void attempt(struct history *h)
{
    struct world *w = &h->world;
    struct outcome outcomes[4];
    struct model_message *models[4];
    uint32_t numbers[4];
    size_t count = 0;
    struct model_message *dsn_model = NULL;
    struct message *dsn = NULL;

    for (size_t want = 1 + below(h, 4); count < want;) {
        struct pending *pending = take_due(h);

        if (pending == NULL)
            break;
        int64_t later_ms = engine_wall_ms(w->engine) + 1000 * (int64_t)(1 + below(h, DUE_S_MAX));
        uint64_t dice = below(h, 20);
        enum event_kind kind = dice < 11   ? EVENT_DELIVERED
                               : dice < 13 ? EVENT_BOUNCED
                               : dice < 14 ? EVENT_EXPIRED
                                           : EVENT_DEFERRED;
        models[count] = model_find(h, pending_stub(pending)->id);
        assert_non_null(models[count]);
        numbers[count] = pending_number(pending);
        outcomes[count] = world_outcome_of(pending, kind, kind == EVENT_DEFERRED ? later_ms : 0);
        count++;
    }
    if (count == 0)
        return;
    if (below(h, 6) == 0 && (dsn_model = model_add(h)) != NULL)
        dsn = new_message(h, dsn_model);
    struct world_commit commit = {.commit = {.message = dsn,
                                             .outcomes = outcomes,
                                             .outcome_count = count,
                                             .done = world_on_commit}};
    shard_commit(w->shard, &commit.commit);
    assert_true(world_until(w, &commit.is_done));
    assert_int_equal(commit.result, 0);
    for (size_t i = 0; i < count; i++)
        model_outcome(h, models[i], numbers[i], outcomes[i].event.kind,
                      outcomes[i].event.next_attempt_ms);
    if (dsn != NULL) {
        dsn_model->id = dsn->id;
        dsn_model->lives = true;
        h->accepted++;
        message_release(&dsn);
    }
}

static void put_mark(struct history *h)
{
    struct world *w = &h->world;

    if (w->due_count == 0)
        return;
    struct pending *pending = w->due[below(h, w->due_count)];
    struct model_message *model = model_find(h, pending_stub(pending)->id);
    uint32_t number = pending_number(pending);
    assert_non_null(model);
    enum event_kind kind = below(h, 2) == 0 ? EVENT_DELAYED : EVENT_FORWARDED;
    assert_int_equal(world_outcome(w, pending, kind, 0), 0);
    model_outcome(h, model, number, kind, 0);
}

static void postpone(struct history *h)
{
    struct pending *pending = take_due(h);

    if (pending != NULL)
        shard_postpone(h->world.shard, pending,
                       engine_now_ms(h->world.engine) + (int64_t)below(h, 100000));
}

static void verify_message(struct history *h, const struct model_message *model)
{
    struct world *w = &h->world;
    struct stub *stub = shard_find(w->shard, model->id);
    struct message *message;
    struct message *expected = world_envelope(model->recipient_count, model->seed);

    expected->content.size = model->size;
    assert_non_null(stub);
    assert_int_equal(world_load(w, stub, false, &message), 0);
    assert_int_equal(message->id.value, model->id.value);
    assert_true(world_envelope_equal(message, expected));
    assert_int_equal(world_verify_content(w, message, model->seed), model->size);
    message_release(&message);
    message_release(&expected);
}

static void verify(struct history *h, bool was_reopened)
{
    struct world *w = &h->world;
    struct shard_status status;
    size_t lives = 0;

    for (size_t i = 0; i < h->count; i++) {
        const struct model_message *model = &h->messages[i];

        if (!model->lives)
            continue;
        lives++;
        struct stub *stub = shard_find(w->shard, model->id);
        assert_non_null(stub);
        assert_int_equal(stub->recipient_count, model->recipient_count);
        assert_int_equal(stub->next_seq, model->next_seq);
        for (unsigned n = 0; n < model->recipient_count; n++) {
            const struct pending *p = &stub->pendings[n];
            const struct model_recipient *r = &model->recipients[n];

            assert_int_equal(p->state == PENDING_FINAL, r->is_final);
            if (r->is_final)
                continue;
            assert_int_equal(p->attempts, r->attempts);
            assert_int_equal(p->flags & PENDING_FLAGS_STORED, r->is_told ? PENDING_DELAY_TOLD : 0);
            assert_true((p->is_forwarded != 0) == r->is_forwarded);
            if (!was_reopened || p->state != PENDING_SCHEDULED || r->due_ms == 0)
                continue;
            /* Not early, and not late by more than the seconds lost in rounding. A postponement is
             * in memory only, but an orderly close writes it: then it is later than the model's. */
            int64_t due_ms =
                (int64_t)p->due_s * 1000 + engine_wall_ms(w->engine) - engine_now_ms(w->engine);
            if (p->due_s != 0) {
                assert_true(due_ms >= r->due_ms - 1000);
                assert_true(due_ms <= engine_wall_ms(w->engine) + 1000 * (DUE_S_MAX + 1));
            }
        }
        verify_message(h, model);
    }
    shard_status(w->shard, &status);
    assert_int_equal(status.messages, lives);
    world_check_invariant(w);
}

static void reopen(struct history *h)
{
    struct world *w = &h->world;

    int64_t wall_ms = engine_wall_ms(w->engine);

    if (below(h, 2) == 0)
        world_crash(w);
    else
        world_close(w);
    /* Every other start reads the queue in its turns. */
    w->recovers_later = !w->recovers_later;
    assert_int_equal(world_open(w), 0);
    while (!shard_is_whole(w->shard))
        world_turns(w, 1);
    /* A new fake engine starts at the real time; the history's goes on. */
    if (engine_wall_ms(w->engine) < wall_ms)
        fake_advance_ms(w->engine, wall_ms - engine_wall_ms(w->engine));
    world_turns(w, 1);
    assert_int_equal(w->recovery.damaged_records, 0);
    h->reopened++;
    verify(h, true);
}

static void step(struct history *h)
{
    uint64_t dice = below(h, 100);

    if (dice < 35)
        accept_one(h);
    else if (dice < 80)
        attempt(h);
    else if (dice < 83)
        put_mark(h);
    else if (dice < 86)
        postpone(h);
    else if (dice < 96)
        fake_advance_ms(h->world.engine, (int64_t)below(h, 600000));
    else if (dice < 98)
        verify(h, false);
    else
        reopen(h);
    world_turns(&h->world, (unsigned)below(h, 3));
}

static void run_history(uint64_t seed)
{
    struct history *h = calloc(1, sizeof(*h));
    struct shard_status status;

    assert_non_null(h);
    print_message("HISTORY_SEED=%ju\n", (uintmax_t)seed);
    h->random = seed * 0x9e3779b97f4a7c15U + 1;
    fake_seed(seed);
    world_init_in_memory(&h->world, SEGMENT);
    h->world.settings.resident_max = below(h, 2) == 0 ? 200000 : 0;
    assert_int_equal(world_open(&h->world), 0);
    for (unsigned i = 0; i < STEPS; i++)
        step(h);
    reopen(h);
    shard_status(h->world.shard, &status);
    print_message("accepted %ju finished %ju reopened %ju segments %ju used %ju live %ju\n",
                  (uintmax_t)h->accepted, (uintmax_t)h->finished, (uintmax_t)h->reopened,
                  (uintmax_t)status.segments, (uintmax_t)status.bytes_used,
                  (uintmax_t)status.bytes_live);
    world_close(&h->world);
    world_free(&h->world);
    free(h);
}

TEST(history_matches_model)
{
    const char *seed = getenv("HISTORY_SEED");
    const char *rounds = getenv("HISTORY_ROUNDS");

    if (seed != NULL) {
        run_history(strtoull(seed, NULL, 10));
        return;
    }
    for (uint64_t i = 1; i <= (rounds == NULL ? 6 : strtoull(rounds, NULL, 10)); i++)
        run_history(i);
}
