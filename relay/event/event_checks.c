/* event_checks.c - lines of four texts. */
#include "event/event_checks.h"

static void put(struct buf *out, struct bytes text, uint8_t end)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool fits = buf_append_byte(out, c < ' ' || c == 127 ? ' ' : c);

        check(fits);
    }
    bool fits = buf_append_byte(out, end);
    check(fits);
}

bool event_checks_add(struct buf *out, const struct event_check *check)
{
    size_t len = check->name.len + check->result.len + check->weight.len + check->detail.len + 4;

    if (buf_room(out) < len)
        return false;
    put(out, check->name, '\t');
    put(out, check->result, '\t');
    put(out, check->weight, '\t');
    put(out, check->detail, '\n');
    return true;
}

/* Up to the separator, which is taken too, or the end. */
static struct bytes take(struct bytes *rest, uint8_t separator)
{
    struct bytes part;

    if (!bytes_take_until(rest, separator, &part)) {
        part = *rest;
        *rest = bytes_slice(*rest, rest->len, 0);
    }
    return part;
}

bool event_checks_next(struct bytes *checks, unsigned number, struct event_check *out)
{
    bool is_last = number + 1 >= EVENT_CHECKS_COUNT_MAX;

    if (checks->len == 0)
        return false;
    struct bytes line = is_last ? *checks : take(checks, '\n');
    if (is_last) {
        line.len -= line.ptr[line.len - 1] == '\n';
        *checks = bytes_slice(*checks, checks->len, 0);
    }
    out->name = take(&line, '\t');
    out->result = take(&line, '\t');
    out->weight = take(&line, '\t');
    out->detail = line;
    return true;
}
