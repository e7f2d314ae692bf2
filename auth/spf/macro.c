/* macro.c - macro-strings of SPF. */
#include "auth/spf/macro.h"

enum { PARTS_MAX = 128 }; /* right-hand parts; more than labels fit in a name (section 7.3) */

static const struct bytes all_letters = {(const uint8_t *)"slodiphvcrt", 11};
static const struct bytes domain_letters = {(const uint8_t *)"slodiphv", 8};
static const struct bytes delimiters = {(const uint8_t *)".-+,/_=", 7};

struct macro {
    uint8_t letter; /* lower case; 0: `fixed` is what it stands for */
    struct bytes fixed;
    bool is_escaped; /* the letter is a capital */
    bool is_reversed;
    size_t part_count; /* 0: all */
    struct bytes delimiters;
};

static bool contains(struct bytes set, uint8_t c)
{
    return bytes_find(set, c, 0) < set.len;
}

static void advance(struct bytes *b, size_t len)
{
    *b = bytes_slice(*b, len, b->len);
}

/* Digits, an "r", delimiters and the closing brace. */
static bool take_transformers(struct bytes *rest, struct macro *out)
{
    if (rest->len > 0 && byte_is_digit(rest->ptr[0])) {
        out->part_count = 0;
        while (rest->len > 0 && byte_is_digit(rest->ptr[0])) {
            if (out->part_count < PARTS_MAX)
                out->part_count = out->part_count * 10 + (size_t)(rest->ptr[0] - '0');
            advance(rest, 1);
        }
        if (out->part_count == 0)
            return false; /* "must be nonzero" */
    }
    if (rest->len > 0 && byte_lower(rest->ptr[0]) == 'r') {
        out->is_reversed = true;
        advance(rest, 1);
    }
    size_t end = bytes_find(*rest, '}', 0);

    if (end == rest->len)
        return false;
    out->delimiters = bytes_slice(*rest, 0, end);
    for (size_t i = 0; i < end; i++)
        if (!contains(delimiters, rest->ptr[i]))
            return false;
    advance(rest, end + 1);
    return true;
}

/* Takes what a '%' begins off the front. */
static bool take_macro(struct bytes *rest, struct macro *out)
{
    *out = (struct macro){0};
    if (rest->len < 2)
        return false;
    uint8_t kind = rest->ptr[1];

    advance(rest, 2);
    switch (kind) {
    case '%':
        out->fixed = BYTES("%");
        return true;
    case '_':
        out->fixed = BYTES(" ");
        return true;
    case '-':
        out->fixed = BYTES("%20");
        return true;
    case '{':
        break;
    default:
        return false;
    }
    if (rest->len == 0)
        return false;
    out->letter = byte_lower(rest->ptr[0]);
    out->is_escaped = out->letter != rest->ptr[0];
    advance(rest, 1);
    return contains(all_letters, out->letter) && take_transformers(rest, out);
}

/* Whether it is a macro-string of these letters, or an explanation: a term never holds a space.
 * *tail_out is what follows the last macro. */
static bool string_is_valid(struct bytes text, struct bytes letters, struct bytes *tail_out)
{
    struct bytes rest = text;
    struct macro macro;

    *tail_out = text;
    while (rest.len > 0) {
        uint8_t c = rest.ptr[0];

        if (c != '%') {
            if (c > 0x7e || c < 0x20)
                return false;
            advance(&rest, 1);
            continue;
        }
        if (!take_macro(&rest, &macro))
            return false;
        if (macro.letter != 0 && !contains(letters, macro.letter))
            return false;
        *tail_out = rest;
    }
    return true;
}

bool macro_string_is_valid(struct bytes text)
{
    struct bytes tail;

    return string_is_valid(text, all_letters, &tail);
}

/* toplabel: letters, digits and inner hyphens, not all digits. */
static bool is_top_label(struct bytes label)
{
    bool is_number = true;

    if (label.len == 0 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        if (!byte_is_alnum(label.ptr[i]) && label.ptr[i] != '-')
            return false;
        is_number &= byte_is_digit(label.ptr[i]);
    }
    return !is_number;
}

