/* uidlist.c - reads and writes dovecot-uidlist. */
#include "inbound/mailbox/uidlist.h"

#include <inttypes.h>

uint64_t email_id_of(struct bytes base)
{
    return bytes_hash(base);
}

static bool take_u32(struct bytes *text, uint32_t *value_out)
{
    uint64_t value;

    if (!bytes_take_u64(text, &value) || value > UINT32_MAX)
        return false;
    *value_out = (uint32_t)value;
    return true;
}

static bool take_hex(struct bytes *text, size_t digits, uint64_t *value_out)
{
    uint64_t value = 0;

    if (text->len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        int digit = byte_hex_value(text->ptr[i]);

        if (digit < 0)
            return false;
        value = value << 4 | (uint64_t)digit;
    }
    *text = bytes_slice(*text, digits, text->len);
    *value_out = value;
    return true;
}

static bool parse_id(struct bytes text, uint8_t id[static 16])
{
    uint64_t half;

    for (size_t i = 0; i < 16; i++) {
        if (!take_hex(&text, 2, &half))
            return false;
        id[i] = (uint8_t)half;
    }
    return text.len == 0;
}

/* One field off the front of blanks and fields. */
static bool take_field(struct bytes *line, struct bytes *field_out)
{
    while (line->len > 0 && line->ptr[0] == ' ') /* a name may end in blanks */
        *line = bytes_slice(*line, 1, line->len);
    if (line->len == 0)
        return false;
    size_t end = bytes_find(*line, ' ', 0);

    *field_out = bytes_slice(*line, 0, end);
    *line = bytes_slice(*line, end, line->len);
    return true;
}

static bool parse_header(struct bytes line, struct uidlist_header *header)
{
    struct bytes field;
    bool has_validity = false, has_next = false;

    if (!take_field(&line, &field) || !bytes_equal(field, BYTES("3")))
        return false;
    while (take_field(&line, &field)) {
        uint8_t kind = field.ptr[0];
        struct bytes value = bytes_slice(field, 1, field.len);

        if (kind == 'V')
            has_validity = take_u32(&value, &header->uidvalidity) && value.len == 0;
        else if (kind == 'N')
            has_next = take_u32(&value, &header->uidnext) && value.len == 0;
        else if (kind == 'G')
            header->has_id = parse_id(value, header->id);
    }
    return has_validity && has_next && header->uidvalidity != 0;
}

/* What we wrote comes back as it was; others' are hashed. */
static uint64_t parse_guid(struct bytes value)
{
    struct bytes rest = value;
    uint64_t id;

    if (bytes_take_nocase(&rest, BYTES("ringpost-")) && take_hex(&rest, 16, &id) && rest.len == 0)
        return id;
    return bytes_hash(value);
}

static bool parse_line(struct bytes line, struct uidlist_line *out)
{
    struct file_name name;
    struct bytes field;
    bool has_guid = false;

    if (!take_u32(&line, &out->uid) || out->uid == 0 || out->uid == UINT32_MAX)
        return false;
    while (line.len > 1 && line.ptr[0] == ' ' && line.ptr[1] != ':') {
        if (!take_field(&line, &field))
            return false;
        if (field.ptr[0] == 'G' && field.len > 1) {
            out->email_id = parse_guid(bytes_slice(field, 1, field.len));
            has_guid = true;
        }
    }
    if (!bytes_equal(bytes_slice(line, 0, 2), BYTES(" :")) ||
        !file_name_split(bytes_slice(line, 2, line.len), false, &name))
        return false;
    out->base = name.base;
    if (!has_guid)
        out->email_id = email_id_of(name.base);
    return true;
}

bool uidlist_parse(struct bytes text, struct uidlist_header *header_out,
                   void (*visit)(void *context, const struct uidlist_line *line), void *context)
{
    struct uidlist_header header = {0};
    struct bytes line;
    uint32_t last = 0;

    if (!bytes_take_until(&text, '\n', &line) || !parse_header(line, &header))
        return false;
    while (bytes_take_until(&text, '\n', &line)) {
        struct uidlist_line parsed = {0};

        if (!parse_line(line, &parsed) || parsed.uid <= last)
            break;
        last = parsed.uid;
        visit(context, &parsed);
    }
    header.uidnext = MAX(header.uidnext, last + 1);
    *header_out = header;
    return true;
}

void uidlist_put_header(struct buf *out, const struct uidlist_header *header)
{
    check(buf_printf(out, "3 V%" PRIu32 " N%" PRIu32 " G", header->uidvalidity, header->uidnext));
    for (size_t i = 0; i < sizeof(header->id); i++)
        check(buf_printf(out, "%02x", header->id[i]));
    check(buf_append(out, BYTES("\n")));
}

void uidlist_put_line(struct buf *out, const struct uidlist_line *line)
{
    check(buf_printf(out, "%" PRIu32 " ", line->uid));
    if (line->email_id != email_id_of(line->base))
        check(buf_printf(out, "Gringpost-%016" PRIx64 " ", line->email_id));
    check(buf_append(out, BYTES(":")) && buf_append(out, line->base) &&
          buf_append(out, BYTES("\n")));
}
