/* inspect.c - checks a stopped spool: what lives, what is torn, what is damaged. */
#include "queue/inspect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "queue/accept_record.h"
#include "queue/inspect_walk.h"
#include "queue/segment.h"

enum { LINE_MAX_LEN = 512 };

/* A message as its records tell so far. */
struct known {
    struct map_node node;
    uint64_t id; /* the key */
    uint64_t bytes;
    uint32_t recipient_count;
    uint32_t live_count;
    bool has_lost;   /* content that is damaged */
    bool is_final[]; /* one a recipient */
};

/* A piece of content outside the batch of its accept. */
struct loose {
    struct map_node node;
    uint64_t position; /* of its first byte; the key */
    uint64_t bytes;
    bool is_owned;
};

/* Damage that may be content: whose, its accept record tells. */
struct spot {
    uint64_t position;
    uint32_t len;
};

struct checking {
    struct spool_report report;
    void (*line)(void *context, const char *text);
    void (*message)(void *context, struct message_id id, uint32_t recipients);
    void *context;
    unsigned shard;
    const struct segment_reader *segment;
    bool is_torn;
    struct map messages;
    struct map contents;
    bool has_unknown;   /* what a later version wrote */
    struct spot *spots; /* of the shard, in order */
    size_t spot_count, spot_capacity;
};

static struct known *known_of(struct map_node *node)
{
    return container_of(node, struct known, node);
}

static struct loose *loose_of(struct map_node *node)
{
    return container_of(node, struct loose, node);
}

__attribute__((format(printf, 2, 3))) static void say(struct checking *c, const char *format, ...)
{
    struct buf text;
    va_list args;

    if (c->line == NULL)
        return;
    buf_init(&text, LINE_MAX_LEN);
    va_start(args, format);
    bool fits = buf_vprintf(&text, format, args) && buf_append_byte(&text, 0);
    va_end(args);
    if (fits)
        c->line(c->context, (const char *)buf_bytes(&text).ptr);
    buf_free(&text);
}

static void say_damage(struct checking *c, uint32_t offset, uint32_t len,
                       const struct record *record, const char *what)
{
    char id[MESSAGE_ID_TEXT_MAX] = "-";

    if (record != NULL && record_message_id(record).value != 0)
        message_id_format(record_message_id(record), id);
    c->report.damaged_records++;
    say(c, "damaged: shard=%02x segment=%x offset=%u bytes=%u record=%s id=%s what=\"%s\"",
        c->shard, c->segment->sequence, offset, len,
        record == NULL ? "unknown" : record_type_name(record->type), id, what);
}

static void say_unknown(struct checking *c, const struct record *record)
{
    char text[RECORD_UNKNOWN_TEXT_MAX];

    c->has_unknown = true;
    record_unknown_text(record, text);
    say(c, "unknown: shard=%02x segment=%x what=\"%s\"", c->shard, c->segment->sequence, text);
}

static void add_spot(struct checking *c, uint32_t offset, uint32_t len)
{
    if (c->spot_count == c->spot_capacity) {
        c->spot_capacity = MAX(2 * c->spot_capacity, (size_t)64);
        c->spots = realloc(c->spots, c->spot_capacity * sizeof(*c->spots));
        check(c->spots != NULL);
    }
    c->spots[c->spot_count++] = (struct spot){position_of(c->segment->sequence, offset), len};
}

