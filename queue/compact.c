/*
 * compact.c - moves what lives long out of the oldest segment, so that its space comes back.
 *
 * A round: list the accepts of the oldest segment (its footer knows), copy those that live to the
 * head, content, envelope and state in one batch. When the copies are durable nothing begins in the
 * segment any more and the supply reclaims it.
 *
 * Only the oldest one, because segments die in order; and only while less than a set share of what
 * is used lives, which bounds both the space and the work (docs/spool.md, "Bounds").
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "queue/disk.h"
#include "queue/shard_private.h"

enum {
    SEGMENTS_MIN = 4,        /* not worth it with fewer */
    SEGMENTS_MIN_FULL = 2,   /* where it is what makes room for mail again */
    COPIES_MAX = 16,         /* under way at a time */
    STAGED_MAX = 256 * 1024, /* copies do not make a flush longer than this for others */
    REST_MS = 200,           /* after a round that could not move everything */
    REST_DAMAGED_MS = 60 * 1000,
    STATES_ON_STACK = 16,
};

/* A message whose content is copied piece by piece. */
struct mover {
    struct shard *shard;
    struct message *message;
    struct extent *extents; /* the new ones, in the message's arena */
    size_t extent_count;
    struct content_read read;
    struct content_write write;
};

static void on_footer_read(struct op *op, int result, uint32_t flags);

static void on_rest_over(struct timeout *timeout)
{
    (void)timeout; /* the turn's hook does the rest */
}

void compact_init(struct shard *shard)
{
    op_init(&shard->compaction.op, on_footer_read);
    timeout_init(&shard->compaction.rest, on_rest_over);
}

bool compact_is_idle(const struct shard *shard)
{
    return shard->compaction.copies == 0 && !shard->compaction.is_listing;
}

void compact_stop(struct shard *shard)
{
    engine_timeout_cancel(shard->engine, &shard->compaction.rest);
}

/* --- a round --------------------------------------------------------------------------------- */

bool compact_is_worth(const struct shard *shard)
{
    size_t segments_min = shard_is_full(shard) ? SEGMENTS_MIN_FULL : SEGMENTS_MIN;

    return shard->segment_count >= segments_min &&
           shard->bytes_live * 100 < shard->bytes_used * shard->compact_live_percent &&
           supply_may_empty(shard, shard->segments[0]);
}

static bool is_wanted(const struct shard *shard)
{
    return compact_is_worth(shard) && shard->segments[0]->live_count > 0 &&
           engine_now_ms(shard->engine) >= shard->compaction.rest_until_ms;
}

static void collect_stub(void *context, struct stub *stub)
{
    struct compaction *c = context;

    if (stub_first_sequence(stub) == c->segment->sequence)
        check(ids_add(&c->ids, stub->id.value));
}

/* Without a readable footer: everything there is, at the cost of a walk. */
static void list_by_index(struct shard *shard)
{
    uint64_t cursor = 0;

    while (stub_index_walk(&shard->index, &cursor, SIZE_MAX, collect_stub, &shard->compaction))
        ;
}

static void list_footer(struct shard *shard)
{
    struct compaction *c = &shard->compaction;
    struct bytes bytes = {c->footer, c->segment->footer_len};
    struct footer_reader reader;
    struct accept_entry entry;

    if (!footer_open(bytes, c->segment->footer_offset, segment_record_seed(c->segment), &reader)) {
        log_error("spool=%02x segment=%x what=\"damaged footer\"", shard->number,
                  c->segment->sequence);
        metric_inc(METRIC_SPOOL_DAMAGED_RECORDS);
        list_by_index(shard);
        return;
    }
    while (footer_next_accept(&reader, &entry))
        check(ids_add(&c->ids, entry.id));
}

