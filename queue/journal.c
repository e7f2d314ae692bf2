/* journal.c - the spool's records as events. */
#include "queue/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "queue/disk.h"
#include "queue/record.h"

struct telling {
    unsigned shard;
    uint32_t sequence;
    uint64_t from; /* position: events before it were told already */
    uint64_t unreadable;
    void (*visit)(void *context, const struct event *event);
    void *context;
};

/* --- records to events ----------------------------------------------------------------------- */

static void tell(struct telling *t, const struct record *record, uint32_t part, struct event *event)
{
    event->shard = t->shard;
    event->position = position_of(t->sequence, record->offset);
    event->part = part;
    t->visit(t->context, event);
}

static void tell_accept(struct telling *t, const struct record *record)
{
    struct accept accept;
    struct recipient recipient;

    if (!accept_decode(record, &accept)) {
        t->unreadable++;
        return;
    }
    if (accept.is_moved)
        return;
    struct event event = {
        .kind = EVENT_ACCEPTED,
        .id = accept.id,
        .time_ms = accept.accepted_ms,
        .accepted_ms = accept.accepted_ms,
        .sender = accept.reverse_path.len > 0 ? accept.reverse_path : BYTES(""),
        .message_header_id = accept.header_message_id,
        .tenant = accept.tenant,
        .campaign = accept.campaign,
        .tags = accept.tags,
        .client_ip = accept.client_ip,
        .client_ehlo = accept.client_ehlo,
        .service = accept.service,
        .envid = accept.envid,
        .size = accept.content_size,
        .times = {-1, -1, -1, -1, -1, -1},
    };
    uint32_t number = 0;
    for (; number < accept.recipient_count; number++) {
        if (!accept_next_recipient(&accept, &recipient, NULL))
            break;
        event.seq = number;
        event.recipient = recipient.address;
        event.orcpt = recipient.orcpt;
        tell(t, record, number, &event);
    }
    t->unreadable += number < accept.recipient_count;
}

static void tell_outcome(struct telling *t, const struct record *record)
{
    struct outcome_record outcome;
    struct event event;

    if (!outcome_decode(record, &outcome) || !event_decode(outcome.event, &event)) {
        t->unreadable++;
        return;
    }
    event.id = outcome.id;
    event.seq = outcome.seq;
    tell(t, record, 0, &event);
}

static void tell_event(struct telling *t, const struct record *record)
{
    struct event event;

    if (event_decode(record->payload, &event))
        tell(t, record, 0, &event);
    else
        t->unreadable++;
}

static bool is_told(const struct record *record)
{
    return record->type == RECORD_OUTCOME || record->type == RECORD_EVENT ||
           (record->type == RECORD_ACCEPT && (record->flags & RECORD_MOVED) == 0);
}

static void tell_record(struct telling *t, const struct record *record)
{
    if (position_of(t->sequence, record->offset) < t->from)
        return;
    switch (record->type) {
    case RECORD_ACCEPT:
        tell_accept(t, record);
        return;
    case RECORD_OUTCOME:
        tell_outcome(t, record);
        return;
    case RECORD_EVENT:
        tell_event(t, record);
        return;
    case RECORD_PAD:
    case RECORD_CONTENT:
    case RECORD_CUT:
    case RECORD_FOOTER:
        return;
    }
}

static void count_damage(const struct telling *t, uint64_t spots, const char *what)
{
    if (spots == 0)
        return;
    metric_add(METRIC_JOURNAL_DAMAGED, (int64_t)spots);
    log_error("shard=%u segment=%08x damaged=%llu what=\"%s: their events are lost\"", t->shard,
              t->sequence, (unsigned long long)spots, what);
}

uint64_t journal_events(unsigned shard, uint64_t position, struct bytes records,
                        void (*visit)(void *context, const struct event *event), void *context)
{
    struct telling t = {
        .shard = shard,
        .sequence = position_sequence(position),
        .from = position,
        .visit = visit,
        .context = context,
    };
    struct record record;

    while (record_next_trusted(&records, &record)) {
        tell_record(&t, &record);
        position = position_of(t.sequence, record.offset) + record_size(record.payload.len);
    }
    count_damage(&t, t.unreadable, "records that do not decode");
    return position;
}

