/* shard.c - commits and outcomes, what they change once durable, and what is due. */
#include "queue/shard.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "queue/disk.h"
#include "queue/shard_private.h"

enum {
    /* A pending that comes back within this keeps its message in memory meanwhile. */
    RESIDENT_WAIT_MS = 30 * 1000,
    /* Notes nobody waits for; while the disk is full they may be lost. */
    NOTES_LEN_MAX = 4 * 1024 * 1024,
};
static const int64_t SERIAL_EPOCH_US = 1577836800LL * 1000000; /* 2020-01-01 */

/* What stubs and resident messages take, of all shards: settings.memory_max is for the process. */
static _Atomic int64_t mail_memory;

static void account_memory(int64_t amount)
{
    atomic_fetch_add_explicit(&mail_memory, amount, memory_order_relaxed);
}

int64_t shard_wall_offset_ms(const struct shard *shard)
{
    return engine_wall_ms(shard->engine) - engine_now_ms(shard->engine);
}

unsigned shard_index(const struct shard *shard)
{
    return shard->number;
}

bool shard_is_adopted(const struct shard *shard)
{
    return shard->is_adopted;
}

/* --- stubs ------------------------------------------------------------------------------------- */

static size_t stub_size(uint32_t recipient_count)
{
    return sizeof(struct stub) + recipient_count * sizeof(struct pending);
}

struct stub *stub_new(uint32_t recipient_count)
{
    struct stub *stub = calloc(1, stub_size(recipient_count));

    if (stub == NULL)
        return NULL;
    stub->recipient_count = recipient_count;
    stub->live_count = recipient_count;
    for (uint32_t i = 0; i < recipient_count; i++) {
        stub->pendings[i].stub = stub;
        list_node_init(&stub->pendings[i].link);
    }
    account_memory((int64_t)stub_size(recipient_count));
    return stub;
}

void stub_free(struct shard *shard, struct stub *stub)
{
    for (uint32_t i = 0; i < stub->recipient_count; i++) {
        struct pending *pending = &stub->pendings[i];

        if (pending->state != PENDING_FINAL && pending->domain != NULL)
            shard_domain_down(shard, pending->domain);
    }
    account_memory(-(int64_t)stub_size(stub->recipient_count));
    free(stub);
}

void shard_domain_up(struct domain *domain)
{
    domain->pending_count++;
}

void shard_domain_down(struct shard *shard, struct domain *domain)
{
    check(domain->pending_count > 0);
    if (--domain->pending_count > 0)
        return;
    if (shard->hooks.domain_idle != NULL && !shard->is_closed && !shard->is_recovering)
        shard->hooks.domain_idle(shard->hooks.context, domain);
    domain_forget(shard->domains, &domain);
}

uint32_t stub_first_sequence(const struct stub *stub)
{
    return stub->segment->sequence - stub->reach;
}

uint64_t stub_bytes(const struct stub *stub)
{
    return (uint64_t)stub->len + stub->content_len;
}

void shard_attach_stub(struct shard *shard, struct stub *stub)
{
    struct segment *first = shard_segment(shard, stub_first_sequence(stub));
    int64_t bytes = (int64_t)stub_bytes(stub);

    /* A damaged spool may lack it: then its content is lost, but its recipients are not. */
    if (first == NULL) {
        stub->reach = 0;
        first = stub->segment;
    }
    first->live_count++;
    if (first != stub->segment)
        check(ids_add(&first->far, stub->id.value));
    shard->bytes_live += (uint64_t)bytes;
    metric_add(METRIC_SPOOL_BYTES_LIVE, bytes);
}

void shard_detach_stub(struct shard *shard, struct stub *stub)
{
    struct segment *first = shard_segment(shard, stub_first_sequence(stub));
    int64_t bytes = (int64_t)stub_bytes(stub);

    check(first != NULL);
    check(first->live_count > 0);
    first->live_count--;
    shard->bytes_live -= (uint64_t)bytes;
    metric_add(METRIC_SPOOL_BYTES_LIVE, -bytes);
}

/* --- residency --------------------------------------------------------------------------------- */

uint64_t message_memory(const struct message *message)
{
    return sizeof(*message) + MAX(message->arena.used, message->resident_bytes);
}

