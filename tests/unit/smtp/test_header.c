/* test_header.c - header sections, in every split and with little room. */
#include "smtp/header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/unit.h"

#define TEN "aaaaaaaaaa"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define NAME_997 \
    HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED TEN TEN TEN TEN TEN \
        TEN TEN TEN TEN "aaaaaaa"

#define FROM_4 "From x\r\nFrom x\r\nFrom x\r\nFrom x\r\n"
#define FROM_8 FROM_4 FROM_4
#define FIELD_2 "X-Mailbox-Line: From x\r\nX-Mailbox-Line: From x\r\n"
#define FIELD_8 FIELD_2 FIELD_2 FIELD_2 FIELD_2

struct sample {
    struct bytes input;
    bool drop_bcc;
    struct bytes stored;
    bool in_body;
    bool missing_separator;
    unsigned received_count;
    struct bytes message_id;
    const char *has; /* m, d, f, 8: message_id, date, from, 8bit */
};

static const struct sample samples[] = {
    {BYTES(""), true, BYTES(""), false, false, 0, BYTES(""), ""},
    {BYTES("\r\n"), true, BYTES("\r\n"), true, false, 0, BYTES(""), ""},
    {BYTES("\r\nbody"), true, BYTES("\r\nbody"), true, false, 0, BYTES(""), ""},
    {BYTES("A: b\r\n\r\nbody\r\n"), true, BYTES("A: b\r\n\r\nbody\r\n"), true, false, 0, BYTES(""),
     ""},
    /* No body: RFC 5322 section 3.5 makes it optional. */
    {BYTES("A: b\r\n"), true, BYTES("A: b\r\n"), false, false, 0, BYTES(""), ""},
    {BYTES("A: b"), true, BYTES("A: b"), false, false, 0, BYTES(""), ""},
    {BYTES("From: a\r\nDATE: x\r\nmessage-id: <1@x>\r\n\r\n"), true,
     BYTES("From: a\r\nDATE: x\r\nmessage-id: <1@x>\r\n\r\n"), true, false, 0, BYTES("<1@x>"),
     "mdf"},
    {BYTES("Received: a\r\nReceived: b\r\n c\r\nX-Received: d\r\n\r\n"), true,
     BYTES("Received: a\r\nReceived: b\r\n c\r\nX-Received: d\r\n\r\n"), true, false, 2, BYTES(""),
     ""},
    /* Taken out with their continuation lines: RFC 5321 section 4.4, RFC 5322 section 3.6.3. */
    {BYTES("Return-Path: <a>\r\n\tx\r\nA: b\r\n\r\n"), false, BYTES("A: b\r\n\r\n"), true, false, 0,
     BYTES(""), ""},
    {BYTES("A: b\r\nBcc: x,\r\n y,\r\n \r\n\tz\r\nC: d\r\n\r\nBcc: body"), true,
     BYTES("A: b\r\nC: d\r\n\r\nBcc: body"), true, false, 0, BYTES(""), ""},
    {BYTES("bcc : x\r\nRESENT-BCC\t: y\r\nTo: z\r\n\r\n"), true, BYTES("To: z\r\n\r\n"), true,
     false, 0, BYTES(""), ""},
    {BYTES("Bcc: x\r\nResent-Bcc: y\r\n\r\n"), false, BYTES("Bcc: x\r\nResent-Bcc: y\r\n\r\n"),
     true, false, 0, BYTES(""), ""},
    {BYTES("Bcc: x"), true, BYTES(""), false, false, 0, BYTES(""), ""},
    {BYTES("Bcc:\r\n\r\n"), true, BYTES("\r\n"), true, false, 0, BYTES(""), ""},
    {BYTES("Bccx: x\r\nBc: y\r\n\r\n"), true, BYTES("Bccx: x\r\nBc: y\r\n\r\n"), true, false, 0,
     BYTES(""), ""},
    {BYTES("Bcc: \xff\r\nA: b\r\n\r\n"), true, BYTES("A: b\r\n\r\n"), true, false, 0, BYTES(""),
     ""}, /* what is not stored needs no SMTPUTF8 */
    {BYTES("A: \xc3\xa4\r\n\r\n"), true, BYTES("A: \xc3\xa4\r\n\r\n"), true, false, 0, BYTES(""),
     "8"},
    {BYTES("A: b\r\n\r\n\xc3\xa4"), true, BYTES("A: b\r\n\r\n\xc3\xa4"), true, false, 0, BYTES(""),
     ""},
    /* Spaces before the colon: RFC 5322 section 4.5.1. */
    {BYTES("From : a\r\nDate \t : x\r\n\r\n"), true, BYTES("From : a\r\nDate \t : x\r\n\r\n"), true,
     false, 0, BYTES(""), "df"},
    /* A line that is no field: the body has begun. */
    {BYTES("A: b\r\nFrom me\r\nBcc: c\r\n"), true, BYTES("A: b\r\n\r\nFrom me\r\nBcc: c\r\n"), true,
     true, 0, BYTES(""), ""},
    {BYTES("Fromme Tue\r\n"), true, BYTES("\r\nFromme Tue\r\n"), true, true, 0, BYTES(""), ""},
    {BYTES("From\r\n"), true, BYTES("\r\nFrom\r\n"), true, true, 0, BYTES(""), ""},
    {BYTES("> From me\r\n"), true, BYTES("\r\n> From me\r\n"), true, true, 0, BYTES(""), ""},
    /* What an mbox file puts first: kept as a field, and so are the fields behind it. */
    {BYTES("From me Tue Nov 24\r\nBcc: b\r\nA: b\r\n\r\nFrom x\r\n"), true,
     BYTES("X-Mailbox-Line: From me Tue Nov 24\r\nA: b\r\n\r\nFrom x\r\n"), true, false, 0,
     BYTES(""), ""},
    {BYTES(">>FROM \r\n>from\t x\r\n folded\r\nFrom : y\r\n\r\n"), true,
     BYTES("X-Mailbox-Line: >>FROM \r\nX-Mailbox-Line: >from\t x\r\n folded\r\nFrom : y\r\n\r\n"),
     true, false, 0, BYTES(""), "f"},
    {BYTES(FROM_8 "From x\r\n\r\n"), true, BYTES(FIELD_8 "\r\nFrom x\r\n\r\n"), true, true, 0,
     BYTES(""), ""},
    {BYTES("From \xc3\xa4\r\n\r\n"), true, BYTES("X-Mailbox-Line: From \xc3\xa4\r\n\r\n"), true,
     false, 0, BYTES(""), "8"},
    {BYTES("A: b\r\nbody\r\nBcc: c\r\n"), true, BYTES("A: b\r\n\r\nbody\r\nBcc: c\r\n"), true, true,
     0, BYTES(""), ""},
    {BYTES("A: b\r\nbody"), true, BYTES("A: b\r\n\r\nbody"), true, true, 0, BYTES(""), ""},
    {BYTES("body"), true, BYTES("\r\nbody"), true, true, 0, BYTES(""), ""},
    {BYTES(" A: b\r\n"), true, BYTES("\r\n A: b\r\n"), true, true, 0, BYTES(""), ""},
    {BYTES(": b\r\n"), true, BYTES("\r\n: b\r\n"), true, true, 0, BYTES(""), ""},
    {BYTES("A\xc3\xa4: b\r\n"), true, BYTES("\r\nA\xc3\xa4: b\r\n"), true, true, 0, BYTES(""), ""},
    {BYTES("A\0: b\r\n"), true, BYTES("\r\nA\0: b\r\n"), true, true, 0, BYTES(""), ""},
    {BYTES("A\r\n: b\r\n"), true, BYTES("\r\nA\r\n: b\r\n"), true, true, 0, BYTES(""), ""},
    {BYTES("A b: c\r\n"), true, BYTES("\r\nA b: c\r\n"), true, true, 0, BYTES(""), ""},
    {BYTES("A: b\r\n\r"), true, BYTES("A: b\r\n\r\n\r"), true, true, 0, BYTES(""), ""},
    {BYTES("A: b\r\n\rx"), true, BYTES("A: b\r\n\r\n\rx"), true, true, 0, BYTES(""), ""},
    /* Bare CR and LF end no line, so what follows them cannot escape or start a field. */
    {BYTES("A: b\nBcc: c\rBcc: d\r\n\r\n"), true, BYTES("A: b\nBcc: c\rBcc: d\r\n\r\n"), true,
     false, 0, BYTES(""), ""},
    {BYTES("Bcc: a\nB: c\r\rD: e\r\nF: g\r\n"), true, BYTES("F: g\r\n"), false, false, 0, BYTES(""),
     ""},
    {BYTES("A: b\r\r\n\r\n"), true, BYTES("A: b\r\r\n\r\n"), true, false, 0, BYTES(""), ""},
    /* Message-ID: unfolded, trimmed, the first one. */
    {BYTES("Message-ID:\r\n \t<1@x>  \t\r\n\r\n"), true,
     BYTES("Message-ID:\r\n \t<1@x>  \t\r\n\r\n"), true, false, 0, BYTES("<1@x>"), "m"},
    {BYTES("Message-ID: <1 \r\n @x>\r\nMessage-ID: <2@x>\r\n\r\n"), true,
     BYTES("Message-ID: <1 \r\n @x>\r\nMessage-ID: <2@x>\r\n\r\n"), true, false, 0, BYTES("<1 @x>"),
     "m"},
    {BYTES("Message-ID:\r\n\r\n"), true, BYTES("Message-ID:\r\n\r\n"), true, false, 0, BYTES(""),
     "m"},
    {BYTES("Message-ID:a\0b\r\n\r\n"), true, BYTES("Message-ID:a\0b\r\n\r\n"), true, false, 0,
     BYTES("ab"), "m"},
    /* A name fills its line; one byte more is no field. */
    {BYTES(NAME_997 ":b\r\n\r\n"), true, BYTES(NAME_997 ":b\r\n\r\n"), true, false, 0, BYTES(""),
     ""},
    {BYTES(NAME_997 "a:b\r\n\r\n"), true, BYTES("\r\n" NAME_997 "a:b\r\n\r\n"), true, true, 0,
     BYTES(""), ""},
};

