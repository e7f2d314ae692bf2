/* json_check.c - a walk over JSON that builds nothing. */
#include "event/json_check.h"

#include "event/json_text.h"

static bool take_hex_4(const uint8_t *c, const uint8_t *end, unsigned *value_out)
{
    unsigned value = 0;

    if (end - c < 4)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        uint8_t low = byte_lower(c[i]);

        if (!byte_is_digit(low) && (low < 'a' || low > 'f'))
            return false;
        value = value << 4 | (unsigned)(byte_is_digit(low) ? low - '0' : low - 'a' + 10);
    }
    *value_out = value;
    return true;
}

/* Behind one escape, NULL if it is none. Surrogates come in pairs; NUL is refused as elsewhere. */
static const uint8_t *skip_escape(const uint8_t *c, const uint8_t *end)
{
    unsigned unit;

    check(*c == '\\');
    if (end - c < 2)
        return NULL;
    if (c[1] != 'u')
        return bytes_find(BYTES("\"\\/bfnrt"), c[1], 0) < 8 ? c + 2 : NULL;
    if (!take_hex_4(c + 2, end, &unit) || unit == 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        return NULL;
    if (unit < 0xd800 || unit > 0xdbff)
        return c + 6;
    if (end - c < 12 || c[6] != '\\' || c[7] != 'u' || !take_hex_4(c + 8, end, &unit))
        return NULL;
    return unit >= 0xdc00 && unit <= 0xdfff ? c + 12 : NULL;
}

/* Behind one JSON string, NULL if there is none. */
static const uint8_t *skip_string(const uint8_t *c, const uint8_t *end)
{
    if (c == end || *c++ != '"')
        return NULL;
    while (c < end && *c != '"') {
        if (*c == '\\') {
            c = skip_escape(c, end);
            if (c == NULL)
                return NULL;
            continue;
        }
        size_t len = *c < 0x20 ? 0 : json_text_utf8_len((struct bytes){c, (size_t)(end - c)});
        if (len == 0)
            return NULL;
        c += len;
    }
    return c < end ? c + 1 : NULL;
}

static const uint8_t *skip_space(const uint8_t *c, const uint8_t *end)
{
    /* No line feed: an event stays on one line. */
    while (c < end && (*c == ' ' || *c == '\t'))
        c++;
    return c;
}

bool json_holds_strings(struct bytes json)
{
    if (json.len == 0)
        return false;
    const uint8_t *end = json.ptr + json.len;
    const uint8_t *c = skip_space(json.ptr, end);

    if (c == end || *c != '[')
        return false;
    c = skip_space(c + 1, end);
    bool is_first = true;
    while (c < end && *c != ']') {
        if (!is_first && *c++ != ',')
            return false;
        c = skip_string(skip_space(c, end), end);
        if (c == NULL)
            return false;
        c = skip_space(c, end);
        is_first = false;
    }
    return c < end && skip_space(c + 1, end) == end;
}

/* --- any value -------------------------------------------------------------------------------- */

static const uint8_t *skip_digits(const uint8_t *c, const uint8_t *end)
{
    const uint8_t *first = c;

    while (c < end && byte_is_digit(*c))
        c++;
    return c > first ? c : NULL;
}

/* RFC 8259 section 6: no sign but "-", no zeros in front. */
static const uint8_t *skip_number(const uint8_t *c, const uint8_t *end)
{
    if (c < end && *c == '-')
        c++;
    bool is_zero = c < end && *c == '0';
    const uint8_t *first = c;

    if ((c = skip_digits(c, end)) == NULL || (is_zero && c - first > 1))
        return NULL;
    if (c < end && *c == '.' && (c = skip_digits(c + 1, end)) == NULL)
        return NULL;
    if (c < end && byte_lower(*c) == 'e') {
        c++;
        if (c < end && (*c == '+' || *c == '-'))
            c++;
        c = skip_digits(c, end);
    }
    return c;
}

static const uint8_t *skip_word(const uint8_t *c, const uint8_t *end)
{
    static const struct bytes words[] = {BYTES("true"), BYTES("false"), BYTES("null")};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (bytes_equal(bytes_slice(bytes_range(c, (size_t)(end - c)), 0, words[i].len), words[i]))
            return c + words[i].len;
    return NULL;
}

static const uint8_t *skip_value(const uint8_t *c, const uint8_t *end, unsigned depth);

/* The rest of an object or array, behind its first bracket. */
static const uint8_t *skip_members(const uint8_t *c, const uint8_t *end, uint8_t close,
                                   unsigned depth)
{
    c = skip_space(c, end);
    if (c < end && *c == close)
        return c + 1;
    for (;;) {
        if (close == '}') {
            c = skip_string(skip_space(c, end), end);
            if (c == NULL || (c = skip_space(c, end)) == end || *c++ != ':')
                return NULL;
        }
        c = skip_value(skip_space(c, end), end, depth);
        if (c == NULL || (c = skip_space(c, end)) == end)
            return NULL;
        if (*c == close)
            return c + 1;
        if (*c++ != ',')
            return NULL;
    }
}

/* Behind one value, NULL if there is none. */
static const uint8_t *skip_value(const uint8_t *c, const uint8_t *end, unsigned depth)
{
    if (c == end)
        return NULL;
    switch (*c) {
    case '{':
    case '[':
        return depth == 0
                   ? NULL
                   : skip_members(c + 1, end, *c == '{' ? (uint8_t)'}' : (uint8_t)']', depth - 1);
    case '"':
        return skip_string(c, end);
    case 't':
    case 'f':
    case 'n':
        return skip_word(c, end);
    default:
        return skip_number(c, end);
    }
}

bool json_holds_object(struct bytes json)
{
    if (json.len == 0)
        return false;
    const uint8_t *end = json.ptr + json.len;
    const uint8_t *c = skip_space(json.ptr, end);

    if (c == end || *c != '{')
        return false;
    c = skip_value(c, end, JSON_DEPTH_MAX);
    return c != NULL && skip_space(c, end) == end;
}
