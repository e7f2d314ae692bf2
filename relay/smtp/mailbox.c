/* mailbox.c - address lists, an address at a time (RFC 5322 section 3.4). */
#include "smtp/mailbox.h"

#include <string.h>

#include "base/utf8.h"

static uint8_t peek(struct bytes b)
{
    return b.len > 0 ? b.ptr[0] : '\0'; /* which no caller looks for */
}

static void skip(struct bytes *b, size_t len)
{
    *b = bytes_slice(*b, len, b->len);
}

static bool take(struct bytes *b, uint8_t byte)
{
    if (b->len == 0 || b->ptr[0] != byte)
        return false;
    skip(b, 1);
    return true;
}

/* --- white space and comments ----------------------------------------------------------------- */

/* Length of the white space at the front: blanks, and line ends with a blank behind them. */
static size_t space_len(struct bytes b)
{
    size_t at = 0;

    for (;;) {
        if (at < b.len && (b.ptr[at] == ' ' || b.ptr[at] == '\t'))
            at++;
        else if (b.len - at >= 3 && b.ptr[at] == '\r' && b.ptr[at + 1] == '\n' &&
                 (b.ptr[at + 2] == ' ' || b.ptr[at + 2] == '\t'))
            at += 3;
        else
            return at;
    }
}

/* Length of what a comment or a quoted string may hold at the front, but their own special bytes:
 * a quoted pair, white space, or one byte. 0: none. */
static size_t content_len(struct bytes b)
{
    size_t space = space_len(b);

    if (space > 0)
        return space;
    if (b.len == 0 || b.ptr[0] == '\r' || b.ptr[0] == '\n' || b.ptr[0] == '\0')
        return 0;
    if (b.ptr[0] == '\\')
        return b.len >= 2 ? 2 : 0;
    return 1;
}

/* Comments nest; a number is enough to know how deep. False: it does not end. */
static bool take_comment(struct bytes *b)
{
    size_t depth = 0;

    do {
        size_t len = 1;

        if (peek(*b) == '(')
            depth++;
        else if (peek(*b) == ')')
            depth--;
        else
            len = content_len(*b);
        if (len == 0)
            return false;
        skip(b, len);
    } while (depth > 0);
    return true;
}

static bool take_space(struct bytes *b)
{
    for (;;) {
        size_t len = space_len(*b);

        skip(b, len);
        if (peek(*b) != '(')
            return true;
        if (!take_comment(b))
            return false;
    }
}

/* --- words ------------------------------------------------------------------------------------ */

/* Decoded text as it is collected; is_over: there is more than fits. */
struct collected {
    uint8_t *into;
    size_t len, len_max;
    bool is_over;
};

static void collect(struct collected *c, const uint8_t *from, size_t len)
{
    if (c == NULL)
        return;
    c->is_over = c->is_over || len > c->len_max - c->len;
    if (c->is_over)
        return;
    memcpy(c->into + c->len, from, len);
    c->len += len;
}

static bool is_atom_byte(uint8_t c)
{
    static const char specials[] = "!#$%&'*+-/=?^_`{|}~";

    return c > 127 || byte_is_alnum(c) || (c != '\0' && strchr(specials, c) != NULL);
}

static bool take_atom(struct bytes *b, struct collected *into)
{
    size_t len = 0;

    while (len < b->len && is_atom_byte(b->ptr[len]))
        len++;
    collect(into, b->ptr, len);
    skip(b, len);
    return len > 0;
}

/* Line ends of folds are no part of the text (RFC 5322 section 3.2.4). */
static bool take_quoted(struct bytes *b, struct collected *into)
{
    if (!take(b, '"'))
        return false;
    while (!take(b, '"')) {
        size_t len = content_len(*b);

        if (len == 0)
            return false;
        if (b->ptr[0] == '\\')
            collect(into, b->ptr + 1, 1);
        else
            for (size_t i = 0; i < len; i++)
                if (b->ptr[i] != '\r' && b->ptr[i] != '\n')
                    collect(into, b->ptr + i, 1);
        skip(b, len);
    }
    return true;
}

static bool take_word(struct bytes *b, struct collected *into)
{
    return peek(*b) == '"' ? take_quoted(b, into) : take_atom(b, into);
}

/* "=?charset?encoding?text?=" of printable bytes without a space, whatever its text holds. */
static bool take_encoded_word(struct bytes *b)
{
    size_t marks = 0;

    if (!bytes_starts_nocase(*b, BYTES("=?")))
        return false;
    for (size_t at = 1; at < b->len && b->ptr[at] > ' ' && b->ptr[at] < 127; at++) {
        if (b->ptr[at] != '?')
            continue;
        if (++marks == 4 && at + 1 < b->len && b->ptr[at + 1] == '=') {
            skip(b, at + 2);
            return true;
        }
        if (marks == 4)
            return false;
    }
    return false;
}

/* --- addresses -------------------------------------------------------------------------------- */

/* All of it ASCII or good UTF-8 (RFC 6532 section 3.1). */
static bool is_text(const uint8_t *from, size_t len)
{
    struct bytes b = bytes_range(from, len);

    while (b.len > 0) {
        size_t character = b.ptr[0] < 128 ? 1 : utf8_character(b);

        if (character == 0)
            return false;
        skip(&b, character);
    }
    return true;
}

