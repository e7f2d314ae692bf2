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

/* What stands between quotes, escapes as they are. */
static bool take_text(struct bytes *rest, struct bytes *out)
{
    size_t at = 1;

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

static bool take_text_or_null(struct bytes *rest, struct bytes *out)
{
    *out = BYTES_NONE;
    return take_literal(rest, BYTES("null")) || take_text(rest, out);
}

static bool take_seq(struct bytes *rest, struct event_line *line)
{
    line->has_seq = !take_literal(rest, BYTES("null"));
    return !line->has_seq || bytes_take_u64(rest, &line->seq);
}

bool event_line_split(struct bytes line, struct event_line *out)
{
    struct event_line parts = {0};

    if (!take_literal(&line, BYTES("{\"schema\":")) || !bytes_take_u64(&line, &parts.schema) ||
        !take_literal(&line, BYTES(",\"event_id\":")) || !take_text(&line, &parts.event_id) ||
        !take_literal(&line, BYTES(",\"seq\":")) || !take_seq(&line, &parts) ||
        !take_literal(&line, BYTES(",\"kind\":")) || !take_text(&line, &parts.kind) ||
        !take_literal(&line, BYTES(",\"id\":")) || !take_text_or_null(&line, &parts.id) ||
        !take_literal(&line, BYTES(",\"recipient\":")) ||
        !take_text_or_null(&line, &parts.recipient) ||
        !take_literal(&line, BYTES(",\"tenant\":")) || !take_text_or_null(&line, &parts.tenant) ||
        !take_literal(&line, BYTES(",\"time\":")) || !take_text_or_null(&line, &parts.time))
        return false;
    *out = parts;
    return true;
}

bool event_line_parse(struct bytes line, struct event_line *out)
{
    struct event_line parts;

    if (!event_line_split(line, &parts) || parts.event_id.len == 0 || parts.kind.len == 0 ||
        !clock_parse_rfc3339(parts.time, &parts.time_ms))
        return false;
    *out = parts;
    return true;
}
