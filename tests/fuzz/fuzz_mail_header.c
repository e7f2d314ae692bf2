/* modules: auth */
/* runs: 5000 */
/* fuzz_mail_header.c - a header in any pieces gives the same fields, and no byte is lost. */
#include <stddef.h>
#include <stdint.h>

#include "auth/mail_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE_MAX_HERE = 2048, FIELDS_MAX_HERE = 40 };

/* Fields as "name|value|", then the body. */
static void read(struct bytes content, size_t piece_len, struct buf *out)
{
    struct mail_header header;
    struct buf body;
    size_t raw_len = 0;

    mail_header_init(&header, SIZE_MAX_HERE, FIELDS_MAX_HERE);
    buf_init(&body, content.len + SIZE_MAX_HERE);
    for (size_t at = 0; at < content.len;) {
        struct bytes piece = bytes_slice(content, at, piece_len);
        bool was_in_body = header.in_body;

        at += piece.len;
        if (!was_in_body && mail_header_feed(&header, &piece))
            check(buf_append(&body, header.body_start));
        check(buf_append(&body, piece));
    }
    bool was_in_body = header.in_body;
    mail_header_finish(&header);
    if (!was_in_body)
        check(buf_append(&body, header.body_start));
    check(header.in_body && header.count <= FIELDS_MAX_HERE);
    for (size_t i = 0; i < header.count; i++) {
        const struct mail_field *field = &header.fields[i];

        check(field->name.len > 0 && field->name.ptr == field->raw.ptr);
        check(field->value.ptr + field->value.len <= field->raw.ptr + field->raw.len);
        check(mail_header_find(&header, field->name, i + 1) == (ptrdiff_t)i);
        check(buf_append(out, field->name) && buf_append(out, BYTES("|")) &&
              buf_append(out, field->value) && buf_append(out, BYTES("|")));
        raw_len += field->raw.len;
    }
    check(raw_len <= SIZE_MAX_HERE);
    check(header.is_cut || raw_len + buf_len(&body) <= content.len);
    check(buf_append(out, buf_bytes(&body)));
    buf_free(&body);
    mail_header_free(&header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes content = bytes_range(data, size);
    struct buf whole, cut;

    if (size == 0)
        return 0;
    content = bytes_slice(content, 1, content.len);
    buf_init(&whole, 4 * size + 4 * SIZE_MAX_HERE);
    buf_init(&cut, 4 * size + 4 * SIZE_MAX_HERE);
    read(content, content.len, &whole);
    read(content, 1u + data[0] % 32, &cut);
    check(bytes_equal(buf_bytes(&whole), buf_bytes(&cut)));
    buf_free(&whole);
    buf_free(&cut);
    return 0;
}
