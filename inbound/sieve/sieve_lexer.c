/* sieve_lexer.c - tokens, with the line each begins in. */
#include "inbound/sieve/sieve_lexer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"

void sieve_error_set(struct sieve_error *error, unsigned line, const char *format, ...)
{
    va_list args;

    error->line = line;
    va_start(args, format);
    (void)vsnprintf(error->what, sizeof(error->what), format, args);
    va_end(args);
}

struct sieve_shown sieve_show(struct bytes text)
{
    struct sieve_shown shown;
    size_t at = 0;
    bool is_cut = false;

    while (text.len > 0) {
        size_t len = utf8_character(text);

        if (at + MAX(len, (size_t)1) + 4 > sizeof(shown.text)) {
            is_cut = true;
            break;
        }
        if (len == 0) {
            shown.text[at++] = text.ptr[0] >= ' ' && text.ptr[0] < 127 ? (char)text.ptr[0] : '?';
            len = 1;
        } else {
            for (size_t i = 0; i < len; i++)
                shown.text[at++] = (char)text.ptr[i];
        }
        text = bytes_slice(text, len, text.len);
    }
    for (unsigned i = 0; is_cut && i < 3; i++)
        shown.text[at++] = '.';
    shown.text[at] = '\0';
    return shown;
}

void sieve_lexer_init(struct sieve_lexer *lexer, struct bytes text, struct arena *arena,
                      struct sieve_error *error)
{
    *lexer = (struct sieve_lexer){.rest = text, .line = 1, .arena = arena, .error = error};
}

static void skip(struct sieve_lexer *lexer, size_t len)
{
    lexer->rest = bytes_slice(lexer->rest, len, lexer->rest.len);
}

static bool at(const struct sieve_lexer *lexer, size_t offset, uint8_t byte)
{
    return offset < lexer->rest.len && lexer->rest.ptr[offset] == byte;
}

static struct sieve_token failed(void)
{
    return (struct sieve_token){.kind = SIEVE_TOKEN_ERROR};
}

/* CRLF or LF off the front, and the line is counted. */
static bool take_line_end(struct sieve_lexer *lexer)
{
    if (at(lexer, 0, '\n'))
        skip(lexer, 1);
    else if (at(lexer, 0, '\r') && at(lexer, 1, '\n'))
        skip(lexer, 2);
    else
        return false;
    lexer->line++;
    return true;
}

/* NUL, and a CR that ends no line, are nowhere allowed (RFC 5228 section 2.1). */
static bool is_forbidden(struct sieve_lexer *lexer)
{
    if (at(lexer, 0, '\0'))
        sieve_error_set(lexer->error, lexer->line, "a byte NUL, which no script holds");
    else if (at(lexer, 0, '\r') && !at(lexer, 1, '\n'))
        sieve_error_set(lexer->error, lexer->line, "a CR without an LF behind it");
    else
        return false;
    return true;
}

/* Up to the end of the line, which stays. */
static bool skip_hash_comment(struct sieve_lexer *lexer)
{
    while (lexer->rest.len > 0 && !at(lexer, 0, '\n') &&
           !(at(lexer, 0, '\r') && at(lexer, 1, '\n'))) {
        if (is_forbidden(lexer))
            return false;
        skip(lexer, 1);
    }
    return true;
}

static bool skip_bracket_comment(struct sieve_lexer *lexer)
{
    unsigned line = lexer->line;

    skip(lexer, 2);
    while (!(at(lexer, 0, '*') && at(lexer, 1, '/'))) {
        if (lexer->rest.len == 0) {
            sieve_error_set(lexer->error, line,
                            "expected \"*/\", which ends the comment that begins here");
            return false;
        }
        if (is_forbidden(lexer))
            return false;
        if (!take_line_end(lexer))
            skip(lexer, 1);
    }
    skip(lexer, 2);
    return true;
}

static bool skip_white(struct sieve_lexer *lexer)
{
    for (;;) {
        if (at(lexer, 0, ' ') || at(lexer, 0, '\t')) {
            skip(lexer, 1);
        } else if (at(lexer, 0, '#')) {
            if (!skip_hash_comment(lexer))
                return false;
        } else if (at(lexer, 0, '/') && at(lexer, 1, '*')) {
            if (!skip_bracket_comment(lexer))
                return false;
        } else if (!take_line_end(lexer)) {
            return true;
        }
    }
}

