/* test_sign.c - what is signed verifies, whatever the message looks like; the field's text. */
#include "auth/dkim/sign.h"

#include <stdio.h>

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "base/random.h"
#include "support/dkim_driver.h"
#include "support/unit.h"

enum { NOW_S = 1700000000, PEM_SIZE = 8192, MESSAGE_SIZE = 400 << 10 };

static struct dkim_key *rsa, *ed25519;
static char rsa_record[1024], ed25519_record[256];

static const struct dkim_zone_row zone[] = {
    {"r._domainkey.example.org", rsa_record, 0},
    {"e._domainkey.example.org", ed25519_record, 0},
};

/* `pkey` as PEM; frees it. */
static struct bytes to_pem(EVP_PKEY *pkey, char pem[static PEM_SIZE])
{
    BIO *bio = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    int len = BIO_read(bio, pem, PEM_SIZE);

    assert_true(len > 0 && len < PEM_SIZE);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    return bytes_range(pem, (size_t)len);
}

static struct dkim_key *make_key(EVP_PKEY *pkey, const char *type, char *record, size_t size)
{
    char pem[PEM_SIZE];
    const char *reason;
    struct dkim_key *key = dkim_key_read(to_pem(pkey, pem), &reason);
    struct buf text;

    assert_non_null(key);
    buf_init(&text, size);
    assert_true(dkim_key_public(key, &text));
    snprintf(record, size, "v=DKIM1; k=%s; p=%.*s", type, BYTES_ARG(buf_bytes(&text)));
    buf_free(&text);
    return key;
}

static void have_keys(void)
{
    if (rsa != NULL)
        return;
    rsa = make_key(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024), "rsa", rsa_record,
                   sizeof(rsa_record));
    ed25519 = make_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "ed25519", ed25519_record,
                       sizeof(ed25519_record));
}

__attribute__((destructor)) static void free_keys(void)
{
    dkim_key_free(&rsa);
    dkim_key_free(&ed25519);
}

static bool sign(struct bytes content, const struct dkim_signer_options *options, struct buf *out,
                 const char **reason_out)
{
    struct dkim_identity identities[] = {{BYTES("example.org"), BYTES("r"), rsa},
                                         {BYTES("example.org"), BYTES("e"), ed25519}};
    struct mail_header header;
    struct body_hashes hashes;
    struct dkim_signer signer;

    mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    mail_header_feed(&header, &content);
    mail_header_finish(&header);
    body_hashes_init(&hashes);
    dkim_signer_init(&signer, options, &hashes);
    body_hashes_feed(&hashes, content);
    body_hashes_finish(&hashes);
    bool is_good =
        dkim_sign(&signer, &header, identities, 2, (int64_t)NOW_S * 1000, out, reason_out);

    body_hashes_free(&hashes);
    mail_header_free(&header);
    return is_good;
}

/* Fed in random pieces. */
static void expect_passes(struct bytes fields, struct bytes content, size_t piece_max)
{
    struct dkim_driver driver;
    struct buf whole;

    buf_init(&whole, fields.len + content.len);
    assert_true(buf_append(&whole, fields) && buf_append(&whole, content));
    struct bytes rest = buf_bytes(&whole);

    dkim_driver_init(&driver, zone, 2, (int64_t)NOW_S * 1000);
    while (rest.len > 0) {
        struct bytes piece = bytes_slice(rest, 0, 1 + random_below(piece_max));

        dkim_driver_feed(&driver, piece);
        rest = bytes_slice(rest, piece.len, rest.len);
    }
    dkim_driver_finish(&driver);
    assert_int_equal(dkim_verifier_count(driver.verifier), 2);
    for (size_t i = 0; i < 2; i++) {
        const struct dkim_verdict *verdict = dkim_verifier_verdict(driver.verifier, i);

        if (verdict->result != DKIM_PASS)
            fail_msg("%zu: %.*s\n%.*s", i, BYTES_ARG(verdict->reason), BYTES_ARG(fields));
        assert_true(bytes_equal(verdict->domain, BYTES("example.org")));
        assert_int_equal(verdict->key_bits, i == 0 ? 1024 : 256);
        assert_false(verdict->body_is_partial);
    }
    dkim_driver_free(&driver);
    buf_free(&whole);
}

static const struct dkim_signer_options forms[] = {
    {CANONICAL_RELAXED, CANONICAL_RELAXED, 0},
    {CANONICAL_RELAXED, CANONICAL_SIMPLE, 0},
    {CANONICAL_SIMPLE, CANONICAL_RELAXED, 600},
    {CANONICAL_SIMPLE, CANONICAL_SIMPLE, 0},
};