static bool is_hit(const struct checking *c, uint64_t position, uint64_t len)
{
    size_t low = 0;
    size_t high = c->spot_count;

    while (low < high) { /* the first that ends behind it */
        size_t middle = low + (high - low) / 2;

        if (c->spots[middle].position + c->spots[middle].len <= position)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->spot_count && c->spots[low].position < position + len;
}

/* --- records ---------------------------------------------------------------------------------- */

static struct bytes key_of(const uint64_t *number)
{
    return bytes_range(number, sizeof(*number));
}

static void forget(struct checking *c, struct known *known)
{
    c->report.messages -= known->live_count > 0;
    c->report.recipients_live -= known->live_count;
    c->report.bytes_live -= known->live_count > 0 ? known->bytes : 0;
    map_remove(&c->messages, &known->node);
    free(known);
}

/* Marks the pieces it consists of as owned; their bytes. */
static uint64_t own_extents(struct checking *c, struct accept accept, bool *has_lost)
{
    struct extent extent;
    uint64_t bytes = 0;

    while (accept_next_extent(&accept, &extent)) {
        uint64_t position = position_of(extent.segment, extent.offset);
        struct map_node *node = map_find(&c->contents, key_of(&position));

        bytes += extent.len;
        *has_lost = *has_lost || is_hit(c, position, extent.len);
        if (node != NULL)
            loose_of(node)->is_owned = true;
    }
    return bytes;
}

static void check_accept(struct checking *c, const struct record *record, bool is_alone)
{
    struct accept accept;
    struct recipient recipient;
    struct recipient_state state;
    struct map_node *before;
    uint32_t number = 0;

    if (!accept_decode(record, &accept)) {
        say_damage(c, record->offset, (uint32_t)record->payload.len, record, "does not decode");
        return;
    }
    before = map_find(&c->messages, key_of(&accept.id.value));
    if (is_alone && accept.is_moved && before != NULL)
        return; /* the copy's content is damaged: recovery keeps the original */
    struct known *known = calloc(1, sizeof(*known) + accept.recipient_count);
    check(known != NULL);
    known->id = accept.id.value;
    known->recipient_count = known->live_count = accept.recipient_count;
    known->bytes = record_size(record->payload.len) + accept.inline_len +
                   own_extents(c, accept, &known->has_lost);
    known->has_lost =
        known->has_lost ||
        is_hit(c, position_of(c->segment->sequence, record->offset - accept.inline_len),
               accept.inline_len);
    while (number < accept.recipient_count && accept_next_recipient(&accept, &recipient, &state)) {
        known->is_final[number++] = state.is_final;
        known->live_count -= state.is_final;
    }
    if (number < accept.recipient_count) {
        say_damage(c, record->offset, (uint32_t)record->payload.len, record,
                   "recipients do not decode");
        free(known);
        return;
    }
    if (before != NULL)
        forget(c, known_of(before));
    map_insert(&c->messages, &known->node, key_of(&known->id));
    c->report.messages += known->live_count > 0;
    c->report.recipients_live += known->live_count;
    c->report.bytes_live += known->live_count > 0 ? known->bytes : 0;
}

static void check_outcome(struct checking *c, const struct record *record)
{
    struct outcome_record outcome;
    struct event event;

    if (!outcome_decode(record, &outcome) || !event_decode(outcome.event, &event)) {
        say_damage(c, record->offset, (uint32_t)record->payload.len, record, "does not decode");
        return;
    }
    struct map_node *node = map_find(&c->messages, key_of(&outcome.id.value));
    if (node == NULL || !event_kind_is_final(outcome.kind))
        return; /* of a message whose accept is reclaimed, or moved on */
    struct known *known = known_of(node);
    if (outcome.recipient >= known->recipient_count || known->is_final[outcome.recipient])
        return;
    known->is_final[outcome.recipient] = true;
    c->report.recipients_live--;
    if (--known->live_count > 0)
        return;
    c->report.messages--;
    c->report.bytes_live -= known->bytes;
}

static void note_content(struct checking *c, const struct record *record)
{
    struct loose *loose = calloc(1, sizeof(*loose));

    check(loose != NULL);
    loose->position = position_of(c->segment->sequence, record->offset + RECORD_HEADER_LEN);
    if (map_find(&c->contents, key_of(&loose->position)) != NULL)
        free(loose);
    else
        map_insert(&c->contents, &loose->node, key_of(&loose->position));
}

static void on_record(void *context, const struct record *record, bool is_alone)
{
    struct checking *c = context;
    struct event event;

    c->report.records += record->type != RECORD_PAD;
    if (!record_is_known(record)) {
        say_unknown(c, record);
        return;
    }
    switch (record->type) {
    case RECORD_ACCEPT:
        check_accept(c, record, is_alone);
        return;
    case RECORD_OUTCOME:
        check_outcome(c, record);
        return;
    case RECORD_CONTENT:
        /* What stands in a batch belongs to the accept at its end. */
        if ((record->flags & (RECORD_CONTINUES | RECORD_FOLLOWS)) == 0)
            note_content(c, record);
        return;
    case RECORD_EVENT:
        if (!event_decode(record->payload, &event))
            say_damage(c, record->offset, (uint32_t)record->payload.len, record, "does not decode");
        return;
    case RECORD_PAD:
    case RECORD_CUT:
    case RECORD_FOOTER:
        return;
    }
}

static void on_damage(void *context, uint32_t offset, uint32_t len, const struct record *header)
{
    if (header == NULL || header->type == RECORD_CONTENT)
        add_spot(context, offset, len);
    say_damage(context, offset, len, header, "checksum does not hold");
}

static void on_torn(void *context, uint32_t offset, uint32_t len)
{
    struct checking *c = context;

    c->is_torn = true;
    say(c, "torn: shard=%02x segment=%x offset=%u bytes=%u what=\"written when a crash came\"",
        c->shard, c->segment->sequence, offset, len);
}

/* --- segments and shards ---------------------------------------------------------------------- */

static void check_footer(struct checking *c, const struct segment_reader *segment)
{
    const struct segment_trailer *trailer = &segment->trailer;
    struct footer_reader reader;
    struct record record;
    uint8_t *blocks;
    bool is_good = false;

    if (!segment->has_header)
        say_damage(c, 0, SPOOL_BLOCK, NULL, "header; its trailer still says how to read it");
    if (!segment->has_trailer)
        return; /* still open when the program ended */
    if (segment_reader_read(segment, trailer->footer_offset,
                            trailer->footer_offset + trailer->footer_len, &blocks) == 0) {
        struct bytes bytes = {blocks, trailer->footer_len};

        is_good = record_read(bytes, trailer->footer_offset, segment->seed, &record) == RECORD_GOOD;
        if (is_good && !record_is_known(&record))
            say_unknown(c, &record);
        else
            is_good = footer_open(bytes, trailer->footer_offset, segment->seed, &reader);
        free(blocks);
    }
    c->report.records += is_good;
    if (!is_good)
        say_damage(c, trailer->footer_offset, trailer->footer_len, NULL,
                   "index; the next start reads the whole segment");
}

static void begin_segment(void *context, const struct segment_reader *segment)
{
    struct checking *c = context;

    if (segment->has_header)
        event_set_node(segment->node); /* for the ids in what we say */
    c->segment = segment;
    c->is_torn = false;
    c->report.segments++;
    c->report.bytes += segment->size;
    check_footer(c, segment);
}

static void end_segment(void *context, const struct record_scan_result *result)
{
    struct checking *c = context;

    c->report.torn_tails += c->is_torn;
    c->report.torn_bytes += result->torn_bytes;
    c->segment = NULL;
}

static void on_missing(void *context, uint32_t first, uint32_t last)
{
    struct checking *c = context;

    c->report.damaged_records++;
    say(c, "damaged: shard=%02x segments=%x..%x what=\"missing between others\"", c->shard, first,
        last);
}

static void on_unreadable(void *context, uint32_t sequence, bool is_unfinished)
{
    struct checking *c = context;

    c->report.damaged_records += !is_unfinished;
    say(c, "%s: shard=%02x segment=%x what=\"%s\"", is_unfinished ? "unfinished" : "damaged",
        c->shard, sequence,
        is_unfinished ? "an empty segment that a crash left; the next start removes it"
                      : "neither header nor trailer can be read: all of it is lost");
}

static void begin_shard(void *context, unsigned shard)
{
    struct checking *c = context;

    c->shard = shard;
    c->report.shards++;
    map_init(&c->messages);
    map_init(&c->contents);
}

static void free_known(void *context, struct map_node *node)
{
    struct checking *c = context;
    struct known *known = known_of(node);
    char id[MESSAGE_ID_TEXT_MAX];

    if (known->has_lost && known->live_count > 0) {
        c->report.messages_lost++;
        message_id_format((struct message_id){known->id}, id);
        say(c, "lost: shard=%02x id=%s recipients=%u what=\"its content is damaged; they bounce\"",
            c->shard, id, known->live_count);
    }
    if (c->message != NULL && known->live_count > 0)
        c->message(c->context, (struct message_id){known->id}, known->live_count);
    free(known);
}

static void free_loose(void *context, struct map_node *node)
{
    struct checking *c = context;

    c->report.orphan_contents += !loose_of(node)->is_owned;
    free(loose_of(node));
}

static void end_shard(void *context)
{
    struct checking *c = context;

    map_for_each(&c->messages, free_known, c);
    map_for_each(&c->contents, free_loose, c);
    map_free(&c->messages);
    map_free(&c->contents);
    free(c->spots);
    c->spots = NULL;
    c->spot_count = c->spot_capacity = 0;
}

static int check_all(const char *spool_directory, struct checking *c)
{
    const struct spool_walk walk = {
        .context = c,
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

    int error = spool_walk(spool_directory, &walk);
    return error == 0 && c->has_unknown ? -ENOTSUP : error;
}

int spool_check(const char *spool_directory, struct spool_report *report_out,
                void (*line)(void *context, const char *text), void *context)
{
    struct checking c = {.line = line, .context = context};

    int error = check_all(spool_directory, &c);
    if (error == 0)
        *report_out = c.report;
    return error;
}

int spool_unfinished(const char *spool_directory,
                     void (*message)(void *context, struct message_id id, uint32_t recipients),
                     void *context)
{
    struct checking c = {.message = message, .context = context};

    return check_all(spool_directory, &c);
}