/* --- strings ---------------------------------------------------------------------------------- */

/* Room for a value no longer than what is left of the script, where each LF may become CRLF. */
static uint8_t *value_room(struct sieve_lexer *lexer, size_t len)
{
    size_t lines = 0;

    for (size_t i = 0; i < len; i++)
        lines += lexer->rest.ptr[i] == '\n';
    uint8_t *room = arena_alloc(lexer->arena, len + lines + 1);

    if (room == NULL)
        sieve_error_set(lexer->error, lexer->line, "the script needs too much memory");
    return room;
}

static size_t quoted_len(struct bytes rest)
{
    size_t i = 0;

    while (i < rest.len && rest.ptr[i] != '"')
        i += rest.ptr[i] == '\\' ? 2 : 1;
    return MIN(i, rest.len);
}

static struct sieve_token quoted_string(struct sieve_lexer *lexer)
{
    struct sieve_token token = {.kind = SIEVE_TOKEN_STRING, .line = lexer->line};

    skip(lexer, 1);
    uint8_t *value = value_room(lexer, quoted_len(lexer->rest));
    size_t len = 0;

    if (value == NULL)
        return failed();
    while (lexer->rest.len > 0 && !at(lexer, 0, '"')) {
        if (is_forbidden(lexer))
            return failed();
        if (take_line_end(lexer)) {
            value[len++] = '\r';
            value[len++] = '\n';
            continue;
        }
        if (at(lexer, 0, '\\')) {
            skip(lexer, 1);
            if (lexer->rest.len == 0)
                break;
            if (is_forbidden(lexer))
                return failed();
            if (at(lexer, 0, '\n') || at(lexer, 0, '\r')) /* of no meaning: as if it stood alone */
                continue;
        }
        value[len++] = lexer->rest.ptr[0];
        skip(lexer, 1);
    }
    if (lexer->rest.len == 0) {
        sieve_error_set(lexer->error, token.line,
                        "expected '\"', which ends the string that begins here");
        return failed();
    }
    skip(lexer, 1);
    token.text = (struct bytes){value, len};
    return token;
}

/* Up to the line "." or the end. */
static size_t multi_line_len(struct bytes rest)
{
    for (size_t i = 0; i < rest.len; i = bytes_find(rest, '\n', i) + 1) {
        if (rest.ptr[i] != '.')
            continue;
        if (i + 1 == rest.len || rest.ptr[i + 1] == '\n' || rest.ptr[i + 1] == '\r')
            return i;
    }
    return rest.len;
}

/* One line of a multi-line string into *value; false: it failed, or it was the last (is_over). */
static bool multi_line_line(struct sieve_lexer *lexer, uint8_t *value, size_t *len, bool *is_over)
{
    if (at(lexer, 0, '.')) {
        skip(lexer, 1);
        *is_over = take_line_end(lexer) || lexer->rest.len == 0;
        if (*is_over)
            return false;
        if (!at(lexer, 0, '.'))
            value[(*len)++] = '.';
    }
    while (!take_line_end(lexer)) {
        if (lexer->rest.len == 0 || is_forbidden(lexer))
            return false;
        value[(*len)++] = lexer->rest.ptr[0];
        skip(lexer, 1);
    }
    value[(*len)++] = '\r';
    value[(*len)++] = '\n';
    return true;
}

/* Behind "text:". */
static struct sieve_token multi_line(struct sieve_lexer *lexer, unsigned line)
{
    struct sieve_token token = {.kind = SIEVE_TOKEN_STRING, .line = line};
    size_t len = 0;
    bool is_over = false;

    while (at(lexer, 0, ' ') || at(lexer, 0, '\t'))
        skip(lexer, 1);
    if (at(lexer, 0, '#') && !skip_hash_comment(lexer))
        return failed();
    if (!take_line_end(lexer)) {
        sieve_error_set(lexer->error, line, "expected the end of the line behind \"text:\"");
        return failed();
    }
    uint8_t *value = value_room(lexer, multi_line_len(lexer->rest));

