/*
 * event_json.c - an event as one line of JSON.
 *
 * Written by hand because every delivery pays for it: the room for the worst case is reserved once,
 * then everything is a plain copy. put_*() return where the next byte goes.
 */
#include <string.h>

#include "event/event_checks.h"
#include "event/event_privacy.h"
#include "event/event_text.h"
#include "event/json_check.h"
#include "event/json_text.h"

enum {
    CHECKS_FRAME_LEN = EVENT_CHECKS_COUNT_MAX * EVENT_CHECKS_FRAME_LEN,
    FRAME_LEN_MAX =
        2048 + CHECKS_FRAME_LEN, /* keys, numbers, times, ids and the eight bytes copied too many */
    TAGS_NESTING_LEN = 4,        /* ["..."] around tags that are no array */
};

_Static_assert(FRAME_LEN_MAX + TAGS_NESTING_LEN + JSON_TEXT_ESCAPE_LEN * EVENT_TEXTS_LEN_MAX <=
                   EVENT_JSON_MAX,
               "an event fits whatever it holds");

#define PUT(p, literal) \
    ((uint8_t *)memcpy((p), "" literal, sizeof(literal) - 1) + sizeof(literal) - 1)

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324"
                                  "25262728293031323334353637383940414243444546474849"
                                  "50515253545556575859606162636465666768697071727374"
                                  "75767778798081828384858687888990919293949596979899";

static inline uint8_t *put_2(uint8_t *p, unsigned value)
{
    memcpy(p, digit_pairs + 2 * value, 2);
    return p + 2;
}

static uint8_t *put_u64(uint8_t *p, uint64_t value)
{
    uint8_t digits[20];
    size_t at = sizeof(digits);

    while (value >= 100) {
        at -= 2;
        put_2(digits + at, (unsigned)(value % 100));
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        put_2(digits + at, (unsigned)value);
    } else {
        digits[--at] = (uint8_t)('0' + value);
    }
    memcpy(p, digits + at, sizeof(digits) - at);
    return p + sizeof(digits) - at;
}

static uint8_t *put_hex(uint8_t *p, uint64_t value, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; value >>= 4)
        p[i] = (uint8_t) "0123456789abcdef"[value & 15];
    return p + digits;
}

static uint8_t *put_null(uint8_t *p)
{
    return PUT(p, "null");
}

static uint8_t *put_u64_or_null(uint8_t *p, uint64_t value)
{
    return value == 0 ? put_null(p) : put_u64(p, value);
}

static uint8_t *put_duration(uint8_t *p, int32_t ms)
{
    return ms < 0 ? put_null(p) : put_u64(p, (uint64_t)ms);
}

/* --- time ------------------------------------------------------------------------------------ */

/* RFC 3339; null for 0 and for what has no four-digit year. The calendar is Howard Hinnant's
 * "days from civil" run backwards: eras of 400 years that begin on 1 March, so that leap days come
 * last. */
static uint8_t *put_time(uint8_t *p, int64_t wall_ms)
{
    if (wall_ms <= 0 || wall_ms > 253402300799999)
        return put_null(p);
    uint64_t ms = (uint64_t)wall_ms;
    uint32_t second = (uint32_t)(ms / 1000 % 86400);
    uint32_t days = (uint32_t)(ms / 86400000) + 719468; /* since 1 March of year 0 */
    uint32_t day_of_era = days % 146097;
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100); /* from 1 March */
    uint32_t month_from_march = (5 * day_of_year + 2) / 153;
    uint32_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    uint32_t year = days / 146097 * 400 + year_of_era + (month <= 2);

    *p++ = '"';
    p = put_2(p, year / 100);
    p = put_2(p, year % 100);
    *p++ = '-';
    p = put_2(p, month);
    *p++ = '-';
    p = put_2(p, day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *p++ = 'T';
    p = put_2(p, second / 3600);
    *p++ = ':';
    p = put_2(p, second / 60 % 60);
    *p++ = ':';
    p = put_2(p, second % 60);
    *p++ = '.';
    *p++ = (uint8_t)('0' + ms % 1000 / 100);
    p = put_2(p, (unsigned)(ms % 100));
    return PUT(p, "Z\"");
}

