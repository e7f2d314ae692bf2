/* test_xtext.c - xtext of RFC 3461 section 4. */
#include "smtp/address.h"

#include "support/unit.h"

static const struct {
    struct bytes xtext;
    bool valid;
    struct bytes text;
} rows[] = {
    {BYTES(""), true, BYTES("")},
    {BYTES("abc@b.example"), true, BYTES("abc@b.example")},
    {BYTES("a+2Bb+3Dc"), true, BYTES("a+b=c")},
    {BYTES("+20+0D+0A+00+FF"), true, BYTES(" \r\n\0\xff")},
    {BYTES("+"), false, {0}},
    {BYTES("a+2"), false, {0}},
    {BYTES("+2b"), false, {0}}, /* hexchar is upper case */
    {BYTES("+G0"), false, {0}},
    {BYTES("a=b"), false, {0}},
    {BYTES("a b"), false, {0}},
    {BYTES("a\x7f"), false, {0}},
    {BYTES("\xc3\xa4"), false, {0}},
};

TEST(xtext_decode_follows_table)
{
    struct arena arena;

    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bytes text;

        expect_row(i, smtp_xtext_is_valid(rows[i].xtext) == rows[i].valid);
        expect_row(i, smtp_xtext_decode(&arena, rows[i].xtext, &text) == rows[i].valid);
        expect_row(i, !rows[i].valid || bytes_equal(text, rows[i].text));
    }
    arena_free(&arena);
}

TEST(xtext_encode_round_trips_every_byte)
{
    uint8_t all[256];
    struct arena arena;
    struct buf buf;
    struct bytes text;

    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (uint8_t)i;
    arena_init(&arena, 1 << 16);
    buf_init(&buf, 1024);
    assert_true(smtp_xtext_encode(bytes_range(all, sizeof(all)), &buf));
    assert_true(smtp_xtext_is_valid(buf_bytes(&buf)));
    assert_true(smtp_xtext_decode(&arena, buf_bytes(&buf), &text));
    assert_true(bytes_equal(text, bytes_range(all, sizeof(all))));
    buf_free(&buf);
    arena_free(&arena);
}

TEST(xtext_encode_fails_whole_when_full)
{
    struct buf buf;

    buf_init(&buf, 8);
    assert_true(smtp_xtext_encode(BYTES("a=b"), &buf));
    assert_true(bytes_equal(buf_bytes(&buf), BYTES("a+3Db")));
    assert_false(smtp_xtext_encode(BYTES("===="), &buf));
    assert_int_equal(buf_len(&buf), 5);
    buf_free(&buf);
}

/* Room for what it really takes is enough: plain text needs no threefold space. */
TEST(xtext_encode_fits_exactly)
{
    struct buf buf;

    buf_init(&buf, 5);
    assert_true(smtp_xtext_encode(BYTES("a=b"), &buf));
    assert_true(bytes_equal(buf_bytes(&buf), BYTES("a+3Db")));
    buf_free(&buf);
}

/* RFC 6533 section 3: utf-8-addr-xtext. */
TEST(orcpt_encode_follows_table)
{
    static const struct {
        struct bytes orcpt, encoded;
    } orcpts[] = {
        {BYTES("rfc822;a+2Bb@c.example"), BYTES("rfc822;a+2Bb@c.example")},
        {BYTES("utf-8;plain@c.example"), BYTES("utf-8;plain@c.example")},
        {BYTES("utf-8;\xc3\xa9t\xc3\xa9@b\xc3\xbc.example"),
         BYTES("utf-8;\\x{E9}t\\x{E9}@b\\x{FC}.example")},
        {BYTES("UTF-8;\xe2\x82\xac@x"), BYTES("UTF-8;\\x{20AC}@x")},
        {BYTES("utf-8;\xf0\x9f\x93\xa7@x"), BYTES("utf-8;\\x{1F4E7}@x")},
        {BYTES("utf-8;\\x{E9}@x"), BYTES("utf-8;\\x{E9}@x")}, /* it came so */
        {BYTES("utf-8;a+b@x"), BYTES("utf-8;a\\x{2B}b@x")},
    };
    struct buf buf;

    buf_init(&buf, 100);
    for (size_t i = 0; i < ARRAY_LEN(orcpts); i++) {
        buf_clear(&buf);
        expect_row(i, smtp_orcpt_encode(orcpts[i].orcpt, &buf));
        expect_row(i, bytes_equal(buf_bytes(&buf), orcpts[i].encoded));
    }
    buf_free(&buf);
}

TEST(orcpt_encode_fails_whole_when_full)
{
    struct buf buf;

    buf_init(&buf, 12);
    assert_true(buf_append(&buf, BYTES("=")));
    assert_false(smtp_orcpt_encode(BYTES("utf-8;\xc3\xa9@x"), &buf));
    assert_int_equal(buf_len(&buf), 1);
    buf_free(&buf);
}
