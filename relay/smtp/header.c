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

#include "base/eight.h"

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
static void end_capture(struct header_scan *scan);
static void capture_value(struct header_scan *scan, struct bytes value);
static void enter_body(struct header_scan *scan, bool has_separator);

void header_scan_init(struct header_scan *scan, const struct header_table *table, uint8_t *captured)
{
    check(captured != NULL || table->capture_size == 0);
    *scan = (struct header_scan){.table = table, .captured = captured, .state = HEADER_LINE};
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
    end_capture(scan);
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

static void take_line_start(struct header_scan *scan, uint8_t byte)
{
    keep(scan, byte);
    if (byte == '\r') {
        scan->state = HEADER_EMPTY_CR;
    } else if (header_is_name_byte(byte)) {
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

    while (!is_name_over && len < len_max && header_is_name_byte(input->ptr[len]))
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

/* Where the value goes that now comes, if it is one that is wanted. */
static void begin_capture(struct header_scan *scan, const struct header_row *row,
                          uint32_t occurrence)
{
    scan->capturing = occurrence < row->rule.capture_count;
    if (!scan->capturing)
        return;
    scan->capture = (uint8_t)(row->capture_first + occurrence);
    scan->capture_max = row->rule.capture_max;
    scan->capture_at = row->capture_at + occurrence * row->rule.capture_max;
    scan->space_pending = false;
    scan->cr_pending = false;
}

/* The colon was seen: now it is known what the line is. */
static void enter_field(struct header_scan *scan)
{
    struct bytes name = bytes_range(scan->kept + KEPT_AT, scan->name_len);
    int row = header_table_find(scan->table, name);

    end_capture(scan);
    scan->dropping = false;
    scan->has_field = true;
    scan->has_real_field = true;
    scan->state = HEADER_VALUE;
    if (row >= 0) {
        const struct header_row *found = &scan->table->rows[row];

        scan->dropping = found->rule.drop;
        begin_capture(scan, found, scan->counts[row]);
        if (scan->counts[row] < UINT32_MAX)
            scan->counts[row]++;
    }
    if (scan->dropping)
        scan->kept_len = 0;
    else
        release_kept(scan, KEPT_AT, scan->kept_len);
}

uint32_t header_scan_count(const struct header_scan *scan, unsigned row)
{
    check(row < scan->table->count);
    return scan->counts[row];
}

bool header_scan_value(const struct header_scan *scan, unsigned row, unsigned occurrence,
                       struct header_value *value_out)
{
    check(row < scan->table->count);
    const struct header_row *found = &scan->table->rows[row];
    check(occurrence < found->rule.capture_count);
    const struct header_capture *capture = &scan->captures[found->capture_first + occurrence];
    size_t at = found->capture_at + (size_t)occurrence * found->rule.capture_max;

    if (occurrence >= scan->counts[row])
        return false;
    *value_out = (struct header_value){
        .text = bytes_range(scan->captured + at, capture->len),
        .is_cut = capture->is_cut,
        .is_altered = capture->is_altered,
    };
    return true;
}

/* A field of a row is over, or the content is. */
static void end_capture(struct header_scan *scan)
{
    if (scan->capturing && scan->cr_pending)
        scan->captures[scan->capture].is_altered = true;
    scan->capturing = false;
}

/* A byte of a value with the space before it; cut where they do not fit. */
static void put_captured(struct header_scan *scan, struct header_capture *capture, uint8_t byte)
{
    uint8_t *at = scan->captured + scan->capture_at;

    if (scan->capture_max - capture->len < (scan->space_pending ? 2 : 1)) {
        capture->is_cut = true;
        return;
    }
    if (scan->space_pending)
        at[capture->len++] = ' ';
    scan->space_pending = false;
    at[capture->len++] = byte;
}

/* Eight bytes that need no look at each, with the space before them; false where one may, or where
 * they could be cut. */
static bool put_captured_eight(struct header_scan *scan, struct header_capture *capture,
                               const uint8_t *from)
{
    if (scan->cr_pending || scan->capture_max - capture->len < 9 ||
        !eight_is_solid(eight_load(from)))
        return false;
    put_captured(scan, capture, from[0]);
    memcpy(scan->captured + scan->capture_at + capture->len, from + 1, 7);
    capture->len += 7;
    return true;
}

static void capture_value(struct header_scan *scan, struct bytes value)
{
    struct header_capture *capture = &scan->captures[scan->capture];

    for (size_t i = 0; i < value.len && !capture->is_cut; i++) {
        uint8_t c = value.ptr[i];

        if (value.len - i >= 8 && put_captured_eight(scan, capture, value.ptr + i)) {
            i += 7;
            continue;
        }
        if (c == '\n' ? !scan->cr_pending : scan->cr_pending || c == '\0')
            capture->is_altered = true;
        scan->cr_pending = c == '\r';
        if (c == ' ' || c == '\t')
            scan->space_pending = capture->len > 0;
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0')
            continue;
        put_captured(scan, capture, c);
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
        scan->has_8bit = scan->has_8bit || bytes_has_8bit(part);
    }
    if (scan->capturing)
        capture_value(scan, part);
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
