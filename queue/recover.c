/*
 * recover.c - start-up: from what the files say to stubs, domains and due times.
 *
 * Closed segments are read by their footers, the one that was open record by record. The log's
 * order is the truth: a later record of a message overrides an earlier one, so each segment is
 * applied on top of those before it, and nothing has to be remembered in between.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "queue/disk.h"
#include "queue/shard_private.h"

enum {
    WHY_MAX = 256,
    /* A wall clock that was stepped back while we were down must not hold mail for longer. */
    DUE_MAX_MS = 7 * 24 * 3600 * 1000,
    /* In a file that nothing was appended to, a torn first flush begins at the start. */
    EMPTY_SCAN_LEN = 8 * 1024 * 1024,
};

struct recovering {
    struct shard *shard;
    struct recovery *result;
    char *why;
    uint32_t *sequences;
    size_t sequence_count, sequence_capacity;
    struct cut *cuts;
    size_t cut_count, cut_capacity;
    struct segment **trailing; /* empty so far, with nothing but empty ones behind */
    size_t trailing_count;
    struct segment *segment; /* being applied */
    uint8_t *block;
};

/* --- what a record changes ---------------------------------------------------------------------- */

static void see_serial(struct shard *shard, uint64_t id)
{
    uint64_t serial = id & (((uint64_t)1 << 56) - 1);

    shard->serial_last = MAX(shard->serial_last, serial);
}

static void forget_stub(struct shard *shard, struct stub *stub)
{
    shard_detach_stub(shard, stub);
    stub_index_remove(&shard->index, stub);
    stub_free(shard, stub);
}

static void recover_pending(struct shard *shard, struct pending *pending, struct bytes domain,
                            const struct recipient_state *state)
{
    pending->attempts = state->attempts;
    pending->flags = state->flags & PENDING_FLAGS_STORED;
    /* Wall seconds until everything is read. */
    pending->due_s = state->due_ms <= 0 ? 0 : (uint32_t)((state->due_ms + 999) / 1000);
    if (state->is_final) {
        pending->state = PENDING_FINAL;
        pending->stub->live_count--;
        return;
    }
    pending->state = PENDING_SCHEDULED;
    pending->domain = domain_get(shard->domains, domain);
    shard_domain_up(pending->domain);
}

/* Puts a new stub in the place of what is known of this message so far. */
static void replace_stub(struct recovering *r, struct stub *stub)
{
    struct shard *shard = r->shard;
    struct stub *before = stub_index_find(&shard->index, stub->id);

    see_serial(shard, stub->id.value);
    if (before != NULL)
        forget_stub(shard, before);
    if (stub->live_count == 0) {
        stub_free(shard, stub);
        return;
    }
    shard_attach_stub(shard, stub);
    stub_index_insert(&shard->index, stub);
}

static bool recover_entry(struct recovering *r, struct accept_entry *entry)
{
    if (entry->recipient_count == 0 || entry->recipient_count > MESSAGE_RECIPIENTS_MAX ||
        entry->offset < SPOOL_BLOCK || entry->len > r->segment->size ||
        entry->offset > r->segment->size - entry->len)
        return false;
    struct stub *stub = stub_new(entry->recipient_count);
    check(stub != NULL);
    stub->id.value = entry->id;
    stub->segment = r->segment;
    stub->offset = entry->offset;
    stub->len = entry->len;
    stub->content_len = entry->content_len;
    stub->accepted_s = entry->accepted_s;
    stub->next_seq = entry->next_seq;
    stub->reach = entry->reach & STUB_REACH_MAX;
    stub->is_inline = entry->is_inline;
    stub->is_moved = entry->is_moved;
    for (uint32_t i = 0; i < stub->recipient_count; i++) {
        struct recipient_state state;
        struct bytes domain;

        if (!footer_next_recipient(entry, &domain, &state)) {
            stub_free(r->shard, stub);
            return false;
        }
        recover_pending(r->shard, &stub->pendings[i], domain, &state);
    }
    replace_stub(r, stub);
    return true;
}

