/* queue_walk.c - walk a worker's stubs slice by slice and act on what matches. */
#include "relay/queue_walk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "event/json_text.h"
#include "queue/flow.h"

enum {
    SLICE_US = 4000,                /* after this long the engine sees to its mail again */
    VISIT_BUCKETS = 32,             /* of the index, until the clock is looked at */
    SLICE_MESSAGES = 1000,          /* matching messages after which a slice ends */
    FOUND_MAX = 2 * SLICE_MESSAGES, /* with those of the last visit */
    SLICE_LOADS = 64,               /* envelopes read back at a time */
};

struct walk_load {
    struct load load;
    struct queue_walk *walk;
    struct message_id id;
    bool is_busy;
};

struct queue_walk {
    struct letter letter;
    struct worker *worker;
    struct queue_filter filter;
    enum queue_action action;
    const char *reason;
    uint64_t limit; /* 0: none */
    struct delivery_survey *survey;
    struct queue_walk_result result;
    /* the slice */
    struct buf *out;
    sem_t slice_done;
    unsigned shard; /* index into worker->shards */
    uint64_t cursor;
    bool is_over;
    size_t found_count, found_next;
    struct message_id found[FOUND_MAX]; /* whose envelope is needed */
    unsigned loading;
    struct walk_load loads[SLICE_LOADS];
};

static const char *const state_names[] = {
    [PENDING_SCHEDULED] = "scheduled",
    [PENDING_READY] = "ready",
    [PENDING_COMMITTING] = "committing",
    [PENDING_FINAL] = "final",
};

static void list_pending(struct queue_walk *walk, struct pending *pending,
                         const struct message *message)
{
    char id[MESSAGE_ID_TEXT_MAX], accepted[CLOCK_TEXT_MAX], due[CLOCK_TEXT_MAX];
    struct engine *engine = walk->worker->engine;
    const struct recipient *recipient = &message->recipients[pending_number(pending)];
    struct bytes domain = domain_name(pending_domain(pending));

    message_id_format(pending_stub(pending)->id, id);
    clock_format_rfc3339(message->accepted_ms, accepted);
    json_t *line = json_pack("{s:s, s:o, s:o, s:o, s:s, s:i, s:I, s:s}", "id", id, "recipient",
                             json_text(recipient->address), "sender",
                             json_text(message->reverse_path), "domain", json_text(domain), "state",
                             state_names[pending->state], "attempts", (int)pending->attempts,
                             "size", (json_int_t)message->content.size, "accepted", accepted);
    if (pending->state == PENDING_SCHEDULED) {
        int64_t wait_ms = (int64_t)pending->due_s * 1000 - engine_now_ms(engine);

        clock_format_rfc3339(engine_wall_ms(engine) + MAX(wait_ms, (int64_t)0), due);
        json_object_set_new(line, "due", json_string(due));
    }
    char *text = line == NULL ? NULL : json_dumps(line, JSON_COMPACT);
    if (text != NULL && buf_printf(walk->out, "%s\n", text))
        walk->result.acted++;
    free(text);
    json_decref(line);
}

static void explain_pending(struct queue_walk *walk, struct pending *pending,
                            const struct message *message)
{
    size_t before = buf_len(walk->out);

    if (delivery_explain_pending(walk->worker->delivery, pending, message, walk->out) &&
        buf_append_byte(walk->out, '\n'))
        walk->result.acted++;
    else
        buf_truncate(walk->out, before);
}

static bool is_at_limit(const struct queue_walk *walk)
{
    return walk->limit != 0 && walk->result.acted >= walk->limit;
}

/* `message` is NULL where neither filter nor action needed it. */
static void act(struct queue_walk *walk, struct shard *shard, struct pending *pending,
                const struct message *message)
{
    bool done = true;

    walk->result.matched++;
    switch (walk->action) {
    case QUEUE_COUNT:
        return;
    case QUEUE_LIST:
        list_pending(walk, pending, message);
        return;
    case QUEUE_EXPLAIN:
        explain_pending(walk, pending, message);
        return;
    case QUEUE_UNFINISHED:
        check(false); /* tell_unfinished() */
        return;
    case QUEUE_SURVEY:
        delivery_survey_add(walk->worker->delivery, pending, walk->survey);
        return;
    case QUEUE_RETRY:
        done = shard_retry_now(shard, pending);
        delivery_wake(walk->worker->delivery, pending_domain(pending));
        done = done || (pending->state == PENDING_READY && !delivery_is_busy(pending));
        break;
    case QUEUE_CANCEL:
        if (pending->state == PENDING_SCHEDULED)
            check(shard_take(shard, pending));
        done = pending->state == PENDING_READY &&
               delivery_cancel(walk->worker->delivery, shard, pending, walk->reason);
        break;
    }
    if (done)
        walk->result.acted++;
    else
        walk->result.busy++;
}

static void act_on_message(struct queue_walk *walk, struct shard *shard, struct stub *stub,
                           const struct message *message)
{
    for (uint32_t i = 0; i < stub->recipient_count && !is_at_limit(walk); i++) {
        struct pending *pending = &stub->pendings[i];

        if (!queue_filter_matches_pending(&walk->filter, pending))
            continue;
        if (message == NULL || queue_filter_matches_envelope(&walk->filter, message, i))
            act(walk, shard, pending, message);
    }
}

static bool needs_envelope(const struct queue_walk *walk)
{
    return walk->action == QUEUE_LIST || walk->action == QUEUE_EXPLAIN ||
           queue_filter_needs_envelope(&walk->filter);
}

