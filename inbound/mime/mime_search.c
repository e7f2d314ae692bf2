/* mime_search.c - decoded, folded, and then a plain search. */
#include "inbound/mime/mime_search.h"

#include "inbound/mime/mime_binary.h"
#include "inbound/mime/mime_charset.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE_SIZE = 8 * 1024, /* of a body, decoded at once */
    GROWTH_MAX = 20,       /* a byte as UTF-8 and decomposed: U+FDFA becomes 18 characters */
};

/* --- needles ---------------------------------------------------------------------------------- */

static bool convert_needle(struct mime_charset *charset, struct bytes text, struct buf *out)
{
    struct buf utf8;
    bool is_good;

    buf_init(&utf8, (size_t)MIME_NEEDLE_MAX * 4);
    is_good = mime_charset_feed(charset, text, true, &utf8) &&
              bytes_find_bytes(buf_bytes(&utf8), BYTES("\xef\xbf\xbd"), 0) == buf_len(&utf8) &&
              mime_charset_fold(buf_bytes(&utf8), out);
    buf_free(&utf8);
    return is_good;
}

enum mime_needle_result mime_needle_init(struct mime_needle *needle, struct bytes charset,
                                         struct bytes text)
{
    struct mime_charset *from = mime_charset_open(charset);
    bool is_good;

    if (from == NULL)
        return MIME_NEEDLE_CHARSET;
    buf_init(&needle->text, (size_t)MIME_NEEDLE_MAX * GROWTH_MAX);
    is_good = text.len <= MIME_NEEDLE_MAX && convert_needle(from, text, &needle->text);
    /* What is said to be UTF-8, or to be nothing else, is not guessed at here. */
    if (mime_charset_is_utf8(from) && text.len > 0 &&
        !g_utf8_validate_len((const char *)text.ptr, text.len, NULL))
        is_good = false;
    mime_charset_close(&from);
    if (is_good)
        return MIME_NEEDLE_OK;
    mime_needle_free(needle);
    return MIME_NEEDLE_BROKEN;
}

void mime_needle_free(struct mime_needle *needle)
{
    buf_free(&needle->text);
}

bool mime_needle_is_in(const struct mime_needle *needle, struct bytes text)
{
    struct bytes what = buf_bytes(&needle->text);

    return what.len == 0 ||
           (text.len >= what.len && memmem(text.ptr, text.len, what.ptr, what.len) != NULL);
}

/* --- fields ----------------------------------------------------------------------------------- */

/* What stands before the value, and the value decoded. */
static bool fold(struct bytes before, struct bytes value, struct buf *out)
{
    struct buf text;

    value = bytes_slice(value, 0, MIME_SEARCH_FIELD_MAX);
    buf_init(&text, before.len + value.len * 3 + 64);
    bool is_good = buf_append(&text, before) && mime_charset_decode(value, &text) &&
                   mime_charset_fold(buf_bytes(&text), out);

    buf_free(&text);
    return is_good;
}

bool mime_search_fold(struct bytes value, struct buf *out)
{
    return fold(BYTES_NONE, value, out);
}

static bool value_holds(struct bytes before, struct bytes value, const struct mime_needle *needle)
{
    struct buf folded;

    buf_init(&folded,
             (before.len + MIN(value.len, (size_t)MIME_SEARCH_FIELD_MAX)) * GROWTH_MAX + 64);
    bool is_found = fold(before, value, &folded) && mime_needle_is_in(needle, buf_bytes(&folded));

    buf_free(&folded);
    return is_found;
}

bool mime_search_field(struct bytes header, struct bytes name, const struct mime_needle *needle)
{
    struct mime_field field;

    while (mime_field_next(&header, &field))
        if (bytes_equal_nocase(field.name, name) && value_holds(BYTES_NONE, field.value, needle))
            return true;
    return false;
}

/* A whole field, as its reader sees it: "Name: value". */
static bool field_holds(const struct mime_field *field, const struct mime_needle *needle)
{
    struct buf before;
    bool is_found;

    buf_init(&before, field->name.len + 2);
    is_found = buf_append(&before, field->name) && buf_append(&before, BYTES(": ")) &&
               value_holds(buf_bytes(&before), field->value, needle);
    buf_free(&before);
    return is_found;
}

/* --- messages --------------------------------------------------------------------------------- */

