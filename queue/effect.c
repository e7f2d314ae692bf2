/*
 * effect.c - what changes in memory once a batch is durable: stubs, residency, states.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/metric.h"
#include "queue/damage.h"
#include "queue/shard_private.h"

/* --- stubs ----------------------------------------------------------------------------------- */

enum { INDEX_SHARE = 12 }; /* of each stub, at most, with what the allocator needs for it */

static size_t stub_size(uint32_t recipient_count, bool has_not_before)
{
    return sizeof(struct stub) + recipient_count * sizeof(struct pending) +
           (has_not_before ? sizeof(uint32_t) : 0);
}

struct stub *stub_new(uint32_t recipient_count, bool has_not_before)
{
    struct stub *stub = calloc(1, stub_size(recipient_count, has_not_before));

    if (stub == NULL)
        return NULL;
    stub_set_count(stub, recipient_count);
    for (uint32_t i = 0; i < recipient_count; i++) {
        pending_place(stub, i);
        list_node_init(&stub->pendings[i].link);
    }
    if (has_not_before)
        stub->pendings[0].flags = PENDING_WAITS;
    budget_add((int64_t)stub_size(recipient_count, has_not_before) + INDEX_SHARE);
    return stub;
}

void stub_free(struct shard *shard, struct stub *stub)
{
    for (uint32_t i = 0; i < stub->recipient_count; i++) {
        struct pending *pending = &stub->pendings[i];

        if (pending->state != PENDING_FINAL && pending->flow != NULL)
            shard_flow_leave(shard, pending);
    }
    size_t size = stub_size(stub->recipient_count, stub_has_not_before(stub));
    budget_add(-(int64_t)size - INDEX_SHARE);
    free(stub);
}

void shard_flow_join(struct shard *shard, struct pending *pending, const struct flow_part *part,
                     struct bytes domain)
{
    pending->flow = flow_get(shard->flows, part, domain);
    flow_up(pending->flow);
}

void shard_flow_leave(struct shard *shard, struct pending *pending)
{
    struct domain *idle;

    flow_down(shard->flows, &pending->flow, &idle);
    if (idle == NULL)
        return;
    if (shard->hooks.domain_idle != NULL && !shard->is_closed && shard->recovering == NULL)
        shard->hooks.domain_idle(shard->hooks.context, idle);
    domain_forget(shard->flows, &idle);
}

uint32_t stub_first_sequence(const struct stub *stub)
{
    return stub->sequence - (uint32_t)stub->reach;
}

uint64_t stub_bytes(const struct stub *stub)
{
    struct record_lengths lengths = stub_lengths(stub);

    return (uint64_t)lengths.accept + lengths.content;
}