/* --- text ------------------------------------------------------------------------------------ */

static uint8_t *put_text(uint8_t *p, struct bytes text, size_t len_max)
{
    return text.len == 0 ? put_null(p) : json_text_put(p, event_text_cut(text, len_max));
}

#define PUT_TEXT(p, event, name) put_text((p), (event)->name, EVENT_TEXT_MAX_##name)

/* --- JSON of the submitter's, passed on as it is if it is what it should be ------------------- */

static uint8_t *put_tags(uint8_t *p, struct bytes tags)
{
    if (tags.len == 0)
        return put_null(p);
    if (tags.len <= EVENT_TEXT_MAX_tags && json_holds_strings(tags)) {
        memcpy(p, tags.ptr, tags.len);
        return p + tags.len;
    }
    /* Nothing is lost, but it is one string. */
    p = PUT(p, "[");
    p = json_text_put(p, event_text_cut(tags, EVENT_TEXT_MAX_tags));
    return PUT(p, "]");
}

/* What is no object was never one of ours: it is left out. */
static uint8_t *put_metadata(uint8_t *p, struct bytes metadata)
{
    if (metadata.len > EVENT_TEXT_MAX_metadata || !json_holds_object(metadata))
        return put_null(p);
    memcpy(p, metadata.ptr, metadata.len);
    return p + metadata.len;
}

/* --- what was checked ------------------------------------------------------------------------- */

static uint8_t *put_checks(uint8_t *p, struct bytes checks)
{
    struct event_check check;

    if (checks.len == 0)
        return put_null(p);
    checks = event_text_cut(checks, EVENT_TEXT_MAX_checks);
    *p++ = '[';
    for (unsigned i = 0; event_checks_next(&checks, i, &check); i++) {
        if (i > 0)
            *p++ = ',';
        p = PUT(p, "{\"check\":");
        p = json_text_put(p, check.name);
        p = PUT(p, ",\"result\":");
        p = json_text_put(p, check.result);
        p = PUT(p, ",\"weight\":");
        p = put_text(p, check.weight, EVENT_TEXT_MAX_checks);
        p = PUT(p, ",\"detail\":");
        p = put_text(p, check.detail, EVENT_TEXT_MAX_checks);
        *p++ = '}';
    }
    *p++ = ']';
    return p;
}

/* --- the object ------------------------------------------------------------------------------ */

static uint8_t *put_identity(uint8_t *p, const struct event *event)
{
    p = PUT(p, "{\"schema\":");
    p = put_u64(p, EVENT_SCHEMA);
    p = PUT(p, ",\"event_id\":\"");
    p = put_hex(p, event_node(), 4);
    *p++ = '-';
    p = put_hex(p, event->shard, 2);
    *p++ = '-';
    p = put_hex(p, event->position, 16);
    *p++ = '-';
    p = put_u64(p, event->part);
    p = PUT(p, "\",\"seq\":");
    p = event_kind_is_counted(event->kind) && !event->is_late ? put_u64(p, event->seq)
                                                              : put_null(p);
    p = PUT(p, ",\"kind\":");
    p = json_text_put(p, bytes_of(event_kind_name(event->kind)));
    p = PUT(p, ",\"id\":");
    if (event->id.value == 0) {
        p = put_null(p);
    } else {
        *p++ = '"';
        message_id_format(event->id, (char *)p);
        p += MESSAGE_ID_TEXT_LEN;
        *p++ = '"';
    }
    p = PUT(p, ",\"recipient\":");
    p = PUT_TEXT(p, event, recipient);
    p = PUT(p, ",\"tenant\":");
    p = PUT_TEXT(p, event, tenant);
    p = PUT(p, ",\"time\":");
    return put_time(p, event->time_ms);
}

