/* json_text.c - any bytes as a JSON string. */
#include "event/json_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/eight.h"

static const uint8_t bad_byte[] = {0xef, 0xbf, 0xbd}; /* U+FFFD */

size_t json_text_utf8_len(struct bytes text)
{
    const uint8_t *c = text.ptr;
    static const struct {
        uint8_t lead_min, lead_max, second_min, second_max, len;
    } forms[] = {
        {0x00, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    check(text.len > 0);
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (c[0] < forms[i].lead_min || c[0] > forms[i].lead_max)
            continue;
        size_t len = forms[i].len;
        if (text.len < len)
            return 0;
        if (len > 1 && (c[1] < forms[i].second_min || c[1] > forms[i].second_max))
            return 0;
        for (size_t n = 2; n < len; n++)
            if ((c[n] & 0xc0) != 0x80)
                return 0;
        return len;
    }
    return 0;
}

static uint8_t *put_escaped(uint8_t *p, uint8_t c)
{
    *p++ = '\\';
    switch (c) {
    case '"':
    case '\\':
        *p++ = c;
        return p;
    case '\n':
        *p++ = 'n';
        return p;
    case '\r':
        *p++ = 'r';
        return p;
    case '\t':
        *p++ = 't';
        return p;
    default: /* a control */
        p[0] = 'u';
        p[1] = p[2] = '0';
        p[3] = (uint8_t)('0' + (c >> 4));
        p[4] = (uint8_t) "0123456789abcdef"[c & 15];
        return p + 5;
    }
}

uint8_t *json_text_put(uint8_t *p, struct bytes text)
{
    const uint8_t *c = text.ptr;
    const uint8_t *end = text.ptr + text.len;

    *p++ = '"';
    while (c < end) {
        if (end - c >= 8 && eight_is_quotable(eight_load(c))) {
            memcpy(p, c, 8);
            p += 8;
            c += 8;
            continue;
        }
        if (*c >= 0x20 && *c < 0x80 && *c != '"' && *c != '\\') {
            *p++ = *c++;
            continue;
        }
        size_t len = json_text_utf8_len((struct bytes){c, (size_t)(end - c)});
        if (len == 0 || *c == 0) {
            memcpy(p, bad_byte, sizeof(bad_byte));
            p += sizeof(bad_byte);
            c++;
        } else if (*c < 0x20 || *c == '"' || *c == '\\') {
            p = put_escaped(p, *c++);
        } else {
            for (; len > 0; len--)
                *p++ = *c++;
        }
    }
    *p++ = '"';
    return p;
}

bool json_text_append(struct buf *out, struct bytes text)
{
    if (text.len > (SIZE_MAX - JSON_TEXT_SLACK) / JSON_TEXT_ESCAPE_LEN)
        return false;
    uint8_t *start = buf_reserve(out, JSON_TEXT_ESCAPE_LEN * text.len + JSON_TEXT_SLACK);

    if (start == NULL)
        return false;
    buf_extend(out, (size_t)(json_text_put(start, text) - start));
    return true;
}

json_t *json_text(struct bytes text)
{
    size_t at = 0, len = 0;
    char *mended = malloc(text.len * sizeof(bad_byte) + 1);
    json_t *json = NULL;

    if (mended == NULL)
        return NULL;
    while (at < text.len) {
        size_t character = json_text_utf8_len(bytes_slice(text, at, text.len));

        if (character == 0 || text.ptr[at] == 0) {
            memcpy(mended + len, bad_byte, sizeof(bad_byte));
            len += sizeof(bad_byte);
            at++;
        } else {
            memcpy(mended + len, text.ptr + at, character);
            len += character;
            at += character;
        }
    }
    json = json_stringn_nocheck(mended, len);
    free(mended);
    return json;
}

json_t *json_text_of(const char *string)
{
    return json_text(bytes_of(string));
}

struct bytes json_text_at(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_string(value) ? bytes_range(json_string_value(value), json_string_length(value))
                                 : BYTES_NONE;
}
