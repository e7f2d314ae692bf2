/* tag_list.c - the grammar of RFC 6376 section 3.2. */
#include "auth/tag_list.h"

#include "base/utf8.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* Length of the folding white space at the front: blanks, and CRLF where a blank follows. */
static size_t blank_len(struct bytes b)
{
    size_t at = 0;

    while (at < b.len) {
        if (is_blank(b.ptr[at]))
            at++;
        else if (b.len - at >= 3 && b.ptr[at] == '\r' && b.ptr[at + 1] == '\n' &&
                 is_blank(b.ptr[at + 2]))
            at += 3;
        else
            break;
    }
    return at;
}

static struct bytes skip(struct bytes b, size_t len)
{
    return bytes_slice(b, len, b.len);
}

struct bytes tag_trim(struct bytes value)
{
    value = skip(value, blank_len(value));
    /* From behind: a CRLF is white space only before a blank, which was taken already. */
    for (;;) {
        bool took_blank = false;

        while (value.len > 0 && is_blank(value.ptr[value.len - 1])) {
            value.len--;
            took_blank = true;
        }
        if (!took_blank || value.len < 2 || value.ptr[value.len - 1] != '\n' ||
            value.ptr[value.len - 2] != '\r')
            return value;
        value.len -= 2;
        /* What stands before may be a CRLF directly: that one has no blank behind it. */
        if (value.len == 0 || !is_blank(value.ptr[value.len - 1]))
            return value;
    }
}

/* tag-value: visible characters but ";", and folding white space between them. */
static bool is_value(struct bytes value)
{
    while (value.len > 0) {
        size_t len = blank_len(value);

        if (len == 0 && value.ptr[0] >= 0x21 && value.ptr[0] <= 0x7e && value.ptr[0] != ';')
            len = 1;
        if (len == 0)
            len = utf8_character(value);
        if (len == 0)
            return false;
        value = skip(value, len);
    }
    return true;
}

static bool is_name(struct bytes name)
{
    if (name.len == 0 || !byte_is_alpha(name.ptr[0]))
        return false;
    for (size_t i = 1; i < name.len; i++)
        if (!byte_is_alnum(name.ptr[i]) && name.ptr[i] != '_')
            return false;
    return true;
}

/* One tag-spec. NULL, or what is wrong with it. */
static const char *read_tag(struct bytes text, struct tag *out)
{
    size_t equals = bytes_find(text, '=', 0);

    if (equals == text.len)
        return "a tag without \"=\"";
    out->name = tag_trim(bytes_slice(text, 0, equals));
    out->span = skip(text, equals + 1);
    out->value = tag_trim(out->span);
    if (!is_name(out->name))
        return "a tag's name is not one";
    return is_value(out->value) ? NULL : "a tag's value has characters that it must not have";
}

static const char *parse(struct bytes text, struct tag_list *out)
{
    bool more = true;

    while (more) {
        size_t end = bytes_find(text, ';', 0);
        struct bytes part = bytes_slice(text, 0, end);
        struct tag tag;

        more = end < text.len;
        text = skip(text, end + 1);
        /* Behind the last ";" there may be nothing. */
        if (!more && out->count > 0 && tag_trim(part).len == 0)
            break;
        const char *reason = read_tag(part, &tag);
        if (reason != NULL)
            return reason;
        if (tag_list_find(out, tag.name) != NULL)
            return "a tag occurs twice";
        if (out->count == TAGS_MAX)
            return "too many tags";
        out->tags[out->count++] = tag;
    }
    return NULL;
}

bool tag_list_parse(struct bytes text, struct tag_list *out, const char **reason_out)
{
    out->count = 0;
    const char *reason = parse(text, out);

    if (reason == NULL)
        return true;
    *reason_out = reason;
    return false;
}

const struct tag *tag_list_find(const struct tag_list *list, struct bytes name)
{
    for (size_t i = 0; i < list->count; i++)
        if (bytes_equal(list->tags[i].name, name))
            return &list->tags[i];
    return NULL;
}

struct bytes tag_list_value(const struct tag_list *list, struct bytes name)
{
    const struct tag *tag = tag_list_find(list, name);

