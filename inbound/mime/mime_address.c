/* mime_address.c - words, quotes, comments and brackets of address lists. */
#include "inbound/mime/mime_address.h"

#include <string.h>

enum { TEXT_MAX = 64 * 1024 }; /* of a name, a mailbox ...; what is beyond is left out */

void mime_address_init(struct mime_address *address, struct bytes value)
{
    *address = (struct mime_address){.rest = value};
    buf_init(&address->name, TEXT_MAX);
    buf_init(&address->route, TEXT_MAX);
    buf_init(&address->mailbox, TEXT_MAX);
    buf_init(&address->host, TEXT_MAX);
    buf_init(&address->comment, TEXT_MAX);
}

void mime_address_free(struct mime_address *address)
{
    buf_free(&address->name);
    buf_free(&address->route);
    buf_free(&address->mailbox);
    buf_free(&address->host);
    buf_free(&address->comment);
}

static void put(struct buf *out, uint8_t c)
{
    bool is_kept = buf_append_byte(out, c);

    (void)is_kept; /* else it is longer than anyone wants to know */
}

/* As far as there is room, likewise. */
static void put_all(struct buf *out, struct bytes text)
{
    bool is_kept = buf_append(out, bytes_slice(text, 0, buf_room(out)));

    (void)is_kept;
}

/* Means itself wherever it stands: no blank, quote, bracket nor end of anything. */
static bool is_plain(uint8_t c)
{
    return byte_is_alnum(c) || c == '.' || c == '-' || c == '_' || c == '+' || c == '=';
}

static size_t plain_len(struct bytes text)
{
    size_t len = 0;

    while (len < text.len && is_plain(text.ptr[len]))
        len++;
    return len;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0;
}

static bool is_at(const struct mime_address *a, uint8_t c)
{
    return a->rest.len > 0 && a->rest.ptr[0] == c;
}

static void skip(struct mime_address *a, size_t len)
{
    a->rest = bytes_slice(a->rest, len, a->rest.len);
}

/* The text between `open` and its `close` at the front, with escapes undone. Comments nest. */
static void take_enclosed(struct mime_address *a, uint8_t open, uint8_t close, struct buf *out)
{
    size_t depth = 0, i = 0;

    for (; i < a->rest.len; i++) {
        uint8_t c = a->rest.ptr[i];
        bool is_escaped = c == '\\' && i + 1 < a->rest.len;

        if (is_escaped)
            c = a->rest.ptr[++i];
        else if (c == close && depth > 0 && --depth == 0)
            break;
        else if (c == open && depth++ == 0)
            continue;
        if (c != '\r' && c != '\n' && c != 0)
            put(out, c);
    }
    skip(a, i + 1);
}

/* White space and comments, the last of which is kept; whether there were some. */
static bool skip_blank(struct mime_address *a)
{
    size_t before = a->rest.len;

    while (a->rest.len > 0)
        if (is_blank(a->rest.ptr[0])) {
            skip(a, 1);
        } else if (a->rest.ptr[0] == '(') {
            buf_clear(&a->comment);
            take_enclosed(a, '(', ')', &a->comment);
        } else {
            break;
        }
    return a->rest.len < before;
}

/* Words up to one of `ends`; what parts them is one space, or nothing. */
static void take_words(struct mime_address *a, const char *ends, bool with_spaces, struct buf *out)
{
    bool has_space = skip_blank(a);

    while (a->rest.len > 0 && strchr(ends, a->rest.ptr[0]) == NULL) {
        uint8_t c = a->rest.ptr[0];
        size_t len = plain_len(a->rest);

        if (has_space && with_spaces && buf_len(out) > 0)
            put(out, ' ');
        if (len > 0) {
            put_all(out, bytes_slice(a->rest, 0, len));
            skip(a, len);
        } else if (c == '"') {
            take_enclosed(a, '"', '"', out);
        } else if (c == '[' && !with_spaces) {
            put(out, c);
            take_enclosed(a, '[', ']', out);
            put(out, ']');
        } else {
            put(out, c);
            skip(a, 1);
        }
        has_space = skip_blank(a);
    }
}

/* "@a,@b:" before the address in brackets. */
static void take_route(struct mime_address *a)
{
    struct bytes start = a->rest;

    while (is_at(a, '@') || is_at(a, ',')) {
        put(&a->route, a->rest.ptr[0]);
        skip(a, 1);
        take_words(a, ",:<>@", false, &a->route);
    }
    if (is_at(a, ':')) {
        skip(a, 1);
        return;
    }
    a->rest = start; /* it was no route */
    buf_clear(&a->route);
}

/* Behind "<". */
static void take_bracketed(struct mime_address *a)
{
    skip_blank(a);
    if (is_at(a, '@'))
        take_route(a);
    take_words(a, "@>,;", false, &a->mailbox);
    if (is_at(a, '@')) {
        skip(a, 1);
        take_words(a, ">,;", false, &a->host);
    }
    if (is_at(a, '>'))
        skip(a, 1);
}

/* What stands between the brackets' end and the next address belongs to nothing. */
static void skip_rest(struct mime_address *a)
{
    skip_blank(a);
    while (a->rest.len > 0 && strchr(",;", a->rest.ptr[0]) == NULL) {
        if (is_at(a, '"')) {
            struct buf none;

            buf_init(&none, 0);
            take_enclosed(a, '"', '"', &none);
            buf_free(&none);
        } else {
            skip(a, 1);
        }
        skip_blank(a);
    }
}

static void clear(struct mime_address *a, enum mime_address_kind kind)
{
    a->kind = kind;
    buf_clear(&a->name);
    buf_clear(&a->route);
    buf_clear(&a->mailbox);
    buf_clear(&a->host);
    buf_clear(&a->comment);
}

static void swap(struct buf *one, struct buf *other)
{
    struct buf kept = *one;

    *one = *other;
    *other = kept;
}

/* `start`: where the phrase that was taken as the name began. */
static void take_address(struct mime_address *a, struct bytes start)
{
    if (is_at(a, '<')) {
        skip(a, 1);
        take_bracketed(a);
    } else if (is_at(a, '@') || bytes_find(buf_bytes(&a->name), ' ', 0) == buf_len(&a->name)) {
        /* It was none but the mailbox, whose words have no spaces between them. */
        buf_clear(&a->name);
        a->rest = start;
        take_words(a, "<,;@", false, &a->mailbox);
        if (is_at(a, '@')) {
            skip(a, 1);
            take_words(a, ",;<", false, &a->host);
        }
    }
    skip_rest(a);
    if (buf_len(&a->name) == 0)
        swap(&a->name, &a->comment);
}

bool mime_address_next(struct mime_address *a)
{
    clear(a, MIME_ADDRESS);
    for (;;) {
        skip_blank(a);
        if (is_at(a, ';') && a->in_group)
            break;
        if (!is_at(a, ',') && !is_at(a, ';'))
            break;
        skip(a, 1);
    }
    if (a->rest.len == 0 || is_at(a, ';')) {
        bool was_in_group = a->in_group;

        skip(a, 1);
        a->in_group = false;
        a->kind = MIME_GROUP_END;
        return was_in_group;
    }
    struct bytes start = a->rest;

    buf_clear(&a->comment);
    take_words(a, a->in_group ? "<,;@" : "<,;@:", true, &a->name);
    if (is_at(a, ':') && !a->in_group) {
        skip(a, 1);
        swap(&a->name, &a->mailbox);
        a->in_group = true;
        a->kind = MIME_GROUP_BEGIN;
        return true;
    }
    take_address(a, start);
    return true;
}
