/* mime_preview.c - the first words of a message. */
#include "inbound/mime/mime_preview.h"

#include "inbound/mime/mime_binary.h"
#include "inbound/mime/mime_charset.h"

#include <glib.h>

enum { READ_MAX = 64 * 1024 };

static bool is_attachment(const struct mime_part *part)
{
    struct mime_field field;

    return mime_field_find(part->header, BYTES("Content-Disposition"), &field) &&
           bytes_starts_nocase(bytes_trim(field.value), BYTES("attachment"));
}

static const struct mime_part *find_text(const struct mime_message *message, const char *subtype)
{
    for (const struct mime_part *part = message->root; part != NULL; part = mime_part_next(part))
        if (part->kind == MIME_LEAF && part->encoding != MIME_UNKNOWN &&
            bytes_equal_nocase(part->type.type, BYTES("text")) &&
            bytes_equal_nocase(part->type.subtype, bytes_of(subtype)) && !is_attachment(part))
            return part;
    return NULL;
}

/* The beginning of a part as UTF-8. */
static void read_text(const struct mime_part *part, struct buf *out)
{
    const struct mime_param *param = mime_param_find(part->type.params, BYTES("charset"));
    struct mime_charset *charset = mime_charset_open(param == NULL ? BYTES_NONE : param->value);
    struct mime_binary binary;
    uint8_t piece[4096];
    size_t len;
    bool fits = true;

    if (charset == NULL)
        charset = mime_charset_open(BYTES_NONE);
    mime_binary_begin(&binary, part);
    binary.rest = bytes_slice(binary.rest, 0, READ_MAX);
    while (fits && (len = mime_binary_read(&binary, piece, sizeof(piece))) > 0)
        fits = mime_charset_feed(charset, bytes_range(piece, len), false, out);
    mime_charset_close(&charset);
}

/* --- words ------------------------------------------------------------------------------------ */

struct words {
    struct buf *out;
    size_t count; /* characters */
    bool has_space;
    bool is_full;
    bool fits;
};

/* What senders fill the line with that shows the first words, so that nothing follows them. */
static bool is_invisible(gunichar c)
{
    return c == 0x34f || c == 0xad || c == 0xfeff || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2060 && c <= 0x2064) || g_unichar_iscntrl(c);
}

static void put_character(struct words *words, gunichar c)
{
    char text[6];
    size_t len;

    if (g_unichar_isspace(c) || c == '\n') {
        words->has_space = words->count > 0;
        return;
    }
    if (is_invisible(c) || words->is_full)
        return;
    if (words->count + words->has_space >= MIME_PREVIEW_CHARACTERS) {
        words->is_full = true;
        return;
    }
    if (words->has_space && !buf_append_byte(words->out, ' '))
        words->fits = false;
    words->count += 1 + words->has_space;
    words->has_space = false;
    len = (size_t)g_unichar_to_utf8(c, text);
    if (!buf_append(words->out, bytes_range(text, len)))
        words->fits = false;
}

/* --- plain text ------------------------------------------------------------------------------- */

static void put_line(struct words *words, struct bytes line)
{
    const char *at = (const char *)line.ptr, *end = at + line.len;

    for (; at < end && !words->is_full; at = g_utf8_next_char(at))
        put_character(words, g_utf8_get_char(at));
    put_character(words, ' ');
}

static void put_plain(struct words *words, struct bytes text, bool with_quoted)
{
    while (text.len > 0 && !words->is_full) {
        size_t lf = bytes_find(text, '\n', 0);
        struct bytes line = bytes_slice(text, 0, lf);

        text = bytes_slice(text, lf + 1, text.len);
        if (with_quoted || line.len == 0 || line.ptr[0] != '>')
            put_line(words, line);
    }
}

/* --- HTML ------------------------------------------------------------------------------------- */

/* Elements whose content nobody sees. */
static struct bytes hidden_element(struct bytes tag)
{
    static const char *const names[] = {"style", "script", "head", "title"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct bytes name = bytes_of(names[i]);

        if (bytes_starts_nocase(tag, name) &&
            (tag.len == name.len || !byte_is_alnum(tag.ptr[name.len])))
            return name;
    }
    return BYTES_NONE;
}