void shard_attach_stub(struct shard *shard, struct stub *stub)
{
    struct segment *first = shard_segment(shard, stub_first_sequence(stub));
    int64_t bytes = (int64_t)stub_bytes(stub);

    /* A damaged spool may lack it: then its content is lost, but its recipients are not. */
    if (first == NULL) {
        stub->reach = 0;
        first = shard_segment(shard, stub->sequence);
    }
    first->live_count++;
    if (first->sequence != stub->sequence)
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

/* --- residency ------------------------------------------------------------------------------- */

void pending_keep_message(struct pending *pending)
{
    struct message *message = stub_message(pending_stub(pending));

    if (message == NULL || (pending->flags & (PENDING_KEEPS | PENDING_LETS_GO)) != 0)
        return;
    pending->flags |= PENDING_KEEPS;
    message->keeper_count++;
}

void pending_drop_message(struct shard *shard, struct pending *pending)
{
    struct message *message = stub_message(pending_stub(pending));

    if ((pending->flags & PENDING_KEEPS) == 0)
        return;
    pending->flags &= (uint8_t)~PENDING_KEEPS;
    check(message != NULL);
    check(message->keeper_count > 0);
    if (--message->keeper_count == 0)
        shard_drop_resident(shard, pending_stub(pending));
}

void shard_let_go(struct shard *shard, struct pending *pending)
{
    check(pending->state == PENDING_READY);
    pending->flags |= PENDING_LETS_GO;
    pending_drop_message(shard, pending);
}

/* It saves a read: the last quarter of what mail may take is for new mail. */
static bool has_room_for_resident(const struct shard *shard, uint64_t bytes)
{
    if (shard->resident_bytes + bytes > shard->resident_max)
        return false;
    return shard->memory_max == 0 ||
           (uint64_t)budget_used() + bytes <= shard->memory_max - shard->memory_max / 4;
}

/* Keeps a message in memory while any of its recipients is at work. */
void shard_make_resident(struct shard *shard, struct stub *stub, struct message *message)
{
    message->counted_bytes = message_memory(message);
    if (stub->is_resident || !has_room_for_resident(shard, message->counted_bytes))
        return;
    stub_set_message(stub, message_keep(message));
    message->keeper_count = 0;
    for (uint32_t i = 0; i < stub->recipient_count; i++) {
        struct pending *pending = &stub->pendings[i];

        pending->flags &= (uint8_t)~PENDING_KEEPS;
        if (pending->state == PENDING_READY || pending->state == PENDING_COMMITTING)
            pending_keep_message(pending);
    }
    shard->resident_bytes += message->counted_bytes;
    shard->resident_messages++;
    budget_add((int64_t)message->counted_bytes);
    metric_add(METRIC_SPOOL_RESIDENT_BYTES, (int64_t)message->counted_bytes);
}

void shard_drop_resident(struct shard *shard, struct stub *stub)
{
    struct message *message = stub_message(stub);

    if (message == NULL)
        return;
    stub_set_message(stub, NULL);
    shard->resident_bytes -= message->counted_bytes;
    shard->resident_messages--;
    budget_add(-(int64_t)message->counted_bytes);
    metric_add(METRIC_SPOOL_RESIDENT_BYTES, -(int64_t)message->counted_bytes);
    message_release(&message);
}

/* --- effects --------------------------------------------------------------------------------- */

static void place_stub(struct shard *shard, const struct accepting *accepting)
{
    struct stub *stub = accepting->stub;
    struct segment *segment = shard->flush_segment;

    stub->sequence = segment->sequence;
    stub_set_offset(stub, segment->data_end + accepting->at);
    stub->is_inline = accepting->first_segment == 0;
    stub_set_lengths(stub,
                     (struct record_lengths){
                         .accept = accepting->len,
                         .content = stub->is_inline ? accepting->content_len
                                                    : (uint32_t)MIN(accepting->far_len, UINT32_MAX),
                     });
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
    shard->sums.accepted += stub->recipient_count;
    metric_inc(METRIC_SPOOL_MESSAGES);
    metric_inc(METRIC_SPOOL_MESSAGES_ACCEPTED);
    metric_add(METRIC_SPOOL_RECIPIENTS, stub->recipient_count);
    flow_count_two(stub->pendings[0].flow, RECIPIENTS_ACCEPTED, stub->recipient_count,
                   RECIPIENTS_WAITING, stub->recipient_count);
    if (stub_not_before_ms(stub, engine_now_ms(shard->engine)) > engine_now_ms(shard->engine)) {
        for (uint32_t i = 0; i < stub->recipient_count; i++)
            shard_schedule(shard, &stub->pendings[i], 0);
    } else {
        shard_make_resident(shard, stub, message);
        for (uint32_t i = 0; i < stub->recipient_count; i++) {
            pending_keep_message(&stub->pendings[i]);
            schedule_add_new(shard->schedule, &stub->pendings[i]);
        }
    }
    message_release(&message);
}

/* A message in memory whose content is not follows the move, or it would pin the old place for as
 * long as it waits at its destination. The pieces are the same, so a reader in between goes on. */
static void move_resident(struct shard *shard, const struct stub *stub, const struct message *moved)
{
    struct message *message = stub_message(stub);
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
    pending_stub(pending)->live_count--;
    shard->recipients--;
    metric_dec(METRIC_SPOOL_RECIPIENTS);
    pending_drop_message(shard, pending);
    shard_flow_leave(shard, pending);
}

/* Filed is delivered here. */
static void count_end(const struct pending *pending, uint8_t kind)
{
    static const uint8_t values[EVENT_KIND_COUNT] = {
        [EVENT_DELIVERED] = 1 + RECIPIENTS_DELIVERED, [EVENT_FILED] = 1 + RECIPIENTS_DELIVERED,
        [EVENT_BOUNCED] = 1 + RECIPIENTS_BOUNCED,     [EVENT_EXPIRED] = 1 + RECIPIENTS_EXPIRED,
        [EVENT_CANCELLED] = 1 + RECIPIENTS_CANCELLED,
    };

    check(values[kind] != 0); /* a final kind that comes to be written is counted as one of these */
    flow_count_two(pending->flow, values[kind] - 1U, 1, RECIPIENTS_WAITING, -1);
}

static void apply_effect(struct shard *shard, const struct effect *effect)
{
    struct pending *pending = effect->pending;
    struct stub *stub = pending_stub(pending);

    check(stub->staged > 0);
    stub->staged--;
    /* Of messages accepted in this same segment the footer shows the state itself, or nothing once
     * they are finished. A moved one has an older accept record, which must not come back then. */
    if (stub->sequence != shard->flush_segment->sequence || stub->is_moved)
        segment_add_outcome(shard->flush_segment, &effect->entry);
    if (effect->entry.kind == EVENT_DELAYED) {
        pending->flags |= PENDING_DELAY_TOLD;
        return;
    }
    if (effect->entry.kind == EVENT_FORWARDED) {
        pending->is_forwarded = 1;
        return;
    }
    check(pending->state == PENDING_COMMITTING);
    shard->committing--;
    if (effect->entry.kind != EVENT_DEFERRED) {
        shard->sums.ended[effect->entry.kind]++;
        count_end(pending, effect->entry.kind);
        finish_pending(shard, pending);
        /* What else of it is staged (a notice) finds it alive; the last one takes it down. */
    } else {
        flow_count(pending->flow, RECIPIENTS_DEFERRED, 1);
        pending_set_attempts(pending, effect->entry.attempts);
        pending->flags &= (uint8_t)~PENDING_UNTRIED;
        pending->state = PENDING_SCHEDULED;
        pending->flags &= (uint8_t)~PENDING_LETS_GO;
        shard_schedule(shard, pending, effect->due_ms);
        pending_drop_message(shard, pending);
    }
}

void shard_apply_batch(struct shard *shard, const struct staging *staging,
                       const struct batch *batch, const struct effect *effects)
{
    for (uint32_t i = 0; i < batch->effect_count; i++) {
        struct stub *stub = pending_stub(effects[i].pending);

        apply_effect(shard, &effects[i]);
        if (stub->live_count == 0 && stub->staged == 0)
            finish_stub(shard, stub);
    }
    for (size_t i = 0; i < batch->accepting_count; i++) {
        const struct accepting *accepting = staging_accepting(staging, batch, i);

        if (batch->kind == BATCH_MOVE)
            apply_move(shard, accepting);
        else
            apply_accept(shard, accepting);
    }
    if (batch->damage != NULL)
        damage_told(shard, batch->damage, true);
}

/* What was staged of a batch that will not be written: a mark is as if nobody had asked for it, and
 * its number goes to the next event where none came behind it. */
void shard_forget_marks(struct shard *shard, const struct batch *batch,
                        const struct effect *effects)
{
    for (uint32_t i = batch->effect_count; i-- > 0;) {
        struct stub *stub = pending_stub(effects[i].pending);

        if (!outcome_is_mark((enum event_kind)effects[i].entry.kind))
            continue;
        check(stub->staged > 0);
        stub->staged--;
        if (stub->next_seq == effects[i].entry.seq + 1)
            stub->next_seq--;
        if (stub->live_count == 0 && stub->staged == 0)
            finish_stub(shard, stub);
    }
}

void shard_drop_batch(struct shard *shard, const struct staging *staging, struct batch *batch,
                      int error)
{
    for (size_t i = 0; i < batch->accepting_count; i++) {
        struct accepting *accepting = staging_accepting(staging, batch, i);

        if (batch->kind != BATCH_MOVE)
            stub_free(shard, accepting->stub);
        message_release(&accepting->message);
    }
    if (batch->kind == BATCH_MOVE)
        compact_moved(shard);
    if (batch->damage != NULL)
        damage_told(shard, batch->damage, false);
    if (batch->commit != NULL)
        shard_fail_later(shard, batch->commit, error);
    if (batch->write != NULL) {
        list_push_back(&shard->failed_writes, &batch->write->node);
        engine_turn_again(shard->engine);
    }
}
