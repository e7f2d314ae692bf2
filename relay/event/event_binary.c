/*
 * event_binary.c - an event as a spool record's bytes.
 *
 * A version byte, the kind, then fields: a key (number << 1 | is_text) and a value, either a varint
 * or a length and bytes. What has its default value (0, -1 ms, no text) is left out, so a usual
 * outcome takes some 250 bytes. Times are written as distances from the event's own.
 */
#include <string.h>

#include "event/event_text.h"

enum {
    BINARY_VERSION = 1,
    NUMBERS_LEN_MAX = 320,   /* version, kind and all varints */
    TEXT_HEADER_LEN_MAX = 4, /* key and length */
};

/* Numbers of the fields that are varints; texts have theirs in event_text.h. */
enum {
    FIELD_SEQ = 1,
    FIELD_ID = 2,
    FIELD_TIME = 3,
    FIELD_ACCEPTED = 4,
    FIELD_ATTEMPT_TIME = 5,
    FIELD_NEXT_ATTEMPT = 6,
    FIELD_SIZE = 7,
    FIELD_ATTEMPT = 8,
    FIELD_WAIT = 9,
    FIELD_DNS = 10,
    FIELD_CONNECT = 11,
    FIELD_TLS = 12,
    FIELD_ENVELOPE = 13,
    FIELD_CONTENT = 14,
    FIELD_REPLY_IS_OURS = 15,
    FIELD_REPLY_CODE = 16,
    FIELD_ENHANCED_CLASS = 17,
    FIELD_ENHANCED_SUBJECT = 18,
    FIELD_ENHANCED_DETAIL = 19,
    FIELD_CONNECTED = 20,
    FIELD_TLS_VERIFIED = 21,
    FIELD_LATE = 22,
    FIELD_RECEIVED = 23,
};

struct text_field {
    uint8_t number;
    uint16_t len_max;
    uint16_t at;
};

static const struct text_field texts[] = {
#define TEXT_FIELD(name, number, len_max) {(number), (len_max), offsetof(struct event, name)},
    EVENT_TEXTS(TEXT_FIELD)
#undef TEXT_FIELD
};
enum { TEXT_FIRST = 32, TEXT_LAST = TEXT_FIRST + ARRAY_LEN(texts) - 1 };

_Static_assert(TEXT_LAST == 63, "the text fields' numbers follow one another");
_Static_assert(TEXT_LAST < 64, "a text's key is one byte as a varint");
_Static_assert(NUMBERS_LEN_MAX + TEXT_HEADER_LEN_MAX * ARRAY_LEN(texts) + EVENT_TEXTS_LEN_MAX <=
                   EVENT_ENCODED_MAX,
               "an event fits whatever it holds");

static inline struct bytes event_text(const struct event *event, const struct text_field *field)
{
    struct bytes text;

    memcpy(&text, (const char *)event + field->at, sizeof(text));
    return text;
}

