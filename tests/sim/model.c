/* model.c - promises and how they are compared. See model.h. */
#include "tests/sim/model.h"

#include <stdio.h>
#include <string.h>

#include "queue/flow.h"
#include "queue/journal.h"

enum { WHY_MAX = 256, PARTS_MAX = MODEL_MESSAGES * (MODEL_RECIPIENTS + 1) };

#define SAY(...) (snprintf(why, WHY_MAX, __VA_ARGS__), false)

struct model_message *model_free_slot(struct model *model)
{
    for (size_t i = 0; i < MODEL_MESSAGES; i++)
        if (model->messages[i].state == MODEL_FREE)
            return &model->messages[i];
    return NULL;
}

struct model_message *model_find(struct model *model, struct message_id id)
{
    for (size_t i = 0; i < MODEL_MESSAGES; i++)
        if (model->messages[i].state != MODEL_FREE && model->messages[i].id.value == id.value)
            return &model->messages[i];
    return NULL;
}

size_t model_count(const struct model *model, enum model_state state)
{
    size_t count = 0;

    for (size_t i = 0; i < MODEL_MESSAGES; i++)
        count += model->messages[i].state == state;
    return count;
}

void model_describe(struct model_message *message, const struct message *accepted, int64_t wall_ms)
{
    snprintf(message->tenant, sizeof(message->tenant), "%.*s", BYTES_ARG(accepted->tenant));
    message->class = accepted->class;
    message->accepted_ms = wall_ms;
    message->not_before_ms = message->earliest_ms = accepted->not_before_ms;
}

/* --- commits --------------------------------------------------------------------------------- */

uint32_t model_begin(struct model *model)
{
    return ++model->last_commit;
}

void model_begin_accept(struct model_message *message, uint32_t commit, struct message_id id)
{
    message->state = MODEL_FLYING;
    message->flying = commit;
    message->id = id;
    message->next_seq = message->seq_max = message->recipient_count;
}

void model_begin_outcome(struct model_message *message, uint32_t recipient, uint32_t commit,
                         enum event_kind kind, int64_t due_ms)
{
    struct model_recipient *r = &message->recipients[recipient];

    check(r->flying == 0);
    check(!r->is_final);
    r->flying = commit;
    r->kind = kind;
    r->seq = message->seq_max++;
    r->flying_due_ms = due_ms;
}

static void apply_outcome(struct model_recipient *r)
{
    if (r->kind == EVENT_DELAYED) {
        r->is_told = true;
    } else if (r->kind == EVENT_FORWARDED) {
        r->is_forwarded = true;
    } else if (r->kind == EVENT_DEFERRED) {
        r->attempts++;
        r->due_ms = r->flying_due_ms;
    } else {
        r->is_final = true;
    }
}

static void free_if_finished(struct model_message *message)
{
    bool has_live = false;

    for (unsigned i = 0; i < message->recipient_count; i++)
        has_live = has_live || !message->recipients[i].is_final;
    if (!has_live)
        *message = (struct model_message){0};
}

void model_end(struct model *model, uint32_t commit, bool stands)
{
    for (size_t i = 0; i < MODEL_MESSAGES; i++) {
        struct model_message *message = &model->messages[i];

        /* What failed before is void since this one stands. */
        if (stands && message->state == MODEL_DOUBTFUL)
            *message = (struct model_message){0};
        if (message->state == MODEL_FLYING && message->flying == commit)
            message->state = stands ? MODEL_STANDS : MODEL_DOUBTFUL;
        if (message->state != MODEL_STANDS)
            continue;
        for (unsigned n = 0; n < message->recipient_count; n++) {
            struct model_recipient *r = &message->recipients[n];

            if (r->flying != commit)
                continue;
            check(stands); /* outcomes do not fail */
            r->flying = 0;
            message->next_seq = MAX(message->next_seq, r->seq + 1);
            apply_outcome(r);
        }
        free_if_finished(message);
    }
}

/* --- journal --------------------------------------------------------------------------------- */

static void on_event(void *context, const struct event *event)
{
    struct model *model = context;

    check(model->event_count < MODEL_EVENTS);
    model->events[model->event_count++] = (struct model_event){
        .position = event->position,
        .id = event->id,
        .seq = event->seq,
        .kind = event->kind,
    };
}

void model_journaled(struct model *model, unsigned shard, uint64_t position, struct bytes records)
{
    (void)journal_events(shard, position, records, on_event, model);
}