static uint8_t *put_message(uint8_t *p, const struct event *event)
{
    p = PUT(p, ",\"accepted_time\":");
    p = put_time(p, event->accepted_ms);
    p = PUT(p, ",\"next_attempt_time\":");
    p = put_time(p, event->next_attempt_ms);
    p = PUT(p, ",\"sender\":");
    if (event->sender.ptr != NULL && event->sender.len == 0)
        p = PUT(p, "\"\""); /* the null reverse-path */
    else
        p = PUT_TEXT(p, event, sender);
    p = PUT(p, ",\"header_message_id\":");
    p = PUT_TEXT(p, event, message_header_id);
    p = PUT(p, ",\"size\":");
    p = put_u64_or_null(p, event->size);
    p = PUT(p, ",\"campaign\":");
    p = PUT_TEXT(p, event, campaign);
    p = PUT(p, ",\"tags\":");
    p = put_tags(p, event->tags);
    p = PUT(p, ",\"metadata\":");
    p = put_metadata(p, event->metadata);
    p = PUT(p, ",\"envid\":");
    p = PUT_TEXT(p, event, envid);
    p = PUT(p, ",\"orcpt\":");
    p = PUT_TEXT(p, event, orcpt);
    p = PUT(p, ",\"client\":{\"ip\":");
    p = PUT_TEXT(p, event, client_ip);
    p = PUT(p, ",\"ehlo\":");
    p = PUT_TEXT(p, event, client_ehlo);
    p = PUT(p, ",\"service\":");
    p = PUT_TEXT(p, event, service);
    p = PUT(p, ",\"session\":");
    p = PUT_TEXT(p, event, session);
    p = PUT(p, ",\"connected_time\":");
    p = put_time(p, event->connected_ms);
    return PUT(p, "}");
}

/* "a,b" as an array; names of DNS, which need no escapes. */
static uint8_t *put_selectors(uint8_t *p, struct bytes names)
{
    struct bytes name;

    if (names.len == 0)
        return put_null(p);
    names = event_text_cut(names, EVENT_TEXT_MAX_dkim_selectors);
    *p++ = '[';
    while (bytes_take_until(&names, ',', &name)) {
        p = json_text_put(p, name);
        *p++ = ',';
    }
    p = json_text_put(p, names);
    *p++ = ']';
    return p;
}

static uint8_t *put_dkim(uint8_t *p, const struct event *event)
{
    p = PUT(p, ",\"dkim\":{\"result\":");
    p = PUT_TEXT(p, event, dkim_result);
    p = PUT(p, ",\"domain\":");
    p = PUT_TEXT(p, event, dkim_domain);
    p = PUT(p, ",\"selectors\":");
    p = put_selectors(p, event->dkim_selectors);
    return PUT(p, "}");
}

static uint8_t *put_attempt(uint8_t *p, const struct event *event)
{
    p = PUT(p, ",\"attempt\":{\"number\":");
    p = put_u64_or_null(p, event->attempt);
    p = PUT(p, ",\"time\":");
    p = put_time(p, event->attempt_ms);
    p = PUT(p, ",\"times\":{\"wait_ms\":");
    p = put_duration(p, event->times.wait_ms);
    p = PUT(p, ",\"dns_ms\":");
    p = put_duration(p, event->times.dns_ms);
    p = PUT(p, ",\"connect_ms\":");
    p = put_duration(p, event->times.connect_ms);
    p = PUT(p, ",\"tls_ms\":");
    p = put_duration(p, event->times.tls_ms);
    p = PUT(p, ",\"envelope_ms\":");
    p = put_duration(p, event->times.envelope_ms);
    p = PUT(p, ",\"content_ms\":");
    p = put_duration(p, event->times.content_ms);
    return PUT(p, "}}");
}

static uint8_t *put_answer(uint8_t *p, uint8_t answer)
{
    if (answer == EVENT_UNKNOWN)
        return put_null(p);
    return answer == EVENT_YES ? PUT(p, "true") : PUT(p, "false");
}

