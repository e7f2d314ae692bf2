/* received.c - our own trace field (RFC 5321 section 4.4). */
#include "base/clock.h"
#include "smtp/header.h"

#include "smtp/address.h"

enum {
    COLUMN_MAX = 77, /* "below 78", RFC 5322 section 2.1.1 */
    TAB_COLUMNS = 8,
    PIECES_MAX = 4, /* of one word */
};

/* Words are put on the line while they fit; the first that does not starts the next one. */
struct folder {
    struct buf *out;
    size_t column;
    bool is_full; /* `out` had no room: nothing counts any more */
};

static void put(struct folder *folder, struct bytes b)
{
    folder->is_full = folder->is_full || !buf_append(folder->out, b);
    folder->column += b.len;
}

static void fold(struct folder *folder)
{
    put(folder, BYTES("\r\n\t"));
    folder->column = TAB_COLUMNS;
}

/* One word made of pieces, with white space before it. */
static void put_word(struct folder *folder, const struct bytes pieces[static PIECES_MAX])
{
    size_t len = 0;

    for (size_t i = 0; i < PIECES_MAX; i++)
        len += pieces[i].len;
    if (folder->column != TAB_COLUMNS) { /* a line of white space only would be obsolete syntax */
        if (folder->column + 1 + len > COLUMN_MAX)
            fold(folder);
        else
            put(folder, BYTES(" "));
    }
    for (size_t i = 0; i < PIECES_MAX; i++)
        put(folder, pieces[i]);
}

/* "name value", not parted when the line can be broken before them. */
static void put_clause(struct folder *folder, struct bytes name, struct bytes value)
{
    if (value.len == 0)
        return;
    put_word(folder, (struct bytes[PIECES_MAX]){name, BYTES(" "), value});
}

/* A name as harmless as a domain: whatever could end the clause or open a comment is "?". */
static struct bytes safe_name(struct bytes name, uint8_t safe[static SMTP_DOMAIN_MAX])
{
    bool is_utf8;
    bool is_literal = name.len > 0 && name.ptr[0] == '[' && smtp_domain_is_valid(name, &is_utf8);
    size_t len = MIN(name.len, (size_t)SMTP_DOMAIN_MAX);

    for (size_t i = 0; i < len; i++) {
        uint8_t c = name.ptr[i];
        bool is_safe = byte_is_alnum(c) || c == '-' || c == '.' || c == '_' || is_literal;
        safe[i] = is_safe ? c : '?';
    }
    return (struct bytes){safe, len};
}

static void put_from(struct folder *folder, const struct received *received)
{
    uint8_t safe[SMTP_DOMAIN_MAX];
    struct bytes ehlo = safe_name(received->ehlo, safe);
    bool is_ipv6 = bytes_find(received->peer, ':', 0) != received->peer.len;
    struct bytes open = is_ipv6 ? BYTES("([IPv6:") : BYTES("([");

    if (received->peer.len == 0) {
        put_clause(folder, BYTES("from"), ehlo);
        return;
    }
    if (ehlo.len == 0) /* who said nothing is what it comes from */
        put_word(folder, (struct bytes[PIECES_MAX]){BYTES("from "), bytes_slice(open, 1, open.len),
                                                    received->peer, BYTES("]")});
    else
        put_clause(folder, BYTES("from"), ehlo);
    put_word(folder, (struct bytes[PIECES_MAX]){open, received->peer, BYTES("])")});
}

bool received_format(const struct received *received, struct buf *out)
{
    size_t len_before = buf_len(out);
    struct folder folder = {.out = out};
    char date[CLOCK_TEXT_MAX];
    size_t date_len = clock_format_rfc5322(received->wall_ms, date);
    bool has_brackets = received->for_path.len > 0 && received->for_path.ptr[0] == '<';

    put(&folder, BYTES("Received:"));
    put_from(&folder, received);
    if (received->ehlo.len > 0 || received->peer.len > 0)
        fold(&folder);
    put_clause(&folder, BYTES("by"), received->by);
    put_clause(&folder, BYTES("with"), received->with);
    put_clause(&folder, BYTES("tls"), received->tls);
    put_clause(&folder, BYTES("id"), received->id);
    if (received->for_path.len > 0) {
        fold(&folder);
        put_word(&folder, (struct bytes[PIECES_MAX]){has_brackets ? BYTES("for ") : BYTES("for <"),
                                                     received->for_path,
                                                     has_brackets ? BYTES_NONE : BYTES(">")});
    }
    put(&folder, BYTES(";"));
    put_word(&folder, (struct bytes[PIECES_MAX]){bytes_range(date, date_len)});
    put(&folder, BYTES("\r\n"));
    if (folder.is_full)
        buf_truncate(out, len_before);
    return !folder.is_full;
}