static const char *const ugly[] = {
    "From: a@example.org\r\n\r\n",
    "From: a@example.org\r\n",
    "From: a@example.org",
    "From: a@example.org\r\n\r\nbody",
    "From: a@example.org\r\n\r\n\r\n\r\n\r\n",
    "From: a@example.org\r\n\r\nx\r\n \r\n\t\r\n\r\n",
    "From : a@example.org\r\nTo\t:b\r\nSubject:\r\n\r\nx  y\t\r\n",
    "FROM: a@example.org\r\nsUBJECT: \r\n folded \r\n\tonce  more\r\n \r\n\r\nx",
    "From: a@example.org\r\nTo: b\r\nTo: c\r\nTo: b\r\nReceived: x\r\nX-Y: z\r\n\r\nx",
    "From: a@example.org\r\nFrom: b@example.org\r\n\r\nx",
    "From: a@example.org\r\nSubject: Gr\303\274\303\237e\377\r\n\r\n\376\377",
    "From: a@example.org\r\nList-Unsubscribe: <x>\r\nList-Id: y\r\nFeedback-ID: z\r\n\r\nx",
    "From: a@example.org\r\n\r\n.\r\n..\r\n.x\r\n",
    "From: a@example.org\r\n\r\na\rb\nc\r\r\n\n\r\n",
};

TEST(ugly_messages_verify_in_every_form)
{
    have_keys();
    random_seed(1);
    for (size_t row = 0; row < ARRAY_LEN(ugly); row++) {
        for (size_t form = 0; form < ARRAY_LEN(forms); form++) {
            const char *reason;
            struct buf fields;

            buf_init(&fields, 8192);
            expect_row(row, sign(bytes_of(ugly[row]), &forms[form], &fields, &reason));
            expect_passes(buf_bytes(&fields), bytes_of(ugly[row]), 7);
            buf_free(&fields);
        }
    }
}

static void put_some(struct buf *out, const char *bytes, size_t len_max)
{
    size_t len = random_below(len_max);

    for (size_t i = 0; i < len; i++)
        assert_true(buf_append_byte(out, (uint8_t)bytes[random_below(strlen(bytes))]));
}

/* Fields of any value, among them each that is signed, then any body. */
static void make_message(struct buf *out)
{
    static const char *const names[] = {"To",         "cc",      "SUBJECT",          "Date",
                                        "Received",   "X-Thing", "List-Unsubscribe", "List-Id",
                                        "Message-ID", "From"};
    size_t count = random_below(20);
    size_t long_line = random_below(40) == 0 ? 100000 : 60;

    assert_true(buf_append(out, BYTES("From: a@example.org\r\n")));
    for (size_t i = 0; i < count; i++) {
        assert_true(buf_append(out, bytes_of(names[random_below(ARRAY_LEN(names))])));
        put_some(out, " \t", 2);
        assert_true(buf_append(out, BYTES(":")));
        for (size_t folds = random_below(4); folds > 0; folds--) {
            put_some(out, "abc d:;\t=\xc3\xbc", 40);
            assert_true(buf_append(out, BYTES("\r\n")));
            put_some(out, " \t", 3);
            assert_true(buf_append(out, BYTES(" ")));
        }
        put_some(out, "abc d:;\t=", 40);
        assert_true(buf_append(out, BYTES("\r\n")));
    }
    assert_true(random_below(10) == 0 || buf_append(out, BYTES("\r\n")));
    if (buf_bytes(out).ptr[buf_len(out) - 3] != '\n')
        return;
    for (size_t lines = random_below(30); lines > 0; lines--) {
        put_some(out, "abc def. \t\x80\xff", random_below(3) == 0 ? long_line : 3);
        assert_true(random_below(20) == 0 || buf_append(out, BYTES("\r\n")));
    }
}

TEST(random_messages_verify_at_random_cuts)
{
    have_keys();
    random_seed(2);
    for (unsigned round = 0; round < 300; round++) {
        struct buf message, fields;
        const char *reason;

        buf_init(&message, 4 << 20);
        buf_init(&fields, 65536);
        make_message(&message);
        assert_true(sign(buf_bytes(&message), &forms[random_below(4)], &fields, &reason));
        expect_passes(buf_bytes(&fields), buf_bytes(&message), round % 2 == 0 ? 3 : 5000);
        buf_free(&message);
        buf_free(&fields);
    }
}

