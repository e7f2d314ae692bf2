/*
 * header.c - the header section, field by field, until a line says that it is over.
 *
 *             name byte              ":"
 *     LINE -----------------> NAME --------> VALUE ---.
 *     |  ^                     |              |  ^    | CR
 *     |  |  LF                 | no field     |  | other
 *     |  '------- VALUE_CR <---+--------------+--'----'
 *     |  space, tab: goes on in VALUE         (continuation line, RFC 5322 section 2.2.3)
 *     |  CR                    v
 *     '----> EMPTY_CR ------> BODY
 *                LF: the separator; other: no field
 *
 * A first line "From " goes from NAME to VALUE with the name X-Mailbox-Line put before it.
 *
 * The start of a line is held back in `kept` until it is known to be a field to be passed on, a
 * field to be dropped, or no field at all. What is held back goes out before anything else.
 */
#include "smtp/header.h"

#include <string.h>

enum { KEPT_AT = HEADER_MAILBOX_LEN /* in kept: what was read, behind what is put before it */ };

enum header_state {
    HEADER_LINE,     /* at the start of a line */
    HEADER_NAME,     /* in a field name, or in the spaces behind it */
    HEADER_VALUE,    /* behind the colon, or in a continuation line */
    HEADER_VALUE_CR, /* behind a CR in a value */
    HEADER_EMPTY_CR, /* behind a CR at the start of a line */
    HEADER_BODY,     /* all the rest */
};

static bool send_kept(struct header_scan *scan, struct buf *out);
static void take_line_start(struct header_scan *scan, uint8_t byte);
static void take_name(struct header_scan *scan, struct bytes *input);
static void take_empty_line(struct header_scan *scan, uint8_t byte);
static bool take_value(struct header_scan *scan, struct bytes *input, struct buf *out);
static bool take_body(struct bytes *input, struct buf *out);
static void enter_field(struct header_scan *scan);
static void enter_body(struct header_scan *scan, bool has_separator);

void header_scan_init(struct header_scan *scan, bool drop_bcc)
{
    *scan = (struct header_scan){.drop_bcc = drop_bcc, .state = HEADER_LINE};
}

bool header_scan_feed(struct header_scan *scan, struct bytes *input, struct buf *out)
{
    for (;;) {
        if (!send_kept(scan, out))
            return false;
        if (input->len == 0)
            return true;
        uint8_t byte = input->ptr[0];
        switch ((enum header_state)scan->state) {
        case HEADER_LINE:
            /* A continuation line belongs to the field before it, sent or dropped like it. */
            if (scan->has_field && (byte == ' ' || byte == '\t')) {
                scan->state = HEADER_VALUE;
                continue;
            }
            take_line_start(scan, byte);
            break;
        case HEADER_NAME:
            take_name(scan, input);
            continue;
        case HEADER_EMPTY_CR:
            take_empty_line(scan, byte);
            break;
        case HEADER_VALUE:
        case HEADER_VALUE_CR:
            if (!take_value(scan, input, out))
                return false;
            continue;
        case HEADER_BODY:
            return take_body(input, out);
        }
        *input = bytes_slice(*input, 1, input->len - 1);
    }
}

bool header_scan_finish(struct header_scan *scan, struct buf *out)
{
    /* A line that ends with the content before its colon is no field. */
    if (scan->state == HEADER_NAME || scan->state == HEADER_EMPTY_CR)
        enter_body(scan, false);
    return send_kept(scan, out);
}

/* Sends what was decided; false when `out` is full. The body begins only when all of it is out. */
static bool send_kept(struct header_scan *scan, struct buf *out)
{
    if (scan->send_end > 0) {
        size_t len = MIN((size_t)(scan->send_end - scan->send_start), buf_room(out));
        if (!buf_append(out, bytes_range(scan->kept + scan->send_start, len)))
            return false;
        scan->send_start += (uint16_t)len;
        if (scan->send_start < scan->send_end)
            return false;
        scan->send_start = 0;
        scan->send_end = 0;
    }
    scan->in_body = scan->state == HEADER_BODY;
    return true;
}