void model_sink_passed(struct model *model, uint64_t position)
{
    size_t passed = 0;

    while (passed < model->event_count && model->events[passed].position < position)
        passed++;
    memmove(model->events, model->events + passed,
            (model->event_count - passed) * sizeof(model->events[0]));
    model->event_count -= passed;
    model->sink_position = position;
}

struct replay {
    struct model *model;
    size_t next; /* of the expected ones */
    struct model_event extra[MODEL_EXTRA];
    size_t extra_count;
    char *why;
    bool has_failed;
};

static bool may_be_told(struct model *model, const struct event *event)
{
    const struct model_message *message = model_find(model, event->id);

    if (message == NULL)
        return false;
    if (message->state != MODEL_STANDS)
        return event->kind == EVENT_ACCEPTED && event->seq < message->recipient_count;
    for (unsigned i = 0; i < message->recipient_count; i++) {
        const struct model_recipient *r = &message->recipients[i];

        if (r->flying != 0 && r->seq == event->seq && r->kind == event->kind)
            return true;
    }
    return false;
}

static void on_replayed(void *context, const struct event *event)
{
    struct replay *replay = context;
    const struct model *model = replay->model;
    char *why = replay->why;

    if (replay->has_failed)
        return;
    if (replay->next < model->event_count) {
        const struct model_event *expected = &model->events[replay->next++];

        if (expected->position != event->position || expected->id.value != event->id.value ||
            expected->seq != event->seq || expected->kind != event->kind)
            replay->has_failed = !SAY(
                "event %zu: expected message %jx seq %u kind %d at %jx, got %jx seq %u kind %d "
                "at %jx",
                replay->next - 1, (uintmax_t)expected->id.value, expected->seq, expected->kind,
                (uintmax_t)expected->position, (uintmax_t)event->id.value, event->seq, event->kind,
                (uintmax_t)event->position);
        return;
    }
    for (size_t i = 0; i < replay->extra_count; i++)
        if (replay->extra[i].id.value == event->id.value && replay->extra[i].seq == event->seq)
            replay->has_failed =
                !SAY("message %jx: seq %u is told twice", (uintmax_t)event->id.value, event->seq);
    if (!may_be_told(replay->model, event))
        replay->has_failed = !SAY("message %jx: seq %u kind %d is told, which cannot be",
                                  (uintmax_t)event->id.value, event->seq, event->kind);
    check(replay->extra_count < MODEL_EXTRA);
    replay->extra[replay->extra_count++] =
        (struct model_event){event->position, event->id, event->seq, event->kind};
}

static bool is_extra(const struct replay *replay, struct message_id id, uint32_t seq)
{
    for (size_t i = 0; i < replay->extra_count; i++)
        if (replay->extra[i].id.value == id.value && replay->extra[i].seq == seq)
            return true;
    return false;
}

static bool is_pending_final(const struct stub *stub, unsigned number)
{
    return stub == NULL || stub->pendings[number].state == PENDING_FINAL;
}

/* Whether the recovered state shows what is in flight for a recipient. */
static bool shows(const struct stub *stub, const struct model_recipient *r, unsigned number)
{
    if (is_pending_final(stub, number))
        return event_kind_is_final(r->kind);
    const struct pending *pending = &stub->pendings[number];
    if (r->kind == EVENT_DELAYED)
        return (pending->flags & PENDING_DELAY_TOLD) != 0;
    if (r->kind == EVENT_FORWARDED)
        return pending->is_forwarded != 0;
    return r->kind == EVENT_DEFERRED && pending->attempts == r->attempts + 1;
}

/* What is found is told, and the reverse. */
static bool told_is_found(struct replay *replay, struct shard *shard, char *why)
{
    for (size_t i = 0; i < MODEL_MESSAGES; i++) {
        const struct model_message *message = &replay->model->messages[i];

        if (message->state == MODEL_FREE)
            continue;
        const struct stub *stub = shard_find(shard, message->id);
        for (unsigned n = 0; n < message->recipient_count; n++) {
            const struct model_recipient *r = &message->recipients[n];
            bool is_accept = message->state != MODEL_STANDS;
            uint32_t seq = is_accept ? n : r->seq;
            bool is_found = is_accept ? stub != NULL : shows(stub, r, n);

            if ((is_accept || r->flying != 0) && is_found != is_extra(replay, message->id, seq))
                return SAY("message %jx: seq %u is %s, but %s", (uintmax_t)message->id.value, seq,
                           is_found ? "found" : "not found", is_found ? "not told" : "told");
        }
    }
    return true;
}

