#include "directory/credential_secret.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

#include "support/unit.h"

TEST(secret_made_has_the_shape_and_is_its_own)
{
    struct directory_credential row = {.id = 1}, other = {.id = 2};
    char text[SECRET_LEN], other_text[SECRET_LEN];
    struct bytes id;

    assert_true(secret_make(&row, text));
    assert_true(secret_make(&other, other_text));
    assert_memory_equal(text, "rp_", 3);
    assert_true(secret_id(bytes_range(text, SECRET_LEN), &id));
    assert_true(bytes_equal(id, bytes_range(row.name, CREDENTIAL_ID_LEN)));
    assert_true(secret_is_of(bytes_range(text, SECRET_LEN), &row));
    assert_false(secret_is_of(bytes_range(text, SECRET_LEN), &other));
    assert_false(secret_is_of(bytes_range(other_text, SECRET_LEN), &row));
    assert_memory_not_equal(row.salt, other.salt, sizeof(row.salt));
}

TEST(secret_compare_any_byte_changed_is_false)
{
    struct directory_credential row = {.id = 1};
    char text[SECRET_LEN];

    assert_true(secret_make(&row, text));
    for (size_t i = 0; i < SECRET_LEN; i++) {
        text[i] ^= 1;
        expect_row(i, !secret_is_of(bytes_range(text, SECRET_LEN), &row));
        text[i] ^= 1;
    }
    assert_false(secret_is_of(bytes_range(text, SECRET_LEN - 1), &row));
    assert_false(secret_is_of(BYTES_NONE, &row));
}

/* Of nobody there is no secret, whatever an empty row would hash to. */
TEST(secret_compare_without_a_credential_is_false)
{
    static const char zeros[SECRET_LEN];

    assert_false(secret_is_of(bytes_range(zeros, SECRET_LEN), NULL));
    assert_false(secret_is_of(BYTES_NONE, NULL));
}

TEST(secret_id_of_other_text_is_refused)
{
    static const char *const texts[] = {
        "",
        "rp_",
        "rp_aaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",   /* short */
        "rp_aaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", /* long */
        "rq_aaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "rp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "rp_Aaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "rp_aaaaaaaaaaa1_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "rp_aaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@a",
    };
    struct bytes id;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        expect_row(i, !secret_id(bytes_of(texts[i]), &id));
    assert_true(secret_id(BYTES("rp_aaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), &id));
    assert_true(bytes_equal(id, BYTES("aaaaaaaaaaaa")));
}

/* A proof as a client makes it (RFC 5802 section 3), checked as a server does: by StoredKey. */
TEST(secret_scram_keys_take_a_clients_proof)
{
    struct directory_credential row = {.id = 1};
    char text[SECRET_LEN];
    uint8_t salted[32], key[32], stored[32];
    unsigned len = sizeof(key);

    assert_true(secret_make(&row, text));
    assert_int_equal(PKCS5_PBKDF2_HMAC(text, SECRET_LEN, row.salt, sizeof(row.salt), 4096,
                                       EVP_sha256(), sizeof(salted), salted),
                     1);
    HMAC(EVP_sha256(), salted, sizeof(salted), (const uint8_t *)"Client Key", 10, key, &len);
    SHA256(key, sizeof(key), stored);
    assert_memory_equal(stored, row.stored_key, sizeof(stored));
    HMAC(EVP_sha256(), salted, sizeof(salted), (const uint8_t *)"Server Key", 10, key, &len);
    assert_memory_equal(key, row.server_key, sizeof(key));
}