    if (value == NULL)
        return failed();
    lexer->error->what[0] = '\0';
    while (multi_line_line(lexer, value, &len, &is_over))
        ;
    if (!is_over) {
        if (lexer->error->what[0] == '\0')
            sieve_error_set(lexer->error, line,
                            "expected a line \".\", which ends the text that begins here");
        return failed();
    }
    token.text = (struct bytes){value, len};
    return token;
}

/* --- words ------------------------------------------------------------------------------------ */

static bool is_word_start(struct bytes rest)
{
    return rest.len > 0 && (byte_is_alpha(rest.ptr[0]) || rest.ptr[0] == '_');
}

static struct bytes take_word(struct sieve_lexer *lexer)
{
    size_t len = 0;

    while (len < lexer->rest.len &&
           (byte_is_alnum(lexer->rest.ptr[len]) || lexer->rest.ptr[len] == '_'))
        len++;
    struct bytes word = bytes_slice(lexer->rest, 0, len);

    skip(lexer, len);
    return word;
}

static struct sieve_token number(struct sieve_lexer *lexer)
{
    struct sieve_token token = {.kind = SIEVE_TOKEN_NUMBER, .line = lexer->line};
    unsigned shift = 0;
    bool is_good = bytes_take_u64(&lexer->rest, &token.number);

    if (is_good && lexer->rest.len > 0 && byte_is_alpha(lexer->rest.ptr[0])) {
        uint8_t suffix = byte_lower(lexer->rest.ptr[0]);

        shift = suffix == 'k' ? 10 : suffix == 'm' ? 20 : suffix == 'g' ? 30 : 0;
        if (shift > 0)
            skip(lexer, 1);
        if (shift == 0 || is_word_start(lexer->rest) ||
            (lexer->rest.len > 0 && byte_is_digit(lexer->rest.ptr[0]))) {
            sieve_error_set(lexer->error, token.line,
                            "expected a number: digits, and one of K, M and G behind them");
            return failed();
        }
    }
    if (!is_good || token.number > (UINT64_MAX >> 1) >> shift) {
        sieve_error_set(lexer->error, token.line, "the number is too large");
        return failed();
    }
    token.number <<= shift;
    return token;
}

static struct sieve_token word(struct sieve_lexer *lexer)
{
    struct sieve_token token = {.kind = SIEVE_TOKEN_IDENTIFIER, .line = lexer->line};

    token.text = take_word(lexer);
    if (at(lexer, 0, ':') && bytes_equal_nocase(token.text, BYTES("text"))) {
        skip(lexer, 1);
        return multi_line(lexer, token.line);
    }
    return token;
}

static struct sieve_token tag(struct sieve_lexer *lexer)
{
    struct sieve_token token = {.kind = SIEVE_TOKEN_TAG, .line = lexer->line};

    skip(lexer, 1);
    if (!is_word_start(lexer->rest)) {
        sieve_error_set(lexer->error, token.line, "expected a word behind ':'");
        return failed();
    }
    token.text = take_word(lexer);
    return token;
}

struct sieve_token sieve_lexer_next(struct sieve_lexer *lexer)
{
    if (!skip_white(lexer))
        return failed();
    if (lexer->rest.len == 0)
        return (struct sieve_token){.kind = SIEVE_TOKEN_END, .line = lexer->line};
    uint8_t first = lexer->rest.ptr[0];

    if (first == '"')
        return quoted_string(lexer);
    if (byte_is_digit(first))
        return number(lexer);
    if (first == ':')
        return tag(lexer);
    if (is_word_start(lexer->rest))
        return word(lexer);
    if (bytes_find(BYTES(";,[](){}"), first, 0) < 8) {
        skip(lexer, 1);
        return (struct sieve_token){.kind = SIEVE_TOKEN_PUNCTUATION,
                                    .line = lexer->line,
                                    .mark = first};
    }
    if (!is_forbidden(lexer))
        sieve_error_set(lexer->error, lexer->line, "\"%s\" begins nothing that a script may hold",
                        sieve_show(bytes_slice(lexer->rest, 0, 1)).text);
    return failed();
}
