/* fetch_line.c - items of the index as text, others as they are at hand. */
#include "inbound/imap/fetch_line.h"

#include <string.h>

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

/* Not by its length, but in one move, or two where there are many. */
static uint8_t *put_flags(uint8_t *at, const struct flag_text *text)
{
    enum { FEW = 63, MORE = sizeof(text->bytes) - FEW };

    memcpy(at, text->bytes, FEW);
    if (text->len > FEW)
        memcpy(at + FEW, text->bytes + FEW, MORE);
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

static inline uint8_t *put_item(uint8_t *at, enum fetch_kind kind,
                                const struct mailbox_message *message,
                                const struct flag_text *flags, const struct fetch_line_texts *texts)
{
    switch (kind) {
    case FETCH_FLAGS:
        return put_flags(at, flags);
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
        return put(put(at, BYTES("ENVELOPE ")), texts->envelope);
    case FETCH_BODYSTRUCTURE:
        return put(put(at, BYTES("BODYSTRUCTURE ")), texts->structure);
    case FETCH_SECTION:
        return put(at, texts->section);
    case FETCH_BODY:
    case FETCH_PREVIEW:
    case FETCH_BINARY:
    case FETCH_BINARY_SIZE:
        break;
    }
    check(false);
    return at;
}

uint8_t *fetch_line_put_item(uint8_t *at, enum fetch_kind kind,
                             const struct mailbox_message *message)
{
    return put_item(at, kind, message, flag_text(message->flags), NULL);
}

bool fetch_line_fits(const struct fetch_program *program, bool has_section)
{
    bool fits = program->count <= FETCH_LINE_ITEMS_MAX;

    for (size_t i = 0; i < program->count && fits; i++)
        fits = fetch_line_is_item(program->items[i].kind) ||
               program->items[i].kind == FETCH_ENVELOPE ||
               program->items[i].kind == FETCH_BODYSTRUCTURE ||
               (program->items[i].kind == FETCH_SECTION && has_section);
    return fits;
}

/* What stands before the items. */
static uint8_t *put_begin(uint8_t *at, bool is_uidonly, struct imap_counting *numbers, uint32_t uid)
{
    at = put(at, BYTES("* "));
    if (is_uidonly)
        return put(imap_write_number(at, uid), BYTES(" UIDFETCH ("));
    return put(imap_counting_write(at, numbers), BYTES(" FETCH ("));
}

/* FLAGS alone are what clients ask for of all messages. */
static bool is_flags_alone(const struct fetch_program *program)
{
    return program->count == 1 && program->items[0].kind == FETCH_FLAGS;
}

static uint8_t *put_items(uint8_t *at, const struct fetch_program *program,
                          const struct mailbox_message *message, const struct flag_text *flags,
                          const struct fetch_line_texts *texts)
{
    for (size_t i = 0; i < program->count; i++) {
        if (i > 0)
            *at++ = ' ';
        at = put_item(at, program->items[i].kind, message, flags, texts);
    }
    return put(at, BYTES(")\r\n"));
}

/* CHANGEDSINCE leaves out what has an older modseq; none has 0. */
uint8_t *fetch_lines_put(uint8_t *at, const struct fetch_lines *lines, size_t *count_out)
{
    uint64_t since = lines->program->has_since ? lines->program->since : 0;
    bool tells_flags = fetch_program_has(lines->program, FETCH_FLAGS);
    bool has_flags_alone = is_flags_alone(lines->program);
    const struct flag_text *usual = flag_texts();
    struct imap_counting numbers;
    size_t i = 0;

    imap_counting_begin(&numbers, lines->number);
    for (; i < lines->count; i++) {
        const struct mailbox_message *message = &lines->messages[i];
        const struct flag_text *flags = &usual[message->flags & FLAG_TEXT_ALL];

        if (message->flags > FLAG_TEXT_ALL && tells_flags)
            flags = lines->memo != NULL ? flag_memo_find(lines->memo, message->flags) : NULL;
        if (message->uid != lines->uids[i] || message->size == MAILBOX_SIZE_UNKNOWN ||
            flags == NULL)
            break;
        if (message->modseq <= since) {
            imap_counting_begin(&numbers, lines->number + i + 1);
            continue;
        }
        at = put_begin(at, lines->is_uidonly, &numbers, message->uid);
        if (has_flags_alone)
            at = put(put_flags(at, flags), BYTES(")\r\n"));
        else
            at = put_items(at, lines->program, message, flags,
                           lines->texts != NULL ? &lines->texts[i] : NULL);
    }
    *count_out = i;
    return at;
}