enum { RECEIVED, MESSAGE_ID, DATE, FROM, RETURN_PATH, MESSAGE_ID_MAX = 512 };

struct fixture {
    struct header_table table;
    uint8_t captured[MESSAGE_ID_MAX];
};

static void add(struct header_table *table, const char *name, bool drop, unsigned captured,
                unsigned max)
{
    struct header_rule rule = {bytes_of(name), drop, (uint8_t)captured, (uint16_t)max};
    size_t count = table->count;

    assert_int_equal(header_table_add(table, &rule), count);
}

static void scan_init(struct header_scan *scan, struct fixture *fixture, bool drop_bcc)
{
    header_table_init(&fixture->table);
    add(&fixture->table, "Received", false, 0, 0);
    add(&fixture->table, "Message-ID", false, 1, MESSAGE_ID_MAX);
    add(&fixture->table, "Date", false, 0, 0);
    add(&fixture->table, "From", false, 0, 0);
    add(&fixture->table, "Return-Path", true, 0, 0);
    if (drop_bcc) {
        add(&fixture->table, "bcc", true, 0, 0);
        add(&fixture->table, "RESENT-Bcc", true, 0, 0);
    }
    assert_true(fixture->table.capture_size == sizeof(fixture->captured));
    header_scan_init(scan, &fixture->table, fixture->captured);
}

