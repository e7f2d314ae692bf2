/*
 * commit.c - what sessions and delivery ask for, staged for the next flush.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/metric.h"
#include "queue/damage.h"
#include "queue/shard_private.h"

enum {
    /* Notes nobody waits for; while the disk is full they may be lost. */
    NOTES_LEN_MAX = 4 * 1024 * 1024,
};
static const int64_t SERIAL_EPOCH_US = 1577836800LL * 1000000; /* 2020-01-01 */

void shard_fail_later(struct shard *shard, struct commit *commit, int error)
{
    commit->result_private = error;
    list_push_back(&shard->failed_commits, &commit->node);
    engine_turn_again(shard->engine);
}

static int admit_message(const struct shard *shard, const struct message *message)
{
    const struct content *content = &message->content;

    check(message->recipient_count > 0);
    check(content->extent_count > 0 || content->memory.len == content->size);
    /* What can never be moved would hold its segment, and all behind it, as long as it lives. */
    if (message->recipient_count > MESSAGE_RECIPIENTS_MAX || !shard_copy_fits(shard, message))
        return -EMSGSIZE;
    for (size_t i = 0; i < content->extent_count; i++)
        if (!shard_extent_stands(shard, &content->extents[i]))
            return -EIO;
    if (content->extent_count > 0 &&
        shard->next_sequence - content_first_segment(content) > STUB_REACH_MAX - SPARES_MAX)
        return -EIO;
    return 0;
}

static size_t commit_message_count(const struct commit *commit)
{
    check(commit->message != NULL || commit->more_count == 0);
    return commit->message != NULL ? 1 + commit->more_count : 0;
}

static struct message *commit_message(const struct commit *commit, size_t number)
{
    return number == 0 ? commit->message : commit->more[number - 1];
}

static int admit(const struct shard *shard, const struct commit *commit)
{
    uint64_t memory = 0;

    if (shard->is_closing || shard->is_broken_off)
        return -ESHUTDOWN;
    for (size_t i = 0; i < commit_message_count(commit); i++) {
        const struct message *message = commit_message(commit, i);
        int error = admit_message(shard, message);

        if (error < 0)
            return error;
        memory += message_memory(message);
    }
    if (commit->outcome_count > 0 || commit->message == NULL)
        return 0;
    if (shard->is_adopted && !commit->message->is_dsn)
        return -ESHUTDOWN;
    int full = shard_why_full(shard);
    if (full < 0)
        return full;
    uint64_t used = (uint64_t)budget_used();
    if (shard->memory_max != 0 && used + memory > shard->memory_max)
        return -ENOMEM;
    return 0;
}

struct message_id shard_next_id(struct shard *shard)
{
    int64_t now_us = engine_wall_ms(shard->engine) * 1000 - SERIAL_EPOCH_US;
    uint64_t serial = MAX((uint64_t)MAX(now_us, 1), shard->serial_last + 1);

    shard->serial_last = serial;
    return (struct message_id){(uint64_t)shard->number << 56 | serial};
}

static void stage_message(struct shard *shard, struct batch_writer *writer, struct message *message)
{
    uint32_t count = (uint32_t)message->recipient_count;
    bool has_not_before = message->not_before_ms > engine_wall_ms(shard->engine);
    const struct flow_part part = flow_part_of(message);
    struct stub *stub = stub_new(count, has_not_before);

    check(stub != NULL);
    if (message->id.value == 0)
        message->id = shard_next_id(shard);
    message->accepted_ms = engine_wall_ms(shard->engine);
    if (has_not_before)
        stub_set_not_before_ms(stub, message->not_before_ms - shard_wall_offset_ms(shard),
                               engine_now_ms(shard->engine));
    stub->id = message->id;
    stub_set_accepted_ms(stub, engine_now_ms(shard->engine));
    /* The accepted events were 0 to count - 1, as many throttled ones come behind them. */
    stub->next_seq = message->is_throttled ? 2 * count : count;
    for (uint32_t i = 0; i < count; i++) {
        stub->pendings[i].is_gated = message->is_throttled;
        shard_flow_join(shard, &stub->pendings[i], &part, message->recipients[i].domain);
    }
    batch_add_message(writer, message, stub->next_seq, NULL);
    list_remove(&message->arriving); /* from here on its pieces stand where the record says */
    struct accepting *accepting =
        staging_accepting(writer->staging, writer->batch, writer->batch->accepting_count - 1);
    accepting->message = message_keep(message);
    accepting->stub = stub;
}