bool model_journal_recovered(struct model *model, struct shard *shard, const char *directory,
                             char why[static 256])
{
    struct journal_reader *reader;
    struct replay replay = {.model = model, .why = why};
    int error = journal_open(directory, shard_index(shard), model->sink_position, &reader);

    if (error < 0)
        return SAY("the journal does not open: %s", strerror(-error));
    error = journal_read(reader, shard_durable_position(shard), on_replayed, &replay);
    uint64_t damaged = journal_damaged(reader);
    journal_close(&reader);
    if (error < 0 || damaged > 0)
        return SAY("the journal has %ju damaged spots: %s", (uintmax_t)damaged, strerror(-error));
    if (replay.has_failed)
        return false;
    if (replay.next < model->event_count)
        return SAY("%zu events are lost, the first of message %jx seq %u at %jx",
                   model->event_count - replay.next, (uintmax_t)model->events[replay.next].id.value,
                   model->events[replay.next].seq, (uintmax_t)model->events[replay.next].position);
    if (!told_is_found(&replay, shard, why))
        return false;
    check(model->event_count + replay.extra_count <= MODEL_EVENTS);
    memcpy(model->events + model->event_count, replay.extra,
           replay.extra_count * sizeof(replay.extra[0]));
    model->event_count += replay.extra_count;
    return true;
}

/* --- a recovered shard ----------------------------------------------------------------------- */

/* Of each commit in flight: whether a part of it was found, and one was not. */
struct part {
    uint32_t commit;
    bool is_found, is_missing;
};

struct recovered {
    struct part parts[PARTS_MAX];
    size_t part_count;
    struct model *model;
    struct message_id stranger;
};

static void note_part(struct recovered *r, uint32_t commit, bool is_found)
{
    size_t i = 0;

    while (i < r->part_count && r->parts[i].commit != commit)
        i++;
    if (i == r->part_count)
        r->parts[r->part_count++] = (struct part){.commit = commit};
    r->parts[i].is_found = r->parts[i].is_found || is_found;
    r->parts[i].is_missing = r->parts[i].is_missing || !is_found;
}

static bool check_pending(const struct model_message *message, const struct stub *stub,
                          unsigned number, int64_t wall_offset_ms, int64_t wall_ms, char *why)
{
    const struct model_recipient *r = &message->recipients[number];
    bool is_shown = r->flying != 0 && shows(stub, r, number);
    uintmax_t id = (uintmax_t)message->id.value;

    if (is_pending_final(stub, number)) {
        if (!r->is_final && !is_shown)
            return SAY("message %jx recipient %u: lost, it was not finished", id, number);
        return true;
    }
    if (r->is_final)
        return SAY("message %jx recipient %u: finished, and comes back", id, number);
    const struct pending *pending = &stub->pendings[number];
    unsigned attempts = r->attempts + (is_shown && r->kind == EVENT_DEFERRED);
    bool is_told = r->is_told || (is_shown && r->kind == EVENT_DELAYED);
    bool is_forwarded = r->is_forwarded || (is_shown && r->kind == EVENT_FORWARDED);
    int64_t due_ms = is_shown && r->kind == EVENT_DEFERRED ? r->flying_due_ms : r->due_ms;
    /* What was due is due at once, but for a not-before, which a clock set back brings again. */
    due_ms = MAX(due_ms > wall_ms ? due_ms : 0, message->earliest_ms);
    int64_t found_ms = (int64_t)pending->due_s * 1000 + wall_offset_ms;
    if (pending->attempts != attempts)
        return SAY("message %jx recipient %u: %u attempts, not %u", id, number, pending->attempts,
                   attempts);
    if (((pending->flags & PENDING_DELAY_TOLD) != 0) != is_told)
        return SAY("message %jx recipient %u: its delay notice is %s", id, number,
                   is_told ? "forgotten" : "invented");
    if ((pending->is_forwarded != 0) != is_forwarded)
        return SAY("message %jx recipient %u: that it was forwarded is %s", id, number,
                   is_forwarded ? "forgotten" : "invented");
    if (pending->state == PENDING_READY) { /* handed out in the turn that read the last of it */
        if (due_ms > wall_ms)
            return SAY("message %jx recipient %u: handed out, but due at %jd", id, number,
                       (intmax_t)due_ms);
        return true;
    }
    if (pending->state != PENDING_SCHEDULED)
        return SAY("message %jx recipient %u: not scheduled", id, number);
    if (pending->flow->class != message->class ||
        !bytes_equal(flow_tenant(pending->flow), bytes_of(message->tenant)))
        return SAY("message %jx recipient %u: in the flow of class %u of tenant %.*s", id, number,
                   pending->flow->class, BYTES_ARG(flow_tenant(pending->flow)));
    /* Postponed is later than the model knows. What is due is due at once. */
    if (pending->due_s == 0 ? due_ms > wall_ms : found_ms < due_ms - 1000)
        return SAY("message %jx recipient %u: due at %jd, too early for %jd (of itself %jd, not "
                   "before %jd, accepted %jd)",
                   id, number, pending->due_s == 0 ? (intmax_t)0 : (intmax_t)found_ms,
                   (intmax_t)due_ms, (intmax_t)r->due_ms, (intmax_t)message->not_before_ms,
                   (intmax_t)message->accepted_ms);
    return true;
}

