/* journal.c - the spool's records as events. */
#include "queue/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "queue/accept_record.h"
#include "queue/segment_reader.h"
#include "queue/tail.h"

struct telling {
    unsigned shard;
    uint32_t sequence;
    uint64_t from; /* position: events before it were told already */
    uint64_t unreadable;
    bool has_unknown; /* met what a later version wrote: nothing behind it is told */
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

/* Once a message, behind its accepted events: of the same record, so that neither is without the
 * other. */
static void tell_received(struct telling *t, const struct record *record,
                          const struct accept *accept, const struct event *accepted)
{
    struct event event = *accepted;

    event.checks = tail_find(accept->tail, TAIL_CHECKS);
    if (event.checks.len == 0)
        return;
    event.kind = EVENT_RECEIVED;
    event.seq = 0;
    event.recipient = BYTES_NONE;
    event.orcpt = BYTES_NONE;
    tell(t, record, accept->recipient_count, &event);
}

/* One of each recipient. */
static bool tell_recipients(struct telling *t, const struct record *record, struct event *event,
                            struct accept accept)
{
    uint32_t first = event->kind == EVENT_THROTTLED ? accept.recipient_count : 0;
    /* The part behind the accepted ones is that of tell_received(), where there is one. */
    uint32_t between = first > 0 && tail_find(accept.tail, TAIL_CHECKS).len > 0 ? 1 : 0;
    struct recipient recipient;

    for (uint32_t number = 0; number < accept.recipient_count; number++) {
        if (!accept_next_recipient(&accept, &recipient, NULL))
            return false;
        event->seq = first + number;
        event->recipient = recipient.address;
        event->orcpt = recipient.orcpt;
        event->is_copy = tail_is_copy(accept.tail, number);
        tell(t, record, event->seq + between, event);
    }
    return true;
}

/* Behind all that tell of the acceptance: they stand in the same record. */
static void tell_throttled(struct telling *t, const struct record *record, struct event *event,
                           const struct accept *accept)
{
    if (!tail_throttled(accept->tail, &event->next_attempt_ms, &event->rule))
        return;
    event->kind = EVENT_THROTTLED;
    event->reply_is_ours = true;
    event->class = BYTES("throttled");
    event->client_ip = event->client_ehlo = event->service = event->session = BYTES_NONE;
    event->dkim_result = event->dkim_domain = event->dkim_selectors = BYTES_NONE;
    event->connected_ms = 0;
    (void)tell_recipients(t, record, event, *accept); /* as readable as before */
}

static void tell_accept(struct telling *t, const struct record *record)
{
    struct accept accept;

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
        .metadata = tail_find(accept.tail, TAIL_METADATA),
        .claim = tail_find(accept.tail, TAIL_CLAIM),
        .account = tail_account(accept.tail),
        .client_ip = accept.client_ip,
        .client_ehlo = accept.client_ehlo,
        .service = accept.service,
        .envid = accept.envid,
        .size = accept.content_size,
        .times = {-1, -1, -1, -1, -1, -1},
    };
    struct tail_signing signing = {0};