/* An event that does not fit loses its longest texts rather than its outcome. */
static struct bytes encode_event(struct shard *shard, const struct event *event)
{
    struct event shorter = *event;

    buf_clear(&shard->event_buf);
    if (event_encode(event, &shard->event_buf))
        return buf_bytes(&shard->event_buf);
    buf_clear(&shard->event_buf);
    shorter.tags = BYTES_NONE;
    shorter.metadata = BYTES_NONE;
    shorter.message_header_id = bytes_slice(shorter.message_header_id, 0, 998);
    shorter.reply_text = bytes_slice(shorter.reply_text, 0, 1024);
    if (!event_encode(&shorter, &shard->event_buf)) {
        buf_clear(&shard->event_buf);
        shorter = (struct event){
            .kind = event->kind,
            .seq = event->seq,
            .id = event->id,
            .time_ms = event->time_ms,
            .accepted_ms = event->accepted_ms,
            .recipient = bytes_slice(event->recipient, 0, 1024),
        };
        check(event_encode(&shorter, &shard->event_buf));
    }
    return buf_bytes(&shard->event_buf);
}

static void complete_event(struct shard *shard, struct event *event, const struct stub *stub)
{
    event->seq = stub->next_seq;
    event->id = stub->id;
    if (event->time_ms == 0)
        event->time_ms = engine_wall_ms(shard->engine);
    if (event->accepted_ms != 0)
        return;
    const struct message *message = stub_message(stub);
    int64_t now_ms = engine_now_ms(shard->engine);

    event->accepted_ms = message != NULL
                             ? message->accepted_ms
                             : stub_accepted_ms(stub, now_ms) + shard_wall_offset_ms(shard);
}

static void stage_outcome(struct shard *shard, struct batch_writer *writer,
                          const struct outcome *outcome)
{
    struct pending *pending = outcome->pending;
    struct stub *stub = pending_stub(pending);
    struct event event = outcome->event;
    bool is_deferred = event.kind == EVENT_DEFERRED;

    complete_event(shard, &event, stub);
    struct bytes encoded = encode_event(shard, &event);
    struct outcome_record record = {
        .id = stub->id,
        .recipient = pending_number(pending),
        .seq = event.seq,
        .due_ms = is_deferred ? event.next_attempt_ms : 0,
        .attempts = (uint16_t)MIN(pending->attempts + (is_deferred ? 1 : 0), ATTEMPTS_MAX),
        .kind = event.kind,
    };
    uint8_t *at = batch_add(writer, RECORD_OUTCOME, 0, OUTCOME_FIXED_LEN + encoded.len);
    outcome_encode(&record, at);
    memcpy(at + OUTCOME_FIXED_LEN, encoded.ptr, encoded.len);
    struct effect *effect = staging_add_effect(writer->staging);
    *effect = (struct effect){
        .pending = pending,
        .due_ms = is_deferred ? event.next_attempt_ms - shard_wall_offset_ms(shard) : 0,
        .entry =
            {
                .id = record.id.value,
                .due_ms = record.due_ms,
                .recipient = record.recipient,
                .seq = record.seq,
                .attempts = record.attempts,
                .kind = (uint8_t)record.kind,
            },
    };
    writer->batch->effect_count++;
    writer->batch->index_len += FOOTER_OUTCOME_LEN;
    stub->next_seq++;
    stub->staged++;
}