static void tell_unfinished(struct queue_walk *walk, const struct stub *stub)
{
    char id[MESSAGE_ID_TEXT_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < stub->recipient_count; i++)
        count += stub->pendings[i].state != PENDING_FINAL;
    walk->result.matched += count;
    message_id_format(stub->id, id);
    if (count > 0 &&
        buf_printf(walk->out, "{\"id\":\"%s\",\"recipients\":%" PRIu32 "}\n", id, count))
        walk->result.acted += count;
}

static void visit(void *context, struct shard *shard, struct stub *stub)
{
    struct queue_walk *walk = context;
    bool matches = false;

    walk->result.visited++;
    if (walk->action == QUEUE_UNFINISHED) {
        tell_unfinished(walk, stub);
        return;
    }
    for (uint32_t i = 0; i < stub->recipient_count && !matches; i++)
        matches = queue_filter_matches_pending(&walk->filter, &stub->pendings[i]);
    if (!matches)
        return;
    if (needs_envelope(walk)) {
        if (walk->found_count < ARRAY_LEN(walk->found))
            walk->found[walk->found_count++] = stub->id;
        else
            walk->result.unreadable++; /* a bucket longer than any hash makes it */
        return;
    }
    act_on_message(walk, shard, stub, NULL);
}

static void load_more(struct queue_walk *walk);

static void on_loaded(struct load *load, int result, struct message *message)
{
    struct walk_load *slot = container_of(load, struct walk_load, load);
    struct queue_walk *walk = slot->walk;
    struct shard *shard = walk->worker->shards[walk->shard];
    struct stub *stub = shard_find(shard, slot->id); /* NULL: finished meanwhile */

    slot->is_busy = false;
    walk->loading--;
    if (result < 0)
        walk->result.unreadable++;
    if (stub != NULL && (result >= 0 || walk->action == QUEUE_EXPLAIN))
        act_on_message(walk, shard, stub, result >= 0 ? message : NULL);
    if (result >= 0)
        message_release(&message);
    load_more(walk);
}

static struct walk_load *free_load(struct queue_walk *walk)
{
    for (size_t i = 0; i < SLICE_LOADS; i++)
        if (!walk->loads[i].is_busy)
            return &walk->loads[i];
    return NULL;
}

/* Keeps up to SLICE_LOADS envelopes on their way; the slice ends with the last one. */
static void load_more(struct queue_walk *walk)
{
    struct shard *shard = walk->worker->shards[walk->shard];

    while (walk->found_next < walk->found_count && walk->loading < SLICE_LOADS &&
           !is_at_limit(walk)) {
        struct stub *stub = shard_find(shard, walk->found[walk->found_next++]);
        struct walk_load *slot = free_load(walk);

        if (stub == NULL)
            continue; /* finished meanwhile */
        *slot = (struct walk_load){.walk = walk, .is_busy = true};
        list_node_init(&slot->load.node);
        slot->id = stub->id;
        slot->load.stub = stub;
        slot->load.envelope_only = true;
        slot->load.done = on_loaded;
        walk->loading++;
        shard_load(shard, &slot->load);
    }
    if (walk->loading > 0)
        return;
    if (walk->cursor == UINT64_MAX) {
        walk->shard++;
        walk->cursor = 0;
    }
    walk->is_over = walk->shard >= walk->worker->shard_count || is_at_limit(walk);
    sem_post(&walk->slice_done);
}

/* False at the end of the shard. */
static bool walk_some(struct queue_walk *walk, struct shard *shard)
{
    int64_t until_us = clock_monotonic_us() + SLICE_US;
    bool more = true;

    while (more && !is_at_limit(walk) && walk->found_count < SLICE_MESSAGES &&
           clock_monotonic_us() < until_us)
        more = shard_walk(shard, &walk->cursor, VISIT_BUCKETS, visit, walk);
    return more;
}

static void open_slice(struct letter *letter, struct engine *engine)
{
    struct queue_walk *walk = container_of(letter, struct queue_walk, letter);
    struct shard *shard = walk->worker->shards[walk->shard];

    (void)engine;
    walk->found_count = 0;
    walk->found_next = 0;
    if (walk->filter.id.value != 0) {
        struct stub *stub = shard_find(shard, walk->filter.id);

        if (stub != NULL)
            visit(walk, shard, stub);
        walk->cursor = UINT64_MAX;
    } else if (!walk_some(walk, shard)) {
        walk->cursor = UINT64_MAX;
    }
    load_more(walk);
}

struct queue_walk *queue_walk_create(struct worker *worker, const struct queue_filter *filter,
                                     enum queue_action action, const char *reason, uint64_t limit)
{
    struct queue_walk *walk = calloc(1, sizeof(*walk));

    if (walk == NULL)
        return NULL;
    walk->worker = worker;
    walk->filter = *filter;
    walk->action = action;
    walk->reason = reason;
    walk->limit = limit;
    walk->letter.open = open_slice;
    sem_init(&walk->slice_done, 0, 0);
    return walk;
}

void queue_walk_survey(struct queue_walk *walk, struct delivery_survey *survey)
{
    walk->survey = survey;
}

bool queue_walk_slice(struct queue_walk *walk, struct buf *out)
{
    walk->out = out;
    engine_post(walk->worker->engine, &walk->letter);
    while (sem_wait(&walk->slice_done) < 0)
        check(errno == EINTR);
    return !walk->is_over;
}

const struct queue_walk_result *queue_walk_result(const struct queue_walk *walk)
{
    return &walk->result;
}

void queue_walk_free(struct queue_walk **walk)
{
    sem_destroy(&(*walk)->slice_done);
    free(*walk);
    *walk = NULL;
}
