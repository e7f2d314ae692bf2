/* event_show.c - an event's line as people read it. */
#include "event/event_show.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "event/event.h"

/* JSON leaves DEL as it is. */
static bool append_quoted(struct buf *out, struct bytes quoted)
{
    struct bytes piece;

    while (bytes_take_until(&quoted, 0x7f, &piece))
        if (!buf_append(out, piece) || !buf_append(out, BYTES("\\u007F")))
            return false;
    return buf_append(out, quoted);
}

/* " key=value", quoted and escaped where it holds more than printable ASCII without spaces. */
static bool append_pair(struct buf *out, const char *key, json_t *value)
{
    if (json_is_integer(value))
        return buf_printf(out, " %s=%lld", key, (long long)json_integer_value(value));
    if (!json_is_string(value))
        return true;
    const char *text = json_string_value(value);
    size_t flags = JSON_ENCODE_ANY;
    bool is_plain = text[0] != '\0';
    for (const char *c = text; *c != '\0'; c++) {
        is_plain = is_plain && *c > ' ' && *c < 0x7f && *c != '"' && *c != '\\';
        if ((uint8_t)c[0] == 0xc2 && (uint8_t)c[1] < 0xa0)
            flags |= JSON_ENSURE_ASCII; /* terminals obey U+0080..U+009F */
    }
    if (is_plain)
        return buf_printf(out, " %s=%s", key, text);
    char *quoted = json_dumps(value, flags);
    check(quoted != NULL);
    bool fits = buf_printf(out, " %s=", key) && append_quoted(out, bytes_of(quoted));
    free(quoted);
    return fits;
}

/* reply="250 2.0.0 Ok": what there is of code, enhanced code and text. */
static bool append_reply(struct buf *out, json_t *reply)
{
    json_t *code = json_object_get(reply, "code");
    const char *parts[] = {"", json_string_value(json_object_get(reply, "enhanced")),
                           json_string_value(json_object_get(reply, "text"))};
    char digits[24];
    struct buf whole;
    bool fits = true;

    if (!json_is_string(json_object_get(reply, "from")))
        return true;
    if (json_is_integer(code)) {
        (void)snprintf(digits, sizeof(digits), "%lld", (long long)json_integer_value(code));
        parts[0] = digits;
    }
    buf_init(&whole, EVENT_JSON_MAX);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (parts[i] != NULL && parts[i][0] != '\0')
            fits = fits && buf_printf(&whole, "%s%s", buf_len(&whole) > 0 ? " " : "", parts[i]);
    json_t *text = json_stringn((const char *)buf_bytes(&whole).ptr, buf_len(&whole));
    fits = fits && (text == NULL || append_pair(out, "reply", text));
    json_decref(text);
    buf_free(&whole);
    return fits;
}

/* A word as we write kinds and times: nothing in it that a terminal obeys or a column breaks at. */
static bool is_word(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    return text[0] != '\0';
}

bool event_show(struct bytes line, struct buf *out)
{
    json_t *event = json_loadb((const char *)line.ptr, line.len, 0, NULL);
    const char *time = json_string_value(json_object_get(event, "time"));
    const char *kind = json_string_value(json_object_get(event, "kind"));
    json_t *egress = json_object_get(event, "egress");
    size_t before = buf_len(out);
    bool has_time = time != NULL && is_word(time);
    bool is_event = kind != NULL && is_word(kind);

    is_event =
        is_event && buf_printf(out, "%-24s %-10s", has_time ? time : "-", kind) &&
        append_pair(out, "id", json_object_get(event, "id")) &&
        append_pair(out, "to", json_object_get(event, "recipient")) &&
        append_pair(out, "from", json_object_get(event, "sender")) &&
        append_pair(out, "tenant", json_object_get(event, "tenant")) &&
        append_pair(out, "attempt", json_object_get(json_object_get(event, "attempt"), "number")) &&
        append_pair(out, "mx", json_object_get(egress, "mx_host")) &&
        append_pair(out, "ip", json_object_get(egress, "mx_ip")) &&
        append_reply(out, json_object_get(event, "reply")) &&
        append_pair(out, "class", json_object_get(event, "class")) &&
        append_pair(out, "rule", json_object_get(event, "rule")) &&
        append_pair(out, "next", json_object_get(event, "next_attempt_time"));
    if (!is_event)
        buf_truncate(out, before);
    json_decref(event);
    return is_event;
}
