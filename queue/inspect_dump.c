/* inspect_dump.c - every record of a stopped spool as a line of JSON. */
#include <inttypes.h>
#include <string.h>

#include "event/json_text.h"
#include "queue/accept_record.h"
#include "queue/inspect.h"
#include "queue/inspect_walk.h"
#include "queue/tail.h"

enum { LINE_MAX_LEN = 64 * 1024 * 1024 }; /* an accept of 100,000 recipients takes some 20 MB */

struct dumping {
    void (*line)(void *context, const char *text);
    void *context;
    unsigned shard;
    uint32_t sequence;
    struct buf out;
    bool fits;
};

/* ,"key":"text" */
static void put_text(struct dumping *d, const char *key, struct bytes text)
{
    d->fits = d->fits && buf_printf(&d->out, ",\"%s\":", key) && json_text_append(&d->out, text);
}

static void put_number(struct dumping *d, const char *key, int64_t number)
{
    d->fits = d->fits && buf_printf(&d->out, ",\"%s\":%lld", key, (long long)number);
}

static void put_flag(struct dumping *d, const char *key, bool flag)
{
    d->fits = d->fits && buf_printf(&d->out, ",\"%s\":%s", key, flag ? "true" : "false");
}

static void put_id(struct dumping *d, struct message_id id)
{
    char text[MESSAGE_ID_TEXT_MAX];

    message_id_format(id, text);
    put_text(d, "id", bytes_of(text));
}

static void begin(struct dumping *d, uint32_t offset, size_t len, const char *type)
{
    buf_clear(&d->out);
    d->fits = buf_printf(&d->out,
                         "{\"shard\":%u,\"segment\":%u,\"offset\":%u,\"bytes\":%zu,\"type\":\"%s\"",
                         d->shard, d->sequence, offset, len, type);
}

static void end(struct dumping *d)
{
    static const char too_long[] = "{\"type\":\"too long to show\"}";

    d->fits = d->fits && buf_append(&d->out, BYTES("}")) && buf_append_byte(&d->out, 0);
    d->line(d->context, d->fits ? (const char *)buf_bytes(&d->out).ptr : too_long);
}

/* --- records ---------------------------------------------------------------------------------- */

static void put_event(struct dumping *d, const struct record *record, struct event *event)
{
    event->shard = d->shard;
    event->position = position_of(d->sequence, record->offset);
    d->fits = d->fits && buf_append(&d->out, BYTES(",\"event\":")) && event_json(event, &d->out);
    if (d->fits)
        buf_truncate(&d->out, buf_len(&d->out) - 1); /* its line feed */
}

static void put_recipients(struct dumping *d, struct accept *accept)
{
    struct recipient recipient;
    struct recipient_state state;
    bool is_first = true;

    d->fits = d->fits && buf_append(&d->out, BYTES(",\"recipients\":["));
    while (d->fits && accept_next_recipient(accept, &recipient, &state)) {
        d->fits = buf_printf(&d->out, "%s{\"notify\":%u", is_first ? "" : ",", recipient.notify);
        is_first = false;
        put_text(d, "address", recipient.address);
        put_text(d, "domain", recipient.domain);
        put_text(d, "orcpt", recipient.orcpt);
        put_flag(d, "is_final", state.is_final);
        put_number(d, "attempts", state.attempts);
        put_number(d, "due_ms", state.due_ms);
        d->fits = d->fits && buf_append(&d->out, BYTES("}"));
    }
    d->fits = d->fits && buf_append(&d->out, BYTES("]"));
}

static void put_extents(struct dumping *d, struct accept *accept)
{
    struct extent extent;
    bool is_first = true;

    d->fits = d->fits && buf_append(&d->out, BYTES(",\"extents\":["));
    while (d->fits && accept_next_extent(accept, &extent)) {
        d->fits = buf_printf(&d->out, "%s{\"segment\":%u,\"offset\":%u,\"bytes\":%u}",
                             is_first ? "" : ",", extent.segment, extent.offset, extent.len);
        is_first = false;
    }
    d->fits = d->fits && buf_append(&d->out, BYTES("]"));
}

/* Every entry, whether or not we know its tag. */
static void put_tail(struct dumping *d, struct bytes tail)
{
    struct bytes value;
    uint32_t tag;
    bool is_first = true;

    d->fits = d->fits && buf_append(&d->out, BYTES(",\"tail\":["));
    while (d->fits && tail_next(&tail, &tag, &value)) {
        d->fits = buf_printf(&d->out, "%s{\"tag\":%u,\"hex\":\"", is_first ? "" : ",", tag);
        for (size_t i = 0; i < value.len; i++)
            d->fits = d->fits && buf_printf(&d->out, "%02x", value.ptr[i]);
        d->fits = d->fits && buf_append(&d->out, BYTES("\"}"));
        is_first = false;
    }
    d->fits = d->fits && buf_append(&d->out, BYTES("]"));
}

