/*
 * flush.c - group commit: batches are staged while a flush is in flight, then written as one.
 *
 *   shard_commit() -> filling --(end of the turn, nothing in flight)--> flight -> durable: effects
 *                        ^                                                 |
 *                        +---- failed: what must stand, into another segment
 *
 * Records get their place and checksums when the flush starts, not when they are staged: only then
 * is it known which segment takes them. So a failed batch is simply sealed again elsewhere.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "queue/disk.h"
#include "queue/shard_private.h"

enum {
    /* More in one write gains nothing (measured: 2.5 GB/s at 512 KiB), but makes others wait. */
    FLUSH_LEN_MAX = 4 * 1024 * 1024,
    STAGING_LEN_MIN = 256 * 1024,
    STAGING_KEEP_MAX = 8 * 1024 * 1024, /* a larger one is given back */
    STALLS_MAX = 16,                    /* writes in a row that wrote no block */
};

static void on_flushed(struct op *op, int result, uint32_t flags);

void flush_init(struct shard *shard)
{
    op_init(&shard->flush_op, on_flushed);
    turn_end_init(&shard->end, flush_turn_end);
}

void flush_wanted(struct shard *shard)
{
    engine_at_turn_end(shard->engine, &shard->end);
}

/* --- staging --------------------------------------------------------------------------------- */

static void *grow_array(void *array, size_t *capacity, size_t size)
{
    size_t grown = MAX(*capacity * 2, (size_t)64);
    void *at = realloc(array, grown * size);

    check(at != NULL);
    *capacity = grown;
    return at;
}

static void staging_reserve(struct staging *staging, size_t len)
{
    /* Two blocks for the PAD that ends a flush. */
    size_t needed = staging->len + len + 2 * SPOOL_BLOCK;

    if (needed <= staging->capacity)
        return;
    size_t capacity = MAX(MAX(staging->capacity * 2, needed), (size_t)STAGING_LEN_MIN);
    uint8_t *data = disk_buffer(capacity);

    check(data != NULL);
    if (staging->len > 0)
        memcpy(data, staging->data, staging->len);
    free(staging->data);
    staging->data = data;
    staging->capacity = capacity / SPOOL_BLOCK * SPOOL_BLOCK;
}

static void staging_clear(struct staging *staging)
{
    if (staging->capacity > STAGING_KEEP_MAX) {
        free(staging->data);
        staging->data = NULL;
        staging->capacity = 0;
    }
    staging->len = 0;
    staging->batch_count = 0;
    staging->waiting_count = 0;
    staging->accepting_count = 0;
    staging->effect_count = 0;
}

void staging_free(struct staging *staging)
{
    free(staging->data);
    free(staging->batches);
    free(staging->accepting);
    free(staging->effects);
    *staging = (struct staging){0};
}

static struct batch *staging_add_batch(struct staging *staging)
{
    if (staging->batch_count == staging->batch_capacity)
        staging->batches =
            grow_array(staging->batches, &staging->batch_capacity, sizeof(struct batch));
    struct batch *batch = &staging->batches[staging->batch_count++];
    *batch = (struct batch){.accepting_from = (uint32_t)staging->accepting_count};
    return batch;
}

static struct accepting *staging_add_accepting(struct staging *staging)
{
    if (staging->accepting_count == staging->accepting_capacity)
        staging->accepting =
            grow_array(staging->accepting, &staging->accepting_capacity, sizeof(struct accepting));
    return &staging->accepting[staging->accepting_count++];
}

struct accepting *staging_accepting(const struct staging *staging, const struct batch *batch,
                                    size_t number)
{
    check(number < batch->accepting_count);
    return &staging->accepting[batch->accepting_from + number];
}

struct effect *staging_add_effect(struct staging *staging)
{
    if (staging->effect_count == staging->effect_capacity)
        staging->effects =
            grow_array(staging->effects, &staging->effect_capacity, sizeof(struct effect));
    return &staging->effects[staging->effect_count++];
}

/* Pieces of content have no effects: there may be none at all, and no array of them. */
static const struct effect *effects_at(const struct staging *staging, size_t taken)
{
    return staging->effects == NULL ? NULL : staging->effects + taken;
}

