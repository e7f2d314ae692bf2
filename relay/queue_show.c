/* queue_show.c - what a waiting message waits for, as header fields. */
#include "relay/queue_show.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "base/clock.h"

enum { VALUE_MAX = 300 /* bytes of a value */ };

/* A value in one line: nothing that ends a field or hides in one. */
static bool put_value(struct buf *out, const char *text)
{
    bool fits = true;

    for (size_t i = 0; text[i] != '\0' && i < VALUE_MAX && fits; i++) {
        uint8_t c = (uint8_t)text[i];

        fits = buf_append_byte(out, c < ' ' || c == 0x7f ? '?' : c);
    }
    return fits;
}

static bool put_member(struct buf *out, const json_t *line, const char *member, const char *before)
{
    const char *text = json_string_value(json_object_get(line, member));

    return text == NULL || text[0] == '\0' ||
           (buf_append(out, bytes_of(before)) && put_value(out, text));
}

static bool put_recipient(struct buf *out, const json_t *line)
{
    json_int_t attempts = json_integer_value(json_object_get(line, "attempts"));

    return buf_append(out, BYTES("X-Queue-Recipient:")) &&
           put_member(out, line, "recipient", " ") && put_member(out, line, "state", "; state=") &&
           buf_printf(out, "; attempts=%" JSON_INTEGER_FORMAT, attempts) &&
           put_member(out, line, "due", ";\r\n next=") &&
           put_member(out, line, "constraint", ";\r\n waits=") &&
           put_member(out, line, "until", "; until=") && put_member(out, line, "rule", "; rule=") &&
           put_member(out, line, "detail", ";\r\n detail=") &&
           put_member(out, line, "site", ";\r\n site=") && buf_append(out, BYTES("\r\n"));
}

static bool put_lines(const struct queue_shown *shown, struct buf *out)
{
    struct bytes rest = shown->lines, text;
    bool fits = true, is_first = true;

    while (fits && bytes_take_until(&rest, '\n', &text)) {
        json_t *line = json_loadb((const char *)text.ptr, text.len, 0, NULL);

        if (line == NULL)
            continue;
        if (is_first)
            fits = buf_append(out, BYTES("X-Queue-Accepted:")) &&
                   put_member(out, line, "accepted", " ") &&
                   buf_append(out, BYTES("\r\nX-Queue-Expires:")) &&
                   put_member(out, line, "expires", " ") && buf_append(out, BYTES("\r\n"));
        is_first = false;
        fits = fits && put_recipient(out, line);
        json_decref(line);
    }
    return fits;
}

static bool put_seen(struct buf *out, int64_t seen_ms)
{
    char seen[CLOCK_TEXT_MAX];

    clock_format_rfc3339(seen_ms, seen);
    return buf_printf(out, "X-Queue-Seen: %s\r\n", seen);
}

bool queue_show_message(const struct queue_shown *shown, struct buf *out)
{
    bool fits = buf_printf(out, "X-Queue-Id: %s\r\n", shown->id) && put_seen(out, shown->seen_ms) &&
                put_lines(shown, out);

    if (shown->recipient_count > QUEUE_SHOW_RECIPIENTS)
        fits = fits && buf_printf(out, "X-Queue-Recipients: %zu, of which %d are shown\r\n",
                                  shown->recipient_count, QUEUE_SHOW_RECIPIENTS);
    if (shown->size > shown->text.len)
        fits = fits && buf_printf(out, "X-Queue-Cut: the first %zu of %" PRIu64 " bytes\r\n",
                                  shown->text.len, shown->size);
    return fits && buf_append(out, shown->text);
}

bool queue_show_more(uint64_t shown, uint64_t all, int64_t seen_ms, struct buf *out)
{
    return put_seen(out, seen_ms) &&
           buf_printf(out,
                      "Subject: The newest %" PRIu64 " of more than %" PRIu64
                      " waiting messages\r\nContent-Type: text/plain\r\n\r\n"
                      "This folder shows the newest %" PRIu64
                      " messages that wait. There are more.\r\n",
                      shown, all, shown);
}

void queue_show_format(const struct queue_show_name *name, int64_t time_s, uint64_t size,
                       char out[static QUEUE_SHOW_NAME_MAX])
{
    int len =
        snprintf(out, QUEUE_SHOW_NAME_MAX,
                 "%" PRId64 ".Q%016" PRIx64 ".%08" PRIx32 ".%08" PRIx32 ",S=%" PRIu64 ",W=%" PRIu64,
                 time_s, name->id, name->state, name->run, size, size);

    check(len > 0 && len < QUEUE_SHOW_NAME_MAX);
}

static bool take_hex(struct bytes *input, unsigned digits, uint8_t end, uint64_t *out)
{
    uint64_t value = 0;

    if (input->len <= digits || input->ptr[digits] != end)
        return false;
    for (unsigned i = 0; i < digits; i++) {
        uint8_t c = input->ptr[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        value = value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *input = bytes_slice(*input, digits + 1, input->len);
    *out = value;
    return true;
}

bool queue_show_parse(struct bytes file, struct queue_show_name *out)
{
    uint64_t time_s, id, state, run;

    if (!bytes_take_u64(&file, &time_s) || file.len < 2 || file.ptr[0] != '.' || file.ptr[1] != 'Q')
        return false;
    file = bytes_slice(file, 2, file.len);
    if (!take_hex(&file, 16, '.', &id) || !take_hex(&file, 8, '.', &state) ||
        !take_hex(&file, 8, ',', &run))
        return false;
    *out = (struct queue_show_name){id, (uint32_t)state, (uint32_t)run};
    return true;
}
