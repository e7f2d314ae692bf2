/* PLAIN, LOGIN, names of mechanisms, and what a preparation makes of names. */
#include "auth/sasl/sasl.h"

#include <string.h>

#include "auth/sasl/prepare.h"
#include "support/unit.h"

static const struct sasl_settings settings = {
    .fake_key = BYTES("0123456789abcdef0123456789abcdef"),
    .fake_salt_len = 16,
    .fake_iterations = 4096,
    .nonce = BYTES("nonce"),
};

#define MESSAGE(text) bytes_range(text, sizeof(text) - 1)

TEST(mechanisms_are_found_in_any_case)
{
    enum sasl_mechanism mechanism;

    for (size_t i = 0; i < SASL_MECHANISM_COUNT; i++) {
        assert_true(
            sasl_mechanism_find(bytes_of(sasl_mechanism_name((enum sasl_mechanism)i)), &mechanism));
        assert_int_equal(mechanism, i);
    }
    assert_true(sasl_mechanism_find(BYTES("scram-sha-256-plus"), &mechanism));
    assert_int_equal(mechanism, SASL_SCRAM_SHA_256_PLUS);
    assert_false(sasl_mechanism_find(BYTES("SCRAM-SHA-1"), &mechanism));
    assert_false(sasl_mechanism_find(BYTES("PLAI"), &mechanism));
    assert_false(sasl_mechanism_find(BYTES_NONE, &mechanism));
}

TEST(plain_asks_and_is_answered)
{
    struct sasl sasl;

    for (int is_right = 0; is_right < 2; is_right++) {
        sasl_start(&sasl, SASL_PLAIN, &settings);
        assert_int_equal(sasl_respond(&sasl, MESSAGE("\0tim\0tanstaaftanstaaf")), SASL_ASKS_SECRET);
        assert_true(bytes_equal(sasl_user(&sasl), BYTES("tim")));
        assert_true(bytes_equal(sasl_secret(&sasl), BYTES("tanstaaftanstaaf")));
        assert_int_equal(sasl_answer_secret(&sasl, is_right), is_right ? SASL_DONE : SASL_REFUSED);
        assert_int_equal(sasl_secret(&sasl).len, 0);
        sasl_end(&sasl);
    }
}

TEST(plain_prompts_with_nothing)
{
    struct sasl sasl;

    sasl_start(&sasl, SASL_PLAIN, &settings);
    assert_int_equal(sasl_prompt(&sasl), SASL_CHALLENGE);
    assert_int_equal(sasl_challenge(&sasl).len, 0);
    assert_int_equal(sasl_respond(&sasl, MESSAGE("\0u\0p")), SASL_ASKS_SECRET);
    sasl_end(&sasl);
    sasl_start(&sasl, SASL_PLAIN, &settings);
    assert_int_equal(sasl_respond(&sasl, BYTES_NONE), SASL_MALFORMED);
    sasl_end(&sasl);
}

TEST(plain_takes_no_other_message)
{
    char long_name[SASL_USER_MAX + 6] = {0};
    char long_secret[SASL_SECRET_MAX + 6] = {0};
    static const struct {
        struct bytes message;
        enum sasl_step step;
    } rows[] = {
        {BYTES("tim\0tim\0secret"), SASL_ASKS_SECRET},
        {BYTES(""), SASL_MALFORMED},
        {BYTES("tim"), SASL_MALFORMED},
        {BYTES("\0tim"), SASL_MALFORMED},
        {BYTES("\0tim\0secret\0"), SASL_MALFORMED},
        {BYTES("\0tim\0sec\0ret"), SASL_MALFORMED},
        {BYTES("\0\0secret"), SASL_REFUSED},
        {BYTES("\0tim\0"), SASL_REFUSED},
        {BYTES("\0t\rim\0secret"), SASL_REFUSED},
        {BYTES("\0tim\0sec\xff"
               "ret"),
         SASL_REFUSED},
    };
    struct sasl sasl;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        sasl_start(&sasl, SASL_PLAIN, &settings);
        expect_row(i, sasl_respond(&sasl, rows[i].message) == rows[i].step);
        sasl_end(&sasl);
    }
    for (size_t over = 0; over < 2; over++) {
        memset(long_name + 1, 'n', SASL_USER_MAX + over);
        memcpy(long_name + 1 + SASL_USER_MAX + over, "\0s", 2);
        sasl_start(&sasl, SASL_PLAIN, &settings);
        expect_row(over, sasl_respond(&sasl, bytes_range(long_name, SASL_USER_MAX + over + 3)) ==
                             (over == 0 ? SASL_ASKS_SECRET : SASL_REFUSED));
        sasl_end(&sasl);
        memcpy(long_secret, "\0n\0", 3);
        memset(long_secret + 3, 's', SASL_SECRET_MAX + over);
        sasl_start(&sasl, SASL_PLAIN, &settings);
        expect_row(over,
                   sasl_respond(&sasl, bytes_range(long_secret, SASL_SECRET_MAX + over + 3)) ==
                       (over == 0 ? SASL_ASKS_SECRET : SASL_REFUSED));
        sasl_end(&sasl);
    }
}