/* The header section ends behind the first empty line, or is all there is. */
static size_t header_len(struct bytes stored, bool in_body)
{
    struct bytes separator = BYTES("\r\n");

    if (!in_body)
        return stored.len;
    if (bytes_starts_nocase(stored, separator))
        return separator.len;
    return bytes_find_bytes(stored, BYTES("\r\n\r\n"), 0) + 4;
}

static void expect_sample(size_t row, const struct header_scan *scan, struct bytes stored)
{
    const struct sample *sample = &samples[row];

    expect_row(row, bytes_equal(stored, sample->stored));
    expect_row(row, scan->header_size == header_len(stored, scan->in_body));
    expect_row(row, scan->in_body == sample->in_body);
    expect_row(row, scan->missing_separator == sample->missing_separator);
    struct header_value id = {0};
    bool has_id = header_scan_value(scan, MESSAGE_ID, 0, &id);

    expect_row(row, header_scan_count(scan, RECEIVED) == sample->received_count);
    expect_row(row, has_id == (strchr(sample->has, 'm') != NULL));
    expect_row(row, bytes_equal(id.text, sample->message_id));
    expect_row(row, !id.is_cut);
    expect_row(row, (header_scan_count(scan, MESSAGE_ID) > 0) == has_id);
    expect_row(row, (header_scan_count(scan, DATE) > 0) == (strchr(sample->has, 'd') != NULL));
    expect_row(row, (header_scan_count(scan, FROM) > 0) == (strchr(sample->has, 'f') != NULL));
    expect_row(row, scan->has_8bit == (strchr(sample->has, '8') != NULL));
}

