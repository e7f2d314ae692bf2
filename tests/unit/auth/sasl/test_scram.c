/* SCRAM: the RFC's vector, what a client may not do, and that nothing tells users apart. */
#include "auth/sasl/sasl.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/base64.h"
#include "support/unit.h"

static const uint8_t exporter[32] = {1, 2, 3};
static const uint8_t end_point[32] = {9, 8, 7};

struct login {
    struct sasl sasl;
    struct sasl_settings settings;
    struct sasl_keys keys;
    char text[4096];
};

static void setup(struct login *login)
{
    struct buf salt;

    *login = (struct login){
        .settings =
            {
                .fake_key = BYTES("0123456789abcdef0123456789abcdef"),
                .fake_salt_len = 16,
                .fake_iterations = 4096,
                .nonce = BYTES("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"),
            },
    };
    buf_init(&salt, 64);
    assert_true(base64_read(BYTES("W22ZaJ0SNY7soEsUEjb6gQ=="), &salt));
    assert_true(sasl_keys_derive(BYTES("pencil"), buf_bytes(&salt), 4096, &login->keys));
    buf_free(&salt);
}

static void bind_channel(struct login *login)
{
    login->settings.channel = (struct sasl_channel){
        .exporter = bytes_range(exporter, sizeof(exporter)),
        .end_point = bytes_range(end_point, sizeof(end_point)),
    };
}

static enum sasl_step begin(struct login *login, enum sasl_mechanism mechanism, const char *first)
{
    sasl_start(&login->sasl, mechanism, &login->settings);
    return sasl_respond(&login->sasl, bytes_of(first));
}

static void hmac(struct bytes key, struct bytes b, uint8_t *out)
{
    unsigned len;

    assert_non_null(HMAC(EVP_sha256(), key.ptr, (int)key.len, b.ptr, b.len, out, &len));
}

/* The client's last message, as an independent client makes it. */
static struct bytes final_message(struct login *login, const char *bare, const char *without_proof,
                                  const char *password)
{
    struct bytes server_first = sasl_challenge(&login->sasl);
    struct buf transcript;
    struct buf out;
    uint8_t salted[32];
    uint8_t key[32];
    uint8_t stored[32];
    uint8_t signature[32];
    unsigned len;

    buf_init(&transcript, 4096);
    buf_init(&out, 4096);
    assert_true(
        buf_printf(&transcript, "%s,%.*s,%s", bare, BYTES_ARG(server_first), without_proof));
    assert_int_equal(PKCS5_PBKDF2_HMAC(password, (int)strlen(password), login->sasl.keys.salt,
                                       login->sasl.keys.salt_len, 4096, EVP_sha256(), 32, salted),
                     1);
    hmac(bytes_range(salted, 32), BYTES("Client Key"), key);
    assert_int_equal(EVP_Digest(key, 32, stored, &len, EVP_sha256(), NULL), 1);
    hmac(bytes_range(stored, 32), buf_bytes(&transcript), signature);
    for (size_t i = 0; i < 32; i++)
        key[i] ^= signature[i];
    assert_true(buf_printf(&out, "%s,p=", without_proof));
    assert_true(base64_write(bytes_range(key, 32), &out));
    memcpy(login->text, buf_bytes(&out).ptr, buf_len(&out));
    struct bytes message = bytes_range(login->text, buf_len(&out));
    buf_free(&transcript);
    buf_free(&out);
    return message;
}