    (void)tail_session(accept.tail, &event.connected_ms, &event.session);
    if (tail_signing(accept.tail, &signing)) {
        event.dkim_result = signing.word;
        event.dkim_domain = signing.domain;
        event.dkim_selectors = signing.selectors;
    }
    if (!tell_recipients(t, record, &event, accept))
        t->unreadable++;
    tell_received(t, record, &accept, &event);
    tell_throttled(t, record, &event, &accept);
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

static void refuse(struct telling *t, const struct record *record)
{
    char text[RECORD_UNKNOWN_TEXT_MAX];

    record_unknown_text(record, text);
    log_limited(LOG_LEVEL_ERROR, "shard=%u segment=%08x what=%s", t->shard, t->sequence,
                LOG_STRING(text));
    t->has_unknown = true;
}

static void tell_record(struct telling *t, const struct record *record)
{
    if (t->has_unknown || position_of(t->sequence, record->offset) < t->from)
        return;
    if (!record_is_known(record)) {
        refuse(t, record);
        return;
    }
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

/* What stood there told something, or may have. */
static bool may_have_told(const struct record *header)
{
    return header == NULL || is_told(header);
}

/* An event in the place of those that are lost: its position is that of the damage, so that it is
 * the same whenever it is read back. */
static void on_damage(void *context, uint32_t offset, uint32_t len, const struct record *header)
{
    struct telling *t = context;
    char text[128];

    if (t->has_unknown || position_of(t->sequence, offset) < t->from || !may_have_told(header))
        return;
    int text_len = snprintf(text, sizeof(text),
                            "events at offset %u of segment %x of shard %02x, %u bytes, do not "
                            "read back and are missing here",
                            offset, t->sequence, t->shard, len);
    struct message_id id = {0};
    if (header != NULL)
        id = record_message_id(header);
    if (!message_id_is_valid(id) || message_id_shard(id) != t->shard)
        id.value = 0;
    struct event event = {
        .kind = EVENT_DAMAGED,
        .shard = t->shard,
        .position = position_of(t->sequence, offset),
        .id = id,
        .time_ms = clock_wall_ms(),
        .times = {-1, -1, -1, -1, -1, -1},
        .reply_is_ours = true,
        .reply_text = bytes_range(text, (size_t)text_len),
        .class = BYTES("spool"),
        .rule = BYTES("journal-damaged"),
    };
    t->visit(t->context, &event);
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
    return segments_visit(reader->spool, reader->shard, keep_lowest, out);
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

/* The start of the flush that `from` lies in: batches are judged whole, so reading begins there. */
static int find_flush(const struct segment_reader *segment, uint32_t from, uint32_t end,
                      uint32_t *flush_out)
{
    struct record record;
    uint8_t *blocks;

    *flush_out = from;
    if (from + RECORD_HEADER_LEN > end)
        return 0;
    int error = segment_reader_read(segment, from, from + RECORD_HEADER_LEN, &blocks);
    if (error < 0)
        return error;
    struct bytes header = {blocks + from % SPOOL_BLOCK, RECORD_HEADER_LEN};
    if (record_read(header, from, segment->seed, &record) != RECORD_ABSENT &&
        record.flush <= from && record.flush >= SPOOL_BLOCK && record.flush % SPOOL_BLOCK == 0)
        *flush_out = record.flush;
    free(blocks);
    return 0;
}

static void on_record(void *context, const struct record *record, bool is_alone)
{
    (void)is_alone; /* each record says something true by itself */
    tell_record(context, record);
}

/* Tells what stands in [from, end). */
static int tell_run(const struct segment_reader *segment, uint32_t from, uint32_t end,
                    struct telling *t)
{
    const struct record_scan scan = {
        .context = t,
        .record = on_record,
        .damage = on_damage,
        .whole_until = segment->has_trailer ? segment->trailer.whole_until : 0,
    };
    struct record_scan_result result = {0};
    uint8_t *blocks;

    end = MIN(end, segment->size);
    int error = find_flush(segment, from, end, &from);
    if (error < 0 || from >= end)
        return error;
    error = segment_reader_read(segment, from, end, &blocks);
    if (error < 0)
        return error;
    struct bytes bytes = {blocks + from % SPOOL_BLOCK, end - from};
    error = record_scan(bytes, from, segment->seed, &scan, &result);
    t->unreadable += result.damaged;
    free(blocks);
    return error == 0 && t->has_unknown ? -ENOTSUP : error;
}

/* Reads the segment at the reader's position up to `limit`. */
static int read_segment(struct journal_reader *reader, uint32_t limit, struct telling *t)
{
    struct segment_reader segment;
    uint32_t end = limit;

    int error = segment_reader_open(reader->spool, reader->shard, t->sequence, &segment);
    if (error == -ENOENT) /* a crash left it: nothing was ever in it */
        return 0;
    if (error == -EBADMSG) {
        t->unreadable++; /* all of it */
        return 0;
    }
    if (error < 0)
        return error;
    if (limit == UINT32_MAX)
        error = segment_reader_end(&segment, &end);
    uint32_t from = MAX(position_offset(reader->position), (uint32_t)SPOOL_BLOCK);
    if (error == 0 && from < end)
        error = tell_run(&segment, from, end, t);
    segment_reader_close(&segment);
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
