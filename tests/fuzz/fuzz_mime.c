/* modules: mime base */
/* runs: 10000 */
/* fuzz_mime.c - any bytes as a message: its parts, what is told of them, and what is found. */
#include <stdint.h>

#include "inbound/mime/mime_binary.h"
#include "inbound/mime/mime_charset.h"
#include "inbound/mime/mime_date.h"
#include "inbound/mime/mime_envelope.h"
#include "inbound/mime/mime_line.h"
#include "inbound/mime/mime_preview.h"
#include "inbound/mime/mime_search.h"
#include "inbound/mime/mime_section.h"
#include "inbound/mime/mime_sort.h"
#include "inbound/mime/mime_structure.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

enum { OUT_MAX = 1 << 24 };

/* Takes one value of IMAP's grammar off the front; lists are told by the depth. */
static void check_grammar(struct bytes text)
{
    size_t depth = 0;

    while (text.len > 0) {
        uint8_t c = text.ptr[0];
        uint64_t size;

        text = bytes_slice(text, 1, text.len);
        if (c == '(') {
            depth++;
        } else if (c == ')') {
            check(depth > 0);
            depth--;
        } else if (c == '"') {
            for (;;) {
                check(text.len > 0 && text.ptr[0] != '\r' && text.ptr[0] != '\n' &&
                      text.ptr[0] != 0 && text.ptr[0] < 128);
                c = text.ptr[0];
                text = bytes_slice(text, c == '\\' ? 2 : 1, text.len);
                if (c == '"')
                    break;
            }
        } else if (c == '{') {
            check(bytes_take_u64(&text, &size) && bytes_starts_nocase(text, BYTES("}\r\n")));
            text = bytes_slice(text, 3, text.len);
            check(size <= text.len && bytes_find(bytes_slice(text, 0, (size_t)size), 0, 0) == size);
            text = bytes_slice(text, (size_t)size, text.len);
        } else {
            check(c == ' ' || byte_is_alnum(c));
        }
    }
    check(depth == 0);
}

static bool is_inside(struct bytes inner, struct bytes outer)
{
    return inner.ptr >= outer.ptr && inner.ptr + inner.len <= outer.ptr + outer.len;
}

static void check_part(const struct mime_message *message, const struct mime_part *part)
{
    struct bytes outer = part->parent == NULL ? message->bytes : part->parent->body;
    uint64_t lines = 0;

    /* The line end before a delimiter is its, and may be the empty line of a header as well. */
    if (part->parent != NULL)
        outer =
            bytes_slice(message->bytes, (size_t)(outer.ptr - message->bytes.ptr), outer.len + 2);
    check(is_inside(part->header, outer) && is_inside(part->body, outer));
    check(part->header.ptr + part->header.len <= part->body.ptr);
    for (size_t i = 0; i < part->body.len; i++)
        lines += part->body.ptr[i] == '\n';
    check(lines == part->lines);
    check((part->kind == MIME_MESSAGE) ==
          (part->kind != MIME_LEAF && part->kind != MIME_MULTIPART));
    if (part->kind == MIME_MESSAGE)
        check(part->count == 1 && part->children->next == NULL);
    if (part->kind == MIME_LEAF)
        check(part->children == NULL);
    if (part->kind == MIME_LEAF && part->encoding != MIME_UNKNOWN) {
        bool has_nul;

        check(mime_binary_size(part, &has_nul) <= part->body.len);
    }
}

static void check_sections(const struct mime_message *message, const uint8_t *numbers)
{
    uint32_t path[4];
    struct bytes names[] = {BYTES("Subject"), BYTES("content-type")}, found;
    struct buf fields;

    buf_init(&fields, OUT_MAX);
    for (size_t i = 0; i < 4; i++)
        path[i] = numbers[i] % 4U;
    for (size_t depth = 0; depth <= 4; depth++)
        for (int kind = MIME_SECTION_WHOLE; kind <= MIME_SECTION_MIME; kind++) {
            struct mime_section section = {(enum mime_section_kind)kind, path, depth, names, 2};

            if (!mime_section_find(message, &section, &found))
                continue;
            check(is_inside(found, message->bytes));
            buf_clear(&fields);
            check(mime_section_fields(found, &section, &fields));
            check(buf_len(&fields) <= found.len + 2);
        }
    buf_free(&fields);
}

static void check_search(const struct mime_message *message, struct bytes text)
{
    struct mime_needle needle;

    if (mime_needle_init(&needle, BYTES("utf-8"), text) != MIME_NEEDLE_OK)
        return;
    struct mime_search *search = mime_search_begin(message, true, &needle);

    while (mime_search_step(search, 100) == MIME_SEARCH_MORE)
        continue;
    mime_search_end(&search);
    mime_needle_free(&needle);
}

static void check_values(struct bytes header, struct buf *out)
{
    struct mime_field field;
    struct mime_date date;
    struct buf folded;
    bool is_reply;

    buf_init(&folded, OUT_MAX);
    for (size_t i = 0; i < 50 && mime_field_next(&header, &field); i++) {
        buf_clear(out);
        check(mime_charset_decode(field.value, out));
        buf_clear(&folded);
        check(mime_charset_fold(buf_bytes(out), &folded));
        buf_clear(out);
        check(mime_sort_subject(field.value, out, &is_reply));
        check(mime_sort_mailbox(field.value, out) && mime_sort_display(field.value, out));
        struct bytes ids = field.value;

        while (mime_sort_take_id(&ids, out))
            continue;
        if (mime_date_read(field.value, &date))
            check(date.zone_s > -86400 * 5 && date.zone_s < 86400 * 5);
    }
    buf_free(&folded);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes text = bytes_range(input, len);
    struct mime_message message;
    struct buf out;
    size_t count = 0;
    bool in_cr = false;

    buf_init(&out, OUT_MAX);
    check(mime_line_convert(text, &in_cr, &out));
    check(buf_len(&out) == len + mime_line_bare(text) && mime_line_bare(buf_bytes(&out)) == 0);
    mime_message_read(text, &message);
    for (const struct mime_part *part = message.root; part != NULL; part = mime_part_next(part)) {
        check_part(&message, part);
        count++;
    }
    check(count == message.count && count <= MIME_PARTS_MAX);
    for (int is_extended = 0; is_extended < 2; is_extended++) {
        buf_clear(&out);
        check(mime_structure_write(&message, is_extended == 1, &out));
        check_grammar(buf_bytes(&out));
    }
    buf_clear(&out);
    check(mime_envelope_write(message.root->header, &out));
    check_grammar(buf_bytes(&out));
    buf_clear(&out);
    check(mime_preview_write(&message, &out));
    check(buf_len(&out) <= (size_t)MIME_PREVIEW_CHARACTERS * 4);
    if (len >= 8) {
        check_sections(&message, input + len - 4);
        check_search(&message, bytes_range(input + len - 8, 3));
    }
    check_values(message.root->header, &out);
    buf_free(&out);
    mime_message_free(&message);
    return 0;
}