static void keep(struct header_scan *scan, uint8_t byte)
{
    check(scan->kept_len < HEADER_FIELD_KEPT);
    scan->kept[KEPT_AT + scan->kept_len++] = byte;
}

/* What is kept may go out: `header_len` bytes of it belong to the header section. */
static void release_kept(struct header_scan *scan, size_t from, size_t header_len)
{
    scan->send_start = (uint16_t)from;
    scan->send_end = (uint16_t)(KEPT_AT + scan->kept_len);
    scan->header_size += header_len;
    scan->kept_len = 0;
}

static void enter_body(struct header_scan *scan, bool has_separator)
{
    if (has_separator) {
        release_kept(scan, KEPT_AT, HEADER_SEPARATOR_LEN);
    } else {
        scan->kept[KEPT_AT - 2] = '\r';
        scan->kept[KEPT_AT - 1] = '\n';
        scan->missing_separator = true;
        release_kept(scan, KEPT_AT - HEADER_SEPARATOR_LEN, HEADER_SEPARATOR_LEN);
    }
    scan->state = HEADER_BODY;
}

/* ftext of RFC 5322 section 2.2: printable ASCII without the colon. */
static bool is_name_byte(uint8_t c)
{
    return c >= 33 && c <= 126 && c != ':';
}

static void take_line_start(struct header_scan *scan, uint8_t byte)
{
    keep(scan, byte);
    if (byte == '\r') {
        scan->state = HEADER_EMPTY_CR;
    } else if (is_name_byte(byte)) {
        scan->state = HEADER_NAME;
        scan->name_len = 1;
    } else {
        enter_body(scan, false);
    }
}

/* ">From " and a byte that is neither a space nor the colon of a field From. */
static bool is_mailbox_line(const struct header_scan *scan)
{
    struct bytes name = bytes_range(scan->kept + KEPT_AT, scan->name_len);

    while (name.len > 0 && name.ptr[0] == '>')
        name = bytes_slice(name, 1, name.len);
    return !scan->has_real_field && scan->mailbox_count < HEADER_MAILBOX_COUNT &&
           scan->kept_len > scan->name_len && bytes_equal_nocase(name, BYTES("From"));
}

static void enter_mailbox_line(struct header_scan *scan)
{
    static const char field[] = "X-Mailbox-Line: ";

    _Static_assert(sizeof(field) - 1 == HEADER_MAILBOX_LEN, "there is a place for it");
    memcpy(scan->kept, field, HEADER_MAILBOX_LEN);
    scan->mailbox_count++;
    scan->dropping = false;
    scan->in_message_id = false;
    scan->has_field = true;
    scan->state = HEADER_VALUE;
    release_kept(scan, 0, (size_t)HEADER_MAILBOX_LEN + scan->kept_len);
}

/* Takes name bytes, and one byte that is none; there is at least one of either. */
static void take_name(struct header_scan *scan, struct bytes *input)
{
    bool is_name_over = scan->name_len < scan->kept_len; /* spaces follow it already */
    size_t len_max = MIN(input->len, (size_t)(HEADER_FIELD_KEPT - 1 - scan->kept_len));
    size_t len = 0;

    while (!is_name_over && len < len_max && is_name_byte(input->ptr[len]))
        len++;
    memcpy(scan->kept + KEPT_AT + scan->kept_len, input->ptr, len);
    scan->kept_len += (uint16_t)len;
    scan->name_len += (uint16_t)len;
    *input = bytes_slice(*input, len, input->len);
    if (input->len == 0)
        return;
    uint8_t byte = input->ptr[0];
    bool is_space = byte == ' ' || byte == '\t'; /* "Name :" is RFC 5322 section 4.5.1's */
    if (byte != ':' && !is_space && is_mailbox_line(scan)) {
        enter_mailbox_line(scan);
        return;
    }
    *input = bytes_slice(*input, 1, input->len);
    keep(scan, byte);
    if (byte == ':')
        enter_field(scan);
    else if (!is_space || scan->kept_len == HEADER_FIELD_KEPT)
        enter_body(scan, false);
}

static void take_empty_line(struct header_scan *scan, uint8_t byte)
{
    keep(scan, byte);
    enter_body(scan, byte == '\n');
}

