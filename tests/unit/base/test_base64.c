/* RFC 4648 section 10's vectors, every byte, and a buffer that is full. */
#include "base/base64.h"
#include "support/unit.h"

TEST(base64_write_gives_the_vectors_of_the_rfc)
{
    static const struct {
        const char *plain, *encoded;
    } vectors[] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xef\xbe\xff\xff", "++++//8="},
    };

    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        struct buf out;

        buf_init(&out, 64);
        assert_true(base64_write(bytes_of(vectors[i].plain), &out));
        assert_true(bytes_equal(buf_bytes(&out), bytes_of(vectors[i].encoded)));
        buf_free(&out);
    }
}

TEST(base64_write_appends_whole_or_not_at_all)
{
    struct buf out;

    buf_init(&out, 9);
    assert_true(buf_append(&out, BYTES("x")));
    assert_false(base64_write(BYTES("fooba12"), &out));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("x")));
    assert_true(base64_write(BYTES("fooba"), &out));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("xZm9vYmE=")));
    assert_false(base64_write(BYTES("f"), &out));
    buf_free(&out);
}

TEST(base64_read_takes_back_what_was_written)
{
    uint8_t plain[70];
    struct buf text;
    struct buf back;

    buf_init(&text, 128);
    buf_init(&back, 128);
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (uint8_t)(i * 151 + 7);
    for (size_t len = 0; len <= sizeof(plain); len++) {
        buf_clear(&text);
        buf_clear(&back);
        assert_true(base64_write(bytes_range(plain, len), &text));
        assert_true(base64_read(buf_bytes(&text), &back));
        expect_row(len, bytes_equal(buf_bytes(&back), bytes_range(plain, len)));
    }
    buf_free(&text);
    buf_free(&back);
}

TEST(base64_read_takes_nothing_else)
{
    static const char *const refused[] = {
        "A",        "AA",       "AAA",      "AAAAA", "A===",  "====",       "=AAA",
        "AA=A",     "AAAA====", "AA==AAAA", "Zh==",  "Zm9=",  "Zg =",       " Zg=",
        "Zg==\r\n", "Zm9v\n",   "Zm-v",     "Zm_v",  "Zm9v=", "\xc3\xa4==",
    };
    struct buf out;

    buf_init(&out, 64);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        expect_row(i, !base64_read(bytes_of(refused[i]), &out));
        expect_row(i, buf_len(&out) == 0);
    }
    buf_free(&out);
}

TEST(base64_read_appends_whole_or_not_at_all)
{
    struct buf out;

    buf_init(&out, 4);
    assert_true(buf_append(&out, BYTES("x")));
    assert_false(base64_read(BYTES("Zm9vYg=="), &out));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("x")));
    assert_true(base64_read(BYTES("Zm9v"), &out));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("xfoo")));
    buf_free(&out);
}