bool macro_domain_is_valid(struct bytes text)
{
    struct bytes tail;

    if (text.len == 0 || !string_is_valid(text, domain_letters, &tail))
        return false;
    if (tail.len == 0)
        return true; /* ends in a macro */
    if (tail.ptr[tail.len - 1] == '.')
        tail.len--;
    size_t dot = tail.len;

    while (dot > 0 && tail.ptr[dot - 1] != '.')
        dot--;
    return dot > 0 && is_top_label(bytes_slice(tail, dot, tail.len));
}

bool macro_uses_validated(struct bytes text)
{
    struct macro macro;

    while (text.len > 0) {
        if (text.ptr[0] != '%')
            advance(&text, 1);
        else if (!take_macro(&text, &macro))
            return false;
        else if (macro.letter == 'p')
            return true;
    }
    return false;
}

static struct bytes value_of(uint8_t letter, const struct macro_values *values)
{
    switch (letter) {
    case 's':
        return values->sender;
    case 'l':
        return values->local;
    case 'o':
        return values->sender_domain;
    case 'd':
        return values->domain;
    case 'i':
        return values->address;
    case 'p':
        return values->validated;
    case 'v':
        return values->version;
    case 'h':
        return values->helo;
    case 'c':
        return values->readable;
    case 'r':
        return values->receiver;
    default:
        return values->time;
    }
}

static bool append(struct buf *out, struct bytes text, bool is_escaped)
{
    static const char digits[] = "0123456789ABCDEF";

    if (!is_escaped)
        return buf_append(out, text);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool is_plain = byte_is_alnum(c) || contains(BYTES("-._~"), c); /* RFC 3986 section 2.3 */
        uint8_t escaped[] = {'%', (uint8_t)digits[c >> 4], (uint8_t)digits[c & 15]};

        if (!buf_append(out, is_plain ? bytes_range(&c, 1) : bytes_range(escaped, 3)))
            return false;
    }
    return true;
}

/* Appends one part, behind a dot unless it is the first; false where `out` is full. */
static bool append_part(struct buf *out, struct bytes part, bool is_first, bool is_escaped)
{
    return (is_first || buf_append_byte(out, '.')) && append(out, part, is_escaped);
}

static bool append_forward(struct buf *out, struct bytes value, struct bytes split, size_t skipped,
                           bool is_escaped)
{
    size_t at = 0;

    for (size_t part = 0;; part++) { /* bounded: `at` grows */
        size_t end = at;

        while (end < value.len && !contains(split, value.ptr[end]))
            end++;
        if (part >= skipped &&
            !append_part(out, bytes_slice(value, at, end - at), part == skipped, is_escaped))
            return false;
        if (end == value.len)
            return true;
        at = end + 1;
    }
}

static bool append_reversed(struct buf *out, struct bytes value, struct bytes split, size_t skipped,
                            bool is_escaped)
{
    size_t end = value.len;

    for (size_t part = 0;; part++) { /* bounded: `end` shrinks */
        size_t at = end;

        while (at > 0 && !contains(split, value.ptr[at - 1]))
            at--;
        if (part >= skipped &&
            !append_part(out, bytes_slice(value, at, end - at), part == skipped, is_escaped))
            return false;
        if (at == 0)
            return true;
        end = at - 1;
    }
}

/* The right-hand parts that are wanted: they are counted after the order was turned round. */
static bool append_parts(struct buf *out, struct bytes value, const struct macro *macro)
{
    struct bytes split = macro->delimiters.len > 0 ? macro->delimiters : BYTES(".");
    size_t skipped = 0;

    if (macro->part_count > 0) {
        size_t count = 1;

        for (size_t i = 0; i < value.len; i++)
            count += contains(split, value.ptr[i]);
        skipped = count > macro->part_count ? count - macro->part_count : 0;
    }
    return macro->is_reversed ? append_reversed(out, value, split, skipped, macro->is_escaped)
                              : append_forward(out, value, split, skipped, macro->is_escaped);
}

bool macro_expand(struct bytes text, const struct macro_values *values, struct buf *out)
{
    struct macro macro;

    while (text.len > 0) {
        size_t plain = bytes_find(text, '%', 0);

        if (!buf_append(out, bytes_slice(text, 0, plain)))
            return false;
        advance(&text, plain);
        if (text.len == 0)
            break;
        if (!take_macro(&text, &macro))
            return false;
        if (macro.letter == 0) {
            if (!buf_append(out, macro.fixed))
                return false;
            continue;
        }
        if (!append_parts(out, value_of(macro.letter, values), &macro))
            return false;
    }
    return true;
}