static void put_accept(struct dumping *d, const struct record *record)
{
    struct accept accept;

    if (!accept_decode(record, &accept)) {
        put_flag(d, "is_readable", false);
        return;
    }
    put_id(d, accept.id);
    put_flag(d, "is_moved", accept.is_moved);
    put_flag(d, "is_dsn", accept.is_dsn);
    put_number(d, "accepted_ms", accept.accepted_ms);
    put_number(d, "not_before_ms", accept.not_before_ms);
    put_text(d, "class", bytes_of(mail_class_name(accept.class)));
    d->fits =
        d->fits && buf_printf(&d->out, ",\"credential\":\"%016" PRIx64 "\"", accept.credential);
    put_number(d, "next_seq", accept.next_seq);
    put_number(d, "content_bytes", (int64_t)MIN(accept.content_size, (uint64_t)INT64_MAX));
    put_number(d, "inline_bytes", accept.inline_len);
    put_text(d, "sender", accept.reverse_path);
    put_text(d, "envid", accept.envid);
    put_text(d, "client_ip", accept.client_ip);
    put_text(d, "client_ehlo", accept.client_ehlo);
    put_text(d, "service", accept.service);
    put_text(d, "tenant", accept.tenant);
    put_text(d, "campaign", accept.campaign);
    put_text(d, "tags", accept.tags);
    put_text(d, "header_message_id", accept.header_message_id);
    put_text(d, "prefix", accept.prefix);
    put_tail(d, accept.tail);
    put_extents(d, &accept);
    put_recipients(d, &accept);
}

static void put_outcome(struct dumping *d, const struct record *record)
{
    struct outcome_record outcome;
    struct event event;

    if (!outcome_decode(record, &outcome)) {
        put_flag(d, "is_readable", false);
        return;
    }
    put_id(d, outcome.id);
    put_number(d, "recipient", outcome.recipient);
    put_number(d, "seq", outcome.seq);
    put_text(d, "kind", bytes_of(event_kind_name(outcome.kind)));
    put_number(d, "attempts", outcome.attempts);
    put_number(d, "due_ms", outcome.due_ms);
    if (event_decode(outcome.event, &event)) {
        event.id = outcome.id;
        event.seq = outcome.seq;
        put_event(d, record, &event);
    } else {
        put_flag(d, "is_readable", false);
    }
}

static void put_payload(struct dumping *d, const struct record *record)
{
    struct event event;
    struct cut cut;

    switch (record->type) {
    case RECORD_ACCEPT:
        put_accept(d, record);
        return;
    case RECORD_OUTCOME:
        put_outcome(d, record);
        return;
    case RECORD_EVENT:
        if (event_decode(record->payload, &event))
            put_event(d, record, &event);
        else
            put_flag(d, "is_readable", false);
        return;
    case RECORD_CUT:
        if (cut_decode(record, &cut)) {
            put_number(d, "cut_segment", cut.sequence);
            put_number(d, "cut_offset", cut.offset);
        }
        return;
    case RECORD_PAD:
    case RECORD_CONTENT:
    case RECORD_FOOTER:
        return;
    }
}

static void on_record(void *context, const struct record *record, bool is_alone)
{
    struct dumping *d = context;

    if (record->type == RECORD_PAD)
        return;
    begin(d, record->offset, record_size(record->payload.len), record_type_name(record->type));
    put_number(d, "version", record->version);
    put_flag(d, "continues", (record->flags & RECORD_CONTINUES) != 0);
    put_flag(d, "follows", (record->flags & RECORD_FOLLOWS) != 0);
    if (is_alone)
        put_flag(d, "is_alone", true);
    if (record_is_known(record))
        put_payload(d, record);
    else
        put_flag(d, "is_readable", false);
    end(d);
}

static void on_damage(void *context, uint32_t offset, uint32_t len, const struct record *header)
{
    struct dumping *d = context;

    begin(d, offset, len, "damaged");
    if (header != NULL)
        put_text(d, "record", bytes_of(record_type_name(header->type)));
    if (header != NULL && record_message_id(header).value != 0)
        put_id(d, record_message_id(header));
    end(d);
}

static void on_torn(void *context, uint32_t offset, uint32_t len)
{
    begin(context, offset, len, "torn");
    end(context);
}

/* --- segments and shards ---------------------------------------------------------------------- */

static void begin_segment(void *context, const struct segment_reader *segment)
{
    struct dumping *d = context;

    if (segment->has_header)
        event_set_node(segment->node); /* for the ids in what we say */
    d->sequence = segment->sequence;
    begin(d, 0, segment->size, "segment");
    put_flag(d, "has_header", segment->has_header);
    if (segment->has_header)
        put_number(d, "format", segment->format);
    put_flag(d, "is_closed", segment->has_trailer);
    end(d);
}

static void end_segment(void *context, const struct record_scan_result *result)
{
    (void)context;
    (void)result;
}

static void on_missing(void *context, uint32_t first, uint32_t last)
{
    struct dumping *d = context;

    d->sequence = first;
    begin(d, 0, 0, "missing");
    put_number(d, "last_segment", last);
    end(d);
}

static void on_unreadable(void *context, uint32_t sequence, bool is_unfinished)
{
    struct dumping *d = context;

    d->sequence = sequence;
    begin(d, 0, 0, is_unfinished ? "unfinished" : "unreadable");
    end(d);
}

static void begin_shard(void *context, unsigned shard)
{
    struct dumping *d = context;

    d->shard = shard;
}

static void end_shard(void *context)
{
    (void)context;
}

int spool_dump(const char *spool_directory, void (*line)(void *context, const char *text),
               void *context)
{
    struct dumping d = {.line = line, .context = context};
    const struct spool_walk walk = {
        .context = &d,
        .begin_shard = begin_shard,
        .end_shard = end_shard,
        .missing = on_missing,
        .unreadable = on_unreadable,
        .begin_segment = begin_segment,
        .record = on_record,
        .damage = on_damage,
        .torn = on_torn,
        .end_segment = end_segment,
    };

    buf_init(&d.out, LINE_MAX_LEN);
    int error = spool_walk(spool_directory, &walk);
    buf_free(&d.out);
    return error;
}
