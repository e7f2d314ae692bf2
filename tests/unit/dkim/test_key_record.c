/* test_key_record.c - keys of any octets: what is none is refused, and no length costs much. */
#include "auth/dkim/key_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/tag_list.h"
#include "base/base64.h"
#include "support/dkim_forger.h"
#include "support/unit.h"

static bool parse_der(struct bytes der, const char **reason_out)
{
    struct dkim_public_key key;
    struct buf text;

    buf_init(&text, 2 * KEY_RECORD_MAX);
    assert_true(buf_append(&text, BYTES("p=")) && base64_write(der, &text));
    bool is_good = dkim_key_record_parse(buf_bytes(&text), SIGNATURE_RSA_SHA256, &key, reason_out);

    if (is_good)
        dkim_public_key_free(&key);
    buf_free(&text);
    return is_good;
}

static struct bytes der_of(const char *p, struct buf *out)
{
    buf_init(out, 1024);
    assert_true(tag_base64(bytes_of(p), out));
    return buf_bytes(out);
}

/* One octet less, one more, or one that is another, and it is another text. */
TEST(der_is_read_strictly)
{
    struct forger rsa;
    const char *reason;
    struct buf out;

    forger_init(&rsa, 1024);
    for (int form = 0; form < 2; form++) {
        struct bytes der = der_of(form == 0 ? rsa.p : rsa.bare, &out);
        uint8_t other[1024];

        assert_true(parse_der(der, &reason));
        for (size_t len = 0; len < der.len; len++)
            assert_false(parse_der(bytes_slice(der, 0, len), &reason));
        memcpy(other, der.ptr, der.len);
        other[der.len] = 0;
        assert_false(parse_der(bytes_range(other, der.len + 1), &reason));
        /* Up to where the modulus begins, every octet is structure. */
        size_t modulus = form == 0 ? 28 : 6;
        for (size_t i = 0; i < modulus; i++) {
            other[i] ^= 1;
            assert_false(parse_der(bytes_range(other, der.len), &reason));
            other[i] ^= 1;
        }
        buf_free(&out);
    }
    forger_free(&rsa);
}

/* SEQUENCE of modulus and exponent, each of so many octets. */
static struct bytes make_rsa(size_t modulus_len, uint8_t modulus_end, size_t exponent_len,
                             uint8_t exponent_end, struct buf *out)
{
    size_t inside = modulus_len + exponent_len + 8;

    buf_init(out, 1 << 16);
    assert_true(buf_printf(out, "\x30\x82%c%c\x02\x82%c%c", (int)(inside >> 8), (int)(inside & 255),
                           (int)(modulus_len >> 8), (int)(modulus_len & 255)));
    for (size_t i = 0; i < modulus_len; i++)
        assert_true(buf_append_byte(out, i + 1 == modulus_len ? modulus_end : 0x55));
    assert_true(
        buf_printf(out, "\x02\x82%c%c", (int)(exponent_len >> 8), (int)(exponent_len & 255)));
    for (size_t i = 0; i < exponent_len; i++)
        assert_true(buf_append_byte(out, i + 1 == exponent_len ? exponent_end : 0x55));
    return buf_bytes(out);
}

static const struct {
    size_t modulus_len, exponent_len;
    uint8_t modulus_end, exponent_end;
    const char *reason;
} sizes[] = {
    {KEY_BITS_MAX / 8 + 1, 300, 1, 1, "its RSA key is too long"},
    {10000, 300, 1, 1, "its RSA key is too long"},
    {300, 300, 1, 1, "its RSA key is not one"},
    {300, 300, 2, 1, "its RSA key is not one"},
};

TEST(rsa_keys_that_only_cost_time_are_refused)
{
    for (size_t row = 0; row < ARRAY_LEN(sizes); row++) {
        const char *reason;
        struct buf der;

        expect_row(row, !parse_der(make_rsa(sizes[row].modulus_len, sizes[row].modulus_end,
                                            sizes[row].exponent_len, sizes[row].exponent_end, &der),
                                   &reason));
        expect_row(row, strcmp(reason, sizes[row].reason) == 0);
        buf_free(&der);
    }
}

static const struct {
    const char *tail; /* of the DER behind a modulus of 128 octets 0x55 */
    size_t len;
    bool is_good;
} exponents[] = {
    {"\x02\x01\x03", 3, true},
    {"\x02\x03\x01\x00\x01", 5, true},
    {"\x02\x01\x01", 3, false},
    {"\x02\x01\x04", 3, false},
    {"\x02\x01\x00", 3, false},
    {"\x02\x01\x83", 3, false},     /* negative */
    {"\x02\x02\x00\x03", 4, false}, /* not the shortest form */
    {"\x02\x81\x01\x03", 4, false},
    {"\x02\x00", 2, false},
    {"\x02\x09\x55\x55\x55\x55\x55\x55\x55\x55\x55", 11, false},
};

TEST(exponents_are_odd_positive_and_short)
{
    for (size_t row = 0; row < ARRAY_LEN(exponents); row++) {
        struct buf der;
        const char *reason;

        buf_init(&der, 1024);
        assert_true(buf_printf(&der, "\x30\x81%c\x02\x81\x80", (int)(131 + exponents[row].len)));
        for (unsigned i = 0; i < 128; i++)
            assert_true(buf_append_byte(&der, 0x55));
        assert_true(buf_append(&der, bytes_range(exponents[row].tail, exponents[row].len)));
        expect_row(row, parse_der(buf_bytes(&der), &reason) == exponents[row].is_good);
        buf_free(&der);
    }
}

TEST(records_of_more_than_16_kilobytes_are_not_read)
{
    struct dkim_public_key key;
    const char *reason;
    uint8_t *text = malloc(KEY_RECORD_MAX + 1);

    assert_non_null(text);
    memset(text, 'A', KEY_RECORD_MAX + 1);
    memcpy(text, "p=", 2);
    assert_false(dkim_key_record_parse(bytes_range(text, KEY_RECORD_MAX + 1), SIGNATURE_RSA_SHA256,
                                       &key, &reason));
    assert_string_equal(reason, "the record is too long");
    assert_false(dkim_key_record_parse(bytes_range(text, KEY_RECORD_MAX - 2), SIGNATURE_RSA_SHA256,
                                       &key, &reason));
    assert_string_equal(reason, "its p= is not an RSA key");
    free(text);
}

TEST(no_more_keys_of_a_name_are_kept_than_may_be)
{
    struct forger rsa;
    char text[2048];
    struct lookup_record records[10];
    struct lookup_answer answer = {LOOKUP_FOUND, ARRAY_LEN(records), records};
    struct dkim_public_keys keys;
    const char *reason;

    forger_init(&rsa, 1024);
    snprintf(text, sizeof(text), "p=%s", rsa.p);
    for (size_t i = 0; i < ARRAY_LEN(records); i++)
        records[i] = (struct lookup_record){.text = bytes_of(i == 0 ? "x" : text)};
    assert_true(dkim_public_keys_read(&answer, SIGNATURE_RSA_SHA256, &keys, &reason));
    assert_int_equal(keys.count, KEYS_MAX);
    dkim_public_keys_free(&keys);
    answer.count = 0;
    assert_false(dkim_public_keys_read(&answer, SIGNATURE_RSA_SHA256, &keys, &reason));
    forger_free(&rsa);
}