TEST(megabytes_verify)
{
    struct buf message, fields;
    const char *reason;

    have_keys();
    buf_init(&message, 8 << 20);
    buf_init(&fields, 65536);
    assert_true(buf_append(&message, BYTES("From: a@example.org\r\n\r\n")));
    for (unsigned i = 0; i < 100000; i++)
        assert_true(buf_printf(&message, "line %u  of\tmany \r\n%s", i, i % 9 ? "" : "\r\n"));
    assert_true(sign(buf_bytes(&message), &forms[0], &fields, &reason));
    expect_passes(buf_bytes(&fields), buf_bytes(&message), 100000);
    buf_free(&message);
    buf_free(&fields);
}

/* Each line of what is put before the message, and what its h= says. */
TEST(fields_are_folded_and_over_sign)
{
    struct bytes content = BYTES("From: a\r\nTo: b\r\nTo: c\r\nList-Id: x\r\nX: y\r\n\r\n");
    struct buf fields;
    const char *reason;

    have_keys();
    buf_init(&fields, 8192);
    assert_true(sign(content, &forms[2], &fields, &reason));
    struct bytes rest = buf_bytes(&fields), line;
    size_t lines = 0;

    assert_true(bytes_starts_nocase(rest, BYTES("DKIM-Signature: v=1; a=rsa-sha256;")));
    while (bytes_take_until(&rest, '\n', &line)) {
        assert_true(line.len >= 2 && line.ptr[line.len - 1] == '\r');
        assert_true(line.len - 1 <= 78);
        assert_true(line.ptr[0] == '\t' || bytes_starts_nocase(line, BYTES("DKIM-Signature:")));
        assert_true(tag_trim(bytes_slice(line, 0, line.len - 1)).len > 0);
        lines++;
    }
    assert_int_equal(rest.len, 0);
    assert_true(lines > 8);

    struct dkim_signature signature;
    struct mail_header header;
    struct arena arena;
    struct buf names;
    struct bytes name, all = buf_bytes(&fields);

    mail_header_init(&header, 8192, 10);
    mail_header_feed(&header, &all);
    mail_header_finish(&header);
    arena_init(&arena, SIGNATURE_ARENA);
    assert_int_equal(header.count, 2);
    assert_true(
        dkim_signature_parse(SIGNATURE_DKIM, header.fields[0].value, &arena, &signature, &reason));
    assert_int_equal(signature.time_s, NOW_S);
    assert_int_equal(signature.expiry_s, NOW_S + 600);
    assert_false(signature.has_length);
    buf_init(&names, 4096);
    while (tag_item_take(&signature.names, ':', &name))
        assert_true(buf_append(&names, name) && buf_append(&names, BYTES(" ")));
    assert_true(bytes_equal(
        buf_bytes(&names),
        BYTES("From From Reply-To Subject Date To To To Cc Message-ID In-Reply-To References "
              "MIME-Version Content-Type Content-Transfer-Encoding List-Unsubscribe "
              "List-Unsubscribe-Post List-Id ")));
    buf_free(&names);
    arena_free(&arena);
    mail_header_free(&header);
    buf_free(&fields);
}

TEST(sign_refuses_with_a_reason_and_appends_nothing)
{
    struct buf fields;
    const char *reason;

    have_keys();
    buf_init(&fields, 8192);
    assert_true(buf_append(&fields, BYTES("before")));
    assert_false(sign(BYTES("To: b\r\n\r\n"), &forms[0], &fields, &reason));
    assert_string_equal(reason, "there is no From field");
    assert_int_equal(buf_len(&fields), 6);
    /* Room for the first signature, not for the second. */
    for (size_t room = 6; room < 1500; room += 53) {
        struct buf small;

        buf_init(&small, room);
        assert_true(buf_append(&small, BYTES("before")));
        if (!sign(BYTES("From: a\r\n\r\n"), &forms[0], &small, &reason)) {
            assert_string_equal(reason, "no room for the signature");
            assert_int_equal(buf_len(&small), 6);
        }
        buf_free(&small);
    }
    buf_free(&fields);
}

/* What was cut off might be a field that h= says is not there. */
TEST(sign_refuses_a_header_that_was_cut)
{
    struct buf message, fields;
    const char *reason;

    have_keys();
    buf_init(&message, 1 << 16);
    buf_init(&fields, 8192);
    assert_true(buf_append(&message, BYTES("From: a\r\n")));
    for (unsigned i = 0; i < MAIL_HEADER_FIELDS_MAX; i++)
        assert_true(buf_append(&message, BYTES("X: y\r\n")));
    assert_false(sign(buf_bytes(&message), &forms[0], &fields, &reason));
    assert_string_equal(reason, "the header is too large");
    buf_free(&message);
    buf_free(&fields);
}