static inline uint8_t *put_varint(uint8_t *p, uint64_t value)
{
    while (value >= 0x80) {
        *p++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *p++ = (uint8_t)value;
    return p;
}

static inline uint8_t *put_number(uint8_t *p, unsigned field, uint64_t value)
{
    if (value == 0)
        return p;
    *p++ = (uint8_t)(field << 1);
    return put_varint(p, value);
}

/* 0 is a measured time here; -1 is the absent one. */
static inline uint8_t *put_duration(uint8_t *p, unsigned field, int32_t ms)
{
    return put_number(p, field, ms < 0 ? 0 : (uint64_t)ms + 1);
}

/* The distance from the event's time, zigzag. */
static inline uint8_t *put_time(uint8_t *p, unsigned field, int64_t time_ms, int64_t event_ms)
{
    if (time_ms == 0)
        return p;
    uint64_t distance = (uint64_t)time_ms - (uint64_t)event_ms;
    *p++ = (uint8_t)(field << 1);
    return put_varint(p, distance << 1 ^ (0 - (distance >> 63)));
}

static inline uint8_t *put_numbers(uint8_t *p, const struct event *event)
{
    p = put_number(p, FIELD_SEQ, event->seq);
    p = put_number(p, FIELD_ID, event->id.value);
    p = put_number(p, FIELD_TIME, (uint64_t)event->time_ms);
    p = put_time(p, FIELD_ACCEPTED, event->accepted_ms, event->time_ms);
    p = put_time(p, FIELD_ATTEMPT_TIME, event->attempt_ms, event->time_ms);
    p = put_time(p, FIELD_NEXT_ATTEMPT, event->next_attempt_ms, event->time_ms);
    p = put_number(p, FIELD_SIZE, event->size);
    p = put_number(p, FIELD_ATTEMPT, event->attempt);
    p = put_duration(p, FIELD_WAIT, event->times.wait_ms);
    p = put_duration(p, FIELD_DNS, event->times.dns_ms);
    p = put_duration(p, FIELD_CONNECT, event->times.connect_ms);
    p = put_duration(p, FIELD_TLS, event->times.tls_ms);
    p = put_duration(p, FIELD_ENVELOPE, event->times.envelope_ms);
    p = put_duration(p, FIELD_CONTENT, event->times.content_ms);
    p = put_number(p, FIELD_REPLY_IS_OURS, event->reply_is_ours);
    p = put_number(p, FIELD_REPLY_CODE, event->reply_code);
    p = put_number(p, FIELD_ENHANCED_CLASS, event->enhanced_class);
    p = put_number(p, FIELD_ENHANCED_SUBJECT, event->enhanced_subject);
    p = put_number(p, FIELD_ENHANCED_DETAIL, event->enhanced_detail);
    p = put_time(p, FIELD_CONNECTED, event->connected_ms, event->time_ms);
    p = put_number(p, FIELD_TLS_VERIFIED, event->tls_verified);
    p = put_number(p, FIELD_LATE, event->is_late);
    return put_number(p, FIELD_RECEIVED, event->is_received);
}

bool event_encode(const struct event *event, struct buf *out)
{
    size_t bound = NUMBERS_LEN_MAX;

    check((unsigned)event->kind < EVENT_KIND_COUNT);
    check(event->id.value == 0 || message_id_is_valid(event->id));
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        bound +=
            MIN(event_text(event, &texts[i]).len, (size_t)texts[i].len_max) + TEXT_HEADER_LEN_MAX;
    uint8_t *start = buf_reserve(out, bound);
    if (start == NULL)
        return false;
    uint8_t *p = start;
    *p++ = BINARY_VERSION;
    *p++ = (uint8_t)event->kind;
    p = put_numbers(p, event);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct bytes text = event_text(event, &texts[i]);

        /* Only the reverse-path knows "empty" as something else than "none". */
        if (text.len == 0 && (text.ptr == NULL || texts[i].at != offsetof(struct event, sender)))
            continue;
        text = event_text_cut(text, texts[i].len_max);
        *p++ = (uint8_t)(texts[i].number << 1 | 1);
        p = put_varint(p, text.len);
        memcpy(p, text.ptr, text.len);
        p += text.len;
    }
    check((size_t)(p - start) <= bound);
    buf_extend(out, (size_t)(p - start));
    return true;
}

static inline bool take_varint(struct bytes *input, uint64_t *value_out)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 10 && i < input->len; i++) {
        uint8_t byte = input->ptr[i];

        if (i == 9 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            input->ptr += i + 1;
            input->len -= i + 1;
            *value_out = value;
            return true;
        }
    }
    return false;
}

static inline bool set_duration(int32_t *ms_out, uint64_t value)
{
    if (value == 0 || value - 1 > INT32_MAX)
        return false;
    *ms_out = (int32_t)(value - 1);
    return true;
}

/* The distance; event_decode() adds the event's time once all fields were seen. */
static inline bool set_distance(int64_t *time_out, unsigned *seen, unsigned bit, uint64_t value)
{
    *time_out = (int64_t)(value >> 1 ^ (0 - (value & 1)));
    *seen |= bit;
    return true;
}

enum { SEEN_ACCEPTED = 1, SEEN_ATTEMPT = 2, SEEN_NEXT = 4, SEEN_CONNECTED = 8 };

#define SET_WITHIN(place, value, value_max) \
    ((value) <= (value_max) ? ((place) = (__typeof__(place))(value), true) : false)