bool journal_copy_told(struct bytes records, struct buf *out)
{
    size_t before = buf_len(out);
    struct record record;

    for (const uint8_t *at = records.ptr; record_next_trusted(&records, &record);
         at = records.ptr) {
        if (!is_told(&record) || buf_append(out, bytes_range(at, (size_t)(records.ptr - at))))
            continue;
        buf_truncate(out, before);
        return false;
    }
    return true;
}

/* --- reading back ---------------------------------------------------------------------------- */

struct journal_reader {
    char spool[SPOOL_PATH_MAX];
    unsigned shard;
    uint64_t position;
    uint64_t damaged;
};

struct segment_visit {
    void (*visit)(void *context, uint32_t sequence);
    void *context;
};

static int visit_name(void *context, const char *name)
{
    const struct segment_visit *each = context;
    uint32_t sequence;

    if (segment_name_parse(name, &sequence))
        each->visit(each->context, sequence);
    return 0;
}

/* Calls visit for every segment file of the shard, in no order. */
static int visit_segments(const struct journal_reader *reader,
                          void (*visit)(void *context, uint32_t sequence), void *context)
{
    struct segment_visit each = {visit, context};
    char path[SPOOL_PATH_MAX];

    if (!shard_path(reader->spool, reader->shard, path))
        return -ENAMETOOLONG;
    return disk_list(path, visit_name, &each);
}

struct search {
    uint32_t from;
    uint32_t found;
    bool is_found;
};

static void keep_lowest(void *context, uint32_t sequence)
{
    struct search *search = context;

    if (sequence < search->from || (search->is_found && search->found <= sequence))
        return;
    search->found = sequence;
    search->is_found = true;
}

/* The first segment from `from` on that exists. */
static int find_segment(const struct journal_reader *reader, uint32_t from, struct search *out)
{
    *out = (struct search){.from = from};
    return visit_segments(reader, keep_lowest, out);
}

int journal_open(const char *spool_directory, unsigned shard, uint64_t position,
                 struct journal_reader **reader_out)
{
    struct journal_reader *reader;
    struct search first;
    size_t len = strlen(spool_directory);

    if (len >= sizeof(reader->spool))
        return -ENAMETOOLONG;
    reader = calloc(1, sizeof(*reader));
    check(reader != NULL);
    memcpy(reader->spool, spool_directory, len + 1);
    reader->shard = shard;
    reader->position = position;
    int error = find_segment(reader, position_sequence(position), &first);
    if (error < 0) {
        free(reader);
        return error;
    }
    if (position == 0 && first.is_found)
        reader->position = position_of(first.found, SPOOL_BLOCK);
    *reader_out = reader;
    return 0;
}

void journal_close(struct journal_reader **reader)
{
    free(*reader);
    *reader = NULL;
}

uint64_t journal_position(const struct journal_reader *reader)
{
    return reader->position;
}

uint64_t journal_damaged(const struct journal_reader *reader)
{
    return reader->damaged;
}

/* What is known of a segment before its records are read. */
struct opened {
    int fd;
    uint32_t sequence;
    uint64_t seed;
    uint32_t size;     /* of the file, whole blocks */
    uint32_t data_end; /* 0: no trailer says so */
};