TEST(scram_answers_as_the_vector_of_rfc_7677)
{
    struct login login;

    setup(&login);
    assert_int_equal(begin(&login, SASL_SCRAM_SHA_256, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"),
                     SASL_ASKS_KEYS);
    assert_true(bytes_equal(sasl_user(&login.sasl), BYTES("user")));
    assert_int_equal(sasl_answer_keys(&login.sasl, &login.keys), SASL_CHALLENGE);
    assert_true(bytes_equal(sasl_challenge(&login.sasl),
                            BYTES("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                  "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")));
    assert_int_equal(sasl_respond(&login.sasl,
                                  BYTES("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)"
                                        "hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")),
                     SASL_CHALLENGE);
    assert_true(bytes_equal(sasl_challenge(&login.sasl),
                            BYTES("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")));
    assert_int_equal(sasl_respond(&login.sasl, BYTES_NONE), SASL_DONE);
    assert_true(bytes_equal(sasl_user(&login.sasl), BYTES("user")));
    sasl_end(&login.sasl);
}

TEST(scram_takes_nothing_behind_its_last_challenge)
{
    struct login login;

    setup(&login);
    begin(&login, SASL_SCRAM_SHA_256, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    sasl_answer_keys(&login.sasl, &login.keys);
    struct bytes message = final_message(&login, "n=user,r=rOprNGfwEbeRWgbNEkqO",
                                         "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)"
                                         "hNlF$k0",
                                         "pencil");
    assert_int_equal(sasl_respond(&login.sasl, message), SASL_CHALLENGE);
    assert_int_equal(sasl_respond(&login.sasl, BYTES("x")), SASL_MALFORMED);
    sasl_end(&login.sasl);
}

/* What follows gs2-cbind-flag in every row: ",,n=user,r=abc". */
TEST(scram_judges_what_the_client_says_of_channel_binding)
{
    static const struct {
        enum sasl_mechanism mechanism;
        bool has_channel;
        const char *flag;
        enum sasl_step step;
    } rows[] = {
        {SASL_SCRAM_SHA_256, false, "n", SASL_ASKS_KEYS},
        {SASL_SCRAM_SHA_256, false, "y", SASL_ASKS_KEYS},
        {SASL_SCRAM_SHA_256, true, "n", SASL_ASKS_KEYS},
        {SASL_SCRAM_SHA_256, true, "y", SASL_REFUSED}, /* -PLUS was taken out of our list */
        {SASL_SCRAM_SHA_256, true, "p=tls-exporter", SASL_REFUSED},
        {SASL_SCRAM_SHA_256_PLUS, true, "p=tls-exporter", SASL_ASKS_KEYS},
        {SASL_SCRAM_SHA_256_PLUS, true, "p=tls-server-end-point", SASL_ASKS_KEYS},
        {SASL_SCRAM_SHA_256_PLUS, true, "p=tls-unique", SASL_REFUSED},
        {SASL_SCRAM_SHA_256_PLUS, true, "n", SASL_REFUSED},
        {SASL_SCRAM_SHA_256_PLUS, true, "y", SASL_REFUSED},
        {SASL_SCRAM_SHA_256_PLUS, false, "p=tls-exporter", SASL_REFUSED},
        {SASL_SCRAM_SHA_256, false, "x", SASL_MALFORMED},
        {SASL_SCRAM_SHA_256, false, "", SASL_MALFORMED},
        {SASL_SCRAM_SHA_256, false, "p=", SASL_MALFORMED},
        {SASL_SCRAM_SHA_256, false, "N", SASL_MALFORMED},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct login login;
        char first[128];

        setup(&login);
        if (rows[i].has_channel)
            bind_channel(&login);
        snprintf(first, sizeof(first), "%s,,n=user,r=abc", rows[i].flag);
        expect_row(i, begin(&login, rows[i].mechanism, first) == rows[i].step);
        sasl_end(&login.sasl);
    }
}

static enum sasl_step bound_login(const char *flag, struct bytes data, bool is_cut)
{
    struct login login;
    char first[128];
    char bare[] = "n=user,r=abc";
    char without_proof[512];
    struct buf header;
    struct buf binding;

    setup(&login);
    bind_channel(&login);
    snprintf(first, sizeof(first), "%s,,%s", flag, bare);
    assert_int_equal(begin(&login, SASL_SCRAM_SHA_256_PLUS, first), SASL_ASKS_KEYS);
    assert_int_equal(sasl_answer_keys(&login.sasl, &login.keys), SASL_CHALLENGE);
    buf_init(&header, 512);
    buf_init(&binding, 512);
    assert_true(buf_printf(&header, "%s,,", flag) && buf_append(&header, data));
    assert_true(base64_write(buf_bytes(&header), &binding));
    snprintf(without_proof, sizeof(without_proof), "c=%.*s,r=abc%.*s",
             BYTES_ARG(buf_bytes(&binding)), (int)login.settings.nonce.len - (is_cut ? 1 : 0),
             (const char *)login.settings.nonce.ptr);
    enum sasl_step step =
        sasl_respond(&login.sasl, final_message(&login, bare, without_proof, "pencil"));
    buf_free(&header);
    buf_free(&binding);
    sasl_end(&login.sasl);
    return step;
}

TEST(scram_plus_binds_to_the_channel_it_is_on)
{
    struct bytes of_exporter = bytes_range(exporter, sizeof(exporter));
    struct bytes of_end_point = bytes_range(end_point, sizeof(end_point));

    assert_int_equal(bound_login("p=tls-exporter", of_exporter, false), SASL_CHALLENGE);
    assert_int_equal(bound_login("p=tls-server-end-point", of_end_point, false), SASL_CHALLENGE);
    /* A man in the middle has another channel to each side. */
    assert_int_equal(bound_login("p=tls-exporter", of_end_point, false), SASL_REFUSED);
    assert_int_equal(bound_login("p=tls-exporter", BYTES_NONE, false), SASL_REFUSED);
    assert_int_equal(bound_login("p=tls-exporter", of_exporter, true), SASL_REFUSED);
}

TEST(scram_refuses_the_wrong_password_at_its_end_only)
{
    struct login login;

    setup(&login);
    begin(&login, SASL_SCRAM_SHA_256, "n,,n=user,r=abc");
    assert_int_equal(sasl_answer_keys(&login.sasl, &login.keys), SASL_CHALLENGE);
    struct bytes message = final_message(&login, "n=user,r=abc",
                                         "c=biws,r=abc%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "Pencil");
    assert_int_equal(sasl_respond(&login.sasl, message), SASL_REFUSED);
    sasl_end(&login.sasl);
}

TEST(scram_shows_an_unknown_user_a_salt_that_stays)
{
    char shown[3][256];
    static const char *const users[] = {"n,,n=nobody,r=abc", "n,,n=NoBody,r=abc",
                                        "n,,n=other,r=abc"};

    for (size_t i = 0; i < 3; i++) {
        struct login login;

        setup(&login);
        assert_int_equal(begin(&login, SASL_SCRAM_SHA_256, users[i]), SASL_ASKS_KEYS);
        assert_int_equal(sasl_answer_keys(&login.sasl, NULL), SASL_CHALLENGE);
        struct bytes challenge = sasl_challenge(&login.sasl);
        snprintf(shown[i], sizeof(shown[i]), "%.*s", BYTES_ARG(challenge));
        /* Even who knows what these keys are made of gets no further. */
        login.sasl.keys = login.keys;
        struct bytes message =
            final_message(&login, users[i] + 3, "c=biws,r=abc%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
                          "pencil");
        assert_int_equal(sasl_respond(&login.sasl, message), SASL_REFUSED);
        sasl_end(&login.sasl);
    }
    assert_string_equal(shown[0], shown[1]);
    assert_string_not_equal(shown[0], shown[2]);
    assert_int_equal(strlen(shown[0]), strlen(shown[2]));
}

TEST(scram_takes_no_other_first_message)
{
    static const struct {
        const char *message;
        enum sasl_step step;
    } rows[] = {
        {"n,,n=us=2Cer=3D,r=abc", SASL_ASKS_KEYS},
        {"n,a=user,n=user,r=abc", SASL_ASKS_KEYS},
        {"n,,n=user,r=abc,x=later", SASL_ASKS_KEYS},
        {"", SASL_MALFORMED},
        {"n", SASL_MALFORMED},
        {"n,,", SASL_MALFORMED},
        {"n,,n=user", SASL_MALFORMED},
        {"n,,n=user,", SASL_MALFORMED},
        {"n,,n=user,r=", SASL_MALFORMED},
        {"n,,r=abc,n=user", SASL_MALFORMED},
        {"n,,m=must,n=user,r=abc", SASL_MALFORMED},
        {"n,,n=user,r=abc,m=must", SASL_MALFORMED},
        {"n,,n=user,r=abc,", SASL_MALFORMED},
        {"n,,n=user,r=abc,1=x", SASL_MALFORMED},
        {"n,,n=user,r=a\x7f"
         "c",
         SASL_MALFORMED},
        {"n,b=user,n=user,r=abc", SASL_MALFORMED},
        {"n,,n=us=2cer,r=abc", SASL_REFUSED}, /* lower case is no escape of RFC 5802's */
        {"n,,n=us=41er,r=abc", SASL_REFUSED},
        {"n,,n=us=,r=abc", SASL_REFUSED},
        {"n,,n=us\x01"
         "er,r=abc",
         SASL_REFUSED},
        {"n,,n=\xff,r=abc", SASL_REFUSED},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct login login;

        setup(&login);
        expect_row(i, begin(&login, SASL_SCRAM_SHA_256, rows[i].message) == rows[i].step);
        if (i == 0)
            assert_true(bytes_equal(sasl_user(&login.sasl), BYTES("us,er=")));
        sasl_end(&login.sasl);
    }
}

TEST(scram_refuses_who_acts_for_another)
{
    struct login login;

    setup(&login);
    assert_int_equal(begin(&login, SASL_SCRAM_SHA_256, "n,a=root,n=user,r=abc"), SASL_ASKS_KEYS);
    assert_int_equal(sasl_answer_keys(&login.sasl, &login.keys), SASL_CHALLENGE);
    struct bytes message =
        final_message(&login, "n=user,r=abc", "c=bixhPXJvb3Qs,r=abc%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
                      "pencil");
    assert_int_equal(sasl_respond(&login.sasl, message), SASL_REFUSED);
    sasl_end(&login.sasl);
}

TEST(scram_takes_no_other_last_message)
{
    static const char *const rows[] = {
        "",
        "c=biws",
        "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=abc",
        "c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "r=abc,c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndQ==",
        "c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ",
        "c=biws,r=abc,p=",
        "c=biws,r=abc,m=x,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=,x=y",
        ",,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct login login;

        setup(&login);
        begin(&login, SASL_SCRAM_SHA_256, "n,,n=user,r=abc");
        sasl_answer_keys(&login.sasl, &login.keys);
        expect_row(i, sasl_respond(&login.sasl, bytes_of(rows[i])) == SASL_MALFORMED);
        sasl_end(&login.sasl);
    }
}

TEST(keys_want_a_salt_that_fits)
{
    struct sasl_keys keys;
    uint8_t salt[SASL_SALT_MAX + 1] = {0};

    assert_false(sasl_keys_derive(BYTES("x"), BYTES_NONE, 4096, &keys));
    assert_false(sasl_keys_derive(BYTES("x"), bytes_range(salt, sizeof(salt)), 4096, &keys));
    assert_true(sasl_keys_derive(BYTES("x"), bytes_range(salt, SASL_SALT_MAX), 4096, &keys));
}
