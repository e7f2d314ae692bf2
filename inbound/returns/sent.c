/* sent.c - accepted events of one message, found by the time that is in its id. */
#include "inbound/returns/sent.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/event_committed.h"
#include "event/event_head.h"
#include "event/event_reader.h"

enum {
    SLACK_MS = 60 * 1000, /* an id is given before the event is written; clocks are set */
    EVENT_ID_TAIL_MAX = 10,
};

static bool keep(struct arena *arena, const json_t *object, const char *key, struct bytes *out)
{
    const json_t *value = json_object_get(object, key);

    *out = BYTES_NONE;
    return !json_is_string(value) ||
           arena_copy(arena, bytes_range(json_string_value(value), json_string_length(value)), out);
}

/* Tags and metadata, as the text that an event holds. */
static bool keep_json(struct arena *arena, const json_t *object, const char *key, struct bytes *out)
{
    const json_t *value = json_object_get(object, key);

    *out = BYTES_NONE;
    if (!json_is_array(value) && !json_is_object(value))
        return true;
    char *text = json_dumps(value, JSON_COMPACT);
    bool fits = text != NULL && arena_copy(arena, bytes_of(text), out);

    free(text);
    return fits;
}

static bool keep_message(struct arena *arena, const json_t *object, struct event *out)
{
    const char *accepted = json_string_value(json_object_get(object, "accepted_time"));

    if (accepted == NULL || !clock_parse_rfc3339(bytes_of(accepted), &out->accepted_ms))
        out->accepted_ms = 0;
    return keep(arena, object, "tenant", &out->tenant) &&
           keep(arena, object, "sender", &out->sender) &&
           keep(arena, object, "header_message_id", &out->message_header_id) &&
           keep(arena, object, "campaign", &out->campaign) &&
           keep(arena, object, "envid", &out->envid) &&
           keep_json(arena, object, "tags", &out->tags) &&
           keep_json(arena, object, "metadata", &out->metadata);
}

/* "<node>-<shard>-<position>-<part>": the part of an accepted event is the recipient's number. */
static bool take_number(const json_t *object, uint32_t *number_out)
{
    const char *id = json_string_value(json_object_get(object, "event_id"));
    const char *dash = id == NULL ? NULL : strrchr(id, '-');
    struct bytes digits = dash == NULL ? BYTES_NONE : bytes_of(dash + 1);
    uint64_t number;

    if (!bytes_take_u64(&digits, &number) || digits.len > 0 || number > UINT32_MAX)
        return false;
    *number_out = (uint32_t)number;
    return true;
}

static bool take_event(struct arena *arena, struct bytes line, struct sent *out)
{
    json_t *object = json_loadb((const char *)line.ptr, line.len, 0, NULL);
    struct sent_recipient recipient = {0};
    bool fits = true;

    if (out->count == 0)
        fits = keep_message(arena, object, &out->message);
    if (fits && out->count < SENT_RECIPIENTS_MAX && take_number(object, &recipient.number) &&
        keep(arena, object, "recipient", &recipient.address) &&
        keep(arena, object, "orcpt", &recipient.orcpt))
        out->recipients[out->count++] = recipient;
    json_decref(object);
    return fits && out->count > 0;
}

/* False: no more of it comes. */
static bool look_at(struct arena *arena, struct message_id id, struct bytes line, struct sent *out)
{
    char text[MESSAGE_ID_TEXT_MAX];
    struct event_head head;

    message_id_format(id, text);
    if (bytes_find_bytes(line, bytes_of(text), 0) == line.len || !event_head_parse(line, &head) ||
        head.id.value != id.value || !head.has_seq)
        return true;
    return head.kind == EVENT_ACCEPTED && take_event(arena, line, out);
}

static int read_files(struct event_reader *reader, struct event_place until, struct message_id id,
                      struct arena *arena, struct sent *out)
{
    uint64_t seen = 0, number;
    struct bytes line;
    int got = event_reader_since(reader, event_head_id_us(id) / 1000 - SLACK_MS, until, &number);

    if (got < 0)
        return got;
    event_reader_seek(reader, (struct event_place){.number = number});
    while (seen < SENT_BYTES_MAX && (got = event_reader_next(reader, until, &line)) > 0) {
        seen += line.len;
        if (!look_at(arena, id, line, out))
            break;
    }
    return MIN(got, 0);
}

bool sent_find(const char *events, struct message_id id, struct arena *arena, struct sent *out)
{
    struct event_committed committed;
    struct event_reader *reader;

    *out = (struct sent){0};
    out->recipients = arena_alloc(arena, SENT_RECIPIENTS_MAX * sizeof(*out->recipients));
    if (out->recipients == NULL)
        return false;
    int error = event_committed_read(events, &committed);

    if (error == 0)
        error = event_reader_open(events, committed.place, &reader);
    if (error == 0) {
        error = read_files(reader, committed.place, id, arena, out);
        event_reader_close(&reader);
    }
    if (error < 0 && error != -ENOENT)
        log_limited(LOG_LEVEL_WARN,
                    "events=%s what=\"a message that a report is about cannot be looked up: %s\"",
                    LOG_STRING(events), strerrordesc_np(-error));
    return out->count > 0;
}