struct mime_search {
    const struct mime_needle *needle;
    const struct mime_part *part; /* where we are; NULL: at the end */
    bool with_header, in_body;
    struct bytes header;     /* its fields that were not looked at yet */
    struct mime_binary body; /* and its body */
    struct mime_charset *charset;
    struct buf text, folded;
};

static void enter_part(struct mime_search *search, const struct mime_part *part)
{
    search->part = part;
    search->in_body = false;
    search->header = part != NULL && search->with_header ? part->header : BYTES_NONE;
}

struct mime_search *mime_search_begin(const struct mime_message *message, bool with_header,
                                      const struct mime_needle *needle)
{
    struct mime_search *search = calloc(1, sizeof(*search));

    check(search != NULL);
    search->needle = needle;
    search->with_header = with_header;
    buf_init(&search->text, (size_t)PIECE_SIZE * 4 + 1024);
    buf_init(&search->folded,
             ((size_t)PIECE_SIZE * 4 + 1024) * GROWTH_MAX + buf_len(&needle->text));
    enter_part(search, message->root);
    return search;
}

void mime_search_end(struct mime_search **search)
{
    mime_charset_close(&(*search)->charset);
    buf_free(&(*search)->text);
    buf_free(&(*search)->folded);
    free(*search);
    *search = NULL;
}

/* Text, and what is a message but was not taken apart. */
static bool is_searched(const struct mime_part *part)
{
    return part->kind == MIME_LEAF && part->encoding != MIME_UNKNOWN &&
           (bytes_equal_nocase(part->type.type, BYTES("text")) ||
            bytes_equal_nocase(part->type.type, BYTES("message")) || part->is_cut);
}

/* The header was looked at: the body's turn, or the next part's. */
static void enter_body(struct mime_search *search)
{
    const struct mime_part *part = search->part;
    const struct mime_param *param;

    if (!is_searched(part)) {
        enter_part(search, mime_part_next(part));
        return;
    }
    param = mime_param_find(part->type.params, BYTES("charset"));
    search->charset = mime_charset_open(param == NULL ? BYTES_NONE : param->value);
    if (search->charset == NULL)
        search->charset = mime_charset_open(BYTES_NONE);
    mime_binary_begin(&search->body, part);
    buf_clear(&search->folded);
    search->in_body = true;
}

/* Keeps of what was looked at what may be the beginning of a find. */
static void keep_tail(struct buf *folded, size_t needle_len)
{
    size_t kept = needle_len == 0 ? 0 : needle_len - 1;

    if (buf_len(folded) > kept)
        buf_consume(folded, buf_len(folded) - kept);
}

/* The next piece of a body; its length in the message. */
static size_t look_at_body(struct mime_search *search, bool *is_found_out)
{
    uint8_t piece[PIECE_SIZE];
    size_t before = search->body.rest.len;
    size_t len = mime_binary_read(&search->body, piece, sizeof(piece));

    buf_clear(&search->text);
    keep_tail(&search->folded, buf_len(&search->needle->text));
    *is_found_out =
        mime_charset_feed(search->charset, bytes_range(piece, len), len == 0, &search->text) &&
        mime_charset_fold(buf_bytes(&search->text), &search->folded) &&
        mime_needle_is_in(search->needle, buf_bytes(&search->folded));
    if (len == 0) {
        mime_charset_close(&search->charset);
        enter_part(search, mime_part_next(search->part));
    }
    return before - search->body.rest.len;
}

static size_t look_at_field(struct mime_search *search, bool *is_found_out)
{
    struct mime_field field;

    if (!mime_field_next(&search->header, &field)) {
        enter_body(search);
        return 0;
    }
    *is_found_out = field_holds(&field, search->needle);
    return field.raw.len;
}

enum mime_search_result mime_search_step(struct mime_search *search, size_t size)
{
    size_t done = 0;

    if (buf_len(&search->needle->text) == 0)
        return MIME_SEARCH_FOUND;
    while (search->part != NULL) {
        bool is_found = false;

        if (done >= size)
            return MIME_SEARCH_MORE;
        done +=
            search->in_body ? look_at_body(search, &is_found) : look_at_field(search, &is_found);
        if (is_found)
            return MIME_SEARCH_FOUND;
    }
    return MIME_SEARCH_NOT_FOUND;
}