static void recover_outcome(struct recovering *r, const struct outcome_entry *entry)
{
    struct shard *shard = r->shard;
    struct stub *stub = stub_index_find(&shard->index, (struct message_id){entry->id});

    see_serial(shard, entry->id);
    if (stub == NULL || entry->recipient >= stub->recipient_count)
        return;
    struct pending *pending = &stub->pendings[entry->recipient];
    stub->next_seq = MAX(stub->next_seq, entry->seq + 1);
    if (pending->state == PENDING_FINAL)
        return;
    if (entry->kind == EVENT_DELAYED) {
        pending->flags |= PENDING_DELAY_TOLD;
    } else if (entry->kind == EVENT_DEFERRED) {
        pending->attempts = entry->attempts;
        pending->due_s = entry->due_ms <= 0 ? 0 : (uint32_t)((entry->due_ms + 999) / 1000);
    } else {
        pending->state = PENDING_FINAL;
        shard_domain_down(shard, pending->domain);
        pending->domain = NULL;
        if (--stub->live_count == 0)
            forget_stub(shard, stub);
    }
}

/* --- a segment by its footer -------------------------------------------------------------------- */

static bool read_trailer(struct recovering *r, struct segment *segment,
                         struct segment_trailer *trailer)
{
    if (disk_read(segment->fd, r->block, SPOOL_BLOCK, segment->size - SPOOL_BLOCK) < 0 ||
        !segment_trailer_decode(r->block, trailer))
        return false;
    return trailer->sequence == segment->sequence && trailer->salt == segment->salt &&
           trailer->data_end >= SPOOL_BLOCK && trailer->data_end <= trailer->footer_offset &&
           trailer->footer_offset % SPOOL_BLOCK == 0 && trailer->footer_offset < segment->size &&
           trailer->footer_len <= segment->size - trailer->footer_offset;
}

static bool apply_footer(struct recovering *r, struct bytes bytes, uint32_t offset)
{
    struct footer_reader reader;
    struct accept_entry accept;
    struct outcome_entry outcome;

    if (!footer_open(bytes, offset, segment_record_seed(r->segment), &reader))
        return false;
    /* The checksum holds: nonsense behind it would be a bug of the writer, not damage. */
    while (footer_next_accept(&reader, &accept))
        if (!recover_entry(r, &accept))
            return false;
    while (footer_next_outcome(&reader, &outcome))
        recover_outcome(r, &outcome);
    return reader.accepts == 0 && reader.outcomes == 0;
}