static void drain(struct buf *out, struct buf *stored)
{
    assert_true(buf_append(stored, buf_bytes(out)));
    buf_clear(out);
}

/* Feeds a copy of exactly its size through an `out` that holds `room` bytes. */
static void feed(struct header_scan *scan, struct bytes b, size_t room, struct buf *stored)
{
    uint8_t *copy = malloc(b.len + 1);
    struct buf out;

    assert_non_null(copy);
    if (b.len > 0)
        memcpy(copy, b.ptr, b.len);
    struct bytes input = {copy, b.len};
    buf_init(&out, room);
    while (!header_scan_feed(scan, &input, &out)) {
        assert_int_equal(buf_room(&out), 0);
        drain(&out, stored);
    }
    assert_int_equal(input.len, 0);
    drain(&out, stored);
    buf_free(&out);
    free(copy);
}

static void finish(struct header_scan *scan, size_t room, struct buf *stored)
{
    struct buf out;

    buf_init(&out, room);
    while (!header_scan_finish(scan, &out))
        drain(&out, stored);
    drain(&out, stored);
    buf_free(&out);
}

static void expect_split(size_t row, size_t at, size_t room)
{
    struct bytes input = samples[row].input;
    struct header_scan scan;
    struct fixture fixture;
    struct buf stored;

    buf_init(&stored, 4096);
    scan_init(&scan, &fixture, samples[row].drop_bcc);
    feed(&scan, bytes_slice(input, 0, at), room, &stored);
    feed(&scan, bytes_slice(input, at, input.len), room, &stored);
    finish(&scan, room, &stored);
    expect_sample(row, &scan, buf_bytes(&stored));
    buf_free(&stored);
}

TEST(header_scan_follows_table_in_every_split)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        for (size_t at = 0; at <= samples[i].input.len; at++)
            expect_split(i, at, 4096);
}

TEST(header_scan_needs_one_byte_of_room)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        for (size_t room = 1; room < 9; room++)
            expect_split(i, samples[i].input.len / 2, room);
}

TEST(header_scan_does_not_mind_single_bytes)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct header_scan scan;
        struct fixture fixture;
        struct buf stored;

        buf_init(&stored, 4096);
        scan_init(&scan, &fixture, samples[i].drop_bcc);
        for (size_t at = 0; at < samples[i].input.len; at++)
            feed(&scan, bytes_slice(samples[i].input, at, 1), 4096, &stored);
        finish(&scan, 4096, &stored);
        expect_sample(i, &scan, buf_bytes(&stored));
        buf_free(&stored);
    }
}

/* in_body is the leave to bypass the scan: nothing may be held back then. */
TEST(header_scan_holds_nothing_back_in_body)
{
    struct header_scan scan;
    struct fixture fixture;
    struct buf out;
    struct bytes input = BYTES("A: b\r\nno field\r\n");

    buf_init(&out, 10);
    scan_init(&scan, &fixture, true);
    assert_false(header_scan_feed(&scan, &input, &out));
    assert_false(scan.in_body); /* part of "\r\nno " is still to come */
    buf_clear(&out);
    assert_true(header_scan_feed(&scan, &input, &out) || scan.in_body);
    assert_true(scan.in_body);
    buf_free(&out);
}

