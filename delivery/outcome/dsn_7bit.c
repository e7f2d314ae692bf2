/* dsn_7bit.c - takes a notification apart along its boundary and encodes each part. */
#include "delivery/outcome/dsn_7bit.h"

#include "base/buf.h"
#include "smtp/quoted_printable.h"

enum { BOUNDARY_MAX = 70 /* RFC 2046 section 5.1.1 */ };

#define EIGHT_BIT BYTES("Content-Transfer-Encoding: 8bit\r\n")

/* Takes a header section and the empty line behind it; header_out keeps its last CRLF. */
static bool take_header(struct bytes *input, struct bytes *header_out)
{
    size_t end = bytes_find_bytes(*input, BYTES("\r\n\r\n"), 0);

    if (end == input->len)
        return false;
    *header_out = bytes_slice(*input, 0, end + 2);
    *input = bytes_slice(*input, end + 4, input->len);
    return true;
}

static bool find_marker(struct bytes header, struct buf *marker)
{
    struct bytes name = BYTES("boundary=\"");
    size_t at = bytes_find_bytes(header, name, 0);

    if (at == header.len)
        return false;
    struct bytes boundary = bytes_slice(header, at + name.len, header.len);
    size_t len = bytes_find(boundary, '"', 0);

    return len > 0 && len < boundary.len && buf_append(marker, BYTES("\r\n--")) &&
           buf_append(marker, bytes_slice(boundary, 0, len));
}

/* The header with another encoding where it names 8bit, and another type in place of `type`. */
static bool put_header(struct bytes header, struct bytes type, struct bytes other_type,
                       struct bytes encoding, struct buf *out)
{
    struct bytes line;

    while (bytes_take_until(&header, '\n', &line)) {
        line.len++; /* with its LF */
        if (bytes_equal(line, EIGHT_BIT))
            line = encoding;
        else if (type.len > 0 && bytes_equal(line, type))
            line = other_type;
        if (!buf_append(out, line))
            return false;
    }
    return header.len == 0;
}

static bool put_part(struct bytes part, struct buf *out)
{
    struct bytes whole = BYTES("Content-Type: message/rfc822\r\n");
    struct bytes headers_only = BYTES("Content-Type: text/rfc822-headers\r\n");
    struct bytes encoded = BYTES("Content-Transfer-Encoding: quoted-printable\r\n");
    struct bytes all = part;
    struct bytes header;
    struct bytes returned;

    if (!take_header(&part, &header))
        return false;
    if (bytes_find_bytes(header, EIGHT_BIT, 0) == header.len)
        return buf_append(out, all);
    if (bytes_find_bytes(header, whole, 0) < header.len && take_header(&part, &returned))
        part = returned;
    return put_header(header, whole, headers_only, encoded, out) &&
           buf_append(out, BYTES("\r\n")) && quoted_printable_encode(part, out);
}

static bool put_parts(struct bytes rest, struct bytes marker, struct buf *out)
{
    size_t next = bytes_find_bytes(rest, marker, 0);

    if (!buf_append(out, bytes_slice(rest, 0, next)))
        return false;
    while (next < rest.len) { /* each turn takes a marker */
        rest = bytes_slice(rest, next + marker.len, rest.len);
        if (!buf_append(out, marker))
            return false;
        if (bytes_equal(rest, BYTES("--\r\n")))
            return buf_append(out, rest);
        if (!bytes_take_nocase(&rest, BYTES("\r\n")))
            return false;
        next = bytes_find_bytes(rest, marker, 0);
        if (!buf_append(out, BYTES("\r\n")) || !put_part(bytes_slice(rest, 0, next), out))
            return false;
    }
    return false; /* without the last marker */
}

static bool convert(struct bytes content, struct buf *out)
{
    struct bytes header;
    struct buf marker;

    buf_init(&marker, BOUNDARY_MAX + 4);
    bool ok = take_header(&content, &header) && !bytes_has_8bit(header) &&
              find_marker(header, &marker) &&
              put_header(header, BYTES_NONE, BYTES_NONE, BYTES(""), out) &&
              buf_append(out, BYTES("\r\n")) && put_parts(content, buf_bytes(&marker), out) &&
              !bytes_has_8bit(buf_bytes(out));

    buf_free(&marker);
    return ok;
}

static bool copy_envelope(struct message *to, const struct message *from)
{
    const struct recipient *recipient = &from->recipients[0];
    struct recipient *copy = arena_alloc(&to->arena, sizeof(*copy));

    if (copy == NULL)
        return false;
    *copy = *recipient;
    to->id = from->id;
    to->accepted_ms = from->accepted_ms;
    to->reverse_path = BYTES("");
    to->is_dsn = true;
    to->body = SMTP_BODY_7BIT;
    to->recipient_count = 1;
    to->recipients = copy;
    return message_ask_tls(to, from->tls) &&
           arena_copy(&to->arena, recipient->address, &copy->address) &&
           arena_copy(&to->arena, recipient->domain, &copy->domain) &&
           arena_copy(&to->arena, recipient->orcpt, &copy->orcpt) &&
           arena_copy(&to->arena, from->tenant, &to->tenant) &&
           arena_copy(&to->arena, from->campaign, &to->campaign) &&
           arena_copy(&to->arena, from->service, &to->service) &&
           arena_copy(&to->arena, from->header_message_id, &to->header_message_id);
}

struct message *dsn_as_7bit(const struct message *dsn)
{
    struct bytes content = dsn->content.memory;
    struct message *plain;
    struct buf out;

    check(dsn->is_dsn && dsn->recipient_count == 1);
    if (content.ptr == NULL || bytes_has_8bit(dsn->recipients[0].address))
        return NULL;
    plain = message_create();
    /* Every byte as three and every line broken, and more. */
    buf_init(&out, 4 * content.len + 4096);
    if (plain != NULL && (!copy_envelope(plain, dsn) || !convert(content, &out) ||
                          !arena_copy(&plain->arena, buf_bytes(&out), &plain->content.memory)))
        message_release(&plain);
    if (plain != NULL)
        plain->content.size = plain->content.memory.len;
    buf_free(&out);
    return plain;
}