TEST(sign_refuses_names_that_would_end_the_field)
{
    static const char *const bad[] = {"",    ".",   "a..b.", "a\r\nX: y",
                                      "a;b", "a b", ".a",    "\xc3\xbc"};
    struct bytes content = BYTES("From: a\r\n\r\n");
    struct mail_header header;
    struct body_hashes hashes;
    struct dkim_signer signer;
    const char *reason;
    struct buf out;

    have_keys();
    buf_init(&out, 8192);
    mail_header_init(&header, 8192, 10);
    assert_true(mail_header_feed(&header, &content));
    body_hashes_init(&hashes);
    dkim_signer_init(&signer, &forms[0], &hashes);
    body_hashes_finish(&hashes);
    for (size_t row = 0; row < ARRAY_LEN(bad); row++) {
        struct dkim_identity domain = {bytes_of(bad[row]), BYTES("s"), rsa};
        struct dkim_identity selector = {BYTES("example.org"), bytes_of(bad[row]), rsa};

        expect_row(row, !dkim_sign(&signer, &header, &domain, 1, 0, &out, &reason));
        expect_row(row, !dkim_sign(&signer, &header, &selector, 1, 0, &out, &reason));
        expect_row(row, buf_len(&out) == 0);
    }
    buf_free(&out);
    body_hashes_free(&hashes);
    mail_header_free(&header);
}

static const struct {
    const char *name, *type, *reason;
    size_t bits;
} keys[] = {
    {"short RSA", "RSA", "an RSA key of less than 1024 bits", 1016},
    {"another type", "X25519", "neither an RSA nor an Ed25519 key", 0},
};

TEST(key_read_refuses_what_should_not_sign)
{
    char pem[PEM_SIZE];
    const char *reason;

    for (size_t row = 0; row < ARRAY_LEN(keys); row++) {
        EVP_PKEY *pkey = keys[row].bits > 0
                             ? EVP_PKEY_Q_keygen(NULL, NULL, keys[row].type, keys[row].bits)
                             : EVP_PKEY_Q_keygen(NULL, NULL, keys[row].type);

        expect_row(row, dkim_key_read(to_pem(pkey, pem), &reason) == NULL);
        expect_row(row, strcmp(reason, keys[row].reason) == 0);
    }
    assert_null(dkim_key_read(BYTES(""), &reason));
    assert_null(dkim_key_read(BYTES("-----BEGIN PRIVATE KEY-----\nAAAA\n"), &reason));
    assert_string_equal(reason, "not a private key in PEM, without a password");
}

/* A password would be asked of whoever sits at the terminal. */
TEST(key_read_refuses_an_encrypted_key)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned char password[] = "password";
    char pem[PEM_SIZE];
    const char *reason;

    assert_int_equal(PEM_write_bio_PrivateKey(bio, pkey, EVP_aes_128_cbc(), password, 8, NULL,
                                              NULL),
                     1);
    int len = BIO_read(bio, pem, sizeof(pem));

    assert_null(dkim_key_read(bytes_range(pem, (size_t)len), &reason));
    BIO_free(bio);
    EVP_PKEY_free(pkey);
}

/* What it signs, nobody could verify. */
TEST(key_read_refuses_halves_that_do_not_belong_together)
{
    static const char *const names[] = {
        OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
        OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
        OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
        OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
    };
    EVP_PKEY *halves[] = {EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024),
                          EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024)};
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *numbers[ARRAY_LEN(names)] = {NULL};
    EVP_PKEY *mixed = NULL;
    const char *reason = "";
    char pem[PEM_SIZE];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const EVP_PKEY *of = halves[i < 2 ? 0 : 1]; /* the public half, and the rest */

        assert_int_equal(EVP_PKEY_get_bn_param(of, names[i], &numbers[i]), 1);
        assert_int_equal(OSSL_PARAM_BLD_push_BN(build, names[i], numbers[i]), 1);
    }
    OSSL_PARAM *all = OSSL_PARAM_BLD_to_param(build);
    assert_int_equal(EVP_PKEY_fromdata_init(context), 1);
    assert_int_equal(EVP_PKEY_fromdata(context, &mixed, EVP_PKEY_KEYPAIR, all), 1);
    assert_null(dkim_key_read(to_pem(mixed, pem), &reason));
    assert_string_equal(reason, "a key whose parts do not belong together");
    OSSL_PARAM_free(all);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(context);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        BN_clear_free(numbers[i]);
    EVP_PKEY_free(halves[0]);
    EVP_PKEY_free(halves[1]);
}