/* Reads the blocks that hold [from, end) into memory of the caller's, for free(). */
static int read_blocks(const struct opened *opened, uint32_t from, uint32_t end,
                       uint8_t **blocks_out)
{
    uint32_t first = from / SPOOL_BLOCK * SPOOL_BLOCK;
    uint64_t last = ((uint64_t)end + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK;

    if (last > opened->size)
        return -ENODATA;
    uint8_t *blocks = disk_buffer((size_t)(last - first));
    if (blocks == NULL)
        return -ENOMEM;
    int error = disk_read(opened->fd, blocks, (size_t)(last - first), first);
    if (error < 0) {
        free(blocks);
        return error;
    }
    *blocks_out = blocks;
    return 0;
}

/* 0; -EBADMSG: neither header nor trailer tell how to read it; -ENOTSUP: a later format. */
static int read_frame(struct opened *opened)
{
    struct segment_header header;
    struct segment_trailer trailer;
    uint8_t *block;

    if (opened->size < 2 * SPOOL_BLOCK)
        return -EBADMSG;
    int error = read_blocks(opened, 0, SPOOL_BLOCK, &block);
    if (error < 0)
        return error;
    enum segment_header_verdict verdict = segment_header_decode(block, &header);
    free(block);
    if (verdict == SEGMENT_HEADER_NEWER)
        return -ENOTSUP;
    bool has_header = verdict == SEGMENT_HEADER_GOOD && header.sequence == opened->sequence;
    if (has_header)
        opened->seed = segment_seed(header.salt, header.sequence);
    error = read_blocks(opened, opened->size - SPOOL_BLOCK, opened->size, &block);
    if (error < 0)
        return error;
    bool has_trailer = segment_trailer_decode(block, &trailer) &&
                       trailer.sequence == opened->sequence &&
                       (!has_header || trailer.salt == header.salt);
    free(block);
    if (has_trailer) {
        opened->seed = segment_seed(trailer.salt, trailer.sequence);
        opened->data_end = trailer.data_end;
    }
    return has_header || has_trailer ? 0 : -EBADMSG;
}

static int open_segment(const struct journal_reader *reader, uint32_t sequence,
                        struct opened *opened_out)
{
    char path[SPOOL_PATH_MAX];
    struct opened opened = {.sequence = sequence};

    if (!segment_path(reader->spool, reader->shard, sequence, path))
        return -ENAMETOOLONG;
    opened.fd = disk_open(path, DISK_READ);
    if (opened.fd < 0)
        return opened.fd;
    int64_t size = disk_size(opened.fd);
    int error = size < 0 ? (int)size : 0;
    if (error == 0) {
        opened.size = (uint32_t)(MIN(size, (int64_t)UINT32_MAX) / SPOOL_BLOCK * SPOOL_BLOCK);
        error = read_frame(&opened);
    }
    if (error < 0) {
        disk_close(opened.fd);
        return error;
    }
    *opened_out = opened;
    return 0;
}

struct cut_search {
    const struct journal_reader *reader;
    uint32_t sequence;
    uint32_t end;
};

/* The CUTs at the front of a later segment may say where ours ends. */
static void look_for_cut(void *context, uint32_t sequence)
{
    struct cut_search *search = context;
    struct opened opened;
    struct record record;
    struct cut cut;
    uint8_t *block;

    if (sequence <= search->sequence || open_segment(search->reader, sequence, &opened) < 0)
        return;
    uint32_t offset = SPOOL_BLOCK;
    if (read_blocks(&opened, offset, offset + SPOOL_BLOCK, &block) == 0) {
        struct bytes rest = {block, SPOOL_BLOCK};

        while (record_read(rest, offset, opened.seed, &record) == RECORD_GOOD &&
               cut_decode(&record, &cut)) {
            if (cut.sequence == search->sequence)
                search->end = MIN(search->end, cut.offset);
            offset += (uint32_t)record_size(record.payload.len);
            rest = bytes_slice(rest, record_size(record.payload.len), rest.len);
        }
        free(block);
    }
    disk_close(opened.fd);
}

/* Where the segment's records end, as far as anything says so. */
static int find_end(const struct journal_reader *reader, const struct opened *opened,
                    uint32_t *end_out)
{
    struct cut_search search = {reader, opened->sequence, opened->size};

    if (opened->data_end == 0) {
        int error = visit_segments(reader, look_for_cut, &search);
        if (error < 0)
            return error;
    } else {
        search.end = MIN(opened->data_end, opened->size);
    }
    *end_out = search.end;
    return 0;
}

/* The start of the flush that `from` lies in: batches are judged whole, so reading begins there. */
static int find_flush(const struct opened *opened, uint32_t from, uint32_t end, uint32_t *flush_out)
{
    struct record record;
    uint8_t *blocks;

    *flush_out = from;
    if (from % SPOOL_BLOCK == 0 || from + RECORD_HEADER_LEN > end)
        return 0;
    int error = read_blocks(opened, from, from + RECORD_HEADER_LEN, &blocks);
    if (error < 0)
        return error;
    struct bytes header = {blocks + from % SPOOL_BLOCK, RECORD_HEADER_LEN};
    if (record_read(header, from, opened->seed, &record) != RECORD_ABSENT && record.flush <= from &&
        record.flush >= SPOOL_BLOCK && record.flush % SPOOL_BLOCK == 0)
        *flush_out = record.flush;
    free(blocks);
    return 0;
}

static void on_record(void *context, const struct record *record, bool is_alone)
{
    (void)is_alone; /* each record says something true by itself */
    tell_record(context, record);
}

/* As read_blocks(), but a block that the disk cannot read is zeros: damage, not the end of all
 * events. */
static int read_what_reads(const struct opened *opened, uint32_t from, uint32_t end,
                           uint8_t **blocks_out)
{
    uint32_t first = from / SPOOL_BLOCK * SPOOL_BLOCK;
    int error = read_blocks(opened, from, end, blocks_out);

    if (error != -EIO)
        return error;
    size_t len = (end - first + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK;
    uint8_t *blocks = disk_buffer(len);
    if (blocks == NULL)
        return -ENOMEM;
    for (size_t at = 0; at < len; at += SPOOL_BLOCK)
        if (disk_read(opened->fd, blocks + at, SPOOL_BLOCK, first + at) < 0)
            memset(blocks + at, 0, SPOOL_BLOCK);
    *blocks_out = blocks;
    return 0;
}

/* Tells what stands in [from, end). */
static int tell_run(const struct opened *opened, uint32_t from, uint32_t end, struct telling *t)
{
    const struct record_scan scan = {.context = t, .record = on_record};
    struct record_scan_result result = {0};
    uint8_t *blocks;

    end = MIN(end, opened->size);
    int error = find_flush(opened, from, end, &from);
    if (error < 0 || from >= end)
        return error;
    error = read_what_reads(opened, from, end, &blocks);
    if (error < 0)
        return error;
    struct bytes bytes = {blocks + from % SPOOL_BLOCK, end - from};
    error = record_scan(bytes, from, opened->seed, &scan, &result);
    t->unreadable += result.damaged;
    free(blocks);
    return error;
}

/* Reads the segment at the reader's position up to `limit`. */
static int read_segment(struct journal_reader *reader, uint32_t limit, struct telling *t)
{
    struct opened opened;
    uint32_t end = limit;

    int error = open_segment(reader, t->sequence, &opened);
    if (error == -EBADMSG || error == -ENOENT) {
        t->unreadable++; /* all of it; or it went between the look and the open */
        return 0;
    }
    if (error < 0)
        return error;
    if (limit == UINT32_MAX)
        error = find_end(reader, &opened, &end);
    uint32_t from = MAX(position_offset(reader->position), (uint32_t)SPOOL_BLOCK);
    if (error == 0 && from < end)
        error = tell_run(&opened, from, end, t);
    disk_close(opened.fd);
    return error;
}

int journal_read(struct journal_reader *reader, uint64_t until,
                 void (*visit)(void *context, const struct event *event), void *context)
{
    while (reader->position < until) {
        uint32_t sequence = position_sequence(reader->position);
        struct search next;

        int error = find_segment(reader, sequence, &next);
        if (error < 0)
            return error;
        if (!next.is_found || next.found > position_sequence(until)) {
            reader->position = until;
            return 0;
        }
        if (next.found != sequence)
            reader->position = position_of(next.found, SPOOL_BLOCK);
        struct telling t = {
            .shard = reader->shard,
            .sequence = next.found,
            .from = reader->position,
            .visit = visit,
            .context = context,
        };
        bool is_last = next.found == position_sequence(until);
        error = read_segment(reader, is_last ? position_offset(until) : UINT32_MAX, &t);
        if (error < 0)
            return error;
        reader->damaged += t.unreadable;
        count_damage(&t, t.unreadable, "spots that do not read back");
        reader->position = is_last ? until : position_of(next.found + 1, SPOOL_BLOCK);
    }
    return 0;
}