/* Copies a batch, bytes and effects, to the end of another staging. */
static void staging_take(struct staging *to, const struct staging *from, const struct batch *batch,
                         const struct effect *effects)
{
    staging_reserve(to, batch->len);
    struct batch *copy = staging_add_batch(to);

    *copy = *batch;
    copy->start = (uint32_t)to->len;
    copy->accepting_from = (uint32_t)to->accepting_count;
    memcpy(to->data + to->len, from->data + batch->start, batch->len);
    to->len += batch->len;
    for (size_t i = 0; i < batch->accepting_count; i++) {
        struct accepting *accepting = staging_add_accepting(to);

        *accepting = *staging_accepting(from, batch, i);
        accepting->at = accepting->at - batch->start + copy->start;
    }
    for (uint32_t i = 0; i < batch->effect_count; i++)
        *staging_add_effect(to) = effects[i];
}

struct batch_writer batch_begin(struct staging *staging, enum batch_kind kind)
{
    struct batch *batch = staging_add_batch(staging);

    batch->kind = kind;
    batch->start = (uint32_t)staging->len;
    return (struct batch_writer){.staging = staging, .batch = batch};
}

uint8_t *batch_add(struct batch_writer *writer, enum record_type type, unsigned flags, size_t len)
{
    struct staging *staging = writer->staging;
    size_t size = record_size(len);

    staging_reserve(staging, size);
    uint8_t *at = staging->data + staging->len;
    bool is_first = staging->len == writer->batch->start;
    writer->last = staging->len;
    writer->last_flags = flags | (is_first ? 0 : RECORD_FOLLOWS);
    record_begin(at, type, writer->last_flags | RECORD_CONTINUES, (uint32_t)len);
    staging->len += size;
    return at + RECORD_HEADER_LEN;
}

void batch_end(struct batch_writer *writer)
{
    struct staging *staging = writer->staging;

    check(staging->len > writer->batch->start);
    record_set_flags(staging->data + writer->last, writer->last_flags);
    writer->batch->len = (uint32_t)(staging->len - writer->batch->start);
}

size_t inline_content_len(const struct message *message)
{
    /* What was read back has both, bytes and extents: a copy of it carries the bytes. */
    size_t left = message->content.memory.len;
    size_t len = 0;

    for (; left > CONTENT_CHUNK_MAX; left -= CONTENT_CHUNK_MAX)
        len += record_size(CONTENT_CHUNK_MAX);
    return left > 0 ? len + record_size(left) : len;
}

void batch_add_message(struct batch_writer *writer, struct message *message, uint32_t next_seq,
                       const struct recipient_state *states)
{
    const struct content *content = &message->content;
    struct batch *batch = writer->batch;
    struct accepting *accepting = staging_add_accepting(writer->staging);
    uint32_t inline_len = (uint32_t)inline_content_len(message);

    *accepting = (struct accepting){0};
    batch->accepting_count++;

    for (size_t from = 0; inline_len > 0 && from < content->memory.len;) {
        struct bytes chunk = bytes_slice(content->memory, from, CONTENT_CHUNK_MAX);
        memcpy(batch_add(writer, RECORD_CONTENT, 0, chunk.len), chunk.ptr, chunk.len);
        from += chunk.len;
    }
    size_t len = accept_encoded_len(message, inline_len, states != NULL);
    unsigned flags = states != NULL ? RECORD_MOVED : 0;
    uint8_t *at = batch_add(writer, RECORD_ACCEPT, flags, len);
    accept_encode(message, inline_len, next_seq, states, at);
    accepting->at = (uint32_t)(at - RECORD_HEADER_LEN - writer->staging->data);
    accepting->len = (uint32_t)record_size(len);
    accepting->content_len = inline_len;
    if (inline_len == 0 && content->extent_count > 0)
        accepting->first_segment = content_first_segment(content);
    for (size_t i = 0; inline_len == 0 && i < content->extent_count; i++)
        accepting->far_len += record_size(content->extents[i].len);
    batch->index_len += (uint32_t)footer_accept_len(message);
}

/* --- start ----------------------------------------------------------------------------------- */

static size_t padded(size_t len)
{
    size_t gap = SPOOL_BLOCK - len % SPOOL_BLOCK;

    if (gap == SPOOL_BLOCK)
        return len;
    /* A gap that no PAD header fits into takes a block more. */
    return len + gap + (gap < RECORD_HEADER_LEN ? SPOOL_BLOCK : 0);
}

static bool fits(const struct segment *segment, size_t len, size_t index_len)
{
    uint64_t end = (uint64_t)segment->data_end + padded(len);

    return end + footer_room(segment->index_len + index_len) <= segment->size;
}

