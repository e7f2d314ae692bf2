/* event_line.c - the first keys of a line. */
#include "event/event_line.h"

#include "base/clock.h"

static bool take_literal(struct bytes *rest, struct bytes literal)
{
    if (rest->len < literal.len || !bytes_equal(bytes_slice(*rest, 0, literal.len), literal))
        return false;
    *rest = bytes_slice(*rest, literal.len, rest->len);
    return true;
}

/* What stands between quotes, escapes as they are; null is empty. */
static bool take_text(struct bytes *rest, struct bytes *out)
{
    size_t at = 1;

    if (take_literal(rest, BYTES("null"))) {
        *out = BYTES_NONE;
        return true;
    }
    if (rest->len == 0 || rest->ptr[0] != '"')
        return false;
    for (;;) {
        at = bytes_find(*rest, '"', at);
        if (at == rest->len)
            return false;
        size_t backslashes = 0;
        while (rest->ptr[at - 1 - backslashes] == '\\')
            backslashes++;
        if (backslashes % 2 == 0)
            break;
        at++;
    }
    *out = bytes_slice(*rest, 1, at - 1);
    *rest = bytes_slice(*rest, at + 1, rest->len);
    return true;
}

static bool take_number_or_null(struct bytes *rest)
{
    uint64_t number;

    return take_literal(rest, BYTES("null")) || bytes_take_u64(rest, &number);
}

bool event_line_parse(struct bytes line, struct event_line *out)
{
    struct bytes rest = line, recipient, time;
    struct event_line parsed;

    if (!take_literal(&rest, BYTES("{\"schema\":")) || !take_number_or_null(&rest) ||
        !take_literal(&rest, BYTES(",\"event_id\":")) || !take_text(&rest, &parsed.event_id) ||
        !take_literal(&rest, BYTES(",\"seq\":")) || !take_number_or_null(&rest) ||
        !take_literal(&rest, BYTES(",\"kind\":")) || !take_text(&rest, &parsed.kind) ||
        !take_literal(&rest, BYTES(",\"id\":")) || !take_text(&rest, &parsed.id) ||
        !take_literal(&rest, BYTES(",\"recipient\":")) || !take_text(&rest, &recipient) ||
        !take_literal(&rest, BYTES(",\"tenant\":")) || !take_text(&rest, &parsed.tenant) ||
        !take_literal(&rest, BYTES(",\"time\":")) || !take_text(&rest, &time))
        return false;
    if (parsed.event_id.len == 0 || parsed.kind.len == 0 ||
        !clock_parse_rfc3339(time, &parsed.time_ms))
        return false;
    *out = parsed;
    return true;
}
