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
    WHY_MAX = 256,
    /* In a file that nothing was appended to, a torn first flush begins at the start. */
    EMPTY_SCAN_LEN = 8 * 1024 * 1024,
    HEADER_TRIES = 3,
    SCHEDULE_BUCKETS = 4096, /* of the index, a step */
};

/* --- files ----------------------------------------------------------------------------------- */

static int fail(struct recovering *r, int error, const char *what, uint32_t sequence)
{
    snprintf(r->why, WHY_MAX, "spool/%02x segment %x: %s%s%s", r->shard->number, sequence, what,
             error == -EPROTO ? "" : ": ", error == -EPROTO ? "" : strerror(-error));
    return error;
}

/* Of a segment: for what a later version wrote in it the sentence says where. */
static int fail_reading(struct recovering *r, int error, uint32_t sequence)
{
    char text[RECORD_UNKNOWN_TEXT_MAX];

    if (error != -EPROTO || !r->has_unknown)
        return fail(r, error, "cannot be read", sequence);
    record_unknown_text(&r->unknown, text);
    snprintf(r->why, WHY_MAX, "spool/%02x/%016x.seg: %s", r->shard->number, sequence, text);
    return error;
}

static int on_name(void *context, const char *name)
{
    struct recovering *r = context;
    uint32_t sequence;

    if (!segment_name_parse(name, &sequence))
        return 0;
    if (r->sequence_count == r->sequence_capacity) {
        size_t capacity = MAX(r->sequence_capacity * 2, (size_t)64);
        uint32_t *grown = realloc(r->sequences, capacity * sizeof(*grown));

        if (grown == NULL)
            return -ENOMEM;
        r->sequences = grown;
        r->sequence_capacity = capacity;
    }
    r->sequences[r->sequence_count++] = sequence;
    return 0;
}

static int compare_sequences(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

static bool is_zero(const uint8_t *block)
{
    return block[0] == 0 && memcmp(block, block + 1, SPOOL_BLOCK - 1) == 0;
}

/* No header and nothing behind it: the file was being made. Otherwise it held mail. */
static int drop_headless(struct recovering *r, int fd, uint32_t sequence)
{
    struct shard *shard = r->shard;
    char from[SPOOL_PATH_MAX];
    char to[SPOOL_PATH_MAX];
    char shard_directory[SPOOL_PATH_MAX];
    char directory[SPOOL_PATH_MAX];

    if (disk_size(fd) < 2 * SPOOL_BLOCK ||
        (disk_read(fd, r->block, SPOOL_BLOCK, SPOOL_BLOCK) == 0 && is_zero(r->block)))
        return segment_remove(shard->spool, shard->number, sequence);
    r->result->damaged_records++;
    if (!segment_path(shard->spool, shard->number, sequence, from) ||
        !shard_path(shard->spool, shard->number, shard_directory) ||
        snprintf(directory, sizeof(directory), "%s/damaged", shard->spool) >=
            (int)sizeof(directory))
        return -ENAMETOOLONG;
    int error = disk_make_directory(directory);
    int len = snprintf(to, sizeof(to), "%s/damaged/%02x-%016x.seg", shard->spool, shard->number,
                       sequence);
    if (error == 0)
        error = len < (int)sizeof(to) ? disk_rename(from, to) : -ENAMETOOLONG;
    if (error == 0)
        error = disk_sync_directory(directory);
    if (error == 0) /* behind the other: should only one be durable, it is there twice, not gone */
        error = disk_sync_directory(shard_directory);
    if (error < 0)
        return fail(r, error, "has no header and cannot be moved aside", sequence);
    log_error("spool=%02x segment=%x what=\"header damaged, moved aside\" to=%s", shard->number,
              sequence, LOG_STRING(to));
    damage_found(shard, &(struct damage_spot){.kind = DAMAGE_SEGMENT, .sequence = sequence});
    return 0;
}

/* Reads the header; where it is damaged, the trailer knows the salt as well. */
static enum segment_header_verdict read_header(struct recovering *r, int fd, uint32_t sequence,
                                               int64_t size, struct segment_header *header)
{
    struct segment_trailer trailer;
    enum segment_header_verdict verdict = SEGMENT_HEADER_BAD;

    /* Mail is set aside without it: once is not enough to believe an error. */
    for (unsigned i = 0; size >= SPOOL_BLOCK && i < HEADER_TRIES; i++) {
        if (disk_read(fd, r->block, SPOOL_BLOCK, 0) < 0)
            continue;
        verdict = segment_header_decode(r->block, header);
        break;
    }
    if (verdict != SEGMENT_HEADER_BAD || size < 3 * SPOOL_BLOCK || size > UINT32_MAX)
        return verdict;
    if (disk_read(fd, r->block, SPOOL_BLOCK, (uint64_t)size - SPOOL_BLOCK) < 0 ||
        !segment_trailer_decode(r->block, &trailer) || trailer.sequence != sequence)
        return verdict;
    log_warn("spool=%02x segment=%x what=\"header damaged, trailer used\"", r->shard->number,
             sequence);
    *header = (struct segment_header){
        .format = SPOOL_FORMAT,
        .node = event_node(),
        .shard = (uint16_t)r->shard->number,
        .sequence = sequence,
        .size = (uint32_t)size,
        .salt = trailer.salt,
    };
    return SEGMENT_HEADER_GOOD;
}

/* *segment_out NULL: the file is gone, it was none. */
static int open_segment(struct recovering *r, uint32_t sequence, struct segment **segment_out)
{
    struct shard *shard = r->shard;
    struct segment_header header = {0};
    char path[SPOOL_PATH_MAX];

    *segment_out = NULL;
    if (!segment_path(shard->spool, shard->number, sequence, path))
        return -ENAMETOOLONG;
    int fd = disk_open(path, DISK_READ_WRITE);
    if (fd < 0)
        return fail(r, fd, "cannot be opened", sequence);
    int64_t size = disk_size(fd);
    if (size < 0) { /* too short is what a half-made file is, and that one is removed */
        disk_close(fd);
        return fail(r, (int)size, "does not tell its size", sequence);
    }
    size = size / SPOOL_BLOCK * SPOOL_BLOCK;
    enum segment_header_verdict verdict = read_header(r, fd, sequence, size, &header);
    int error = 0;
    if (verdict == SEGMENT_HEADER_NEWER)
        error = fail(r, -EPROTO, "written by a newer version of ringpost", sequence);
    else if (verdict == SEGMENT_HEADER_BAD || size < 3 * SPOOL_BLOCK ||
             header.size < 3 * SPOOL_BLOCK)
        error = drop_headless(r, fd, sequence);
    else if (header.node != event_node())
        error = fail(r, -EPROTO, "belongs to another node (see state_dir/node)", sequence);
    else if (header.shard != shard->number)
        error = fail(r, -EPROTO, "belongs to another shard", sequence);
    else if (header.sequence != sequence) { /* a crash between its new header and its new name */
        /* Perhaps the only file: numbers go on all the same, or event ids would come twice. */
        r->sequence_min = MAX(r->sequence_min, header.sequence);
        shard->serial_last = MAX(shard->serial_last, header.serial_max);
        error = segment_remove(shard->spool, shard->number, sequence);
    } else {
        header.size = (uint32_t)(MIN((int64_t)header.size, size) / SPOOL_BLOCK * SPOOL_BLOCK);
        *segment_out = segment_new(shard, &header, fd);
        check(*segment_out != NULL);
        shard->serial_last = MAX(shard->serial_last, header.serial_max);
        return 0;
    }
    disk_close(fd);
    return error;
}

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
        return fail(r, error, "cannot be read", segment->sequence);
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
    for (size_t i = first; i < *count; i++)
        r->trailing[r->trailing_count++] = segments[i];
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
        return error < 0 ? fail_reading(r, error, segment->sequence) : 0;
    }
    error = replay_look(r, end_by_cuts(r, segment), &scanned);
    if (error < 0)
        return fail_reading(r, error, segment->sequence);
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
            return fail_reading(r, error, segment->sequence);
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