static void check_outcome(const struct outcome *outcome)
{
    enum event_kind kind = outcome->event.kind;
    enum pending_state state = outcome->pending->state;

    bool is_mark = outcome_is_mark(kind);

    check(kind == EVENT_DEFERRED || is_mark || event_kind_is_final(kind));
    check(state == PENDING_READY || (is_mark && state != PENDING_FINAL));
    check(kind != EVENT_DEFERRED || outcome->event.next_attempt_ms > 0);
}

/* Takes a batch that no segment can hold out of the staging again. */
static void unstage(struct shard *shard, struct batch_writer *writer)
{
    struct staging *staging = writer->staging;
    struct batch *batch = writer->batch;

    for (uint32_t i = 0; i < batch->effect_count; i++) {
        struct stub *stub = pending_stub(staging->effects[--staging->effect_count].pending);

        stub->next_seq--;
        stub->staged--;
    }
    batch->effect_count = 0;
    batch->commit = NULL;
    staging->len = batch->start;
    shard_drop_batch(shard, staging, batch, -EMSGSIZE);
    staging->accepting_count = batch->accepting_from;
    staging->batch_count--;
}

void shard_commit(struct shard *shard, struct commit *commit)
{
    int error = admit(shard, commit);

    list_node_init(&commit->node);
    check(commit->message != NULL || commit->outcome_count > 0);
    for (size_t i = 0; i < commit->outcome_count; i++)
        check_outcome(&commit->outcomes[i]);
    if (error < 0) {
        shard_fail_later(shard, commit, error);
        return;
    }
    struct batch_writer writer = batch_begin(&shard->filling, BATCH_COMMIT);
    writer.batch->commit = commit;
    for (size_t i = 0; i < commit->outcome_count; i++)
        stage_outcome(shard, &writer, &commit->outcomes[i]);
    for (size_t i = 0; i < commit_message_count(commit); i++)
        stage_message(shard, &writer, commit_message(commit, i));
    batch_end(&writer);
    if (!shard_batch_fits(shard, writer.batch->len, writer.batch->index_len)) {
        unstage(shard, &writer);
        shard_fail_later(shard, commit, -EMSGSIZE);
        return;
    }
    for (size_t i = 0; i < commit->outcome_count; i++) {
        struct pending *pending = commit->outcomes[i].pending;

        if (outcome_is_mark(commit->outcomes[i].event.kind))
            continue;
        check(pending->state == PENDING_READY); /* one fate a commit */
        pending->state = PENDING_COMMITTING;
        shard->ready--;
        shard->committing++;
    }
    flush_wanted(shard);
}

/* What peers can cause leaves room for what an operator or the disk did; and none of it, without
 * end, may take what is kept for outcomes. */
static bool has_room_for_note(const struct shard *shard, const struct event *event)
{
    bool is_peers = event->kind == EVENT_REJECTED;
    size_t len_max = is_peers ? NOTES_LEN_MAX / 2 : NOTES_LEN_MAX;
    uint64_t left_min = shard->segment_size / 4 * (is_peers ? 3 : 1);

    if (shard->is_closing || shard->is_broken_off)
        return false;
    return !shard_is_full(shard) ||
           (shard->filling.len <= len_max && supply_reserve_bytes(shard) >= left_min);
}

static struct batch *stage_note(struct shard *shard, const struct event *event)
{
    struct event noted = *event;

    if (noted.time_ms == 0)
        noted.time_ms = engine_wall_ms(shard->engine);
    struct bytes encoded = encode_event(shard, &noted);
    struct batch_writer writer = batch_begin(&shard->filling, BATCH_NOTE);
    memcpy(batch_add(&writer, RECORD_EVENT, 0, encoded.len), encoded.ptr, encoded.len);
    batch_end(&writer);
    flush_wanted(shard);
    return writer.batch;
}

bool shard_note(struct shard *shard, const struct event *event)
{
    if (!has_room_for_note(shard, event))
        return false;
    (void)stage_note(shard, event);
    return true;
}

void shard_note_damage(struct shard *shard, const struct event *event, struct damage *damage)
{
    if (has_room_for_note(shard, event))
        stage_note(shard, event)->damage = damage;
    else
        damage_told(shard, damage, false);
}