static size_t footer_blocks(const struct segment *segment)
{
    return (segment->footer_len + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK;
}

static void on_footer_read(struct op *op, int result, uint32_t flags)
{
    struct compaction *c = container_of(op, struct compaction, op);
    struct shard *shard = container_of(c, struct shard, compaction);

    (void)flags;
    c->is_listing = false;
    if (result >= 0 && (size_t)result >= c->segment->footer_len)
        list_footer(shard);
    else
        list_by_index(shard);
    free(c->footer);
    c->footer = NULL;
    segment_unpin(c->segment);
    engine_turn_again(shard->engine);
}

static void start_round(struct shard *shard)
{
    struct compaction *c = &shard->compaction;
    struct segment *segment = shard->segments[0];

    c->segment = segment;
    c->next = 0;
    c->ids.count = 0;
    c->has_failed = false;
    for (size_t i = 0; i < segment->far.count; i++)
        check(ids_add(&c->ids, segment->far.values[i]));
    for (size_t i = 0; i < segment->accepted.count; i++)
        check(ids_add(&c->ids, segment->accepted.values[i]));
    if (segment->footer_offset == 0)
        return;
    c->footer = disk_buffer(footer_blocks(segment));
    check(c->footer != NULL);
    c->is_listing = true;
    segment_pin(segment);
    engine_read(shard->engine, &c->op, segment->fd, c->footer, footer_blocks(segment),
                segment->footer_offset);
}

static void end_round(struct shard *shard)
{
    struct compaction *c = &shard->compaction;
    struct segment *segment = c->segment;

    c->segment = NULL;
    if (segment->live_count > 0) {
        int64_t rest_ms = c->has_failed ? REST_DAMAGED_MS : REST_MS;

        c->rest_until_ms = engine_now_ms(shard->engine) + rest_ms;
        engine_timeout(shard->engine, &c->rest, rest_ms);
        return;
    }
    supply_check(shard);
    engine_turn_again(shard->engine); /* the next one may be wanted as well */
}

/* --- one message ----------------------------------------------------------------------------- */

/* The stub, if it still begins there and no outcome of it is on its way: a copy would override an
 * outcome that stands before it in the log. */
static struct stub *movable(struct shard *shard, struct message_id id)
{
    struct stub *stub = stub_index_find(&shard->index, id);

    if (stub == NULL || stub->staged > 0 || shard->compaction.segment == NULL ||
        stub_first_sequence(stub) != shard->compaction.segment->sequence)
        return NULL;
    return stub;
}

static void end_copy(struct shard *shard)
{
    check(shard->compaction.copies > 0);
    shard->compaction.copies--;
    engine_turn_again(shard->engine);
}

void compact_moved(struct shard *shard)
{
    end_copy(shard);
}

static void fill_states(const struct shard *shard, const struct stub *stub,
                        struct recipient_state *states)
{
    int64_t wall_offset_ms = shard_wall_offset_ms(shard);

    for (uint32_t i = 0; i < stub->recipient_count; i++) {
        const struct pending *pending = &stub->pendings[i];
        states[i] = (struct recipient_state){
            .is_final = pending->state == PENDING_FINAL,
            .flags = pending_stored_flags(pending),
            .attempts = pending->attempts,
            .due_ms =
                pending_has_due(pending) ? (int64_t)pending->due_s * 1000 + wall_offset_ms : 0,
        };
    }
}

/* A piece may have gone down with a write that failed after it was taken. */
static bool pieces_stand(const struct shard *shard, const struct message *message)
{
    const struct content *content = &message->content;

    if (content->memory.ptr != NULL) /* the copy carries the bytes */
        return true;
    for (size_t i = 0; i < content->extent_count; i++)
        if (!shard_extent_stands(shard, &content->extents[i]))
            return false;
    return true;
}

/* Takes nothing over; ends the copy if it cannot be. */
static void stage_copy(struct shard *shard, struct message *message)
{
    struct stub *stub = movable(shard, message->id);
    struct recipient_state on_stack[STATES_ON_STACK];
    struct recipient_state *states = on_stack;

    if (stub == NULL || shard->is_closing || !shard_copy_fits(shard, message) ||
        !pieces_stand(shard, message) || stub->recipient_count != message->recipient_count) {
        end_copy(shard);
        return;
    }
    if (stub->recipient_count > STATES_ON_STACK)
        states = calloc(stub->recipient_count, sizeof(*states));
    check(states != NULL);
    fill_states(shard, stub, states);
    struct batch_writer writer = batch_begin(&shard->filling, BATCH_MOVE);
    batch_add_message(&writer, message, stub->next_seq, states);
    struct accepting *accepting = staging_accepting(writer.staging, writer.batch, 0);
    accepting->message = message_keep(message);
    accepting->stub = stub;
    batch_end(&writer);
    if (states != on_stack)
        free(states);
    flush_wanted(shard);
}

/* It cannot be read: its recipients are due, so that delivery finds out and says so. */
static void give_up(struct shard *shard, struct message_id id, int error)
{
    struct stub *stub = movable(shard, id);

    if (stub != NULL && (error == -EBADMSG || error == -EIO))
        shard->compaction.has_failed = true;
    if (stub != NULL && error == -EBADMSG) {
        for (uint32_t i = 0; i < stub->recipient_count; i++)
            shard_make_due(shard, &stub->pendings[i]);
    }
    end_copy(shard);
}

static void end_mover(struct mover *mover, int error)
{
    struct shard *shard = mover->shard;

    shard_read_content_end(shard, &mover->read);
    if (error < 0) {
        give_up(shard, mover->message->id, error);
    } else {
        mover->message->content.extents = mover->extents;
        mover->message->content.extent_count = mover->extent_count;
        stage_copy(shard, mover->message);
    }
    message_release(&mover->message);
    free(mover);
}

static void on_piece_written(struct content_write *write, int result)
{
    struct mover *mover = container_of(write, struct mover, write);

    if (result < 0) {
        end_mover(mover, result);
        return;
    }
    mover->extents[mover->extent_count++] = write->extent;
    shard_read_content(mover->shard, mover->message, &mover->read);
}

static void on_piece_read(struct content_read *read, int result, struct bytes piece)
{
    struct mover *mover = container_of(read, struct mover, read);

    if (result <= 0 || mover->shard->is_closing) {
        end_mover(mover, mover->shard->is_closing ? -ESHUTDOWN : result);
        return;
    }
    check(mover->extent_count < mover->message->content.extent_count);
    shard_write_content(mover->shard, &mover->write, piece);
}

static void start_mover(struct shard *shard, struct message *message)
{
    struct mover *mover = calloc(1, sizeof(*mover));

    check(mover != NULL);
    mover->shard = shard;
    mover->message = message_keep(message);
    mover->read.done = on_piece_read;
    mover->write.done = on_piece_written;
    mover->write.message = message;
    mover->write.is_copy = true;
    mover->extents =
        arena_alloc(&message->arena, message->content.extent_count * sizeof(struct extent));
    if (mover->extents == NULL) {
        end_mover(mover, -ENOMEM);
        return;
    }
    shard_read_content(shard, message, &mover->read);
}

static void on_loaded(struct read *read, int result, struct message *message)
{
    struct shard *shard = read->shard;

    if (result < 0)
        give_up(shard, read->id, result);
    else if (message->content.memory.ptr == NULL && message->content.size > 0)
        start_mover(shard, message);
    else
        stage_copy(shard, message);
}

static void start_copy(struct shard *shard, struct message_id id)
{
    struct stub *stub = movable(shard, id);

    if (stub == NULL)
        return;
    shard->compaction.copies++;
    /* Always from disk, also what is resident: the copy is to hold what the record holds. */
    content_load_for_move(shard, stub, on_loaded);
}

void compact_turn(struct shard *shard)
{
    struct compaction *c = &shard->compaction;

    if (c->segment == NULL) {
        if (!is_wanted(shard))
            return;
        start_round(shard);
    }
    if (c->is_listing)
        return;
    while (c->next < c->ids.count && c->copies < COPIES_MAX && shard->filling.len < STAGED_MAX)
        start_copy(shard, (struct message_id){c->ids.values[c->next++]});
    if (c->next == c->ids.count && c->copies == 0)
        end_round(shard);
}