static void schedule_stub(void *context, struct stub *stub)
{
    struct recovering *r = context;
    struct shard *shard = r->shard;

    if (stub->sequence > r->end)
        return; /* accepted since the start */
    shard->messages++;
    shard->recipients += stub->live_count;
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
        shard_schedule(shard, pending, recover_due_ms(r, pending));
    }
}

/* What is made here must not go with the power, or all that is synced in it goes too. */
static int make_directories(const struct shard *shard, const char *path)
{
    char parent[SPOOL_PATH_MAX];
    int error = disk_make_directory(shard->spool);

    memcpy(parent, shard->spool, sizeof(parent));
    char *slash = strrchr(parent, '/');
    if (slash == NULL)
        memcpy(parent, ".", sizeof("."));
    else
        slash[slash == parent] = '\0';
    if (error == 0)
        error = disk_make_directory(path);
    if (error == 0)
        error = disk_sync_directory(shard->spool);
    if (error == 0)
        error = disk_sync_directory(parent);
    return error;
}

static int lock(struct recovering *r)
{
    struct shard *shard = r->shard;
    char path[SPOOL_PATH_MAX];
    char lock_path[SPOOL_PATH_MAX + 8];

    if (!shard_path(shard->spool, shard->number, path))
        return -ENAMETOOLONG;
    int error = make_directories(shard, path);
    if (error < 0) {
        snprintf(r->why, WHY_MAX, "cannot make %.160s: %.60s", path, strerror(-error));
        return error;
    }
    snprintf(lock_path, sizeof(lock_path), "%s/lock", path);
    shard->lock_fd = disk_lock(lock_path);
    if (shard->lock_fd < 0)
        snprintf(r->why, WHY_MAX, "%.160s: %s", lock_path,
                 shard->lock_fd == -EBUSY ? "another ringpost has this spool open"
                                          : strerror(-shard->lock_fd));
    error = MIN(shard->lock_fd, 0);
    if (error == 0)
        error = disk_list(path, on_name, r);
    if (error < 0 && shard->lock_fd >= 0)
        snprintf(r->why, WHY_MAX, "cannot list %.160s: %.60s", path, strerror(-error));
    return error;
}

/* Opens all files; those with something in them become the shard's segments. */
static int open_segments(struct recovering *r)
{
    size_t count = 0;
    size_t taken = 0;
    int error = 0;
    struct segment **segments = calloc(r->sequence_count + 1, sizeof(struct segment *));

    check(segments != NULL);
    if (r->sequence_count > 0)
        qsort(r->sequences, r->sequence_count, sizeof(*r->sequences), compare_sequences);
    for (size_t i = 0; error == 0 && i < r->sequence_count; i++) {
        error = open_segment(r, r->sequences[i], &segments[count]);
        if (segments[count] != NULL)
            collect_cuts(r, segments[count++]);
        if (r->has_unknown)
            error = fail_reading(r, -EPROTO, r->sequences[i]);
    }
    if (error == 0)
        error = split_trailing(r, segments, &count);
    for (; error == 0 && taken < count; taken++) {
        struct segment *segment = segments[taken];

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
    return r->trailing_count > 0 ? r->trailing[0]->sequence : MAX(r->sequence_min, (uint32_t)1);
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
    int error = lock(r);
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
