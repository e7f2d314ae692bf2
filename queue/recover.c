/*
 * recover.c - start-up: from what the files say to stubs, domains and due times.
 *
 * Closed segments are read by their footers, the one that was open record by record. The log's
 * order is the truth: a later record of a message overrides an earlier one, so each segment is
 * applied on top of those before it, and nothing has to be remembered in between.
 *
 *   recover_begin(): files, spares, the end of the log -> recover_step() a segment, ... ->
 *   recover_step() some thousand stubs scheduled, ... -> whole
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "queue/damage.h"
#include "queue/disk.h"
#include "queue/recover.h"

enum {
    /* In a file that nothing was appended to, a torn first flush begins at the start. */
    EMPTY_SCAN_LEN = 8 * 1024 * 1024,
    SCHEDULE_BUCKETS = 4096, /* of the index, a step */
};

/* --- segments -------------------------------------------------------------------------------- */

/* CUTs stand in the first block of the segment that replaced a failed one. */
static void collect_cuts(struct recovering *r, const struct segment *segment)
{
    struct bytes bytes = {r->block, SPOOL_BLOCK};
    uint32_t offset = SPOOL_BLOCK;
    struct record record;
    struct cut cut;

    if (disk_read(segment->fd, r->block, SPOOL_BLOCK, SPOOL_BLOCK) < 0)
        return;
    while (record_read(bytes, offset, segment_record_seed(segment), &record) == RECORD_GOOD &&
           !replay_refuses(r, &record) && cut_decode(&record, &cut)) {
        size_t size = record_size(record.payload.len);

        if (r->cut_count == r->cut_capacity) {
            r->cut_capacity = MAX(r->cut_capacity * 2, (size_t)16);
            r->cuts = realloc(r->cuts, r->cut_capacity * sizeof(*r->cuts));
            check(r->cuts != NULL);
        }
        r->cuts[r->cut_count++] = cut;
        offset += (uint32_t)size;
        bytes = bytes_slice(bytes, size, bytes.len - size);
    }
}

static uint32_t end_by_cuts(const struct recovering *r, const struct segment *segment)
{
    uint32_t end = segment->size;

    for (size_t i = 0; i < r->cut_count; i++)
        if (r->cuts[i].sequence == segment->sequence)
            end = MIN(end, MAX(r->cuts[i].offset, (uint32_t)SPOOL_BLOCK));
    return end;
}

/* Is there anything at all in it? */
static int look_for_records(struct recovering *r, const struct segment *segment, uint32_t end,
                            bool *is_empty_out)
{
    size_t len = MIN(end - SPOOL_BLOCK, (uint32_t)EMPTY_SCAN_LEN);
    struct record_scan none = {0};
    struct record_scan_result scanned = {0};
    uint8_t *bytes = replay_read(segment, len);
    int error = bytes == NULL ? -ENOMEM : 0;

    if (error == 0)
        error = record_scan((struct bytes){bytes, len}, SPOOL_BLOCK, segment_record_seed(segment),
                            &none, &scanned);
    free(bytes);
    if (error < 0)
        return recover_fail(r, error, "cannot be read", segment->sequence);
    *is_empty_out = scanned.records == 0 && scanned.damaged == 0;
    if (*is_empty_out)
        r->result->torn_bytes += scanned.torn_bytes;
    return 0;
}

/* Takes the empty ones at the end off: they become spares. */
static int split_trailing(struct recovering *r, struct segment **segments, size_t *count)
{
    struct segment_trailer trailer;
    bool is_empty = true;
    size_t first = *count;

    while (first > 0) {
        struct segment *segment = segments[first - 1];

        if (replay_read_trailer(r, segment, &trailer))
            break;
        int error = look_for_records(r, segment, end_by_cuts(r, segment), &is_empty);
        if (error < 0)
            return error;
        if (!is_empty)
            break;
        first--;
    }
    for (size_t i = first; i < *count; i++) {
        check(segments[i] != NULL);
        r->trailing[r->trailing_count++] = segments[i];
    }
    *count = first;
    return 0;
}

/* Serials in use and, of the last segment, the end of the log: footers know both; where one is
 * missing the records do. */
