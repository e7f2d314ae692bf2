/* mime_envelope.c - the fields of ENVELOPE in their order. */
#include "inbound/mime/mime_envelope.h"

#include <string.h>

#include "inbound/mime/mime_address.h"
#include "inbound/mime/mime_field.h"
#include "inbound/mime/mime_string.h"

enum { TEXT_MAX = 1 << 20 }; /* of a field; what is beyond is left out */

enum { DATE, SUBJECT, FROM, SENDER, REPLY_TO, TO, CC, BCC, IN_REPLY_TO, MESSAGE_ID, FIELD_COUNT };

static const struct bytes names[FIELD_COUNT] = {
    [DATE] = BYTES("Date"),
    [SUBJECT] = BYTES("Subject"),
    [FROM] = BYTES("From"),
    [SENDER] = BYTES("Sender"),
    [REPLY_TO] = BYTES("Reply-To"),
    [TO] = BYTES("To"),
    [CC] = BYTES("Cc"),
    [BCC] = BYTES("Bcc"),
    [IN_REPLY_TO] = BYTES("In-Reply-To"),
    [MESSAGE_ID] = BYTES("Message-ID"),
};

static bool write_text(struct bytes value, struct buf *out)
{
    struct buf text;
    bool fits;

    if (value.ptr == NULL)
        return buf_append(out, BYTES("NIL"));
    buf_init(&text, TEXT_MAX);
    fits = mime_field_unfold(bytes_slice(value, 0, TEXT_MAX), &text) &&
           mime_string_write(buf_len(&text) == 0 ? BYTES("") : buf_bytes(&text), out);
    buf_free(&text);
    return fits;
}

static bool write_or_nil(const struct buf *text, struct buf *out)
{
    return mime_string_write_or_nil(buf_len(text) == 0 ? BYTES_NONE : buf_bytes(text), out);
}

static bool write_string(const struct buf *text, struct buf *out)
{
    return mime_string_write(buf_bytes(text), out);
}

static bool write_address(const struct mime_address *address, struct buf *out)
{
    switch (address->kind) {
    case MIME_GROUP_BEGIN:
        return buf_append(out, BYTES("(NIL NIL ")) && write_string(&address->mailbox, out) &&
               buf_append(out, BYTES(" NIL)"));
    case MIME_GROUP_END:
        return buf_append(out, BYTES("(NIL NIL NIL NIL)"));
    case MIME_ADDRESS:
        /* A NIL host would be a group's: an address without one has an empty host. */
        return buf_append_byte(out, '(') && write_or_nil(&address->name, out) &&
               buf_append_byte(out, ' ') && write_or_nil(&address->route, out) &&
               buf_append_byte(out, ' ') && write_string(&address->mailbox, out) &&
               buf_append_byte(out, ' ') && write_string(&address->host, out) &&
               buf_append_byte(out, ')');
    }
    return false;
}

/* The addresses in their parentheses; NIL where there are none. *is_empty_out says which. */
static bool write_addresses(struct bytes value, struct buf *out, bool *is_empty_out)
{
    struct mime_address address;
    size_t count = 0;
    bool fits = true;

    mime_address_init(&address, value);
    while (fits && count < MIME_ADDRESSES_MAX && mime_address_next(&address)) {
        fits = (count > 0 || buf_append_byte(out, '(')) && write_address(&address, out);
        count++;
    }
    if (fits && count == MIME_ADDRESSES_MAX && address.in_group)
        fits = buf_append(out, BYTES("(NIL NIL NIL NIL)"));
    mime_address_free(&address);
    *is_empty_out = count == 0;
    return fits && buf_append(out, count == 0 ? BYTES("NIL") : BYTES(")"));
}

/* What stands there already, once more. */
static bool write_again(size_t from, size_t len, struct buf *out)
{
    uint8_t *into = buf_reserve(out, len);

    if (into == NULL)
        return false;
    memcpy(into, buf_bytes(out).ptr + from, len);
    buf_extend(out, len);
    return true;
}

/* Where what From says stands in the output. */
struct written {
    size_t from, len;
};

static bool write_field(const struct bytes values[FIELD_COUNT], int field, struct written *from,
                        struct buf *out)
{
    size_t before = buf_len(out);
    bool is_empty;

    if (field == DATE || field == SUBJECT || field == IN_REPLY_TO || field == MESSAGE_ID)
        return write_text(values[field], out);
    if (!write_addresses(values[field], out, &is_empty))
        return false;
    if (field == FROM)
        *from = (struct written){before, buf_len(out) - before};
    if (!is_empty || (field != SENDER && field != REPLY_TO))
        return true;
    buf_truncate(out, before);
    return write_again(from->from, from->len, out);
}

bool mime_envelope_write(struct bytes header, struct buf *out)
{
    struct bytes values[FIELD_COUNT] = {0};
    struct written from = {0};
    struct mime_field field;

    while (mime_field_next(&header, &field))
        for (int i = 0; i < FIELD_COUNT; i++)
            if (values[i].ptr == NULL && bytes_equal_nocase(field.name, names[i]))
                values[i] = field.value;
    for (int i = 0; i < FIELD_COUNT; i++)
        if (!buf_append_byte(out, i == 0 ? '(' : ' ') || !write_field(values, i, &from, out))
            return false;
    return buf_append_byte(out, ')');
}