static bool set_number(struct event *event, unsigned *seen, uint64_t field, uint64_t value)
{
    switch (field) {
    case FIELD_SEQ:
        return SET_WITHIN(event->seq, value, UINT32_MAX);
    case FIELD_ID:
        event->id.value = value;
        return message_id_is_valid(event->id);
    case FIELD_TIME:
        event->time_ms = (int64_t)value;
        return true;
    case FIELD_ACCEPTED:
        return set_distance(&event->accepted_ms, seen, SEEN_ACCEPTED, value);
    case FIELD_ATTEMPT_TIME:
        return set_distance(&event->attempt_ms, seen, SEEN_ATTEMPT, value);
    case FIELD_NEXT_ATTEMPT:
        return set_distance(&event->next_attempt_ms, seen, SEEN_NEXT, value);
    case FIELD_SIZE:
        event->size = value;
        return true;
    case FIELD_ATTEMPT:
        return SET_WITHIN(event->attempt, value, UINT32_MAX);
    case FIELD_WAIT:
        return set_duration(&event->times.wait_ms, value);
    case FIELD_DNS:
        return set_duration(&event->times.dns_ms, value);
    case FIELD_CONNECT:
        return set_duration(&event->times.connect_ms, value);
    case FIELD_TLS:
        return set_duration(&event->times.tls_ms, value);
    case FIELD_ENVELOPE:
        return set_duration(&event->times.envelope_ms, value);
    case FIELD_CONTENT:
        return set_duration(&event->times.content_ms, value);
    case FIELD_REPLY_IS_OURS:
        return SET_WITHIN(event->reply_is_ours, value, 1);
    case FIELD_REPLY_CODE:
        return SET_WITHIN(event->reply_code, value, UINT16_MAX);
    case FIELD_ENHANCED_CLASS:
        return SET_WITHIN(event->enhanced_class, value, UINT8_MAX);
    case FIELD_ENHANCED_SUBJECT:
        return SET_WITHIN(event->enhanced_subject, value, UINT16_MAX);
    case FIELD_ENHANCED_DETAIL:
        return SET_WITHIN(event->enhanced_detail, value, UINT16_MAX);
    case FIELD_CONNECTED:
        return set_distance(&event->connected_ms, seen, SEEN_CONNECTED, value);
    case FIELD_TLS_VERIFIED:
        return SET_WITHIN(event->tls_verified, value, EVENT_YES);
    case FIELD_LATE:
        return SET_WITHIN(event->is_late, value, 1);
    case FIELD_RECEIVED:
        return SET_WITHIN(event->is_received, value, 1);
    default:
        return true; /* a later version's */
    }
}

static bool take_field(struct bytes *input, struct event *event, unsigned *seen)
{
    uint64_t key;
    uint64_t value;

    if (!take_varint(input, &key) || !take_varint(input, &value))
        return false;
    if ((key & 1) == 0)
        return set_number(event, seen, key >> 1, value);
    if (value > input->len)
        return false;
    struct bytes text = {input->ptr, (size_t)value};
    input->ptr += text.len;
    input->len -= text.len;
    if (key >> 1 < TEXT_FIRST || key >> 1 > TEXT_LAST)
        return true; /* a later version's */
    const struct text_field *field = &texts[(key >> 1) - TEXT_FIRST];
    if (text.len > field->len_max)
        return false;
    memcpy((char *)event + field->at, &text, sizeof(text));
    return true;
}

bool event_decode(struct bytes encoded, struct event *out)
{
    struct event event = {.times = {-1, -1, -1, -1, -1, -1}};
    unsigned seen = 0;

    if (encoded.len < 2 || encoded.len > EVENT_ENCODED_MAX)
        return false;
    if (encoded.ptr[0] != BINARY_VERSION || encoded.ptr[1] >= EVENT_KIND_COUNT)
        return false;
    event.kind = (enum event_kind)encoded.ptr[1];
    encoded.ptr += 2;
    encoded.len -= 2;
    while (encoded.len > 0)
        if (!take_field(&encoded, &event, &seen))
            return false;
    uint64_t time = (uint64_t)event.time_ms;
    if (seen & SEEN_ACCEPTED)
        event.accepted_ms = (int64_t)((uint64_t)event.accepted_ms + time);
    if (seen & SEEN_ATTEMPT)
        event.attempt_ms = (int64_t)((uint64_t)event.attempt_ms + time);
    if (seen & SEEN_NEXT)
        event.next_attempt_ms = (int64_t)((uint64_t)event.next_attempt_ms + time);
    if (seen & SEEN_CONNECTED)
        event.connected_ms = (int64_t)((uint64_t)event.connected_ms + time);
    *out = event;
    return true;
}