static void hold(struct pending *pending)
{
    struct message *message = pending->stub->message;

    if (message == NULL || (pending->flags & PENDING_HOLDS) != 0)
        return;
    pending->flags |= PENDING_HOLDS;
    message->held_count++;
}

static void unhold(struct shard *shard, struct pending *pending)
{
    struct message *message = pending->stub->message;

    if ((pending->flags & PENDING_HOLDS) == 0)
        return;
    pending->flags &= (uint8_t)~PENDING_HOLDS;
    check(message != NULL);
    check(message->held_count > 0);
    if (--message->held_count == 0)
        shard_drop_resident(shard, pending->stub);
}

/* Keeps a message in memory while any of its recipients is at work. */
void shard_make_resident(struct shard *shard, struct stub *stub, struct message *message)
{
    message->resident_bytes = message_memory(message);
    if (stub->message != NULL ||
        shard->resident_bytes + message->resident_bytes > shard->resident_max)
        return;
    stub->message = message_keep(message);
    message->held_count = 0;
    for (uint32_t i = 0; i < stub->recipient_count; i++) {
        struct pending *pending = &stub->pendings[i];

        pending->flags &= (uint8_t)~PENDING_HOLDS;
        if (pending->state == PENDING_READY || pending->state == PENDING_COMMITTING)
            hold(pending);
    }
    shard->resident_bytes += message->resident_bytes;
    shard->resident_messages++;
    account_memory((int64_t)message->resident_bytes);
    metric_add(METRIC_SPOOL_RESIDENT_BYTES, (int64_t)message->resident_bytes);
}

void shard_drop_resident(struct shard *shard, struct stub *stub)
{
    struct message *message = stub->message;

    if (message == NULL)
        return;
    stub->message = NULL;
    shard->resident_bytes -= message->resident_bytes;
    shard->resident_messages--;
    account_memory(-(int64_t)message->resident_bytes);
    metric_add(METRIC_SPOOL_RESIDENT_BYTES, -(int64_t)message->resident_bytes);
    message_release(&message);
}

/* --- commit ------------------------------------------------------------------------------------ */

static void fail_later(struct shard *shard, struct commit *commit, int error)
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
    if (message->recipient_count > MESSAGE_RECIPIENTS_MAX ||
        accept_encoded_len(message, (uint32_t)inline_content_len(message), false) == 0)
        return -EMSGSIZE;
    for (size_t i = 0; i < content->extent_count; i++)
        if (!shard_extent_stands(shard, &content->extents[i]))
            return -EIO;
    if (content->extent_count > 0 &&
        shard->next_sequence - content->extents[0].segment > STUB_REACH_MAX - SPARES_MAX)
        return -EIO;
    return 0;
}

static int admit(const struct shard *shard, const struct commit *commit)
{
    const struct message *messages[] = {commit->message, commit->second};
    uint64_t memory = 0;

    if (shard->is_closing)
        return -ESHUTDOWN;
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        int error = messages[i] == NULL ? 0 : admit_message(shard, messages[i]);

        if (error < 0)
            return error;
        memory += messages[i] == NULL ? 0 : message_memory(messages[i]);
    }
    if (commit->outcome_count > 0 || commit->message == NULL)
        return 0;
    if (shard->is_adopted && !commit->message->is_dsn)
        return -ESHUTDOWN;
    if (shard->is_full)
        return -ENOSPC;
    int64_t used = atomic_load_explicit(&mail_memory, memory_order_relaxed);
    if (shard->memory_max != 0 && (uint64_t)MAX(used, 0) + memory > shard->memory_max)
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
    struct stub *stub = stub_new(count);

    check(stub != NULL);
    if (message->id.value == 0)
        message->id = shard_next_id(shard);
    message->accepted_ms = engine_wall_ms(shard->engine);
    stub->id = message->id;
    stub->accepted_s = (uint32_t)(message->accepted_ms / 1000);
    stub->next_seq = count; /* the accepted events were 0 to count - 1 */
    for (uint32_t i = 0; i < count; i++) {
        stub->pendings[i].domain = domain_get(shard->domains, message->recipients[i].domain);
        shard_domain_up(stub->pendings[i].domain);
    }
    batch_add_message(writer, message, count, NULL);
    struct accepting *accepting = &writer->batch->accepting[writer->batch->accepting_count - 1];
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
    event->accepted_ms =
        stub->message != NULL ? stub->message->accepted_ms : (int64_t)stub->accepted_s * 1000;
}