/* Would an empty segment take it? The first block may be one of CUT records. */
bool shard_batch_fits(const struct shard *shard, size_t batch_len, size_t index_len)
{
    uint64_t len = 2 * SPOOL_BLOCK + padded(batch_len) + footer_room(index_len);

    return len <= shard->segment_size && batch_len <= RECORD_PAYLOAD_MAX;
}

bool shard_copy_fits(const struct shard *shard, const struct message *message)
{
    size_t inline_len = inline_content_len(message);
    size_t accept_len = accept_encoded_len(message, (uint32_t)inline_len, true);

    return accept_len > 0 && shard_batch_fits(shard, inline_len + record_size(accept_len),
                                              footer_accept_len(message));
}

static size_t fitting_batches(const struct shard *shard)
{
    const struct staging *filling = &shard->filling;
    size_t index_len = 0;

    for (size_t i = 0; i < filling->batch_count; i++) {
        size_t end = filling->batches[i].start + filling->batches[i].len;

        index_len += filling->batches[i].index_len;
        if (!fits(shard->open, end, index_len) || (i > 0 && end > FLUSH_LEN_MAX))
            return i;
    }
    return filling->batch_count;
}

/* Seals the flight's records and fills up its last block. */
static void seal(struct shard *shard)
{
    struct staging *flight = &shard->flight;
    struct segment *segment = shard->flush_segment;
    uint64_t seed = segment_record_seed(segment);
    size_t len = padded(flight->len);

    if (len > flight->len) {
        size_t pad = len - flight->len - RECORD_HEADER_LEN;
        uint8_t *at = flight->data + flight->len;

        record_begin(at, RECORD_PAD, 0, (uint32_t)pad);
        memset(at + RECORD_HEADER_LEN, 0, pad);
    }
    flight->len = len;
    for (size_t at = 0; at < len;) {
        size_t size = record_begun_size(flight->data + at);

        record_seal(flight->data + at, (uint32_t)(segment->data_end + at), segment->data_end, seed);
        at += size;
    }
}

static void submit(struct shard *shard)
{
    struct bytes rest = {shard->flight.data + shard->flush_written,
                         shard->flush_len - shard->flush_written};

    engine_write_durable(shard->engine, &shard->flush_op, shard->flush_segment->fd, rest,
                         shard->flush_segment->data_end + shard->flush_written);
}

static void launch(struct shard *shard)
{
    shard->flush_segment = shard->open;
    seal(shard);
    shard->flush_len = shard->flight.len;
    shard->flush_written = 0;
    shard->flush_stalls = 0;
    shard->flush_begun_us = clock_monotonic_us();
    shard->is_flushing = true;
    segment_pin(shard->flush_segment);
    submit(shard);
}

/* A failed segment's end is told in the next one before anything else. */
static void launch_cuts(struct shard *shard)
{
    struct batch_writer writer = batch_begin(&shard->flight, BATCH_NOTE);

    for (unsigned i = 0; i < shard->cut_count; i++)
        cut_encode(&shard->cuts[i], batch_add(&writer, RECORD_CUT, 0, CUT_LEN));
    batch_end(&writer);
    shard->is_cutting = true;
    launch(shard);
}

/* Chunks of content are taken: their writers may go on. */
static void tell_taken(struct shard *shard)
{
    struct list told;

    list_init(&told);
    for (size_t i = 0; i < shard->flight.batch_count; i++) {
        struct batch *batch = &shard->flight.batches[i];
        const uint8_t *at = shard->flight.data + batch->start;
        struct bytes bytes = {at, batch->len};
        struct record record;

        if (batch->write == NULL)
            continue;
        check(record_next_trusted(&bytes, &record));
        batch->write->extent = (struct extent){
            .segment = shard->flush_segment->sequence,
            .offset = record.offset + RECORD_HEADER_LEN,
            .len = (uint32_t)record.payload.len,
            .checksum = (uint32_t)record.checksum,
        };
        list_push_back(&told, &batch->write->node);
        batch->write = NULL;
    }
    for (struct list_node *node; (node = list_pop_front(&told)) != NULL;) {
        struct content_write *write = container_of(node, struct content_write, node);
        struct message *message = write->message;

        if (message->pinned == NULL) {
            message->pinned = shard->flush_segment;
            segment_pin(message->pinned);
            arriving_join(shard, message);
        }
        write->done(write, 0);
        message_release(&message);
    }
}