TEST(header_scan_cuts_long_message_id)
{
    struct header_scan scan;
    struct fixture fixture;
    struct buf out;
    struct buf input;

    buf_init(&input, 4096);
    buf_init(&out, 4096);
    assert_true(buf_append(&input, BYTES("Message-ID: <")));
    for (int i = 0; i < 900; i++)
        assert_true(buf_append_byte(&input, 'x'));
    assert_true(buf_append(&input, BYTES(">\r\n\r\n")));
    scan_init(&scan, &fixture, true);
    struct bytes b = buf_bytes(&input);
    assert_true(header_scan_feed(&scan, &b, &out));
    struct header_value id;
    assert_true(header_scan_value(&scan, MESSAGE_ID, 0, &id));
    assert_int_equal(id.text.len, MESSAGE_ID_MAX);
    assert_true(id.is_cut);
    assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&input)));
    buf_free(&input);
    buf_free(&out);
}

static void capture(struct header_scan *scan, struct fixture *fixture, struct bytes input,
                    size_t step)
{
    struct buf out;

    buf_init(&out, 4096);
    scan_init(scan, fixture, false);
    while (input.len > 0) {
        struct bytes part = bytes_slice(input, 0, step);

        input = bytes_slice(input, part.len, input.len);
        assert_true(header_scan_feed(scan, &part, &out));
    }
    assert_true(header_scan_finish(scan, &out));
    buf_free(&out);
}

/* Many bytes at once are taken as each of them by itself: an odd one at each place of a value,
 * which fits or nearly does. */
TEST(header_scan_captures_pieces_as_single_bytes)
{
    static const char odd[] = {' ', '\t', '\r', '\n', '\0', '\x7f', '\xc3', '~', '!'};
    static const size_t lens[] = {1, 7, 8, 9, 17, 40, MESSAGE_ID_MAX - 1, MESSAGE_ID_MAX, 520};
    char text[600];

    for (size_t l = 0; l < ARRAY_LEN(lens); l++)
        for (size_t o = 0; o < ARRAY_LEN(odd); o++)
            for (size_t at = 0; at<lens[l]; at += lens[l]> 64 && at == 20 ? lens[l] - 50 : 1) {
                struct fixture one, other;
                struct header_scan whole, single;
                struct header_value a = {0}, b = {0};
                size_t len = (size_t)snprintf(text, sizeof(text), "Message-ID:");

                memset(text + len, 'a', lens[l]);
                text[len + at] = odd[o];
                if (odd[o] == '\r' && at + 9 < lens[l])
                    text[len + at + 9] = '\n'; /* the LF of no CR */
                memcpy(text + len + lens[l], "\r\n", 2);
                struct bytes input = {(const uint8_t *)text, len + lens[l] + 2};

                capture(&whole, &one, input, input.len);
                capture(&single, &other, input, 1);
                expect_row(l, header_scan_value(&whole, MESSAGE_ID, 0, &a) ==
                                  header_scan_value(&single, MESSAGE_ID, 0, &b));
                expect_row(l, bytes_equal(a.text, b.text));
                expect_row(l, a.is_cut == b.is_cut && a.is_altered == b.is_altered);
            }
}

TEST(header_scan_passes_long_values_whole)
{
    struct header_scan scan;
    struct fixture fixture;
    struct buf out;
    struct bytes input = BYTES("To: ");

    buf_init(&out, 1 << 20);
    scan_init(&scan, &fixture, true);
    assert_true(header_scan_feed(&scan, &input, &out));
    for (int i = 0; i < 5000; i++) {
        input = BYTES(HUNDRED "\r\n ");
        assert_true(header_scan_feed(&scan, &input, &out));
    }
    assert_int_equal(buf_len(&out), 4 + 5000 * 103);
    assert_false(scan.in_body);
    buf_free(&out);
}