static void stage_outcome(struct shard *shard, struct batch_writer *writer,
                          const struct outcome *outcome)
{
    struct pending *pending = outcome->pending;
    struct stub *stub = pending->stub;
    struct event event = outcome->event;
    bool is_deferred = event.kind == EVENT_DEFERRED;

    complete_event(shard, &event, stub);
    struct bytes encoded = encode_event(shard, &event);
    struct outcome_record record = {
        .id = stub->id,
        .recipient = pending_number(pending),
        .seq = event.seq,
        .due_ms = is_deferred ? event.next_attempt_ms : 0,
        .attempts = (uint16_t)MIN(pending->attempts + (is_deferred ? 1 : 0), UINT16_MAX),
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

    check(kind == EVENT_DEFERRED || kind == EVENT_DELAYED || event_kind_is_final(kind));
    check(state == PENDING_READY || (kind == EVENT_DELAYED && state != PENDING_FINAL));
    check(kind != EVENT_DEFERRED || outcome->event.next_attempt_ms > 0);
}

/* Takes a batch that no segment can hold out of the staging again. */
static void unstage(struct shard *shard, struct batch_writer *writer)
{
    struct staging *staging = writer->staging;
    struct batch *batch = writer->batch;

    for (uint32_t i = 0; i < batch->effect_count; i++) {
        struct stub *stub = staging->effects[--staging->effect_count].pending->stub;

        stub->next_seq--;
        stub->staged--;
    }
    batch->effect_count = 0;
    batch->commit = NULL;
    staging->len = batch->start;
    shard_drop_batch(shard, batch, -EMSGSIZE);
    staging->batch_count--;
}

void shard_commit(struct shard *shard, struct commit *commit)
{
    struct message *messages[] = {commit->message, commit->second};
    int error = admit(shard, commit);

    list_node_init(&commit->node);
    check(commit->message != NULL || commit->outcome_count > 0);
    for (size_t i = 0; i < commit->outcome_count; i++)
        check_outcome(&commit->outcomes[i]);
    if (error < 0) {
        fail_later(shard, commit, error);
        return;
    }
    struct batch_writer writer = batch_begin(&shard->filling, BATCH_COMMIT);
    writer.batch->commit = commit;
    for (size_t i = 0; i < commit->outcome_count; i++)
        stage_outcome(shard, &writer, &commit->outcomes[i]);
    for (size_t i = 0; i < ARRAY_LEN(messages); i++)
        if (messages[i] != NULL)
            stage_message(shard, &writer, messages[i]);
    batch_end(&writer);
    if (!shard_batch_fits(shard, writer.batch->len, writer.batch->index_len)) {
        unstage(shard, &writer);
        fail_later(shard, commit, -EMSGSIZE);
        return;
    }
    for (size_t i = 0; i < commit->outcome_count; i++) {
        struct pending *pending = commit->outcomes[i].pending;

        if (commit->outcomes[i].event.kind == EVENT_DELAYED)
            continue;
        check(pending->state == PENDING_READY); /* one fate a commit */
        pending->state = PENDING_COMMITTING;
        shard->ready--;
        shard->committing++;
    }
    flush_wanted(shard);
}

void shard_note(struct shard *shard, const struct event *event)
{
    struct event noted = *event;

    if (shard->is_closing || (shard->is_full && shard->filling.len > NOTES_LEN_MAX))
        return;
    if (noted.time_ms == 0)
        noted.time_ms = engine_wall_ms(shard->engine);
    struct bytes encoded = encode_event(shard, &noted);
    struct batch_writer writer = batch_begin(&shard->filling, BATCH_NOTE);
    memcpy(batch_add(&writer, RECORD_EVENT, 0, encoded.len), encoded.ptr, encoded.len);
    batch_end(&writer);
    flush_wanted(shard);
}

/* --- effects ----------------------------------------------------------------------------------- */

static void place_stub(struct shard *shard, const struct accepting *accepting)
{
    struct stub *stub = accepting->stub;
    struct segment *segment = shard->flush_segment;

    stub->segment = segment;
    stub->offset = segment->data_end + accepting->at;
    stub->len = accepting->len;
    stub->is_inline = accepting->first_segment == 0;
    stub->content_len =
        stub->is_inline ? accepting->content_len : (uint32_t)MIN(accepting->far_len, UINT32_MAX);
    stub->reach =
        stub->is_inline ? 0 : (segment->sequence - accepting->first_segment) & STUB_REACH_MAX;
    shard_attach_stub(shard, stub);
    check(ids_add(&segment->accepted, stub->id.value));
}

static void apply_accept(struct shard *shard, const struct accepting *accepting)
{
    struct stub *stub = accepting->stub;
    struct message *message = accepting->message;

    place_stub(shard, accepting);
    stub_index_insert(&shard->index, stub);
    shard->messages++;
    shard->recipients += stub->recipient_count;
    metric_inc(METRIC_SPOOL_MESSAGES);
    metric_inc(METRIC_SPOOL_MESSAGES_ACCEPTED);
    metric_add(METRIC_SPOOL_RECIPIENTS, stub->recipient_count);
    shard_make_resident(shard, stub, message);
    for (uint32_t i = 0; i < stub->recipient_count; i++) {
        hold(&stub->pendings[i]);
        schedule_add(shard->schedule, &stub->pendings[i], 0);
    }
    message_release(&message);
}

/* A message in memory whose content is not follows the move, or it would pin the old place for as
 * long as it waits at its destination. The pieces are the same, so a reader in between goes on. */
static void move_resident(struct shard *shard, const struct stub *stub, const struct message *moved)
{
    struct message *message = stub->message;
    size_t count = moved->content.extent_count;
    struct segment *first = shard_segment(shard, stub_first_sequence(stub));

    if (message == NULL || message->pinned == NULL || moved->content.memory.ptr != NULL ||
        message->content.extent_count != count || first == NULL)
        return;
    struct extent *extents = arena_alloc(&message->arena, count * sizeof(*extents));
    if (extents == NULL)
        return;
    memcpy(extents, moved->content.extents, count * sizeof(*extents));
    message->content.extents = extents;
    segment_pin(first);
    segment_unpin(message->pinned);
    message->pinned = first;
}

static void apply_move(struct shard *shard, const struct accepting *accepting)
{
    struct message *message = accepting->message;

    shard_detach_stub(shard, accepting->stub);
    accepting->stub->is_moved = true;
    place_stub(shard, accepting);
    move_resident(shard, accepting->stub, message);
    metric_inc(METRIC_SPOOL_COMPACTED_MESSAGES);
    metric_add(METRIC_SPOOL_COMPACTED_BYTES, (int64_t)stub_bytes(accepting->stub));
    message_release(&message);
    compact_moved(shard);
}

static void finish_stub(struct shard *shard, struct stub *stub)
{
    shard_drop_resident(shard, stub);
    shard_detach_stub(shard, stub);
    stub_index_remove(&shard->index, stub);
    shard->messages--;
    metric_dec(METRIC_SPOOL_MESSAGES);
    stub_free(shard, stub);
}

static void finish_pending(struct shard *shard, struct pending *pending)
{
    pending->state = PENDING_FINAL;
    pending->stub->live_count--;
    shard->recipients--;
    metric_dec(METRIC_SPOOL_RECIPIENTS);
    unhold(shard, pending);
    shard_domain_down(shard, pending->domain);
    pending->domain = NULL;
}

static void apply_effect(struct shard *shard, const struct effect *effect)
{
    struct pending *pending = effect->pending;
    struct stub *stub = pending->stub;

    check(stub->staged > 0);
    stub->staged--;
    /* Of messages accepted in this same segment the footer shows the state itself, or nothing once
     * they are finished. A moved one has an older accept record, which must not come back then. */
    if (stub->segment != shard->flush_segment || stub->is_moved)
        segment_add_outcome(shard->flush_segment, &effect->entry);
    if (effect->entry.kind == EVENT_DELAYED) {
        pending->flags |= PENDING_DELAY_TOLD;
        return;
    }
    check(pending->state == PENDING_COMMITTING);
    shard->committing--;
    if (effect->entry.kind != EVENT_DEFERRED) {
        finish_pending(shard, pending);
        /* What else of it is staged (a notice) finds it alive; the last one takes it down. */
    } else {
        pending->attempts = effect->entry.attempts;
        pending->state = PENDING_SCHEDULED;
        schedule_add(shard->schedule, pending, effect->due_ms);
        unhold(shard, pending);
    }
}

void shard_apply_batch(struct shard *shard, const struct batch *batch, const struct effect *effects)
{
    for (uint32_t i = 0; i < batch->effect_count; i++) {
        struct stub *stub = effects[i].pending->stub;

        apply_effect(shard, &effects[i]);
        if (stub->live_count == 0 && stub->staged == 0)
            finish_stub(shard, stub);
    }
    for (unsigned i = 0; i < batch->accepting_count; i++) {
        if (batch->kind == BATCH_MOVE)
            apply_move(shard, &batch->accepting[i]);
        else
            apply_accept(shard, &batch->accepting[i]);
    }
}

void shard_drop_batch(struct shard *shard, struct batch *batch, int error)
{
    for (unsigned i = 0; i < batch->accepting_count; i++) {
        struct accepting *accepting = &batch->accepting[i];

        if (batch->kind != BATCH_MOVE)
            stub_free(shard, accepting->stub);
        message_release(&accepting->message);
    }
    if (batch->kind == BATCH_MOVE)
        compact_moved(shard);
    if (batch->commit != NULL)
        fail_later(shard, batch->commit, error);
    if (batch->write != NULL) {
        list_push_back(&shard->failed_writes, &batch->write->node);
        engine_turn_again(shard->engine);
    }
}

/* --- due --------------------------------------------------------------------------------------- */

static void become_ready(struct shard *shard, struct pending *pending)
{
    pending->state = PENDING_READY;
    shard->ready++;
    hold(pending);
}

static void arm_due(struct shard *shard)
{
    int64_t now = engine_now_ms(shard->engine);
    int64_t next = schedule_next_ms(shard->schedule);

    if (next <= now) {
        engine_turn_again(shard->engine);
        return;
    }
    if (next == shard->due_armed_ms)
        return;
    shard->due_armed_ms = next;
    if (next == INT64_MAX)
        engine_timeout_cancel(shard->engine, &shard->due);
    else
        engine_timeout(shard->engine, &shard->due, next - now);
}

static void on_due_timeout(struct timeout *timeout)
{
    struct shard *shard = container_of(timeout, struct shard, due);

    shard->due_armed_ms = INT64_MAX; /* the hook of this turn does the rest */
}

static void hand_out_due(struct shard *shard)
{
    int64_t now = engine_now_ms(shard->engine);

    for (unsigned i = 0; i < DUE_BATCH; i++) {
        struct pending *pending = schedule_pop(shard->schedule, now);

        if (pending == NULL)
            break;
        become_ready(shard, pending);
        shard->hooks.due(shard->hooks.context, shard, pending);
    }
    arm_due(shard);
}

void shard_postpone(struct shard *shard, struct pending *pending, int64_t due_ms)
{
    check(pending->state == PENDING_READY);
    pending->state = PENDING_SCHEDULED;
    shard->ready--;
    list_node_init(&pending->link);
    schedule_add(shard->schedule, pending, due_ms);
    if (due_ms - engine_now_ms(shard->engine) > RESIDENT_WAIT_MS)
        unhold(shard, pending);
    engine_turn_again(shard->engine);
}

struct stub *shard_find(struct shard *shard, struct message_id id)
{
    return stub_index_find(&shard->index, id);
}

bool shard_take(struct shard *shard, struct pending *pending)
{
    if (pending->state != PENDING_SCHEDULED)
        return false;
    schedule_remove(shard->schedule, pending);
    become_ready(shard, pending);
    return true;
}

bool shard_retry_now(struct shard *shard, struct pending *pending)
{
    if (pending->state != PENDING_SCHEDULED)
        return false;
    schedule_remove(shard->schedule, pending);
    schedule_add(shard->schedule, pending, 0);
    engine_turn_again(shard->engine);
    return true;
}

struct walk {
    struct shard *shard;
    void (*visit)(void *context, struct shard *shard, struct stub *stub);
    void *context;
};

static void visit_stub(void *context, struct stub *stub)
{
    struct walk *walk = context;

    walk->visit(walk->context, walk->shard, stub);
}

bool shard_walk(struct shard *shard, uint64_t *cursor, size_t max,
                void (*visit)(void *context, struct shard *shard, struct stub *stub), void *context)
{
    struct walk walk = {shard, visit, context};

    return stub_index_walk(&shard->index, cursor, max, visit_stub, &walk);
}

void shard_sink_passed(struct shard *shard, unsigned sink, uint64_t position)
{
    check(sink < shard->sink_count);
    shard->sink_positions[sink] = MAX(shard->sink_positions[sink], position);
    supply_check(shard);
}

uint64_t shard_durable_position(const struct shard *shard)
{
    return shard->durable_position;
}

void shard_status(struct shard *shard, struct shard_status *out)
{
    uint64_t scheduled = schedule_count(shard->schedule);
    uint64_t held = scheduled + shard->ready + shard->committing;

    *out = (struct shard_status){
        .messages = shard->messages,
        .recipients = shard->recipients,
        .scheduled = scheduled,
        .ready = shard->ready,
        .committing = shard->committing,
        .segments = shard->segment_count,
        .bytes_used = shard->bytes_used,
        .bytes_live = shard->bytes_live,
        .spare_segments = shard->spare_count,
        .resident_bytes = shard->resident_bytes,
        .resident_messages = shard->resident_messages,
        .overdue = shard->recipients > held ? shard->recipients - held : 0,
        .is_full = shard->is_full,
    };
}

/* --- turn, open, close ------------------------------------------------------------------------- */

static void tell_failures(struct shard *shard)
{
    struct list commits;
    struct list writes;

    /* Who is told may fail again at once: that one waits for the next turn. */
    list_init(&commits);
    list_init(&writes);
    list_splice(&commits, &shard->failed_commits);
    list_splice(&writes, &shard->failed_writes);
    for (struct list_node *node; (node = list_pop_front(&commits)) != NULL;) {
        struct commit *commit = container_of(node, struct commit, node);

        metric_inc(METRIC_SPOOL_COMMITS_FAILED);
        commit->done(commit, commit->result_private);
    }
    for (struct list_node *node; (node = list_pop_front(&writes)) != NULL;) {
        struct content_write *write = container_of(node, struct content_write, node);
        struct message *message = write->message;

        write->done(write, shard->is_closing ? -ESHUTDOWN : -ENOSPC);
        message_release(&message);
    }
}

static bool is_quiet(const struct shard *shard)
{
    return !shard->is_flushing && shard->filling.batch_count == 0 && shard->footers == 0 &&
           shard->supply.doing == SUPPLY_IDLE && shard->reads_in_flight == 0 &&
           compact_is_idle(shard) && list_is_empty(&shard->failed_commits) &&
           list_is_empty(&shard->failed_writes) && list_is_empty(&shard->ready_loads) &&
           list_is_empty(&shard->ready_reads);
}

static void close_progress(struct shard *shard)
{
    if (!is_quiet(shard)) {
        if (!shard->is_flushing && shard->filling.batch_count > 0)
            flush_wanted(shard);
        return;
    }
    if (shard->open != NULL) {
        supply_close_segment(shard, shard->open);
        if (shard->footers > 0)
            return;
    }
    engine_remove_turn_hook(shard->engine, &shard->hook);
    engine_turn_end_cancel(shard->engine, &shard->end);
    engine_timeout_cancel(shard->engine, &shard->due);
    engine_timeout_cancel(shard->engine, &shard->supply.retry);
    shard->is_closed = true;
    shard->closed(shard->closed_context);
}

static void on_turn(struct turn_hook *hook)
{
    struct shard *shard = container_of(hook, struct shard, hook);

    tell_failures(shard);
    content_turn(shard);
    if (shard->is_closing) {
        close_progress(shard); /* may have freed the shard */
        return;
    }
    hand_out_due(shard);
    compact_turn(shard);
    supply_check(shard); /* a pin may be gone */
}

void shard_close(struct shard *shard, void (*closed)(void *context), void *context)
{
    check(!shard->is_closing);
    shard->is_closing = true;
    shard->closed = closed;
    shard->closed_context = context;
    compact_stop(shard);
    content_fail_waiting(shard);
    engine_turn_again(shard->engine);
}

static void free_visited(void *context, struct stub *stub)
{
    struct shard *shard = context;

    shard_drop_resident(shard, stub);
    stub_free(shard, stub);
}

void shard_free(struct shard **shard)
{
    struct shard *freed = *shard;
    uint64_t cursor = 0;

    *shard = NULL;
    if (freed == NULL)
        return;
    check(freed->is_closed);
    metric_add(METRIC_SPOOL_MESSAGES, -(int64_t)freed->messages);
    metric_add(METRIC_SPOOL_RECIPIENTS, -(int64_t)freed->recipients);
    metric_add(METRIC_SPOOL_BYTES_LIVE, -(int64_t)freed->bytes_live);
    metric_add(METRIC_SPOOL_BYTES_USED, -(int64_t)freed->bytes_used);
    metric_add(METRIC_SPOOL_SEGMENTS, -(int64_t)freed->segment_count);
    while (stub_index_walk(&freed->index, &cursor, SIZE_MAX, free_visited, freed))
        ;
    stub_index_free(&freed->index);
    schedule_free(&freed->schedule);
    for (size_t i = 0; i < freed->segment_count; i++)
        segment_free(&freed->segments[i]);
    free(freed->segments);
    for (unsigned i = 0; i < freed->spare_count; i++)
        segment_free(&freed->spares[i]);
    staging_free(&freed->filling);
    staging_free(&freed->flight);
    buf_free(&freed->event_buf);
    ids_free(&freed->compaction.ids);
    if (freed->lock_fd >= 0)
        disk_close(freed->lock_fd);
    free(freed);
}

static bool apply_settings(struct shard *shard, const struct spool_settings *settings)
{
    uint64_t size = settings->segment_size == 0 ? 64 << 20 : settings->segment_size;
    unsigned spares = settings->spare_segments == 0 ? 2 : settings->spare_segments;
    size_t len = strlen(settings->directory);

    if (len >= sizeof(shard->spool))
        return false;
    memcpy(shard->spool, settings->directory, len + 1);
    memcpy(shard->supply.spool, settings->directory, len + 1);
    size = MAX(size, (uint64_t)SEGMENT_SIZE_MIN);
    size = MIN(size, (uint64_t)1 << 30); /* offsets have 32 bits */
    shard->segment_size = (uint32_t)(size / SPOOL_BLOCK * SPOOL_BLOCK);
    shard->spares_wanted = MIN(spares, (unsigned)SPARES_MAX / 2) + 1;
    shard->resident_max = settings->resident_max == 0 ? 256 << 20 : settings->resident_max;
    shard->memory_max = settings->memory_max;
    shard->compact_live_percent =
        settings->compact_live_percent == 0 ? 50 : settings->compact_live_percent;
    return true;
}

static struct shard *shard_new(const struct shard_setup *setup)
{
    struct shard *shard = calloc(1, sizeof(*shard));

    check(shard != NULL);
    shard->engine = setup->engine;
    shard->blocking = setup->blocking;
    shard->domains = setup->domains;
    shard->hooks = setup->hooks;
    shard->number = setup->index;
    shard->is_adopted = setup->is_adopted;
    shard->sink_count = setup->sink_count;
    shard->lock_fd = -1;
    shard->next_sequence = 1;
    shard->due_armed_ms = INT64_MAX;
    list_init(&shard->failed_commits);
    list_init(&shard->failed_writes);
    list_init(&shard->ready_loads);
    list_init(&shard->waiting_loads);
    list_init(&shard->ready_reads);
    list_init(&shard->reads);
    buf_init(&shard->event_buf, EVENT_ENCODED_MAX);
    timeout_init(&shard->due, on_due_timeout);
    shard->schedule = schedule_create(engine_now_ms(setup->engine));
    shard->hook.run = on_turn;
    list_node_init(&shard->hook.node);
    flush_init(shard);
    supply_init(shard);
    compact_init(shard);
    return shard;
}

int shard_open(const struct shard_setup *setup, struct shard **shard_out,
               struct recovery *recovery_out, char *why_out)
{
    check(setup->sink_count <= SINKS_MAX);
    check(setup->index <= UINT8_MAX);
    struct shard *shard = shard_new(setup);
    int error = apply_settings(shard, setup->settings) ? 0 : -ENAMETOOLONG;

    *recovery_out = (struct recovery){0};
    if (error == 0)
        error = recover(shard, recovery_out, why_out);
    else
        memcpy(why_out, "the spool's path is too long", sizeof("the spool's path is too long"));
    if (error < 0) {
        shard->is_closed = true;
        shard_free(&shard);
        return error;
    }
    engine_add_turn_hook(shard->engine, &shard->hook);
    supply_check(shard);
    *shard_out = shard;
    return 0;
}