static void start_batches(struct shard *shard, size_t count)
{
    struct staging next = shard->flight; /* empty, its memory is used again */
    size_t effect_count = 0;
    size_t len = 0;

    check(next.batch_count == 0);
    shard->flight = shard->filling;
    for (size_t i = 0; i < count; i++) {
        effect_count += shard->flight.batches[i].effect_count;
        len += shard->flight.batches[i].len;
        shard->open->index_len += shard->flight.batches[i].index_len;
    }
    size_t taken = effect_count;
    for (size_t i = count; i < shard->flight.batch_count; i++) {
        const struct batch *batch = &shard->flight.batches[i];

        staging_take(&next, &shard->flight, batch, effects_at(&shard->flight, taken));
        taken += batch->effect_count;
    }
    shard->flight.batch_count = count;
    shard->flight.effect_count = effect_count;
    shard->flight.len = len;
    shard->filling = next;
    launch(shard);
    tell_taken(shard);
}

void flush_turn_end(struct turn_end *end)
{
    struct shard *shard = container_of(end, struct shard, end);

    if (shard->is_flushing || shard->filling.batch_count == 0)
        return;
    for (;;) {
        size_t count = 0;

        if (shard->open != NULL && shard->cut_count > 0) {
            launch_cuts(shard);
            return;
        }
        if (shard->open != NULL)
            count = fitting_batches(shard);
        if (count > 0) {
            start_batches(shard, count);
            return;
        }
        /* Without a spare the supply asks again; it may also have dropped what cannot wait. */
        if (!supply_roll(shard) || shard->filling.batch_count == 0)
            return;
    }
}

/* --- completion ------------------------------------------------------------------------------ */

static void finish_flight(struct shard *shard)
{
    struct segment *segment = shard->flush_segment;

    staging_clear(&shard->flight);
    shard->is_flushing = false;
    shard->is_cutting = false;
    shard->flush_segment = NULL;
    segment_unpin(segment);
    if (shard->filling.batch_count > 0)
        flush_wanted(shard);
    supply_check(shard);
}

static void succeed(struct shard *shard)
{
    struct segment *segment = shard->flush_segment;
    struct staging *flight = &shard->flight;
    size_t applied = 0;
    uint64_t position = position_of(segment->sequence, segment->data_end);

    metric_inc(METRIC_SPOOL_FLUSHES);
    metric_observe_us(HISTOGRAM_SYNC, clock_monotonic_us() - shard->flush_begun_us);
    metric_add(METRIC_SPOOL_FLUSHED_BYTES, (int64_t)shard->flush_len);
    if (shard->is_cutting)
        shard->cut_count = 0;
    for (size_t i = 0; i < flight->batch_count; i++) {
        shard_apply_batch(shard, flight, &flight->batches[i], effects_at(flight, applied));
        applied += flight->batches[i].effect_count;
    }
    segment->data_end += (uint32_t)shard->flush_len;
    shard->bytes_used += shard->flush_len;
    shard->durable_position = position_of(segment->sequence, segment->data_end);
    metric_add(METRIC_SPOOL_BYTES_USED, (int64_t)shard->flush_len);
    if (shard->hooks.journaled != NULL)
        shard->hooks.journaled(shard->hooks.context, shard, position,
                               (struct bytes){flight->data, shard->flush_len});
    /* Last, because who is told may commit again or ask for anything. */
    for (size_t i = 0; i < flight->batch_count; i++)
        if (flight->batches[i].commit != NULL)
            flight->batches[i].commit->done(flight->batches[i].commit, 0);
    finish_flight(shard);
}

static bool must_stand(const struct batch *batch)
{
    return batch->kind == BATCH_NOTE || (batch->kind == BATCH_COMMIT && batch->effect_count > 0);
}

/* Content that a failed segment took with it. */
static bool has_lost_content(const struct shard *shard, const struct staging *staging,
                             const struct batch *batch)
{
    for (size_t i = 0; i < batch->accepting_count; i++) {
        const struct accepting *accepting = staging_accepting(staging, batch, i);
        const struct message *message = accepting->message;

        if (message == NULL || accepting->first_segment == 0)
            continue;
        for (size_t e = 0; e < message->content.extent_count; e++)
            if (!shard_extent_stands(shard, &message->content.extents[e]))
                return true;
    }
    return false;
}