static enum header_field field_of(struct bytes name)
{
    static const struct {
        struct bytes name;
        enum header_field field;
    } fields[] = {
        {BYTES("Received"), HEADER_RECEIVED},
        {BYTES("Message-ID"), HEADER_MESSAGE_ID},
        {BYTES("Date"), HEADER_DATE},
        {BYTES("From"), HEADER_FROM},
        {BYTES("Return-Path"), HEADER_RETURN_PATH},
        {BYTES("Bcc"), HEADER_BCC},
        {BYTES("Resent-Bcc"), HEADER_RESENT_BCC},
    };

    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (bytes_equal_nocase(name, fields[i].name))
            return fields[i].field;
    return HEADER_OTHER;
}

/* The colon was seen: now it is known what the line is. */
static void enter_field(struct header_scan *scan)
{
    bool is_first_id = false;

    scan->dropping = false;
    scan->has_field = true;
    scan->has_real_field = true;
    scan->state = HEADER_VALUE;
    switch (field_of(bytes_range(scan->kept + KEPT_AT, scan->name_len))) {
    case HEADER_RECEIVED:
        scan->received_count++;
        break;
    case HEADER_MESSAGE_ID:
        is_first_id = !scan->has_message_id;
        scan->has_message_id = true;
        break;
    case HEADER_DATE:
        scan->has_date = true;
        break;
    case HEADER_FROM:
        scan->has_from = true;
        break;
    case HEADER_RETURN_PATH: /* the final server's to write, RFC 5321 section 4.4 */
        scan->dropping = true;
        break;
    case HEADER_BCC:
    case HEADER_RESENT_BCC:
        scan->dropping = scan->drop_bcc;
        break;
    case HEADER_OTHER:
        break;
    }
    scan->in_message_id = is_first_id;
    if (scan->dropping)
        scan->kept_len = 0;
    else
        release_kept(scan, KEPT_AT, scan->kept_len);
}

/* Keeps the value of Message-ID: unfolded, trimmed, runs of white space as one space. */
static void keep_message_id(struct header_scan *scan, struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        if (c == ' ' || c == '\t') {
            scan->space_pending = scan->message_id_len > 0;
            continue;
        }
        if (c == '\r' || c == '\n' || c == '\0')
            continue;
        size_t len = scan->space_pending ? 2 : 1;
        if (sizeof(scan->message_id) - scan->message_id_len < len) {
            scan->in_message_id = false;
            return;
        }
        if (scan->space_pending)
            scan->message_id[scan->message_id_len++] = ' ';
        scan->message_id[scan->message_id_len++] = (char)c;
        scan->space_pending = false;
    }
}

/* Passes a value on up to its CRLF, or as much as `out` has room for. */
static bool take_value(struct header_scan *scan, struct bytes *input, struct buf *out)
{
    size_t len_max = scan->dropping ? input->len : MIN(input->len, buf_room(out));
    size_t lf = bytes_find(bytes_slice(*input, 0, len_max), '\n', 0);
    struct bytes part = bytes_slice(*input, 0, MIN(lf + 1, len_max));

    if (part.len == 0)
        return false;
    if (!scan->dropping) {
        if (!buf_append(out, part))
            return false;
        scan->header_size += part.len;
        for (size_t i = 0; i < part.len; i++)
            scan->has_8bit |= part.ptr[i] > 127;
    }
    if (scan->in_message_id)
        keep_message_id(scan, part);
    bool cr_before_last =
        part.len > 1 ? part.ptr[part.len - 2] == '\r' : scan->state == HEADER_VALUE_CR;
    scan->state = HEADER_VALUE;
    if (part.ptr[part.len - 1] == '\r')
        scan->state = HEADER_VALUE_CR;
    else if (lf < len_max && cr_before_last) /* a bare LF does not end a line */
        scan->state = HEADER_LINE;
    *input = bytes_slice(*input, part.len, input->len - part.len);
    return true;
}

static bool take_body(struct bytes *input, struct buf *out)
{
    struct bytes part = bytes_slice(*input, 0, buf_room(out));

    if (!buf_append(out, part))
        return false;
    *input = bytes_slice(*input, part.len, input->len - part.len);
    return input->len == 0;
}