TEST(plain_refuses_who_acts_for_another_like_a_wrong_password)
{
    struct sasl sasl;

    sasl_start(&sasl, SASL_PLAIN, &settings);
    assert_int_equal(sasl_respond(&sasl, MESSAGE("Ursel\0Kurt\0xipj3plmq")), SASL_ASKS_SECRET);
    assert_int_equal(sasl_answer_secret(&sasl, true), SASL_REFUSED);
    sasl_end(&sasl);
}

TEST(login_prompts_for_both)
{
    struct sasl sasl;

    sasl_start(&sasl, SASL_LOGIN, &settings);
    assert_int_equal(sasl_prompt(&sasl), SASL_CHALLENGE);
    assert_true(bytes_equal(sasl_challenge(&sasl), BYTES("Username:")));
    assert_int_equal(sasl_respond(&sasl, BYTES("tim")), SASL_CHALLENGE);
    assert_true(bytes_equal(sasl_challenge(&sasl), BYTES("Password:")));
    assert_int_equal(sasl_respond(&sasl, BYTES("secret")), SASL_ASKS_SECRET);
    assert_true(bytes_equal(sasl_user(&sasl), BYTES("tim")));
    assert_true(bytes_equal(sasl_secret(&sasl), BYTES("secret")));
    assert_int_equal(sasl_answer_secret(&sasl, true), SASL_DONE);
    sasl_end(&sasl);
}

TEST(login_takes_the_name_along_and_refuses_at_the_password)
{
    static const struct {
        const char *name, *password;
        enum sasl_step step;
    } rows[] = {
        {"tim", "secret", SASL_ASKS_SECRET},
        {"", "secret", SASL_REFUSED},
        {"t\x01im", "secret", SASL_REFUSED},
        {"tim", "", SASL_REFUSED},
    };
    struct sasl sasl;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        sasl_start(&sasl, SASL_LOGIN, &settings);
        expect_row(i, sasl_respond(&sasl, bytes_of(rows[i].name)) == SASL_CHALLENGE);
        expect_row(i, sasl_respond(&sasl, bytes_of(rows[i].password)) == rows[i].step);
        sasl_end(&sasl);
    }
}

TEST(a_response_beyond_the_maximum_is_malformed)
{
    static uint8_t message[SASL_RESPONSE_MAX + 1];
    struct sasl sasl;

    sasl_start(&sasl, SASL_LOGIN, &settings);
    assert_int_equal(sasl_respond(&sasl, bytes_range(message, sizeof(message))), SASL_MALFORMED);
    sasl_end(&sasl);
}

/* RFC 4013 section 3's examples first. */
TEST(prepare_follows_saslprep)
{
    static const struct {
        const char *text, *prepared; /* NULL: refused */
    } rows[] = {
        {"I\xc2\xadX", "IX"},   /* a soft hyphen is mapped to nothing */
        {"user", "user"},       /* no change */
        {"USER", "USER"},       /* case is kept */
        {"\xc2\xaa", "a"},      /* NFKC */
        {"\xe2\x85\xa8", "IX"}, /* NFKC */
        {"\x07", NULL},         /* a control */
        {"\xd8\xa7\x31", NULL}, /* mixed direction */
        {"", NULL},
        {"\xc2\xad", NULL}, /* nothing is left */
        {"a\xc2\xa0"
         "b",
         "a b"},                   /* a space that is no ASCII one */
        {"\xc0\xaf", NULL},        /* overlong */
        {"\xed\xa0\x80", NULL},    /* a surrogate */
        {"\xee\x80\x80", NULL},    /* private use */
        {"a\xcc\x88", "\xc3\xa4"}, /* composed */
        {"\xc2\x85", NULL},        /* a control of C1 */
    };
    uint8_t out[32];
    size_t len;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool is_good = sasl_prepare(bytes_of(rows[i].text), out, sizeof(out), &len);
        expect_row(i, is_good == (rows[i].prepared != NULL));
        if (is_good)
            expect_row(i, bytes_equal(bytes_range(out, len), bytes_of(rows[i].prepared)));
    }
}

TEST(prepare_stays_within_its_room)
{
    uint8_t out[8];
    size_t len;

    assert_true(sasl_prepare(BYTES("1234567"), out, sizeof(out), &len));
    assert_false(sasl_prepare(BYTES("12345678"), out, sizeof(out), &len));
    /* U+FDFA becomes eighteen characters. */
    assert_false(sasl_prepare(BYTES("\xef\xb7\xba"), out, sizeof(out), &len));
}
