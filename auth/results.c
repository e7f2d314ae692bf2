/* results.c - the grammar of RFC 8601 section 2.2, written and recognised. */
#include "auth/results.h"

#include <string.h>

#include "base/utf8.h"

enum { COLUMN_MAX = 78, WORD_MAX = 2 * RESULTS_VALUE_MAX + 64 };

/* --- writing ---------------------------------------------------------------------------------- */

static void append(struct results *results, struct bytes b)
{
    results->is_full = results->is_full || !buf_append(results->out, b);
    results->column += b.len;
}

/* A word with a space before it, on the next line if this one is too short. */
static void append_word(struct results *results, struct bytes word)
{
    if (results->column + 1 + word.len > COLUMN_MAX) {
        append(results, BYTES("\r\n\t"));
        results->column = 8;
    } else {
        append(results, BYTES(" "));
    }
    append(results, word);
}

/* token of RFC 2045 section 5.1 */
static bool is_token_byte(uint8_t c)
{
    return c > ' ' && c < 127 && bytes_find(BYTES("()<>@,;:\\\"/[]?="), c, 0) == 15;
}

static size_t token_len(struct bytes b)
{
    size_t len = 0;

    while (len < b.len && is_token_byte(b.ptr[len]))
        len++;
    return len;
}

static bool is_token(struct bytes b)
{
    return b.len > 0 && token_len(b) == b.len;
}

/* "local@domain" and "@domain" of plain words stand without quotes; the grammar wants them so. */
static bool is_plain(struct bytes b)
{
    size_t at = bytes_find(b, '@', 0);

    if (at == b.len)
        return is_token(b);
    return (at == 0 || is_token(bytes_slice(b, 0, at))) && is_token(bytes_slice(b, at + 1, b.len));
}

static void put(struct buf *word, struct bytes b)
{
    bool is_put = buf_append(word, b);

    check(is_put); /* WORD_MAX is enough */
}

/* UTF-8 may stand in quotes (RFC 8601 section 2.2, RFC 6532); other bytes beyond ASCII, and control
 * characters, may not. */
static void put_quoted(struct buf *word, struct bytes b)
{
    put(word, BYTES("\""));
    while (b.len > 0) {
        size_t len = b.ptr[0] < 128 ? 1 : utf8_character(b);
        bool is_bad = len == 0 || b.ptr[0] < ' ' || b.ptr[0] == 127;

        len = MAX(len, (size_t)1);
        if (!is_bad && (b.ptr[0] == '"' || b.ptr[0] == '\\'))
            put(word, BYTES("\\"));
        put(word, is_bad ? BYTES("?") : bytes_slice(b, 0, len));
        b = bytes_slice(b, len, b.len);
    }
    put(word, BYTES("\""));
}

void results_begin(struct results *results, struct bytes id, struct buf *out)
{
    *results = (struct results){.out = out};
    append(results, BYTES("Authentication-Results: "));
    append(results, id);
}

void results_method(struct results *results, const char *method, const char *result)
{
    results->has_method = true;
    append(results, BYTES(";\r\n\t"));
    results->column = 8;
    append(results, bytes_of(method));
    append(results, BYTES("="));
    append(results, bytes_of(result));
}

void results_comment(struct results *results, const char *text)
{
    uint8_t memory[WORD_MAX];
    size_t len = MIN(strlen(text), sizeof(memory) - 2);

    memory[0] = '(';
    memcpy(memory + 1, text, len);
    memory[len + 1] = ')';
    append_word(results, bytes_range(memory, len + 2));
}

/* `name` is ours; `value` a stranger's. */
static void append_pair(struct results *results, const char *name, struct bytes value, bool quotes)
{
    struct buf word;

    buf_init(&word, WORD_MAX);
    put(&word, bytes_of(name));
    put(&word, BYTES("="));
    if (!quotes && is_plain(value))
        put(&word, value);
    else
        put_quoted(&word, value);
    append_word(results, buf_bytes(&word));
    buf_free(&word);
}

