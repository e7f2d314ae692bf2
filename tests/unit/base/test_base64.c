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
