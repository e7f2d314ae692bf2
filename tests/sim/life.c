/*
 * life.c - accept, deliver, defer, bounce, cancel, compact, reopen; and a cut at any moment.
 *
 * A life opens a disk, compares what recovery found with the model, goes on with random steps and
 * ends by accepting and delivering one more message. At moments that the seed chooses the disk is
 * copied as a power cut would leave it, together with the model; between two steps each copy gets a
 * life of its own, in which there are cuts again, while it recovers above all.
 */
#include "tests/sim/life.h"

#include "base/metric.h"
#include "base/random.h"
#include "support/engine_fake.h"
#include "tests/sim/model.h"
#include "tests/unit/queue/shard_world.h"

enum {
    DEPTH_MAX = 3,
    CUTS_WAITING = 16,
    CUTS_AFTER_FAULT = 4,
    UPLOADS = 3,
    FLYING_MAX = 12,
    OUTCOMES_MAX = 4,
    TURNS_MAX = 3000,
    EVENTS_HIGH = MODEL_EVENTS / 2,
};

static const char spool[] = DISK_SIM_ROOT "/spool";

/* A message whose content is written while it arrives. */
struct upload {
    struct content_write write;
    struct life *life;
    struct message *message; /* NULL: none */
    unsigned seed;
    uint64_t written;
    bool is_busy, has_failed;
};

struct flying {
    struct commit commit;
    struct life *life;
    struct message *messages[2]; /* ours until the end */
    struct outcome outcomes[OUTCOMES_MAX];
    uint32_t number; /* 0: not in use */
    int result;
};

struct cut_copy {
    struct disk_sim *disk;
    struct model *model;
    bool is_in_recovery;
};

struct life {
    struct world world;
    struct disk_sim *disk;
    struct model *model;
    struct life_counts *counts;
    const struct life_plan *plan;
    uint64_t random, cut_random;
    unsigned depth, cut_every; /* one in so many moments; 0: none */
    bool is_recovering;
    struct flying flying[FLYING_MAX];
    struct upload uploads[UPLOADS];
    struct cut_copy cuts[CUTS_WAITING];
    size_t cut_count;
    unsigned made, children;
    bool has_written;    /* since it was opened */
    uint64_t operations; /* of the disk, until the last step */
    char name[64];       /* seed and cuts on the way here */
};

static void live(struct life *life, unsigned steps);