    return tag == NULL ? BYTES_NONE : tag->value;
}

bool tag_item_take(struct bytes *rest, uint8_t separator, struct bytes *item_out)
{
    if (rest->ptr == NULL)
        return false;
    size_t end = bytes_find(*rest, separator, 0);

    *item_out = tag_trim(bytes_slice(*rest, 0, end));
    *rest = end == rest->len ? BYTES_NONE : skip(*rest, end + 1);
    return true;
}

bool tag_number(struct bytes value, uint64_t *number_out)
{
    enum { DIGITS_MAX = 76 }; /* of l=, the longest there is */

    if (value.len == 0 || value.len > DIGITS_MAX)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (!byte_is_digit(value.ptr[i]))
            return false;
    if (!bytes_to_u64(value, number_out))
        *number_out = UINT64_MAX;
    return true;
}

static int base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (byte_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Up to four characters off the front, white space left out; how many. */
static size_t take_four(struct bytes *value, uint8_t four[static 4])
{
    size_t count = 0;

    while (count < 4) {
        *value = skip(*value, blank_len(*value));
        if (value->len == 0)
            break;
        four[count++] = value->ptr[0];
        *value = skip(*value, 1);
    }
    *value = skip(*value, blank_len(*value));
    return count;
}

/* Four characters, of which `padding` are "=" at the end. */
static bool base64_four(const uint8_t four[static 4], size_t *len_out, uint8_t out[static 3])
{
    size_t padding = four[3] == '=' ? four[2] == '=' ? 2 : 1 : 0;
    uint32_t bits = 0;

    for (size_t i = 0; i < 4 - padding; i++) {
        int digit = base64_digit(four[i]);

        if (digit < 0)
            return false;
        bits |= (uint32_t)digit << (18 - 6 * i);
    }
    *len_out = 3 - padding;
    for (size_t i = 0; i < 3; i++)
        out[i] = (uint8_t)(bits >> (16 - 8 * i));
    return (bits & ((1u << (8 * padding)) - 1)) == 0;
}

bool tag_base64(struct bytes value, struct buf *out)
{
    size_t before = buf_len(out);
    bool is_good = true;

    value = skip(value, blank_len(value));
    while (is_good && value.len > 0) {
        uint8_t four[4], three[3];
        size_t len;

        is_good = take_four(&value, four) == 4 && base64_four(four, &len, three) &&
                  (len == 3 || value.len == 0) && buf_append(out, bytes_range(three, len));
    }
    if (!is_good)
        buf_truncate(out, before);
    return is_good;
}

/* One character off the front; false where there is none of this grammar. */
static bool take_quoted(struct bytes *value, struct buf *out)
{
    size_t len = 1;

    if (value->ptr[0] == '=') {
        int high = value->len < 3 ? -1 : byte_hex_upper_value(value->ptr[1]);
        int low = value->len < 3 ? -1 : byte_hex_upper_value(value->ptr[2]);

        *value = skip(*value, MIN(value->len, (size_t)3));
        return high >= 0 && low >= 0 && buf_append_byte(out, (uint8_t)(high << 4 | low));
    }
    if (value->ptr[0] > 126)
        len = utf8_character(*value);
    else if (value->ptr[0] < 33 || value->ptr[0] == ';')
        len = 0;
    struct bytes one = bytes_slice(*value, 0, len);

    *value = skip(*value, len);
    return len > 0 && buf_append(out, one);
}

bool tag_quoted_printable(struct bytes value, struct buf *out)
{
    size_t before = buf_len(out);
    bool is_good = true;

    value = skip(value, blank_len(value));
    while (is_good && value.len > 0) {
        is_good = take_quoted(&value, out);
        value = skip(value, blank_len(value));
    }
    if (!is_good)
        buf_truncate(out, before);
    return is_good;
}

bool tag_is_word(struct bytes value)
{
    if (value.len == 0 || !byte_is_alpha(value.ptr[0]) || !byte_is_alnum(value.ptr[value.len - 1]))
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (!byte_is_alnum(value.ptr[i]) && value.ptr[i] != '-')
            return false;
    return true;
}