static bool check_message(struct recovered *recovered, struct model_message *message,
                          const struct stub *stub, int64_t wall_offset_ms, char *why)
{
    uintmax_t id = (uintmax_t)message->id.value;

    if (message->state == MODEL_FLYING)
        note_part(recovered, message->flying, stub != NULL);
    if (message->state != MODEL_STANDS && stub == NULL)
        return true;
    if (stub != NULL && stub->recipient_count != message->recipient_count)
        return SAY("message %jx: %u recipients, not %u", id, stub->recipient_count,
                   message->recipient_count);
    for (unsigned i = 0; i < message->recipient_count; i++) {
        const struct model_recipient *r = &message->recipients[i];

        if (!check_pending(message, stub, i, wall_offset_ms, recovered->model->wall_ms, why))
            return false;
        if (r->flying != 0)
            note_part(recovered, r->flying, shows(stub, r, i));
    }
    if (stub != NULL && (stub->next_seq < message->next_seq || stub->next_seq > message->seq_max))
        return SAY("message %jx: goes on with seq %u, not %u to %u", id, stub->next_seq,
                   message->next_seq, message->seq_max);
    return true;
}

/* Takes for true what was found. */
static bool settle(struct model_message *message, const struct stub *stub, char *why)
{
    uint32_t next_seq = message->next_seq;

    if (stub == NULL) {
        *message = (struct model_message){0};
        return true;
    }
    for (unsigned i = 0; i < message->recipient_count; i++) {
        struct model_recipient *r = &message->recipients[i];

        if (r->flying != 0 && shows(stub, r, i)) {
            apply_outcome(r);
            next_seq = MAX(next_seq, r->seq + 1);
        }
        r->flying = 0;
    }
    if (stub->next_seq != next_seq)
        return SAY("message %jx: goes on with seq %u, not %u", (uintmax_t)message->id.value,
                   stub->next_seq, next_seq);
    message->state = MODEL_STANDS;
    message->flying = 0;
    message->next_seq = message->seq_max = next_seq;
    return true;
}

static void look_for_strangers(void *context, struct shard *shard, struct stub *stub)
{
    struct recovered *recovered = context;

    (void)shard;
    if (model_find(recovered->model, stub->id) == NULL)
        recovered->stranger = stub->id;
}

bool model_recovered(struct model *model, struct shard *shard, struct engine *engine,
                     char why[static 256])
{
    struct recovered recovered = {.model = model};
    int64_t wall_offset_ms = engine_wall_ms(engine) - engine_now_ms(engine);
    uint64_t cursor = 0;

    for (size_t i = 0; i < MODEL_MESSAGES; i++) {
        struct model_message *message = &model->messages[i];
        int64_t hold_ms = message->not_before_ms - message->accepted_ms;

        if (message->not_before_ms > 0)
            message->earliest_ms =
                MIN(message->earliest_ms, engine_wall_ms(engine) + MAX(hold_ms, (int64_t)0));
        if (message->state != MODEL_FREE &&
            !check_message(&recovered, message, shard_find(shard, message->id), wall_offset_ms,
                           why))
            return false;
    }
    for (size_t i = 0; i < recovered.part_count; i++)
        if (recovered.parts[i].is_found && recovered.parts[i].is_missing)
            return SAY("commit %u was recovered in part", recovered.parts[i].commit);
    while (shard_walk(shard, &cursor, SIZE_MAX, look_for_strangers, &recovered))
        ;
    if (recovered.stranger.value != 0)
        return SAY("message %jx: finished or refused, and comes back",
                   (uintmax_t)recovered.stranger.value);
    for (size_t i = 0; i < MODEL_MESSAGES; i++) {
        struct model_message *message = &model->messages[i];

        if (message->state != MODEL_FREE && !settle(message, shard_find(shard, message->id), why))
            return false;
    }
    return true;
}