/* Words and dots that take turns; obs-local-part allows space around each. */
static bool take_dotted(struct bytes *b, bool (*one)(struct bytes *b, struct collected *into),
                        struct collected *into)
{
    do {
        if (!take_space(b) || !one(b, into) || !take_space(b))
            return false;
        if (peek(*b) == '.')
            collect(into, b->ptr, 1);
    } while (take(b, '.'));
    return true;
}

/* domain-literal: white space in it is no part of it. */
static bool take_literal(struct bytes *b, struct collected *into)
{
    while (!take(b, ']')) {
        size_t space = space_len(*b);
        size_t len = content_len(*b);

        if (len == 0 || (peek(*b) == '[' && into->len > 0))
            return false;
        if (space == 0)
            collect(into, b->ptr, len);
        skip(b, len);
    }
    collect(into, (const uint8_t *)"]", 1);
    return true;
}

static bool take_domain(struct bytes *b, struct mailbox *out)
{
    struct collected domain = {out->domain, 0, MAILBOX_DOMAIN_MAX, false};
    bool is_taken;

    if (!take_space(b))
        return false;
    is_taken = peek(*b) == '[' ? take_literal(b, &domain) : take_dotted(b, take_atom, &domain);
    out->domain_len = domain.len;
    return is_taken && !domain.is_over && is_text(out->domain, domain.len) && take_space(b);
}

/* local-part "@" domain, up to what stands behind it. */
static bool take_spec(struct bytes *b, struct mailbox *out)
{
    struct collected local = {out->local, 0, MAILBOX_LOCAL_MAX, false};

    if (!take_dotted(b, take_word, &local) || !take(b, '@'))
        return false;
    out->local_len = local.len;
    return !local.is_over && is_text(out->local, local.len) && take_domain(b, out);
}

/* "@a,@b:" (obs-route); what it says is dropped. */
static bool take_route(struct bytes *b)
{
    struct mailbox hop;

    do {
        if (!take_space(b))
            return false;
        if (take(b, '@') && !take_domain(b, &hop))
            return false;
    } while (take(b, ','));
    return take(b, ':');
}

/* "<local@domain>" */
static bool take_angle(struct bytes *b, struct mailbox *out)
{
    if (!take(b, '<') || !take_space(b))
        return false;
    if ((peek(*b) == '@' || peek(*b) == ',') && !take_route(b))
        return false;
    return take_spec(b, out) && take(b, '>') && take_space(b);
}

/* What stands before "<" or the ":" of a group, up to a byte that ends it. */
static bool take_phrase(struct bytes *b, struct bytes *display_out)
{
    struct bytes before = *b;

    for (;;) {
        if (!take_space(b))
            return false;
        if (!take(b, '.') && !take(b, '@') && !take_encoded_word(b) && !take_word(b, NULL))
            break;
    }
    if (peek(*b) == '"') /* a quoted string that does not end */
        return false;
    *display_out = bytes_trim(bytes_slice(before, 0, before.len - b->len));
    return true;
}

/* At the front of an address that is not a group's beginning. */
static bool take_mailbox(struct bytes *b, struct bytes display, struct bytes behind_phrase,
                         struct mailbox *out)
{
    if (peek(behind_phrase) != '<') {
        out->display = BYTES_NONE;
        return take_spec(b, out);
    }
    out->display = display;
    *b = behind_phrase;
    return take_angle(b, out);
}

/* Commas with nothing between them are obsolete and allowed. */
static bool take_empty(struct mailbox_reader *reader)
{
    do {
        if (!take_space(&reader->rest))
            return false;
        if (reader->in_group && take(&reader->rest, ';')) {
            reader->in_group = false;
            if (!take_space(&reader->rest) || (reader->rest.len > 0 && peek(reader->rest) != ','))
                return false;
        }
    } while (take(&reader->rest, ','));
    return true;
}

void mailbox_reader_init(struct mailbox_reader *reader, struct bytes value)
{
    *reader = (struct mailbox_reader){.rest = value};
}

static enum mailbox_step next(struct mailbox_reader *reader, struct mailbox *out)
{
    struct bytes *rest = &reader->rest;
    struct bytes display;

    for (;;) { /* bounded: a group takes bytes */
        if (!take_empty(reader))
            return MAILBOX_BROKEN;
        if (rest->len == 0)
            return reader->in_group ? MAILBOX_BROKEN : MAILBOX_END;
        struct bytes behind = *rest;

        if (!take_phrase(&behind, &display))
            return MAILBOX_BROKEN;
        if (peek(behind) == ':') {
            if (reader->in_group || display.len == 0)
                return MAILBOX_BROKEN;
            reader->in_group = true;
            skip(&behind, 1);
            *rest = behind;
            continue;
        }
        if (!take_mailbox(rest, display, behind, out))
            return MAILBOX_BROKEN;
        if (rest->len > 0 && peek(*rest) != ',' && !(reader->in_group && peek(*rest) == ';'))
            return MAILBOX_BROKEN;
        return MAILBOX_FOUND;
    }
}

enum mailbox_step mailbox_next(struct mailbox_reader *reader, struct mailbox *out)
{
    enum mailbox_step step = MAILBOX_END;
    struct mailbox found;

    if (!reader->is_over)
        step = next(reader, &found);
    reader->is_over = step != MAILBOX_FOUND;
    if (step == MAILBOX_FOUND)
        *out = found;
    return step;
}
