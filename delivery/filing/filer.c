/* filer.c - the life of a filer: which message it has, and how far it is. */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/filing/filer_private.h"
#include "delivery/outcome/clearing.h"
#include "delivery/outcome/place.h"
#include "directory/directory_name.h"

enum {
    FILERS_MAX = 100000, /* of one engine; how many there are at once is the site's limit */
    ARENA_MAX = 16 << 20,
    RECIPIENTS_MAX = 64,    /* of a message at a time: each may become several copies */
    READING_MAX = 64 << 20, /* bytes of contents in memory, or one content */
    LOAD_AGAIN_MS = 30 * 1000,
    IDLE_STEP_MS = 1000,
    NAMES_MAX = 4096,
    RECEIVED_DEFAULT = 50,
};

static void enter(struct filer *filer, enum filer_state state)
{
    log_debug("filer=%p state=%u next=%u", (void *)filer, filer->state, state);
    filer->state = (uint8_t)state;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Nothing of it is with the shard, the store or the engine. */
static bool is_free(const struct filer *filer)
{
    return filer->state != FILER_LOADING && !filer->is_read_pending && filer->outstanding == 0;
}

static void leave_reading(struct filer *filer)
{
    struct filers *filers = filer->filers;
    struct list_node *node;

    list_remove(&filer->in_reading);
    if (filer->content.len_max > 0)
        filers->reading_bytes -= filer->content.len_max;
    buf_free(&filer->content);
    filer->content.len_max = 0;
    while ((node = list_pop_front(&filers->reading)) != NULL)
        filer_run_later(container_of(node, struct filer, in_reading));
}

/* Whatever there was of a message. */
static void let_message_go(struct filer *filer)
{
    if (filer->is_read_begun)
        shard_read_content_end(filer->shard, &filer->read);
    filer->is_read_begun = false;
    leave_reading(filer);
    if (filer->message != NULL)
        message_release(&filer->message);
    passage_free(&filer->passage);
    for (uint32_t i = 0; i < filer->count; i++)
        filing_answer_drop(&filer->recipients[i]);
    filer->whole = BYTES_NONE;
    arena_clear(&filer->arena);
    filer->recipients = NULL;
    filer->count = filer->settled = 0;
}

static void free_filer(struct filer *filer)
{
    struct filers *filers = filer->filers;

    if (filer->state == FILER_OPENING)
        carrier_given_up(&filer->carrier);
    else
        carrier_left(&filer->carrier);
    enter(filer, FILER_OVER);
    carrier_done(&filer->carrier, filer->count - filer->settled);
    let_message_go(filer);
    arena_free(&filer->arena);
    engine_timeout_cancel(filer->carrier.engine, &filer->idle);
    engine_turn_end_cancel(filer->carrier.engine, &filer->turn_end);
    carrier_gone(&filer->carrier);
    slab_release(&filers->slab, &filer);
}

static void message_over(struct filer *filer)
{
    filer->messages_done++;
    let_message_go(filer);
    enter(filer, FILER_READY);
}

/* --- content ---------------------------------------------------------------------------------- */

/* It is to be tried again later, as if it had never been pulled. */
static void postpone_all(struct filer *filer)
{
    int64_t due_ms = engine_now_ms(filer->carrier.engine) + LOAD_AGAIN_MS;

    for (uint32_t i = 0; i < filer->count; i++) {
        pending_release(filer->recipients[i].pending);
        shard_postpone(filer->shard, filer->recipients[i].pending, due_ms);
    }
    metric_add(METRIC_DELIVERY_POSTPONED, filer->count);
    carrier_done(&filer->carrier, filer->count);
    filer->settled = filer->count;
}

static void on_taken(void *context, struct pending *pending)
{
    (void)context;
    list_remove(&pending->link);
}

static void clear_damaged(struct filer *filer)
{
    struct judgement judgement = clearing_damaged();
    struct attempt_facts facts = {.times = {-1, -1, -1, -1, -1, -1}};
    struct list pendings;

    list_init(&pendings);
    for (uint32_t i = 0; i < filer->count; i++) {
        pending_release(filer->recipients[i].pending);
        list_push_back(&pendings, &filer->recipients[i].pending->link);
    }
    while (!list_is_empty(&pendings))
        clearing_start(filer->carrier.outcomes, filer->shard, &pendings, CLEARING_RECIPIENTS_MAX,
                       &judgement, &facts, on_taken, NULL);
    carrier_done(&filer->carrier, filer->count);
    filer->settled = filer->count;
}

/* -errno of the spool. */
static void content_failed(struct filer *filer, int error)
{
    if (error == -EBADMSG && clearing_has_room(filer->carrier.outcomes))
        clear_damaged(filer);
    else
        postpone_all(filer);
    message_over(filer);
}

static void begin_filing(struct filer *filer, struct bytes content)
{
    enter(filer, FILER_FILING);
    metric_inc(METRIC_DELIVERY_ATTEMPTS);
    filer_begin_copies(filer, content);
    filer_run_later(filer); /* what was judged without the store */
}

static void on_read(struct content_read *read, int result, struct bytes piece)
{
    struct filer *filer = container_of(read, struct filer, read);

    filer->is_read_pending = false;
    if (filer->is_aborted) {
        filer_run_later(filer);
        return;
    }
    if (result < 0 || !buf_append(&filer->content, piece)) {
        content_failed(filer, result < 0 ? result : -EBADMSG);
        filer_run_later(filer);
        return;
    }
    if (result > 0) {
        filer->is_read_pending = true;
        shard_read_content(filer->shard, filer->message, &filer->read);
        return;
    }
    if (buf_len(&filer->content) != filer->message->content.size)
        content_failed(filer, -EBADMSG);
    else
        begin_filing(filer, buf_bytes(&filer->content));
    filer_run_later(filer);
}

/* False: it waits for others' contents to go. */
static bool begin_reading(struct filer *filer)
{
    struct filers *filers = filer->filers;
    size_t size = (size_t)filer->message->content.size;

    if (filers->reading_bytes > 0 && filers->reading_bytes + size > READING_MAX) {
        if (!list_is_linked(&filer->in_reading))
            list_push_back(&filers->reading, &filer->in_reading);
        return false;
    }
    buf_init(&filer->content, size);
    filers->reading_bytes += size;
    filer->read = (struct content_read){.done = on_read};
    list_node_init(&filer->read.node);
    filer->is_read_begun = filer->is_read_pending = true;
    shard_read_content(filer->shard, filer->message, &filer->read);
    return true;
}

/* --- messages --------------------------------------------------------------------------------- */

/* Rules of sender and recipient can be looked at only now. */
static void hold_suspended(struct filer *filer)
{
    uint32_t kept = 0;

    if (!carrier_may_hold(&filer->carrier))
        return;
    for (uint32_t i = 0; i < filer->count; i++)
        if (!carrier_hold(&filer->carrier, filer->recipients[i].pending, filer->message))
            filer->recipients[kept++] = filer->recipients[i];
    filer->count = kept;
}

/* The envelope is in memory. */
static void start(struct filer *filer)
{
    struct engine *engine = filer->carrier.engine;
    const struct message *message = filer->message;

    hold_suspended(filer);
    if (filer->count == 0) {
        message_over(filer);
        return;
    }
    filer->wait_ms =
        (int32_t)MIN(MAX(engine_wall_ms(engine) - MAX(message->accepted_ms, message->not_before_ms),
                         (int64_t)0),
                     (int64_t)INT32_MAX);
    if (message->content.memory.ptr != NULL || message->content.size == 0) {
        begin_filing(filer, message->content.memory);
        return;
    }
    enter(filer, FILER_READING);
    (void)begin_reading(filer);
}

static void on_loaded(struct load *load, int result, struct message *message)
{
    struct filer *filer = container_of(load, struct filer, load);

    enter(filer, FILER_READING); /* it is not the shard's any more */
    if (result == 0)
        filer->message = message;
    if (!filer->is_aborted) {
        if (result == 0)
            start(filer);
        else
            content_failed(filer, result);
    }
    filer_run_later(filer);
}

static void begin_message(struct filer *filer, const struct pull *pull)
{
    struct message *resident = stub_message(pull->stub);

    filer->recipients = arena_alloc(&filer->arena, pull->count * sizeof(*filer->recipients));
    check(filer->recipients != NULL); /* the arena is empty and far larger */
    filer->shard = pull->shard;
    filer->stub = pull->stub;
    filer->count = (uint32_t)pull->count;
    filer->settled = 0;
    for (uint32_t i = 0; i < filer->count; i++)
        filer->recipients[i] =
            (struct filed_recipient){.pending = pull->pendings[i],
                                     .number = pending_number(pull->pendings[i])};
    filer->began_ms = engine_now_ms(filer->carrier.engine);
    filer->began_wall_ms = engine_wall_ms(filer->carrier.engine);
    if (resident != NULL && resident->content.memory.ptr != NULL) {
        filer->message = message_keep(resident);
        start(filer);
        return;
    }
    filer->load = (struct load){.stub = filer->stub, .done = on_loaded};
    list_node_init(&filer->load.node);
    enter(filer, FILER_LOADING);
    shard_load(filer->shard, &filer->load);
}

/* False: there is none, or this one carries no more. */
static bool next_message(struct filer *filer)
{
    struct carrier *carrier = &filer->carrier;
    struct pull pull = {.recipients_max = RECIPIENTS_MAX};

    if (carrier_is_idle(carrier))
        return false;
    if (filer->is_leaving || carrier_is_finished(carrier, filer->messages_done, 0)) {
        filer->is_leaving = true;
        return false;
    }
    if (!carrier_next(carrier, &pull)) {
        filer->idle_since_ms = engine_now_ms(carrier->engine);
        engine_timeout(carrier->engine, &filer->idle, IDLE_STEP_MS);
        return false;
    }
    begin_message(filer, &pull);
    return true;
}

/* --- the driver ------------------------------------------------------------------------------- */

static bool step(struct filer *filer)
{
    switch ((enum filer_state)filer->state) {
    case FILER_OPENING:
        carrier_ready(&filer->carrier);
        enter(filer, FILER_READY);
        return true;
    case FILER_READY:
        return next_message(filer);
    case FILER_READING:
        if (!filer->is_read_begun)
            (void)begin_reading(filer);
        return false;
    case FILER_FILING:
        filer_settle(filer);
        if (filer->settled < filer->count || filer->outstanding > 0)
            return false;
        carrier_fruitful(&filer->carrier);
        message_over(filer);
        return true;
    case FILER_LOADING:
    case FILER_OVER:
        break;
    }
    return false;
}

static void run(struct filer *filer)
{
    while (!filer->is_aborted && step(filer))
        ;
}

static bool is_over(const struct filer *filer)
{
    bool has_none = filer->state == FILER_READY || filer->state == FILER_OPENING;

    return is_free(filer) && (filer->is_aborted || (filer->is_leaving && has_none));
}

static void on_turn_end(struct turn_end *turn_end)
{
    struct filer *filer = container_of(turn_end, struct filer, turn_end);

    run(filer);
    if (is_over(filer))
        free_filer(filer);
}

static void on_idle(struct timeout *timeout)
{
    struct filer *filer = container_of(timeout, struct filer, idle);
    struct carrier *carrier = &filer->carrier;
    int64_t idle_ms = engine_now_ms(carrier->engine) - filer->idle_since_ms;

    if (filer->state != FILER_READY || !carrier_is_idle(carrier))
        return;
    if (carrier_idle_is_over(carrier, idle_ms)) {
        filer->is_leaving = true;
        filer_run_later(filer);
    } else {
        engine_timeout(carrier->engine, &filer->idle, IDLE_STEP_MS);
    }
}

/* --- as a carrier ----------------------------------------------------------------------------- */

static struct filer *filer_of(struct carrier *carrier)
{
    return container_of(carrier, struct filer, carrier);
}

static bool filer_open(void *context, const struct carrier_opening *opening)
{
    struct filers *filers = context;
    struct filer *filer = slab_alloc(&filers->slab);

    if (filer == NULL)
        return false;
    carrier_init(&filer->carrier, opening);
    filer->filers = filers;
    arena_init(&filer->arena, ARENA_MAX);
    turn_end_init(&filer->turn_end, on_turn_end);
    timeout_init(&filer->idle, on_idle);
    list_node_init(&filer->in_reading);
    filer_run_later(filer);
    return true;
}

static void filer_wake(struct carrier *carrier)
{
    struct filer *filer = filer_of(carrier);

    check(filer->state == FILER_READY);
    run(filer);
    if (is_over(filer)) /* not within a call of the line's */
        filer_run_later(filer);
}

static void filer_leave(struct carrier *carrier)
{
    filer_of(carrier)->is_leaving = true;
    filer_run_later(filer_of(carrier));
}

/* What is with the store is filed or not: who asks again is told. */
static void filer_abort(struct carrier *carrier)
{
    struct filer *filer = filer_of(carrier);

    filer->is_aborted = true;
    for (uint32_t i = 0; i < filer->count; i++)
        forward_abort(&filer->recipients[i]);
    filer_run_later(filer);
}

struct filers *filers_create(const struct filers_setup *setup)
{
    struct filers *filers = calloc(1, sizeof(*filers));

    check(filers != NULL);
    filers->setup = *setup;
    arena_init(&filers->names, NAMES_MAX);
    filers->kind = (struct carrier_kind){
        .context = filers,
        .open = filer_open,
        .wake = filer_wake,
        .leave = filer_leave,
        .abort = filer_abort,
    };
    list_init(&filers->reading);
    slab_init(&filers->slab, sizeof(struct filer), FILERS_MAX);
    return filers;
}

void filers_configure(struct filers *filers, struct bytes hostname, const char *postmaster,
                      unsigned received_max)
{
    filers->received_max = received_max != 0 ? received_max : RECEIVED_DEFAULT;
    arena_clear(&filers->names);
    filers->rules = (struct recipient_rules){.return_key = filers->setup.return_key};
    check(arena_copy(&filers->names, hostname, &filers->rules.hostname));
    if (postmaster != NULL)
        check(directory_address(&filers->names, bytes_of(postmaster), false,
                                &filers->rules.postmaster));
}

void filers_free(struct filers **filers)
{
    struct filers *f = *filers;

    *filers = NULL;
    check(f->slab.count == 0);
    arena_free(&f->names);
    slab_free_all(&f->slab);
    free(f);
}

const struct carrier_kind *filers_kind(const struct filers *filers)
{
    return &filers->kind;
}