static int look_ahead(struct recovering *r, struct segment *segment)
{
    struct shard *shard = r->shard;
    struct record_scan_result scanned = {.end = SPOOL_BLOCK};
    struct segment_trailer trailer;

    int error;

    r->segment = segment;
    segment->data_end = SPOOL_BLOCK;
    if (replay_read_trailer(r, segment, &trailer)) {
        segment->data_end = trailer.data_end;
        shard->serial_last = MAX(shard->serial_last, trailer.serial_max);
        error = replay_look_at_footer(r, &trailer);
        return error < 0 ? recover_fail_reading(r, error, segment->sequence) : 0;
    }
    error = replay_look(r, end_by_cuts(r, segment), &scanned);
    if (error < 0)
        return recover_fail_reading(r, error, segment->sequence);
    segment->data_end = (scanned.end + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK;
    if (scanned.records == 0) /* is there anything? apply_segment() asks again */
        r->kept = NULL;
    return 0;
}

static int apply_segment(struct recovering *r, struct segment *segment)
{
    struct shard *shard = r->shard;
    uint32_t end = end_by_cuts(r, segment);
    struct segment_trailer trailer;
    bool is_empty = false;
    int error = 0;

    r->segment = segment;
    bool is_closed = replay_read_trailer(r, segment, &trailer);
    if (!is_closed && r->kept != segment)
        error = look_for_records(r, segment, end, &is_empty);
    if (error < 0)
        return error;
    if (is_empty) {
        /* Before others that are not: a crash or a failed write left it so. */
        segment->data_end = SPOOL_BLOCK;
        segment->state = SEGMENT_FAILED;
        return 0;
    }
    if (!replay_footer(r)) {
        error = replay_records(r, end, is_closed ? trailer.whole_until : 0);
        if (error < 0)
            return recover_fail_reading(r, error, segment->sequence);
        if (end < segment->size)
            segment->state = SEGMENT_FAILED;
        else
            replay_write_footer(r);
    }
    shard->bytes_used += segment->data_end - SPOOL_BLOCK;
    metric_add(METRIC_SPOOL_BYTES_USED, segment->data_end - SPOOL_BLOCK);
    return 0;
}

/* Empty files become spares, under new salts: what a torn flush left in them must not validate. */
static void take_spares(struct recovering *r)
{
    struct shard *shard = r->shard;

    for (size_t i = 0; i < r->trailing_count; i++) {
        struct segment *segment = r->trailing[i];
        struct segment_header header;
        int error = -EINVAL;

        check(segment != NULL);
        supply_reserve_header(shard, &header);
        if (segment->sequence == header.sequence && segment->size == header.size &&
            shard->spare_count < SPARES_MAX / 2 + 1) {
            segment_header_encode(&header, r->block);
            error = disk_write(segment->fd, r->block, SPOOL_BLOCK, 0);
            if (error == 0)
                error = disk_sync(segment->fd);
        }
        if (error == 0) {
            segment->salt = header.salt;
            segment->format = header.format;
            segment->state = SEGMENT_SPARE;
            shard->spares[shard->spare_count++] = segment;
            shard->next_sequence = header.sequence + 1;
            continue;
        }
        error = segment_remove(shard->spool, shard->number, segment->sequence);
        if (error < 0) {
            log_warn("spool=%02x segment=%x what=\"cannot be removed\" error=\"%s\"", shard->number,
                     segment->sequence, strerror(-error));
            /* Its number must not be given out again while it is there. */
            shard->next_sequence = MAX(shard->next_sequence, segment->sequence + 1);
        }
        segment_free(&segment);
    }
    r->trailing_count = 0;
}

/* --- all of it ------------------------------------------------------------------------------- */

/* A clock that was set back while we were down must not hold mail for longer, from now on, than it
 * was to be held when it came. */
static void recover_not_before(const struct recovering *r, struct stub *stub)
{
    int64_t now_ms = engine_now_ms(r->shard->engine);
    int64_t wall_s = (int64_t)*stub_not_before_s(stub);
    int64_t hold_s = MAX(wall_s - (int64_t)stub->accepted_s, (int64_t)0);

    stub_set_not_before_ms(stub, MIN(wall_s * 1000 - r->wall_offset_ms, now_ms + hold_s * 1000),
                           now_ms);
}

/* From wall seconds to monotonic ones. What seems to come from the future was accepted when the
 * clock stood wrong, or stands wrong now: its age begins here. */
static void recover_age(const struct recovering *r, struct stub *stub)
{
    int64_t wall_s = (int64_t)stub->accepted_s;
    int64_t now_ms = engine_now_ms(r->shard->engine);

    stub_set_accepted_ms(stub, MIN(wall_s * 1000 - r->wall_offset_ms, now_ms));
}

/* A clock that was set back while we were down must not hold mail for longer than its retry rule
 * ever would. */
static int64_t recover_due_ms(const struct recovering *r, const struct pending *pending)
{
    const struct shard_hooks *hooks = &r->shard->hooks;
    int64_t now_ms = engine_now_ms(r->shard->engine);
    int64_t due_ms = (int64_t)pending->due_s * 1000 - r->wall_offset_ms;

    if (pending->due_s == 0 || due_ms <= now_ms)
        return 0;
    return MIN(due_ms, now_ms + hooks->delay_max_ms(hooks->context, pending_domain(pending)));
}

static void count_recovered(const struct stub *stub)
{
    uint32_t i = 0;

    while (stub->pendings[i].state == PENDING_FINAL) /* at least one is not */
        i++;
    flow_count_two(stub->pendings[i].flow, RECIPIENTS_RECOVERED, stub->live_count,
                   RECIPIENTS_WAITING, stub->live_count);
}

static void schedule_stub(void *context, struct stub *stub)
{
    struct recovering *r = context;
    struct shard *shard = r->shard;

    if (stub->sequence > r->end)
        return; /* accepted since the start */
    shard->messages++;
    shard->recipients += stub->live_count;
    shard->sums.recovered += stub->live_count;
    count_recovered(stub);
    metric_inc(METRIC_SPOOL_MESSAGES);
    metric_add(METRIC_SPOOL_RECIPIENTS, stub->live_count);
    r->result->messages++;
    r->result->recipients += stub->live_count;
    if (stub_has_not_before(stub))
        recover_not_before(r, stub);
    recover_age(r, stub);
    for (uint32_t i = 0; i < stub->recipient_count; i++) {
        struct pending *pending = &stub->pendings[i];

        if (pending->state != PENDING_SCHEDULED)
            continue;
        pending->flags |= PENDING_UNTRIED;
        pending->is_gated = pending->attempts == 0 && !pending->flow->is_received;
        shard_schedule(shard, pending, recover_due_ms(r, pending));
    }
}

/* Opens all files; those with something in them become the shard's segments. */
static int open_segments(struct recovering *r)
{
    size_t count = 0;
    size_t taken = 0;
    int error = 0;
    struct segment **segments = calloc(r->sequence_count + 1, sizeof(struct segment *));

    check(segments != NULL);
    for (size_t i = 0; error == 0 && i < r->sequence_count; i++) {
        error = recover_open_segment(r, r->sequences[i], &segments[count]);
        if (segments[count] != NULL)
            collect_cuts(r, segments[count++]);
        if (r->has_unknown)
            error = recover_fail_reading(r, -EPROTO, r->sequences[i]);
    }
    if (error == 0)
        error = split_trailing(r, segments, &count);
    for (; error == 0 && taken < count; taken++) {
        struct segment *segment = segments[taken];

        check(segment != NULL);
        /* A number that is missing in between took its mail with it. */
        if (taken > 0 && segment->sequence != segments[taken - 1]->sequence + 1)
            log_error("spool=%02x segment=%x what=\"the segments before it are missing\"",
                      r->shard->number, segment->sequence);
        error = look_ahead(r, segment);
        segment->state = SEGMENT_CLOSED;
        shard_append_segment(r->shard, segment);
        r->shard->durable_position = position_of(segment->sequence, segment->data_end);
        r->end = segment->sequence;
    }
    for (; taken < count; taken++)
        segment_free(&segments[taken]);
    free(segments);
    return error;
}

static uint32_t next_sequence(const struct recovering *r)
{
    if (r->shard->segment_count > 0)
        return r->end + 1;
    if (r->trailing_count == 0)
        return MAX(r->sequence_min, (uint32_t)1);
    check(r->trailing[0] != NULL);
    return r->trailing[0]->sequence;
}

int recover_begin(struct shard *shard, struct recovery *recovery, char *why_out)
{
    struct recovering *r = calloc(1, sizeof(*r));

    check(r != NULL);
    *r = (struct recovering){.shard = shard, .result = recovery, .why = why_out};
    why_out[0] = '\0';
    r->started_ms = clock_monotonic_ms();
    r->wall_offset_ms = shard_wall_offset_ms(shard);
    r->block = disk_buffer(SPOOL_BLOCK);
    check(r->block != NULL);
    shard->recovering = r;
    int error = recover_open_directory(r);
    if (error < 0)
        return error;
    r->trailing = calloc(r->sequence_count + 1, sizeof(struct segment *));
    check(r->trailing != NULL);
    damage_open(shard);
    error = open_segments(r);
    if (error < 0)
        return error;
    r->count = shard->segment_count;
    shard->next_sequence = next_sequence(r);
    take_spares(r);
    return 0;
}

static void tell_whole(const struct recovering *r)
{
    struct recovery *recovery = r->result;

    recovery->segments = r->count;
    recovery->took_ms = clock_monotonic_ms() - r->started_ms;
    metric_add(METRIC_SPOOL_TORN_BYTES, (int64_t)recovery->torn_bytes);
    log_info("spool=%02x messages=%ju recipients=%ju segments=%ju scanned=%ju torn=%ju damaged=%ju "
             "ms=%jd what=\"spool recovered\"",
             r->shard->number, (uintmax_t)recovery->messages, (uintmax_t)recovery->recipients,
             (uintmax_t)recovery->segments, (uintmax_t)recovery->bytes_scanned,
             (uintmax_t)recovery->torn_bytes, (uintmax_t)recovery->damaged_records,
             (intmax_t)recovery->took_ms);
}

int recover_step(struct shard *shard)
{
    struct recovering *r = shard->recovering;

    check(r != NULL);
    if (r->next < r->count) {
        int error = apply_segment(r, shard->segments[r->next++]);

        return error < 0 ? error : 1;
    }
    if (stub_index_walk(&shard->index, &r->cursor, SCHEDULE_BUCKETS, schedule_stub, r))
        return 1;
    tell_whole(r);
    recover_end(shard);
    damage_tell_recovered(shard);
    return 0;
}

void recover_end(struct shard *shard)
{
    struct recovering *r = shard->recovering;

    if (r == NULL)
        return;
    shard->recovering = NULL;
    for (size_t i = 0; i < r->trailing_count; i++)
        segment_free(&r->trailing[i]);
    free(r->kept_bytes);
    free(r->trailing);
    free(r->cuts);
    free(r->sequences);
    free(r->block);
    free(r);
}
