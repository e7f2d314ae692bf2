/* modules: smtp base */
/* runs: 8000 */
/* fuzz_smtp_header.c - a header section scanned in pieces, or with little room, is the same; what
 * was stored needs nothing taken out again, and what was captured stands in the content. The first
 * bytes say how it is cut, and what the table does with the fields it names. */
#include "smtp/header.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

enum { CONTROL_LEN = 4, CAPTURED_MAX = 4096 };

static const char *const names[] = {"Received",    "Message-ID", "Date", "From",
                                    "Return-Path", "Bcc",        "A",    "X-Tag"};

/* A scan with what it captured. */
struct scanned {
    struct header_scan scan;
    uint8_t captured[CAPTURED_MAX];
};

/* Bits of `drops`: which fields go; `captures`: how many of each are captured, how much of them. */
static void table_of(struct header_table *table, uint8_t drops, uint8_t captures)
{
    header_table_init(table);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        unsigned count = (captures + i) % 4;
        struct header_rule rule = {
            .name = bytes_of(names[i]),
            .drop = (drops >> i & 1) != 0,
            .capture_count = (uint8_t)count,
            .capture_max = count == 0 ? 0 : (uint16_t)(1 + captures % 67),
        };

        check(header_table_add(table, &rule) == (int)i);
    }
    check(table->capture_size <= CAPTURED_MAX);
}

static void drain(struct buf *out, struct buf *stored)
{
    check(buf_append(stored, buf_bytes(out)));
    buf_clear(out);
}

static void scan_all(struct bytes content, const struct header_table *table, size_t piece_len,
                     size_t room, struct scanned *scanned, struct buf *stored)
{
    struct header_scan *scan = &scanned->scan;
    struct buf out;

    buf_init(&out, room);
    buf_init(stored, content.len + HEADER_GROWTH_MAX);
    header_scan_init(scan, table, scanned->captured);
    for (size_t at = 0; at < content.len;) {
        size_t len = MIN(piece_len, content.len - at);
        uint8_t *copy = malloc(len);
        check(copy != NULL);
        memcpy(copy, content.ptr + at, len);
        struct bytes piece = {copy, len};
        at += len;
        while (!header_scan_feed(scan, &piece, &out)) {
            check(buf_room(&out) == 0);
            drain(&out, stored);
        }
        check(piece.len == 0);
        drain(&out, stored);
        free(copy);
    }
    while (!header_scan_finish(scan, &out))
        drain(&out, stored);
    drain(&out, stored);
    buf_free(&out);
}

/* Trimmed, and without what could end it. */
static void check_value(const struct header_value *value, size_t len_max)
{
    check(value->text.len <= len_max);
    for (size_t i = 0; i < value->text.len; i++) {
        uint8_t c = value->text.ptr[i];
        bool is_edge = i == 0 || i == value->text.len - 1;

        check(c != '\0' && c != '\r' && c != '\n' && c != '\t');
        check(c != ' ' || (!is_edge && value->text.ptr[i + 1] != ' '));
    }
}

static void check_same_values(const struct header_scan *a, const struct header_scan *b,
                              unsigned row)
{
    const struct header_rule *rule = &a->table->rows[row].rule;

    for (unsigned i = 0; i < rule->capture_count; i++) {
        struct header_value of_a = {0};
        struct header_value of_b = {0};
        bool is_there = header_scan_value(a, row, i, &of_a);

        check(is_there == header_scan_value(b, row, i, &of_b));
        check(is_there == (i < header_scan_count(a, row)));
        check(bytes_equal(of_a.text, of_b.text));
        check(of_a.is_cut == of_b.is_cut && of_a.is_altered == of_b.is_altered);
        check_value(&of_a, rule->capture_max);
    }
}

static void check_same(const struct header_scan *a, const struct header_scan *b)
{
    check(a->in_body == b->in_body);
    check(a->missing_separator == b->missing_separator);
    check(a->has_8bit == b->has_8bit);
    check(a->header_size == b->header_size);
    for (unsigned row = 0; row < ARRAY_LEN(names); row++) {
        check(header_scan_count(a, row) == header_scan_count(b, row));
        check_same_values(a, b, row);
    }
}

/* At the start of a line: a field that had to go. */
static void check_line(const struct header_table *table, struct bytes line)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct bytes rest = line;

        if (table->rows[i].rule.drop && bytes_take_nocase(&rest, bytes_of(names[i])))
            check(rest.len == 0 || rest.ptr[0] != ':');
    }
}

/* The header section as stored: ends with an empty line, holds no field that had to go. */
static void check_stored(const struct header_scan *scan, struct bytes stored)
{
    check(scan->header_size <= stored.len);
    struct bytes header = bytes_slice(stored, 0, scan->header_size);
    if (scan->in_body) {
        check(bytes_ends_nocase(header, BYTES("\r\n")));
        check(header.len == 2 || bytes_ends_nocase(header, BYTES("\r\n\r\n")));
    } else {
        check(header.len == stored.len);
    }
    check(!bytes_starts_nocase(header, BYTES("From ")) || bytes_find(header, ':', 0) < header.len);
    check_line(scan->table, header);
    for (size_t at = 0; at < header.len; at++) {
        struct bytes line = bytes_slice(header, at, header.len);

        if (bytes_take_nocase(&line, BYTES("\r\n")))
            check_line(scan->table, line);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static struct scanned whole, pieces, again;
    struct header_table table;
    struct buf stored;
    struct buf stored_pieces;
    struct buf stored_again;

    if (len < CONTROL_LEN)
        return 0;
    struct bytes content = {input + CONTROL_LEN, len - CONTROL_LEN};
    table_of(&table, input[2], input[3]);
    scan_all(content, &table, len, len + HEADER_GROWTH_MAX, &whole, &stored);
    check(buf_len(&stored) <= content.len + HEADER_GROWTH_MAX);
    scan_all(content, &table, 1 + input[0] % 70, 1 + input[1] % 70, &pieces, &stored_pieces);
    check(bytes_equal(buf_bytes(&stored), buf_bytes(&stored_pieces)));
    check_same(&whole.scan, &pieces.scan);
    check_stored(&whole.scan, buf_bytes(&stored));
    scan_all(buf_bytes(&stored), &table, len + 16, len + 32, &again, &stored_again);
    check(bytes_equal(buf_bytes(&stored), buf_bytes(&stored_again)));
    check(!again.scan.missing_separator);
    check(again.scan.in_body == whole.scan.in_body);
    buf_free(&stored_again);
    /* What is dropped changes nothing of what is counted and captured. */
    table_of(&table, 0, input[3]);
    scan_all(content, &table, len, len + HEADER_GROWTH_MAX, &again, &stored_again);
    for (unsigned row = 0; row < ARRAY_LEN(names); row++) {
        check(header_scan_count(&again.scan, row) == header_scan_count(&whole.scan, row));
        check_same_values(&again.scan, &whole.scan, row);
    }
    buf_free(&stored);
    buf_free(&stored_pieces);
    buf_free(&stored_again);
    return 0;
}