/* Keeps the batches of both stagings that `keep` wants, in order; drops the others. */
static void restage(struct shard *shard, struct staging *old, struct staging *into,
                    bool (*keep)(const struct shard *shard, const struct staging *staging,
                                 const struct batch *batch),
                    int error)
{
    size_t taken = 0;

    for (size_t i = 0; i < old->batch_count; i++) {
        struct batch *batch = &old->batches[i];

        if (keep(shard, old, batch)) {
            staging_take(into, old, batch, effects_at(old, taken));
        } else {
            /* With the content that its message had already written a mark is lost as well. */
            shard_forget_marks(shard, batch, effects_at(old, taken));
            shard_drop_batch(shard, old, batch, error);
        }
        taken += batch->effect_count;
    }
}

static bool keep_after_failure(const struct shard *shard, const struct staging *staging,
                               const struct batch *batch)
{
    return must_stand(batch) && !has_lost_content(shard, staging, batch);
}

static bool keep_with_content(const struct shard *shard, const struct staging *staging,
                              const struct batch *batch)
{
    return !has_lost_content(shard, staging, batch);
}

static bool keep_without_space(const struct shard *shard, const struct staging *staging,
                               const struct batch *batch)
{
    (void)shard;
    (void)staging;
    return must_stand(batch) || batch->kind == BATCH_MOVE ||
           (batch->write != NULL && batch->write->is_copy);
}

static bool keep_none(const struct shard *shard, const struct staging *staging,
                      const struct batch *batch)
{
    (void)shard;
    (void)staging;
    (void)batch;
    return false;
}

static void fail(struct shard *shard, int error)
{
    struct segment *segment = shard->flush_segment;
    struct staging kept = {0};

    log_error("spool=%02x segment=%x offset=%u what=\"write failed, the segment is closed\" "
              "error=\"%s\"",
              shard->number, segment->sequence, segment->data_end, strerror(-error));
    metric_inc(METRIC_SPOOL_WRITE_FAILURES);
    segment->state = SEGMENT_FAILED;
    shard->open = NULL;
    if (shard->cut_count == CUTS_MAX) /* a disk that takes nothing: those were never begun */
        shard->cut_count--;
    shard->cuts[shard->cut_count++] = (struct cut){segment->sequence, segment->data_end};
    if (!shard->is_cutting)
        restage(shard, &shard->flight, &kept, shard->is_broken_off ? keep_none : keep_after_failure,
                shard->is_broken_off ? -ESHUTDOWN : error);
    restage(shard, &shard->filling, &kept, keep_with_content, -EIO);
    staging_free(&shard->filling);
    shard->filling = kept;
    finish_flight(shard);
}

void flush_drop_accepts(struct shard *shard, int error)
{
    struct staging *filling = &shard->filling;
    struct staging kept = {0};

    /* Asked each turn while there is no space, with as many outcomes waiting as there may be. */
    while (filling->waiting_count < filling->batch_count &&
           keep_without_space(shard, filling, &filling->batches[filling->waiting_count]))
        filling->waiting_count++;
    if (filling->waiting_count == filling->batch_count)
        return;
    restage(shard, filling, &kept, keep_without_space, error);
    kept.waiting_count = kept.batch_count;
    staging_free(filling);
    *filling = kept;
}

void flush_drop_all(struct shard *shard)
{
    struct staging kept = {0};

    restage(shard, &shard->filling, &kept, keep_none, -ESHUTDOWN);
    staging_clear(&shard->filling);
}

static void on_flushed(struct op *op, int result, uint32_t flags)
{
    struct shard *shard = container_of(op, struct shard, flush_op);

    (void)flags;
    if ((result == -EINTR || result == -EAGAIN) && ++shard->flush_stalls <= STALLS_MAX) {
        submit(shard); /* nothing was tried yet */
        return;
    }
    if (result <= 0) {
        fail(shard, result == 0 ? -EIO : result);
        return;
    }
    /* After a short write the block it ended in is written again: O_DIRECT wants whole ones. */
    size_t written = shard->flush_written + (size_t)result;
    if (written < shard->flush_len) {
        size_t whole = written / SPOOL_BLOCK * SPOOL_BLOCK;

        if (whole == shard->flush_written && ++shard->flush_stalls > STALLS_MAX) {
            fail(shard, -EIO);
            return;
        }
        shard->flush_written = whole;
        submit(shard);
        return;
    }
    succeed(shard);
}
