/* modules: smtp base */
/* fuzz_smtp_header.c - a header section scanned in pieces, or with little room, is the same; and
 * what was stored needs nothing taken out again. */
#include "smtp/header.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static void drain(struct buf *out, struct buf *stored)
{
    check(buf_append(stored, buf_bytes(out)));
    buf_clear(out);
}

static void scan_all(struct bytes content, bool drop_bcc, size_t piece_len, size_t room,
                     struct header_scan *scan, struct buf *stored)
{
    struct buf out;

    buf_init(&out, room);
    buf_init(stored, content.len + HEADER_GROWTH_MAX);
    header_scan_init(scan, drop_bcc);
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

static void check_same(const struct header_scan *a, const struct header_scan *b)
{
    check(a->received_count == b->received_count);
    check(a->has_message_id == b->has_message_id);
    check(a->has_date == b->has_date);
    check(a->has_from == b->has_from);
    check(a->in_body == b->in_body);
    check(a->missing_separator == b->missing_separator);
    check(a->has_8bit == b->has_8bit);
    check(a->header_size == b->header_size);
    check(a->message_id_len == b->message_id_len);
    check(memcmp(a->message_id, b->message_id, a->message_id_len) == 0);
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
    check(!bytes_starts_nocase(header, BYTES("Return-Path:")));
    check(!bytes_starts_nocase(header, BYTES("Bcc:")));
    for (size_t at = 0; at < header.len; at++) {
        struct bytes line = bytes_slice(header, at, header.len);
        check(!bytes_starts_nocase(line, BYTES("\r\nReturn-Path:")));
        check(!bytes_starts_nocase(line, BYTES("\r\nBcc:")));
        check(!bytes_starts_nocase(line, BYTES("\r\nResent-Bcc:")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct header_scan whole;
    struct header_scan pieces;
    struct header_scan again;
    struct buf stored;
    struct buf stored_pieces;
    struct buf stored_again;

    if (len < 2)
        return 0;
    struct bytes content = {input + 2, len - 2};
    scan_all(content, true, len, len + HEADER_GROWTH_MAX, &whole, &stored);
    check(buf_len(&stored) <= content.len + HEADER_GROWTH_MAX);
    scan_all(content, true, 1 + input[0] % 70, 1 + input[1] % 70, &pieces, &stored_pieces);
    check(bytes_equal(buf_bytes(&stored), buf_bytes(&stored_pieces)));
    check_same(&whole, &pieces);
    check_stored(&whole, buf_bytes(&stored));
    scan_all(buf_bytes(&stored), true, len + 16, len + 32, &again, &stored_again);
    check(bytes_equal(buf_bytes(&stored), buf_bytes(&stored_again)));
    check(!again.missing_separator);
    check(again.in_body == whole.in_body);
    buf_free(&stored_again);
    scan_all(content, false, len, len + HEADER_GROWTH_MAX, &again, &stored_again);
    check(again.received_count == whole.received_count);
    buf_free(&stored);
    buf_free(&stored_pieces);
    buf_free(&stored_again);
    return 0;
}