static uint64_t draw(uint64_t *random)
{
    uint64_t z = (*random += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static uint64_t below(struct life *life, uint64_t bound)
{
    return draw(&life->random) % bound;
}

__attribute__((format(printf, 2, 3), noreturn)) static void broken(const struct life *life,
                                                                   const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "broken in life %s: ", life->name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    exit(1);
}

/* In some histories all messages look the same: then what one of them left on the disk lies exactly
 * where the next one is written. */
static bool is_uniform(const struct life *life)
{
    return life->plan->seed % 7 == 2;
}

/* --- cuts ------------------------------------------------------------------------------------ */

static void make_cut(struct life *life)
{
    if (life->cut_count == CUTS_WAITING)
        return;
    struct cut_copy *cut = &life->cuts[life->cut_count++];
    cut->disk = disk_sim_cut(life->disk, draw(&life->cut_random));
    cut->model = malloc(sizeof(*cut->model));
    assert_non_null(cut->model);
    *cut->model = *life->model;
    cut->is_in_recovery = life->is_recovering;
    life->made++;
}

static void on_moment(void *context, bool begins_write)
{
    struct life *life = context;
    unsigned every = life->cut_every;

    if (every == 0)
        return;
    if (life->is_recovering && life->depth > 0)
        every = life->cut_every / 4 + 1;
    else if (disk_sim_has_failed(life->disk)) /* what a fault left in doubt */
        every = life->made < CUTS_AFTER_FAULT ? life->cut_every / 8 + 1 : life->cut_every;
    if (draw(&life->cut_random) % every == 0)
        make_cut(life);
    /* The first flush of a segment, torn, and then that of its successor at the same place. */
    if (is_uniform(life) && life->depth > 0 && begins_write && !life->has_written) {
        life->has_written = true;
        make_cut(life);
        make_cut(life);
    }
}

static void live_after(struct life *parent, struct cut_copy *cut)
{
    struct life *life = calloc(1, sizeof(*life));

    assert_non_null(life);
    life->disk = cut->disk;
    life->model = cut->model;
    life->counts = parent->counts;
    life->plan = parent->plan;
    life->depth = parent->depth + 1;
    life->random = draw(&parent->cut_random);
    life->cut_random = draw(&parent->cut_random);
    life->cut_every = life->depth < DEPTH_MAX ? 60 * life->depth : 0;
    snprintf(life->name, sizeof(life->name), "%.50s.%u", parent->name, ++parent->children);
    parent->counts->cuts++;
    parent->counts->recovery_cuts += cut->is_in_recovery;
    live(life, (unsigned)below(life, 8));
    disk_sim_free(&life->disk);
    free(life->model);
    free(life);
}

static void live_after_cuts(struct life *parent)
{
    if (parent->cut_count == 0)
        return;
    while (parent->cut_count > 0)
        live_after(parent, &parent->cuts[--parent->cut_count]);
    disk_sim_use(parent->disk);
    random_seed(draw(&parent->cut_random));
}

/* --- commits --------------------------------------------------------------------------------- */

static struct flying *take_flying(struct life *life)
{
    for (size_t i = 0; i < FLYING_MAX; i++) {
        struct flying *flying = &life->flying[i];

        if (flying->number != 0)
            continue;
        *flying = (struct flying){.life = life, .number = model_begin(life->model)};
        return flying;
    }
    return NULL;
}

static void on_done(struct commit *commit, int result)
{
    struct flying *flying = container_of(commit, struct flying, commit);
    struct life *life = flying->life;

    if (result < 0 && commit->outcome_count > 0)
        broken(life, "outcomes failed: %s", strerror(-result));
    if (result < 0 && !disk_sim_has_failed(life->disk))
        broken(life, "an accept failed on a good disk: %s", strerror(-result));
    size_t before = model_count(life->model, MODEL_STANDS);
    model_end(life->model, flying->number, result == 0);
    life->counts->outcomes += commit->outcome_count;
    life->counts->finished += before > model_count(life->model, MODEL_STANDS);
    if (flying->messages[0] != NULL) {
        life->counts->accepted += result == 0;
        life->counts->refused += result < 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(flying->messages); i++)
        message_release(&flying->messages[i]);
    flying->result = result;
    flying->number = 0;
}

static void commit(struct life *life, struct flying *flying, struct model_message *accepts[2])
{
    flying->commit.message = flying->messages[0];
    flying->commit.more = flying->messages + 1;
    flying->commit.more_count = flying->messages[1] != NULL;
    flying->commit.outcomes = flying->outcomes;
    flying->commit.done = on_done;
    for (size_t i = 0; i < ARRAY_LEN(flying->messages); i++) {
        struct message *message = flying->messages[i];

        if (message == NULL)
            continue;
        message->id = shard_next_id(life->world.shard);
        model_describe(accepts[i], message, engine_wall_ms(life->world.engine));
        model_begin_accept(accepts[i], flying->number, message->id);
    }
    shard_commit(life->world.shard, &flying->commit);
}

static size_t random_size(struct life *life)
{
    if (is_uniform(life))
        return 1500;
    uint64_t max = life->world.settings.segment_size / 3;

    switch (below(life, 16)) {
    case 0:
        return 0;
    case 1:
        return 1 + below(life, max);
    case 2:
        return MIN((uint64_t)CONTENT_CHUNK_MAX, max);
    default:
        return 1 + below(life, 9000);
    }
}

static struct model_message *plan_message(struct life *life)
{
    struct model_message *m = model_free_slot(life->model);
    bool is_mixed = !is_uniform(life) && below(life, 3) == 0;

    if (m == NULL)
        return NULL;
    *m = (struct model_message){
        .seed = life->model->next_seed++,
        .recipient_count = 1 + (unsigned)below(life, is_mixed ? MODEL_RECIPIENTS : 1),
        .size = random_size(life),
    };
    return m;
}

static struct flying *accept_one(struct life *life, bool may_wait)
{
    struct model_message *m = plan_message(life);
    struct flying *flying = m != NULL ? take_flying(life) : NULL;

    if (flying == NULL)
        return NULL;
    flying->messages[0] = world_message(m->recipient_count, m->size, m->seed);
    if (may_wait && below(life, 4) == 0) /* some are past, or will be before long */
        flying->messages[0]->not_before_ms =
            engine_wall_ms(life->world.engine) + (int64_t)below(life, 4000000) - 500000;
    commit(life, flying, (struct model_message *[]){m, NULL});
    return flying;
}

/* --- content while it arrives ---------------------------------------------------------------- */

static void on_chunk(struct content_write *write, int result)
{
    struct upload *upload = container_of(write, struct upload, write);
    struct content *content = &upload->message->content;

    upload->is_busy = false;
    if (result < 0) {
        if (!disk_sim_has_failed(upload->life->disk))
            broken(upload->life, "content failed on a good disk: %s", strerror(-result));
        upload->has_failed = true;
        return;
    }
    content->extents[content->extent_count++] = write->extent;
    upload->written += write->extent.len;
}

static void upload_end(struct upload *upload)
{
    message_release(&upload->message);
    *upload = (struct upload){0};
}

static void upload_begin(struct life *life, struct upload *upload)
{
    enum { CHUNKS_MAX = 40 };
    unsigned seed = life->model->next_seed++;
    struct message *message = world_envelope(1 + (unsigned)below(life, MODEL_RECIPIENTS), seed);

    message->content.size = 1 + below(life, 3 * life->world.settings.segment_size / 4);
    message->content.extents = arena_alloc(&message->arena, CHUNKS_MAX * sizeof(struct extent));
    assert_non_null(message->content.extents);
    *upload = (struct upload){.life = life, .message = message, .seed = seed};
}

static void upload_chunk(struct life *life, struct upload *upload)
{
    uint64_t size = upload->message->content.size;
    uint64_t min = MIN(MAX(size / 30, (uint64_t)1), size - upload->written);
    uint64_t max = MIN(MIN(size - upload->written, (uint64_t)CONTENT_CHUNK_MAX),
                       life->world.settings.segment_size / 3);
    size_t len = (size_t)(min >= max ? max : min + below(life, max - min + 1));
    uint8_t *chunk = malloc(len);

    assert_non_null(chunk);
    for (size_t i = 0; i < len; i++)
        chunk[i] = world_content_byte(upload->seed, (size_t)upload->written + i);
    upload->is_busy = true;
    upload->write = (struct content_write){.message = upload->message, .done = on_chunk};
    shard_write_content(life->world.shard, &upload->write, (struct bytes){chunk, len});
    free(chunk);
}

static void upload_accept(struct life *life, struct upload *upload)
{
    struct model_message *m = model_free_slot(life->model);
    struct flying *flying = m != NULL ? take_flying(life) : NULL;

    if (flying == NULL)
        return;
    *m = (struct model_message){
        .seed = upload->seed,
        .recipient_count = (unsigned)upload->message->recipient_count,
        .size = upload->message->content.size,
    };
    flying->messages[0] = message_keep(upload->message);
    commit(life, flying, (struct model_message *[]){m, NULL});
    upload_end(upload);
}

static void upload_go_on(struct life *life)
{
    struct upload *upload = &life->uploads[below(life, UPLOADS)];

    if (upload->message == NULL)
        upload_begin(life, upload);
    else if (upload->is_busy)
        return;
    else if (upload->has_failed || below(life, 40) == 0) /* the client went away */
        upload_end(upload);
    else if (upload->written < upload->message->content.size)
        upload_chunk(life, upload);
    else
        upload_accept(life, upload);
}

/* --- delivery's side ------------------------------------------------------------------------- */

static struct pending *take_due(struct life *life)
{
    struct world *w = &life->world;

    for (size_t tries = 0; tries < 4 && w->due_count > 0; tries++) {
        size_t at = below(life, w->due_count);
        struct pending *pending = w->due[at];
        const struct model_message *m = model_find(life->model, pending_stub(pending)->id);

        if (m == NULL || m->state != MODEL_STANDS)
            broken(life, "message %jx is due, but not accepted",
                   (uintmax_t)pending_stub(pending)->id.value);
        if (engine_wall_ms(w->engine) < m->earliest_ms)
            broken(life, "message %jx is due before its time", (uintmax_t)m->id.value);
        /* A notice of it is on its way. */
        if (m->recipients[pending_number(pending)].flying != 0)
            continue;
        w->due[at] = w->due[--w->due_count];
        return pending;
    }
    return NULL;
}

static void add_outcome(struct life *life, struct flying *flying, struct pending *pending,
                        enum event_kind kind)
{
    int64_t due_ms = engine_wall_ms(life->world.engine) + 1000 * (int64_t)(1 + below(life, 7200));

    if (kind != EVENT_DEFERRED)
        due_ms = 0;
    flying->outcomes[flying->commit.outcome_count++] = world_outcome_of(pending, kind, due_ms);
    model_begin_outcome(model_find(life->model, pending_stub(pending)->id), pending_number(pending),
                        flying->number, kind, due_ms);
}

static enum event_kind random_outcome(struct life *life)
{
    uint64_t dice = below(life, 20);

    return dice < 9    ? EVENT_DELIVERED
           : dice < 12 ? EVENT_BOUNCED
           : dice < 13 ? EVENT_EXPIRED
                       : EVENT_DEFERRED;
}

/* Some outcomes in one commit, sometimes with one message or two that tell of them. */
static void attempt(struct life *life)
{
    struct pending *pending = take_due(life);
    struct flying *flying = pending != NULL ? take_flying(life) : NULL;
    struct model_message *notices[2] = {NULL, NULL};

    if (flying == NULL) {
        if (pending != NULL)
            life->world.due[life->world.due_count++] = pending;
        return;
    }
    add_outcome(life, flying, pending, random_outcome(life));
    for (uint64_t more = below(life, OUTCOMES_MAX); more > 0; more--)
        if ((pending = take_due(life)) != NULL)
            add_outcome(life, flying, pending, random_outcome(life));
    uint64_t count = below(life, 5);
    for (size_t i = 0; i < 2 && i + 3 <= count; i++) {
        struct model_message *m = plan_message(life);

        if (m == NULL)
            break;
        m->size = MIN(m->size, (uint64_t)6000);
        m->state = MODEL_FLYING; /* not free for the second */
        flying->messages[i] = world_message(m->recipient_count, m->size, m->seed);
        notices[i] = m;
    }
    commit(life, flying, notices);
}

static void put_mark(struct life *life)
{
    struct world *w = &life->world;

    if (w->due_count == 0)
        return;
    struct pending *pending = w->due[below(life, w->due_count)];
    const struct model_message *m = model_find(life->model, pending_stub(pending)->id);
    assert_non_null(m);
    const struct model_recipient *r = &m->recipients[pending_number(pending)];
    enum event_kind kind = below(life, 2) == 0 ? EVENT_DELAYED : EVENT_FORWARDED;
    bool is_marked = kind == EVENT_DELAYED ? r->is_told : r->is_forwarded;
    struct flying *flying = r->flying != 0 || is_marked ? NULL : take_flying(life);
    if (flying == NULL)
        return;
    add_outcome(life, flying, pending, kind);
    commit(life, flying, (struct model_message *[]){NULL, NULL});
}

static void postpone(struct life *life)
{
    struct pending *pending = take_due(life);

    if (pending != NULL)
        shard_postpone(life->world.shard, pending,
                       engine_now_ms(life->world.engine) + (int64_t)below(life, 100000));
}

/* The operator's hand on a recipient that waits. */
static void interfere(struct life *life)
{
    struct model_message *m = &life->model->messages[below(life, MODEL_MESSAGES)];

    if (m->state != MODEL_STANDS)
        return;
    unsigned number = (unsigned)below(life, m->recipient_count);
    struct stub *stub = shard_find(life->world.shard, m->id);
    if (stub == NULL)
        broken(life, "message %jx stands, but is not there", (uintmax_t)m->id.value);
    struct pending *pending = &stub->pendings[number];
    if (m->recipients[number].flying != 0)
        return;
    if (below(life, 2) == 0) {
        if (shard_retry_now(life->world.shard, pending))
            m->recipients[number].due_ms = 0;
        return;
    }
    struct flying *flying = take_flying(life);
    if (flying == NULL)
        return;
    if (!shard_take(life->world.shard, pending)) {
        flying->number = 0;
        return;
    }
    m->recipients[number].due_ms = 0; /* a footer written from now on does not know it */
    add_outcome(life, flying, pending, EVENT_CANCELLED);
    commit(life, flying, (struct model_message *[]){NULL, NULL});
}

static void sink_passes(struct life *life, bool all)
{
    struct model *model = life->model;
    uint64_t position = shard_durable_position(life->world.shard);

    if (!all && model->event_count > 0 && below(life, 2) == 0)
        position = model->events[below(life, model->event_count)].position;
    model_sink_passed(model, position);
    shard_sink_passed(life->world.shard, 0, position);
}

static void on_journaled(void *context, uint64_t position, struct bytes records)
{
    struct life *life = context;

    model_journaled(life->model, shard_index(life->world.shard), position, records);
}

/* --- contents -------------------------------------------------------------------------------- */

static void verify_content(struct life *life, struct model_message *m)
{
    struct world *w = &life->world;
    struct message_id id = m->id;
    unsigned recipients = m->recipient_count, seed = m->seed;
    uint64_t size = m->size;
    int64_t not_before_ms = m->not_before_ms;
    struct message *message = NULL;

    for (unsigned tries = 0; tries < 4; tries++) {
        struct stub *stub = shard_find(w->shard, id);
        int64_t result = stub == NULL ? -ENOENT : world_load(w, stub, false, &message);

        if (result == -ENOENT && model_find(life->model, id) == NULL)
            return; /* finished meanwhile */
        if (result == 0)
            result = world_verify_content(w, message, seed);
        struct message *expected = world_envelope(recipients, seed);
        expected->content.size = size;
        expected->not_before_ms = not_before_ms;
        if (result >= 0 && (result != (int64_t)size || !world_envelope_equal(message, expected)))
            result = -1;
        message_release(&expected);
        message_release(&message);
        if (result >= 0) {
            life->counts->compared++;
            return;
        }
        if (!disk_sim_has_failed(life->disk) || result != -EIO)
            broken(life, "message %jx reads back wrong: %jd", (uintmax_t)id.value,
                   (intmax_t)result);
    }
    broken(life, "message %jx cannot be read", (uintmax_t)id.value);
}

static void verify_contents(struct life *life)
{
    for (size_t i = 0; i < MODEL_MESSAGES; i++)
        if (life->model->messages[i].state == MODEL_STANDS)
            verify_content(life, &life->model->messages[i]);
}

/* --- open and close -------------------------------------------------------------------------- */

/* Without any file left, numbers may begin again; a sink whose position is beyond all that is
 * durable starts over, as the publisher does. */
static void place_sink(struct life *life)
{
    struct shard_status status;

    if (life->model->sink_position <= shard_durable_position(life->world.shard))
        return;
    shard_status(life->world.shard, &status);
    if (status.segments > 0)
        broken(life, "what the sink has taken was not durable");
    life->model->sink_position = 0;
}

/* The queue is read turn by turn; cuts come here, too. */
static void become_whole(struct life *life, bool is_at_work)
{
    struct world *w = &life->world;

    for (unsigned turns = 0; !shard_is_whole(w->shard); turns++) {
        if (is_at_work)
            (void)accept_one(life, true);
        if (turns == TURNS_MAX)
            broken(life, "the queue is not read to its end");
        engine_turn(w->engine, 0);
    }
}

static void start_shard(struct life *life)
{
    struct world *w = &life->world;
    int error;

    disk_sim_use(life->disk);
    fake_seed(draw(&life->random) | 1);
    random_seed(draw(&life->random));
    for (unsigned tries = 0; (error = world_open(w)) < 0; tries++) {
        life->counts->failed_starts++;
        /* Half-open for once; a fault strikes few operations in a row. */
        if (!disk_sim_has_failed(life->disk) || tries > life->plan->fault.count)
            broken(life, "does not open: %s (%s)", strerror(-error), w->why);
    }
}

/* A new fake engine starts at a fixed time; the history's goes on. */
static void catch_up_clock(struct life *life)
{
    struct engine *engine = life->world.engine;
    int64_t behind_ms = life->model->wall_ms - engine_wall_ms(engine);

    fake_advance_ms(engine, MAX(behind_ms, (int64_t)0));
    life->model->wall_ms = engine_wall_ms(engine);
}

static void open_shard(struct life *life)
{
    struct world *w = &life->world;
    int64_t damaged = metric_sum(METRIC_SPOOL_DAMAGED_RECORDS);
    struct shard_status status;
    char why[256];

    life->is_recovering = true;
    w->recovers_later = below(life, 2) == 0;
    start_shard(life);
    become_whole(life, false);
    place_sink(life);
    disk_sim_calm(life->disk, true);
    if (!model_journal_recovered(life->model, w->shard, spool, why) ||
        !model_recovered(life->model, w->shard, w->engine, why))
        broken(life, "%s", why);
    disk_sim_calm(life->disk, false);
    damaged = metric_sum(METRIC_SPOOL_DAMAGED_RECORDS) - damaged;
    if (damaged > 0 && !disk_sim_has_strange(life->disk))
        broken(life, "%jd records are called damaged", (intmax_t)damaged);
    shard_status(w->shard, &status);
    if (status.messages != model_count(life->model, MODEL_STANDS))
        broken(life, "%ju messages, not %zu", (uintmax_t)status.messages,
               model_count(life->model, MODEL_STANDS));
    life->is_recovering = false;
    life->has_written = false;
    catch_up_clock(life);
    shard_sink_passed(w->shard, 0, life->model->sink_position);
    world_check_invariant(w);
}

static void advance(struct life *life, int64_t ms)
{
    fake_advance_ms(life->world.engine, ms);
    life->model->wall_ms = engine_wall_ms(life->world.engine);
}

static bool has_flying(const struct life *life)
{
    for (size_t i = 0; i < FLYING_MAX; i++)
        if (life->flying[i].number != 0)
            return true;
    for (size_t i = 0; i < UPLOADS; i++)
        if (life->uploads[i].is_busy)
            return true;
    return false;
}

static void turn(struct life *life)
{
    engine_turn(life->world.engine, 0);
    live_after_cuts(life);
}

/* Everything that was asked for is answered. */
static void settle(struct life *life)
{
    for (unsigned turns = 0; has_flying(life); turns++) {
        if (turns % 20 == 19)
            advance(life, 1100); /* what is tried every second */
        if (turns == TURNS_MAX)
            broken(life, "commits are not answered");
        turn(life);
    }
    for (size_t i = 0; i < UPLOADS; i++)
        if (life->uploads[i].message != NULL)
            upload_end(&life->uploads[i]);
}

static void close_shard(struct life *life)
{
    struct shard_status status;

    shard_status(life->world.shard, &status);
    if (status.messages != model_count(life->model, MODEL_STANDS))
        broken(life, "%ju messages, not %zu", (uintmax_t)status.messages,
               model_count(life->model, MODEL_STANDS));
    world_check_invariant(&life->world);
    world_close(&life->world);
    live_after_cuts(life);
}

/* Mail is accepted behind the queue while that is still being read. */
static void open_at_work(struct life *life)
{
    life->is_recovering = true;
    life->world.recovers_later = true;
    start_shard(life);
    catch_up_clock(life);
    become_whole(life, true);
    settle(life);
    life->is_recovering = false;
    close_shard(life);
}

/* Its engine is gone: another delivers what it has, or some of it. Nothing new comes. */
static void live_adopted(struct life *life)
{
    struct shard_status status;

    life->world.is_adopted = true;
    open_shard(life);
    for (uint64_t steps = below(life, 60); steps > 0; steps--) {
        attempt(life);
        if (below(life, 4) == 0)
            advance(life, (int64_t)below(life, 1500000));
        if (below(life, 4) == 0)
            sink_passes(life, false);
        for (uint64_t turns = below(life, 4); turns > 0; turns--)
            turn(life);
    }
    settle(life);
    sink_passes(life, true);
    for (unsigned i = 0; i < 40; i++) {
        advance(life, 1100); /* what failed is tried every second */
        turn(life);
    }
    shard_status(life->world.shard, &status);
    uint64_t most = status.messages > 0 ? 2 : status.segments == 0 ? 1 : 0;
    if (status.spare_segments > most && !disk_sim_has_failed(life->disk))
        broken(life, "an adopted shard of %ju messages keeps %ju spares",
               (uintmax_t)status.messages, (uintmax_t)status.spare_segments);
    if (status.messages == 0)
        life->counts->vacant++;
    close_shard(life);
    life->world.is_adopted = false;
}

static void reopen(struct life *life)
{
    settle(life);
    close_shard(life);
    life->counts->reopened++;
    if (below(life, 3) == 0)
        live_adopted(life);
    open_shard(life);
    /* Only from here, where the model knows what a failed write left: before, that is in doubt. */
    if (below(life, 2) == 0 && !disk_sim_has_failed(life->disk)) {
        close_shard(life);
        open_at_work(life);
        open_shard(life);
    }
    live_after_cuts(life);
    verify_contents(life);
    live_after_cuts(life);
}

/* --- a life ---------------------------------------------------------------------------------- */

static void step(struct life *life)
{
    /* Some histories have many large messages. */
    uint64_t dice = below(life, life->plan->seed / 8 % 2 == 0 ? 100 : 130);

    if (life->model->event_count > EVENTS_HIGH)
        sink_passes(life, true);
    if (dice < 26)
        (void)accept_one(life, true);
    else if (dice < 40)
        upload_go_on(life);
    else if (dice < 72)
        attempt(life);
    else if (dice < 75)
        put_mark(life);
    else if (dice < 78)
        postpone(life);
    else if (dice < 82)
        interfere(life);
    else if (dice < 89)
        advance(life, (int64_t)below(life, 1500000));
    else if (dice < 96)
        sink_passes(life, false);
    else if (dice < 98)
        verify_contents(life);
    else if (dice < 100)
        reopen(life);
    else
        upload_go_on(life);
    for (uint64_t turns = below(life, 4); turns > 0; turns--)
        turn(life);
}

static void wait_for(struct life *life, const struct flying *flying)
{
    for (unsigned turns = 0; flying->number != 0; turns++) {
        if (turns % 20 == 19)
            advance(life, 1100);
        if (turns == TURNS_MAX)
            broken(life, "a commit is not answered");
        turn(life);
    }
}

/* Whatever was before: it takes mail and gets rid of it. */
static void accept_and_deliver(struct life *life)
{
    struct flying *flying = NULL;
    struct pending *pending = NULL;

    sink_passes(life, true);
    while ((flying = accept_one(life, false)) == NULL) { /* the model is full: deliver */
        attempt(life);
        turn(life);
        advance(life, 7200 * 1000);
    }
    struct message_id id = flying->messages[0]->id;
    wait_for(life, flying);
    /* After a fault: the spool may not have found out yet that there is space again. */
    for (unsigned tries = 0; flying->result < 0 && tries < 5; tries++) {
        advance(life, 1100);
        for (unsigned i = 0; i < 20; i++)
            turn(life);
        flying = accept_one(life, false);
        assert_non_null(flying);
        id = flying->messages[0]->id;
        wait_for(life, flying);
    }
    if (flying->result < 0)
        broken(life, "accepts nothing any more: %s", strerror(-flying->result));
    struct stub *stub = shard_find(life->world.shard, id);
    assert_non_null(stub);
    pending = &stub->pendings[0];
    if (!world_wait_due(&life->world, pending))
        broken(life, "an accepted message is not due");
    flying = take_flying(life);
    assert_non_null(flying);
    add_outcome(life, flying, pending, EVENT_DELIVERED);
    commit(life, flying, (struct model_message *[]){NULL, NULL});
    wait_for(life, flying);
}

static void live(struct life *life, unsigned steps)
{
    struct world *w = &life->world;
    static const uint64_t sizes[] = {64 * 1024, 64 * 1024, 96 * 1024, 192 * 1024, 512 * 1024};

    snprintf(w->directory, sizeof(w->directory), "%s", spool);
    w->settings = (struct spool_settings){
        .directory = w->directory,
        .segment_size = sizes[life->plan->seed % ARRAY_LEN(sizes)],
        .spare_segments = 1,
        .resident_max = life->plan->seed % 3 == 0 ? 1 : 0,
    };
    w->sink_count = 1;
    w->journaled = on_journaled;
    w->journaled_context = life;
    disk_sim_watch(life->disk, on_moment, life);
    open_shard(life);
    live_after_cuts(life);
    verify_contents(life);
    live_after_cuts(life);
    for (unsigned i = 0; i < steps; i++)
        step(life);
    if (life->depth == 0 && disk_sim_has_failed(life->disk))
        life->counts->faults++;
    if (life->plan->is_reopened && life->depth == 0)
        reopen(life);
    life->operations = disk_sim_count(life->disk);
    disk_sim_fail(life->disk, (struct disk_sim_fault){0});
    settle(life);
    accept_and_deliver(life);
    settle(life);
    verify_contents(life);
    if (life->depth == 0 || below(life, 4) == 0)
        reopen(life);
    close_shard(life);
    disk_sim_watch(life->disk, NULL, NULL);
    disk_sim_use(NULL);
}

uint64_t life_run(const struct life_plan *plan, struct life_counts *counts)
{
    struct life *life = calloc(1, sizeof(*life));

    assert_non_null(life);
    life->disk = disk_sim_create(plan->seed);
    life->model = calloc(1, sizeof(*life->model));
    assert_non_null(life->model);
    life->counts = counts;
    life->plan = plan;
    life->random = plan->seed * 0x9e3779b97f4a7c15;
    life->cut_random = ~life->random;
    life->cut_every = plan->cuts == 0 ? 0 : MAX(plan->steps * 4 / plan->cuts, 1U);
    snprintf(life->name, sizeof(life->name), "%ju", (uintmax_t)plan->seed);
    disk_sim_fail(life->disk, plan->fault);
    live(life, plan->steps);
    uint64_t operations = life->operations;
    counts->histories++;
    disk_sim_free(&life->disk);
    free(life->model);
    free(life);
    return operations;
}
