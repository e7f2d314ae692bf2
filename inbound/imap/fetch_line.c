/* fetch_line.c - items of the index as text. */
#include "inbound/imap/fetch_line.h"

#include <string.h>

#include "inbound/imap/flag_text.h"
#include "inbound/imap/put.h"

static uint8_t *put(uint8_t *at, struct bytes text)
{
    memcpy(at, text.ptr, text.len);
    return at + text.len;
}

static uint8_t *put_named(uint8_t *at, struct bytes name, uint64_t number)
{
    return imap_write_number(put(at, name), number);
}

static uint8_t *put_date(uint8_t *at, struct bytes name, int64_t seconds)
{
    return imap_write_date_time(put(at, name), seconds);
}

/* All of a text's room: one move, whatever its length. */
static uint8_t *put_flags(uint8_t *at, uint64_t flags)
{
    const struct flag_text *text = flag_text(flags);

    memcpy(at, text->bytes, sizeof(text->bytes));
    at += text->len;
    *at = ')';
    return at + 1;
}

static uint8_t *put_email_id(uint8_t *at, uint64_t id)
{
    static const char digits[] = "0123456789abcdef";

    at = put(at, BYTES("EMAILID (E"));
    for (unsigned i = 0; i < 16; i++)
        *at++ = (uint8_t)digits[id >> (60 - 4 * i) & 15];
    *at = ')';
    return at + 1;
}

bool fetch_line_is_item(enum fetch_kind kind)
{
    return kind <= FETCH_THREADID;
}

uint8_t *fetch_line_put_item(uint8_t *at, enum fetch_kind kind,
                             const struct mailbox_message *message)
{
    switch (kind) {
    case FETCH_FLAGS:
        return put_flags(at, message->flags);
    case FETCH_UID:
        return put_named(at, BYTES("UID "), message->uid);
    case FETCH_INTERNALDATE:
        return put_date(at, BYTES("INTERNALDATE "), message->internal_s);
    case FETCH_SAVEDATE:
        return put_date(at, BYTES("SAVEDATE "), message->saved_s);
    case FETCH_SIZE:
        return put_named(at, BYTES("RFC822.SIZE "), message->size);
    case FETCH_MODSEQ:
        return put(put_named(at, BYTES("MODSEQ ("), message->modseq), BYTES(")"));
    case FETCH_EMAILID:
        return put_email_id(at, message->email_id);
    case FETCH_THREADID: /* RFC 8474 section 5.2: not kept */
        return put(at, BYTES("THREADID NIL"));
    case FETCH_ENVELOPE:
    case FETCH_BODYSTRUCTURE:
    case FETCH_BODY:
    case FETCH_PREVIEW:
    case FETCH_SECTION:
    case FETCH_BINARY:
    case FETCH_BINARY_SIZE:
        break;
    }
    check(false);
    return at;
}

bool fetch_line_fits(const struct fetch_program *program)
{
    bool fits = program->count <= FETCH_LINE_ITEMS_MAX;

    for (size_t i = 0; i < program->count && fits; i++)
        fits = fetch_line_is_item(program->items[i].kind);
    return fits;
}

static bool can_be_told(const struct mailbox_message *message)
{
    return message->size != MAILBOX_SIZE_UNKNOWN && message->flags >> MAILBOX_KEYWORD_SHIFT == 0;
}

static uint8_t *put_line(uint8_t *at, uint32_t number, const struct fetch_lines *lines,
                         const struct mailbox_message *message)
{
    const struct fetch_program *program = lines->program;

    at = put_named(at, BYTES("* "), lines->is_uidonly ? message->uid : number);
    at = lines->is_uidonly ? put(at, BYTES(" UIDFETCH (")) : put(at, BYTES(" FETCH ("));
    for (size_t i = 0; i < program->count; i++) {
        if (i > 0)
            *at++ = ' ';
        at = fetch_line_put_item(at, program->items[i].kind, message);
    }
    return put(at, BYTES(")\r\n"));
}

/* CHANGEDSINCE leaves out what has an older modseq; none has 0. */
uint8_t *fetch_lines_put(uint8_t *at, const struct fetch_lines *lines, size_t *count_out)
{
    uint64_t since = lines->program->has_since ? lines->program->since : 0;
    size_t i = 0;

    for (; i < lines->count; i++) {
        const struct mailbox_message *message = &lines->messages[i];

        if (message->uid != lines->uids[i] || !can_be_told(message))
            break;
        if (message->modseq > since)
            at = put_line(at, lines->number + (uint32_t)i, lines, message);
    }
    *count_out = i;
    return at;
}