/* Not in the middle of a character. */
static struct bytes cut(struct bytes text, size_t len_max)
{
    size_t len = MIN(text.len, len_max);

    while (len > 0 && len < text.len && (text.ptr[len] & 0xc0) == 0x80)
        len--;
    return bytes_slice(text, 0, len);
}

void results_reason(struct results *results, struct bytes text)
{
    if (text.len > 0)
        append_pair(results, "reason", cut(text, RESULTS_REASON_MAX), true);
}

void results_property(struct results *results, const char *type, const char *name,
                      struct bytes value)
{
    char pair[64];
    size_t type_len = strlen(type);
    size_t name_len = strlen(name);

    check(type_len + name_len + 2 <= sizeof(pair));
    if (value.len == 0 || value.len > RESULTS_VALUE_MAX)
        return;
    memcpy(pair, type, type_len);
    pair[type_len] = '.';
    memcpy(pair + type_len + 1, name, name_len + 1);
    append_pair(results, pair, value, false);
}

bool results_end(struct results *results)
{
    append(results, results->has_method ? BYTES("\r\n") : BYTES("; none\r\n"));
    return !results->is_full;
}

/* --- recognising ------------------------------------------------------------------------------ */

/* Behind white space and comments, however they are nested. False: a comment does not end. */
static bool skip_space(struct bytes *b)
{
    size_t depth = 0;
    size_t at = 0;

    for (; at < b->len; at++) {
        uint8_t c = b->ptr[at];

        if (c == '(')
            depth++;
        else if (depth > 0 && c == ')')
            depth--;
        else if (depth > 0 && c == '\\')
            at++;
        else if (depth == 0 && c > ' ') /* control characters pass for space somewhere */
            break;
    }
    *b = bytes_slice(*b, at, b->len);
    return depth == 0;
}

/* A quoted string without its quotes into `out`, as far as it fits. False: it does not end. */
static bool take_quoted(struct bytes *b, struct buf *out)
{
    size_t at = 1;

    for (; at < b->len && b->ptr[at] != '"'; at++) {
        if (b->ptr[at] == '\\' && ++at == b->len)
            return false;
        if (b->ptr[at] != '\r' && b->ptr[at] != '\n' && !buf_append_byte(out, b->ptr[at]))
            return true; /* longer than any id: it is none */
    }
    if (at == b->len)
        return false;
    *b = bytes_slice(*b, at + 1, b->len);
    return true;
}

/* authserv-id: a token, which may hold UTF-8, or a quoted string; what else stands in its place up
 * to white space, a comment or ";" is read as well. */
static bool take_id(struct bytes *b, struct buf *out)
{
    size_t len = 0;

    if (b->len > 0 && b->ptr[0] == '"')
        return take_quoted(b, out);
    while (len < b->len && b->ptr[len] > ' ' && b->ptr[len] != ';' && b->ptr[len] != '(')
        len++;
    if (!buf_append(out, bytes_slice(*b, 0, len)))
        buf_clear(out); /* longer than any id */
    *b = bytes_slice(*b, len, b->len);
    return true;
}

static bool holds(struct bytes value, struct bytes id)
{
    for (size_t at = 0; at + id.len <= value.len; at++)
        if (bytes_equal_nocase(bytes_slice(value, at, id.len), id))
            return true;
    return false;
}

bool results_claims(struct bytes value, struct bytes id)
{
    struct bytes rest = value;
    struct buf found;
    bool is_claimed;

    buf_init(&found, 1024);
    if (!skip_space(&rest) || rest.len == 0 || !take_id(&rest, &found)) {
        is_claimed = holds(value, id);
    } else {
        struct bytes name = bytes_trim(buf_bytes(&found));

        if (name.len > 0 && name.ptr[name.len - 1] == '.')
            name.len--;
        is_claimed = bytes_equal_nocase(name, id);
    }
    buf_free(&found);
    return is_claimed;
}