static uint8_t *put_egress(uint8_t *p, const struct event *event)
{
    p = PUT(p, ",\"egress\":{\"pool\":");
    p = PUT_TEXT(p, event, pool);
    p = PUT(p, ",\"source\":");
    p = PUT_TEXT(p, event, source);
    p = PUT(p, ",\"source_ip\":");
    p = PUT_TEXT(p, event, source_ip);
    p = PUT(p, ",\"site\":");
    p = PUT_TEXT(p, event, site);
    p = PUT(p, ",\"mx_host\":");
    p = PUT_TEXT(p, event, mx_host);
    p = PUT(p, ",\"mx_ip\":");
    p = PUT_TEXT(p, event, mx_ip);
    p = PUT(p, "},\"tls\":{\"version\":");
    p = PUT_TEXT(p, event, tls_version);
    p = PUT(p, ",\"cipher\":");
    p = PUT_TEXT(p, event, tls_cipher);
    p = PUT(p, ",\"verified\":");
    p = put_answer(p, event->tls_verified);
    p = PUT(p, ",\"policy\":");
    p = PUT_TEXT(p, event, tls_policy);
    p = PUT(p, ",\"source\":");
    p = PUT_TEXT(p, event, tls_source);
    p = PUT(p, ",\"result\":");
    p = PUT_TEXT(p, event, tls_result);
    p = PUT(p, ",\"reason\":");
    p = PUT_TEXT(p, event, tls_reason);
    return PUT(p, "}");
}

/* Of kinds that come both ways, or only late. */
static uint8_t *put_late(uint8_t *p, const struct event *event)
{
    if (event->is_late)
        return PUT(p, "true");
    return event->kind == EVENT_BOUNCED ? PUT(p, "false") : put_null(p);
}

static uint8_t *put_reply(uint8_t *p, const struct event *event)
{
    bool has_reply =
        event->reply_code != 0 || event->enhanced_class != 0 || event->reply_text.len > 0;

    p = PUT(p, ",\"reply\":{\"from\":");
    if (!has_reply)
        p = put_null(p);
    else
        p = event->reply_is_ours ? PUT(p, "\"relay\"") : PUT(p, "\"peer\"");
    p = PUT(p, ",\"code\":");
    p = put_u64_or_null(p, event->reply_code);
    p = PUT(p, ",\"enhanced\":");
    if (event->enhanced_class == 0) {
        p = put_null(p);
    } else {
        *p++ = '"';
        p = put_u64(p, event->enhanced_class);
        *p++ = '.';
        p = put_u64(p, event->enhanced_subject);
        *p++ = '.';
        p = put_u64(p, event->enhanced_detail);
        *p++ = '"';
    }
    p = PUT(p, ",\"text\":");
    p = PUT_TEXT(p, event, reply_text);
    p = PUT(p, "},\"class\":");
    p = PUT_TEXT(p, event, class);
    p = PUT(p, ",\"rule\":");
    p = PUT_TEXT(p, event, rule);
    p = PUT(p, ",\"checks\":");
    p = put_checks(p, event->checks);
    p = PUT(p, ",\"late\":");
    p = put_late(p, event);
    return PUT(p, "}\n");
}

bool event_json(const struct event *event, struct buf *out)
{
    struct privacy_room room;
    struct event shown;
    size_t text_len = 0;

    event = privacy_event(event, &shown, &room);

#define ADD_LEN(name, number, len_max) text_len += MIN(event->name.len, (size_t)(len_max));
    EVENT_TEXTS(ADD_LEN)
#undef ADD_LEN
    size_t bound = FRAME_LEN_MAX + TAGS_NESTING_LEN + JSON_TEXT_ESCAPE_LEN * text_len;
    uint8_t *start = buf_reserve(out, bound);
    if (start == NULL)
        return false;
    uint8_t *p = put_identity(start, event);
    p = put_message(p, event);
    p = put_dkim(p, event);
    p = put_attempt(p, event);
    p = put_egress(p, event);
    p = put_reply(p, event);
    check((size_t)(p - start) <= bound);
    buf_extend(out, (size_t)(p - start));
    return true;
}