/* Behind the "</name" that ends a hidden element; the end where there is none. */
static struct bytes skip_element(struct bytes text, struct bytes name)
{
    for (size_t at = bytes_find(text, '<', 0); at < text.len; at = bytes_find(text, '<', at + 1)) {
        struct bytes rest = bytes_slice(text, at + 1, text.len);

        if (rest.len > 0 && rest.ptr[0] == '/' &&
            bytes_starts_nocase(bytes_slice(rest, 1, rest.len), name))
            return bytes_slice(text, at, text.len);
    }
    return BYTES_NONE;
}

/* Behind what "<" opens. */
static struct bytes skip_tag(struct bytes text)
{
    struct bytes tag = bytes_slice(text, 1, text.len), name;
    size_t end;

    if (bytes_starts_nocase(text, BYTES("<!--"))) {
        end = bytes_find_bytes(text, BYTES("-->"), 0);
        return bytes_slice(text, end + 3, text.len);
    }
    end = bytes_find(tag, '>', 0);
    name = hidden_element(bytes_slice(tag, 0, end));
    tag = bytes_slice(tag, end + 1, tag.len);
    return name.len > 0 ? skip_element(tag, name) : tag;
}

/* "&name;" or "&#number;": the character and the length; 0 for what is none. */
static size_t read_entity(struct bytes text, gunichar *out)
{
    static const struct {
        const char *name;
        gunichar character;
    } entities[] = {{"amp", '&'},       {"lt", '<'},       {"gt", '>'},       {"quot", '"'},
                    {"apos", '\''},     {"nbsp", ' '},     {"ndash", 0x2013}, {"mdash", 0x2014},
                    {"rsquo", 0x2019},  {"lsquo", 0x2018}, {"rdquo", 0x201d}, {"ldquo", 0x201c},
                    {"hellip", 0x2026}, {"zwnj", 0x200c},  {"euro", 0x20ac}};
    struct bytes name = bytes_slice(text, 1, 10);
    size_t end = bytes_find(name, ';', 0);
    uint64_t number = 0;

    if (end == name.len)
        return 0;
    name.len = end;
    if (name.len > 1 && name.ptr[0] == '#') {
        bool is_hex = byte_lower(name.ptr[1]) == 'x';

        for (size_t i = is_hex ? 2 : 1; i < name.len; i++) {
            if (is_hex ? !g_ascii_isxdigit((char)name.ptr[i]) : !byte_is_digit(name.ptr[i]))
                return 0;
            number =
                number * (is_hex ? 16 : 10) + (uint64_t)g_ascii_xdigit_value((char)name.ptr[i]);
        }
        if (number == 0 || number > 0x10ffff || !g_unichar_validate((gunichar)number))
            return 0;
        *out = (gunichar)number;
        return end + 2;
    }
    for (size_t i = 0; i < ARRAY_LEN(entities); i++)
        if (bytes_equal(name, bytes_of(entities[i].name))) {
            *out = entities[i].character;
            return end + 2;
        }
    return 0;
}

static void put_html(struct words *words, struct bytes text)
{
    while (text.len > 0 && !words->is_full) {
        gunichar c = g_utf8_get_char((const char *)text.ptr);
        size_t len = (size_t)(g_utf8_next_char((const char *)text.ptr) - (const char *)text.ptr);

        if (c == '<') {
            text = skip_tag(text);
            c = ' ';
            len = 0;
        } else if (c == '&') {
            size_t entity = read_entity(text, &c);

            len = entity > 0 ? entity : 1;
        }
        put_character(words, c);
        text = bytes_slice(text, len, text.len);
    }
}

bool mime_preview_write(const struct mime_message *message, struct buf *out)
{
    struct words words = {.out = out, .fits = true};
    const struct mime_part *plain = find_text(message, "plain");
    const struct mime_part *html = find_text(message, "html");
    struct buf text;

    buf_init(&text, (size_t)READ_MAX * 4);
    if (plain != NULL) {
        read_text(plain, &text);
        put_plain(&words, buf_bytes(&text), false);
        if (words.count == 0)
            put_plain(&words, buf_bytes(&text), true);
    }
    if (html != NULL && words.count == 0) {
        buf_clear(&text);
        read_text(html, &text);
        put_html(&words, buf_bytes(&text));
    }
    buf_free(&text);
    return words.fits;
}
