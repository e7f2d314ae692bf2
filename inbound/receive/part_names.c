/* part_names.c - sections put together, percents and encoded words decoded, or neither. */
#include "inbound/receive/part_names.h"

#include "base/buf.h"
#include "smtp/encoded_word.h"

enum { NAME_MAX_BYTES = 4096 };

struct taker {
    part_name_fn *take;
    void *context;
};

/* "%41": whether the section says that it is so or not. */
static bool put_percent(struct bytes value, struct buf *out)
{
    bool fits = true;

    for (size_t i = 0; i < value.len && fits; i++) {
        int high = value.ptr[i] == '%' && i + 2 < value.len ? byte_hex_value(value.ptr[i + 1]) : -1;
        int low = high >= 0 ? byte_hex_value(value.ptr[i + 2]) : -1;

        if (low < 0) {
            fits = buf_append_byte(out, value.ptr[i]);
            continue;
        }
        fits = buf_append_byte(out, (uint8_t)(high << 4 | low));
        i += 2;
    }
    return fits;
}

/* "utf-8'en'rest" */
static struct bytes without_charset(struct bytes value)
{
    size_t first = bytes_find(value, '\'', 0), second = bytes_find(value, '\'', first + 1);

    return second < value.len ? bytes_slice(value, second + 1, value.len) : value;
}

/* The section `number` of "filename*0*" and the like (RFC 2231 sections 3 and 4). */
static const struct mime_param *find_section(const struct mime_param *params, struct bytes base,
                                             uint64_t number, bool *is_encoded_out)
{
    for (const struct mime_param *p = params; p != NULL; p = p->next) {
        struct bytes rest = p->name;
        uint64_t is;

        if (bytes_take_nocase(&rest, base) && bytes_take_nocase(&rest, BYTES("*")) &&
            bytes_take_u64(&rest, &is) && is == number &&
            (rest.len == 0 || bytes_equal(rest, BYTES("*")))) {
            *is_encoded_out = rest.len > 0;
            return p;
        }
    }
    return NULL;
}

/* False: there is none in sections. */
static bool join_sections(const struct mime_param *params, struct bytes base, struct buf *out)
{
    const struct mime_param *p;
    bool is_encoded;
    uint64_t number = 0;

    for (; (p = find_section(params, base, number, &is_encoded)) != NULL; number++)
        if (!put_percent(number == 0 && is_encoded ? without_charset(p->value) : p->value, out))
            break;
    return number > 0;
}

static void take_decoded(const struct taker *to, struct bytes text)
{
    struct buf decoded;

    buf_init(&decoded, NAME_MAX_BYTES);
    (void)!encoded_words_read(text, &decoded);
    to->take(to->context, text);
    if (buf_len(&decoded) > 0)
        to->take(to->context, buf_bytes(&decoded));
    buf_free(&decoded);
}

void part_names_of(const struct mime_param *params, struct bytes base, part_name_fn *take,
                   void *context)
{
    const struct taker *to = &(struct taker){take, context};
    struct buf text;

    buf_init(&text, NAME_MAX_BYTES);
    for (const struct mime_param *p = params; p != NULL; p = p->next) {
        struct bytes rest = p->name;

        buf_clear(&text);
        if (bytes_equal_nocase(p->name, base))
            take_decoded(to, p->value);
        else if (bytes_take_nocase(&rest, base) && bytes_equal(rest, BYTES("*")) &&
                 put_percent(without_charset(p->value), &text))
            take_decoded(to, buf_bytes(&text));
    }
    buf_clear(&text);
    if (join_sections(params, base, &text))
        take_decoded(to, buf_bytes(&text));
    buf_free(&text);
}

static bool ends_in_name(struct bytes text)
{
    while (text.len > 0 && (text.ptr[text.len - 1] <= ' ' || text.ptr[text.len - 1] == '*' ||
                            byte_is_digit(text.ptr[text.len - 1])))
        text.len--;
    return bytes_ends_nocase(text, BYTES("name"));
}

void part_names_loosely(struct bytes value, part_name_fn *take, void *context)
{
    const struct taker *to = &(struct taker){take, context};

    for (size_t at; (at = bytes_find(value, '=', 0)) < value.len;) {
        bool is_name = ends_in_name(bytes_slice(value, 0, at));
        size_t start = at + 1, end;

        while (start < value.len && (value.ptr[start] <= ' ' || value.ptr[start] == '"'))
            start++;
        for (end = start; end < value.len && value.ptr[end] != '"' && value.ptr[end] != ';' &&
                          value.ptr[end] != '\r';)
            end++;
        if (is_name)
            take_decoded(to, bytes_slice(value, start, MIN(end - start, (size_t)NAME_MAX_BYTES)));
        value = bytes_slice(value, is_name ? end : at + 1, value.len);
    }
}