static bool recover_by_footer(struct recovering *r)
{
    struct segment *segment = r->segment;
    struct segment_trailer trailer;

    if (!read_trailer(r, segment, &trailer))
        return false;
    size_t len = (trailer.footer_len + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK;
    uint8_t *footer = disk_buffer(len);
    if (footer == NULL)
        return false;
    bool is_good =
        disk_read(segment->fd, footer, len, trailer.footer_offset) == 0 &&
        apply_footer(r, (struct bytes){footer, trailer.footer_len}, trailer.footer_offset);
    free(footer);
    if (!is_good) {
        log_warn("spool=%02x segment=%x what=\"bad footer, reading all of it\"", r->shard->number,
                 segment->sequence);
        return false;
    }
    segment->data_end = trailer.data_end;
    segment->footer_offset = trailer.footer_offset;
    segment->footer_len = trailer.footer_len;
    r->shard->serial_last = MAX(r->shard->serial_last, trailer.serial_max);
    return true;
}

/* --- a segment by its records ------------------------------------------------------------------- */

static void recover_accept(struct recovering *r, const struct record *record, bool is_alone)
{
    struct shard *shard = r->shard;
    struct accept accept;
    struct recipient recipient;
    struct recipient_state state;

    if (!accept_decode(record, &accept))
        return;
    /* A copy that lost its content to damage: the original is better, where it still is. */
    if (is_alone && accept.is_moved && stub_index_find(&shard->index, accept.id) != NULL)
        return;
    struct stub *stub = stub_new(accept.recipient_count);
    check(stub != NULL);
    stub->id = accept.id;
    stub->segment = r->segment;
    stub->offset = record->offset;
    stub->len = (uint32_t)record_size(record->payload.len);
    stub->accepted_s = (uint32_t)(accept.accepted_ms / 1000);
    stub->next_seq = accept.next_seq;
    stub->is_inline = accept.inline_len > 0 || accept.extent_count == 0;
    stub->is_moved = accept.is_moved;
    stub->content_len = accept.inline_len;
    struct accept extents = accept;
    struct extent extent;
    for (bool is_first = true; accept_next_extent(&extents, &extent); is_first = false) {
        stub->content_len += (uint32_t)record_size(extent.len);
        if (is_first && extent.segment <= r->segment->sequence)
            stub->reach = (r->segment->sequence - extent.segment) & STUB_REACH_MAX;
    }
    for (uint32_t i = 0; i < stub->recipient_count; i++) {
        if (!accept_next_recipient(&accept, &recipient, &state)) {
            stub_free(shard, stub);
            return;
        }
        recover_pending(shard, &stub->pendings[i], recipient.domain, &state);
        r->segment->index_len += (uint32_t)(16 + recipient.domain.len);
    }
    r->segment->index_len += 64;
    check(ids_add(&r->segment->accepted, stub->id.value));
    replace_stub(r, stub);
}

static void recover_outcome_record(struct recovering *r, const struct record *record)
{
    struct segment *segment = r->segment;
    struct outcome_record outcome;

    if (!outcome_decode(record, &outcome))
        return;
    struct outcome_entry entry = {
        .id = outcome.id.value,
        .due_ms = outcome.due_ms,
        .recipient = outcome.recipient,
        .seq = outcome.seq,
        .attempts = outcome.attempts,
        .kind = (uint8_t)outcome.kind,
    };
    const struct stub *stub = stub_index_find(&r->shard->index, outcome.id);
    /* The footer that is about to be written shows those accepted here as they are. */
    if (stub != NULL && (stub->segment != segment || stub->is_moved)) {
        segment_add_outcome(segment, &entry);
        segment->index_len += FOOTER_OUTCOME_LEN;
    }
    recover_outcome(r, &entry);
}

static void on_record(void *context, const struct record *record, bool is_alone)
{
    struct recovering *r = context;

    if (record->type == RECORD_ACCEPT)
        recover_accept(r, record, is_alone);
    else if (record->type == RECORD_OUTCOME)
        recover_outcome_record(r, record);
}

static void on_damage(void *context, uint32_t offset, uint32_t len, const struct record *header)
{
    struct recovering *r = context;
    char id[MESSAGE_ID_TEXT_MAX] = "-";

    if (header != NULL && record_message_id(header).value != 0)
        message_id_format(record_message_id(header), id);
    log_error("id=%s spool=%02x segment=%x offset=%u bytes=%u what=\"damaged record, skipped\"", id,
              r->shard->number, r->segment->sequence, offset, len);
    metric_inc(METRIC_SPOOL_DAMAGED_RECORDS);
    r->result->damaged_records++;
}

static uint32_t end_by_cuts(const struct recovering *r, const struct segment *segment)
{
    uint32_t end = segment->size;

    for (size_t i = 0; i < r->cut_count; i++)
        if (r->cuts[i].sequence == segment->sequence)
            end = MIN(end, MAX(r->cuts[i].offset, (uint32_t)SPOOL_BLOCK));
    return end;
}

/* Scans [SPOOL_BLOCK, end). Sets data_end. */
static int scan(struct recovering *r, uint32_t end, struct record_scan_result *scanned_out)
{
    struct segment *segment = r->segment;
    size_t len = (end - SPOOL_BLOCK) / SPOOL_BLOCK * SPOOL_BLOCK;
    struct record_scan callbacks = {.context = r, .record = on_record, .damage = on_damage};
    uint8_t *bytes;

    *scanned_out = (struct record_scan_result){.end = SPOOL_BLOCK};
    if (len == 0)
        return 0;
    bytes = disk_buffer(len);
    if (bytes == NULL)
        return -ENOMEM;
    int error = disk_read(segment->fd, bytes, len, SPOOL_BLOCK);
    if (error == 0)
        error = record_scan((struct bytes){bytes, len}, SPOOL_BLOCK, segment_record_seed(segment),
                            &callbacks, scanned_out);
    free(bytes);
    if (error < 0)
        return error;
    r->result->bytes_scanned += scanned_out->end - SPOOL_BLOCK;
    r->result->torn_bytes += scanned_out->torn_bytes;
    segment->data_end = (scanned_out->end + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK;
    return 0;
}

static void write_footer(struct recovering *r)
{
    struct segment *segment = r->segment;
    struct footer_writer writer;
    int error = -ENOSPC;

    /* Until schedule_stub() has run, due_s counts from the epoch: there is nothing to add. */
    if (segment_build_footer(r->shard, segment, 0, &writer)) {
        error = disk_write(segment->fd, writer.data, writer.len, segment->footer_offset);
        if (error == 0)
            error = disk_sync(segment->fd);
    }
    free(writer.data);
    if (error == 0) {
        segment_forget_index(segment);
        return;
    }
    log_warn("spool=%02x segment=%x what=\"footer not written\" error=%s", r->shard->number,
             segment->sequence, strerror(-error));
    segment->footer_offset = 0;
}

/* --- files -------------------------------------------------------------------------------------- */

static int fail(struct recovering *r, int error, const char *what, uint32_t sequence)
{
    snprintf(r->why, WHY_MAX, "spool/%02x segment %x: %s%s%s", r->shard->number, sequence, what,
             error == -EPROTO ? "" : ": ", error == -EPROTO ? "" : strerror(-error));
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

    if (disk_size(fd) < 2 * SPOOL_BLOCK ||
        (disk_read(fd, r->block, SPOOL_BLOCK, SPOOL_BLOCK) == 0 && is_zero(r->block)))
        return segment_remove(shard->spool, shard->number, sequence);
    r->result->damaged_records++;
    metric_inc(METRIC_SPOOL_DAMAGED_RECORDS);
    if (!segment_path(shard->spool, shard->number, sequence, from) ||
        snprintf(to, sizeof(to), "%s/damaged", shard->spool) >= (int)sizeof(to))
        return -ENAMETOOLONG;
    int error = disk_make_directory(to);
    int len = snprintf(to, sizeof(to), "%s/damaged/%02x-%016x.seg", shard->spool, shard->number,
                       sequence);
    if (error == 0)
        error = len < (int)sizeof(to) ? disk_rename(from, to) : -ENAMETOOLONG;
    log_error("spool=%02x segment=%x what=\"header damaged, moved aside\" to=%s", shard->number,
              sequence, to);
    return error;
}

/* Reads the header; where it is damaged, the trailer knows the salt as well. */
static enum segment_header_verdict read_header(struct recovering *r, int fd, uint32_t sequence,
                                               int64_t size, struct segment_header *header)
{
    struct segment_trailer trailer;
    enum segment_header_verdict verdict = SEGMENT_HEADER_BAD;

    if (size >= SPOOL_BLOCK && disk_read(fd, r->block, SPOOL_BLOCK, 0) == 0)
        verdict = segment_header_decode(r->block, header);
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
    struct segment_header header;
    char path[SPOOL_PATH_MAX];

    *segment_out = NULL;
    if (!segment_path(shard->spool, shard->number, sequence, path))
        return -ENAMETOOLONG;
    int fd = disk_open(path, DISK_READ_WRITE);
    if (fd < 0)
        return fail(r, fd, "cannot be opened", sequence);
    int64_t size = disk_size(fd);
    enum segment_header_verdict verdict = read_header(r, fd, sequence, size, &header);
    int error = 0;
    if (verdict == SEGMENT_HEADER_NEWER)
        error = fail(r, -EPROTO, "written by a newer version of ringpost", sequence);
    else if (verdict == SEGMENT_HEADER_BAD || size < 3 * SPOOL_BLOCK)
        error = drop_headless(r, fd, sequence);
    else if (header.node != event_node())
        error = fail(r, -EPROTO, "belongs to another node (see state_dir/node)", sequence);
    else if (header.shard != shard->number)
        error = fail(r, -EPROTO, "belongs to another shard", sequence);
    else if (header.sequence != sequence) /* a crash between its new header and its new name */
        error = segment_remove(shard->spool, shard->number, sequence);
    else {
        header.size = MIN(header.size, (uint32_t)(size / SPOOL_BLOCK * SPOOL_BLOCK));
        *segment_out = segment_new(shard, sequence, header.size, header.salt, fd);
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
           cut_decode(&record, &cut)) {
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

/* An empty one before others that are not: a crash or a failed write left it so. */
static void keep_trailing(struct recovering *r)
{
    for (size_t i = 0; i < r->trailing_count; i++) {
        r->trailing[i]->state = SEGMENT_FAILED;
        shard_append_segment(r->shard, r->trailing[i]);
    }
    r->trailing_count = 0;
}

static int recover_segment(struct recovering *r, struct segment *segment)
{
    struct shard *shard = r->shard;
    uint32_t end = end_by_cuts(r, segment);
    uint32_t empty_end = MIN(end, (uint32_t)(SPOOL_BLOCK + EMPTY_SCAN_LEN));
    struct record_scan none = {0};
    struct record_scan_result scanned;
    struct segment_trailer trailer;

    if (!read_trailer(r, segment, &trailer)) {
        /* Is there anything at all? */
        uint8_t *bytes = disk_buffer(empty_end);
        int error = bytes == NULL ? -ENOMEM : 0;

        if (error == 0 && empty_end > SPOOL_BLOCK)
            error = disk_read(segment->fd, bytes, empty_end - SPOOL_BLOCK, SPOOL_BLOCK);
        if (error == 0)
            error = record_scan((struct bytes){bytes, empty_end - SPOOL_BLOCK}, SPOOL_BLOCK,
                                segment_record_seed(segment), &none, &scanned);
        free(bytes);
        if (error < 0)
            return fail(r, error, "cannot be read", segment->sequence);
        if (scanned.records == 0 && scanned.damaged == 0) {
            r->result->torn_bytes += scanned.torn_bytes;
            r->trailing[r->trailing_count++] = segment;
            return 0;
        }
    }
    keep_trailing(r);
    r->segment = segment;
    segment->state = SEGMENT_CLOSED;
    shard_append_segment(shard, segment);
    if (!recover_by_footer(r)) {
        int error = scan(r, end, &scanned);

        if (error < 0)
            return fail(r, error, "cannot be read", segment->sequence);
        if (end < segment->size)
            segment->state = SEGMENT_FAILED;
        else
            write_footer(r);
    }
    shard->bytes_used += segment->data_end - SPOOL_BLOCK;
    shard->durable_position = position_of(segment->sequence, segment->data_end);
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
            segment->state = SEGMENT_SPARE;
            shard->spares[shard->spare_count++] = segment;
            shard->next_sequence = header.sequence + 1;
            continue;
        }
        error = segment_remove(shard->spool, shard->number, segment->sequence);
        if (error < 0) {
            log_warn("spool=%02x segment=%x what=\"cannot be removed\" error=%s", shard->number,
                     segment->sequence, strerror(-error));
            /* Its number must not be given out again while it is there. */
            shard->next_sequence = MAX(shard->next_sequence, segment->sequence + 1);
        }
        segment_free(&segment);
    }
    r->trailing_count = 0;
}

/* --- all of it ---------------------------------------------------------------------------------- */

static void schedule_stub(void *context, struct stub *stub)
{
    struct shard *shard = context;
    int64_t now_ms = engine_now_ms(shard->engine);
    int64_t wall_offset_ms = shard_wall_offset_ms(shard);

    shard->messages++;
    shard->recipients += stub->live_count;
    for (uint32_t i = 0; i < stub->recipient_count; i++) {
        struct pending *pending = &stub->pendings[i];

        if (pending->state != PENDING_SCHEDULED)
            continue;
        int64_t due_ms = (int64_t)pending->due_s * 1000 - wall_offset_ms;
        if (pending->due_s == 0 || due_ms <= now_ms)
            due_ms = 0;
        schedule_add(shard->schedule, pending, MIN(due_ms, now_ms + DUE_MAX_MS));
    }
}

static int lock(struct recovering *r)
{
    struct shard *shard = r->shard;
    char path[SPOOL_PATH_MAX];
    char lock_path[SPOOL_PATH_MAX + 8];

    if (!shard_path(shard->spool, shard->number, path))
        return -ENAMETOOLONG;
    int error = disk_make_directory(shard->spool);
    if (error == 0)
        error = disk_make_directory(path);
    if (error == 0)
        error = disk_sync_directory(shard->spool);
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

static int recover_segments(struct recovering *r)
{
    size_t count = 0;
    int error = 0;
    struct segment **segments = calloc(r->sequence_count + 1, sizeof(struct segment *));

    check(segments != NULL);
    if (r->sequence_count > 0)
        qsort(r->sequences, r->sequence_count, sizeof(*r->sequences), compare_sequences);
    for (size_t i = 0; error == 0 && i < r->sequence_count; i++) {
        error = open_segment(r, r->sequences[i], &segments[count]);
        if (segments[count] != NULL)
            collect_cuts(r, segments[count++]);
    }
    size_t done = 0;
    for (; error == 0 && done < count; done++) {
        /* A number that is missing in between took its mail with it. */
        if (done > 0 && segments[done]->sequence != segments[done - 1]->sequence + 1)
            log_error("spool=%02x segment=%x what=\"the segments before it are missing\"",
                      r->shard->number, segments[done]->sequence);
        error = recover_segment(r, segments[done]);
    }
    for (; done < count; done++)
        segment_free(&segments[done]);
    free(segments);
    return error;
}

int recover(struct shard *shard, struct recovery *recovery, char *why_out)
{
    struct recovering r = {.shard = shard, .result = recovery, .why = why_out};
    int64_t started_ms = clock_monotonic_ms();
    uint64_t cursor = 0;

    why_out[0] = '\0';
    shard->is_recovering = true;
    r.block = disk_buffer(SPOOL_BLOCK);
    check(r.block != NULL);
    int error = lock(&r);
    if (error < 0)
        goto out;
    r.trailing = calloc(r.sequence_count + 1, sizeof(struct segment *));
    check(r.trailing != NULL);
    error = recover_segments(&r);
    if (error < 0)
        goto out;
    if (shard->segment_count > 0)
        shard->next_sequence = shard->segments[shard->segment_count - 1]->sequence + 1;
    else if (r.trailing_count > 0)
        shard->next_sequence = r.trailing[0]->sequence;
    take_spares(&r);
    while (stub_index_walk(&shard->index, &cursor, SIZE_MAX, schedule_stub, shard))
        ;
    recovery->messages = shard->messages;
    recovery->recipients = shard->recipients;
    recovery->segments = shard->segment_count;
    recovery->took_ms = clock_monotonic_ms() - started_ms;
    metric_add(METRIC_SPOOL_MESSAGES, (int64_t)shard->messages);
    metric_add(METRIC_SPOOL_RECIPIENTS, (int64_t)shard->recipients);
    metric_add(METRIC_SPOOL_BYTES_USED, (int64_t)shard->bytes_used);
    metric_add(METRIC_SPOOL_TORN_BYTES, (int64_t)recovery->torn_bytes);
    log_info("spool=%02x messages=%ju recipients=%ju segments=%ju scanned=%ju torn=%ju damaged=%ju "
             "ms=%jd what=\"spool recovered\"",
             shard->number, (uintmax_t)recovery->messages, (uintmax_t)recovery->recipients,
             (uintmax_t)recovery->segments, (uintmax_t)recovery->bytes_scanned,
             (uintmax_t)recovery->torn_bytes, (uintmax_t)recovery->damaged_records,
             (intmax_t)recovery->took_ms);
out:
    for (size_t i = 0; i < r.trailing_count; i++)
        segment_free(&r.trailing[i]);
    shard->is_recovering = false;
    free(r.trailing);
    free(r.cuts);
    free(r.sequences);
    free(r.block);
    return error;
}
