/* credential_secret.c - OpenSSL's random bits, SHA-256, PBKDF2 and HMAC. */
#include "directory/credential_secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

enum {
    PREFIX_LEN = 3,
    ID_AT = PREFIX_LEN,
    BITS_AT = PREFIX_LEN + CREDENTIAL_ID_LEN + 1,
    BITS_TEXT_LEN = SECRET_LEN - BITS_AT,
};
_Static_assert(BITS_TEXT_LEN * 5 == 160, "as many as SHA-1 has; nobody guesses them");
_Static_assert(CREDENTIAL_HASH_LEN == SHA256_DIGEST_LENGTH, "hash and keys are SHA-256's");

/* One random byte a letter: 256 is a multiple of 32, so each letter is as likely. */
static bool random_text(char *out, size_t len)
{
    uint8_t random[BITS_TEXT_LEN];

    check(len <= sizeof(random));
    if (RAND_bytes(random, (int)len) != 1)
        return false;
    for (size_t i = 0; i < len; i++)
        out[i] = alphabet[random[i] % 32];
    OPENSSL_cleanse(random, sizeof(random));
    return true;
}

static void salted_hash(const uint8_t salt[static CREDENTIAL_SALT_LEN], struct bytes text,
                        uint8_t out[static CREDENTIAL_HASH_LEN])
{
    uint8_t joined[CREDENTIAL_SALT_LEN + SECRET_LEN];

    check(text.len == SECRET_LEN);
    memcpy(joined, salt, CREDENTIAL_SALT_LEN);
    memcpy(joined + CREDENTIAL_SALT_LEN, text.ptr, SECRET_LEN);
    check(SHA256(joined, sizeof(joined), out) != NULL);
    OPENSSL_cleanse(joined, sizeof(joined));
}

static void hmac(const uint8_t key[static CREDENTIAL_HASH_LEN], const char *text,
                 uint8_t out[static CREDENTIAL_HASH_LEN])
{
    unsigned len = CREDENTIAL_HASH_LEN;

    check(HMAC(EVP_sha256(), key, CREDENTIAL_HASH_LEN, (const uint8_t *)text, strlen(text), out,
               &len) != NULL);
}

/* RFC 5802 section 3. The text is ASCII letters, digits and "_": SASLprep leaves it as it is. */
static void scram_keys(struct directory_credential *row, const char text[static SECRET_LEN])
{
    uint8_t salted[CREDENTIAL_HASH_LEN], client_key[CREDENTIAL_HASH_LEN];

    check(PKCS5_PBKDF2_HMAC(text, SECRET_LEN, row->salt, CREDENTIAL_SALT_LEN, CREDENTIAL_ITERATIONS,
                            EVP_sha256(), sizeof(salted), salted) == 1);
    hmac(salted, "Client Key", client_key);
    check(SHA256(client_key, sizeof(client_key), row->stored_key) != NULL);
    hmac(salted, "Server Key", row->server_key);
    OPENSSL_cleanse(salted, sizeof(salted));
    OPENSSL_cleanse(client_key, sizeof(client_key));
}

bool secret_make(struct directory_credential *row, char text_out[static SECRET_LEN])
{
    char text[SECRET_LEN];

    memcpy(text, "rp_", PREFIX_LEN);
    text[BITS_AT - 1] = '_';
    if (!random_text(text + ID_AT, CREDENTIAL_ID_LEN) ||
        !random_text(text + BITS_AT, BITS_TEXT_LEN) ||
        RAND_bytes(row->salt, sizeof(row->salt)) != 1)
        return false;
    memcpy(row->name, text + ID_AT, CREDENTIAL_ID_LEN);
    salted_hash(row->salt, bytes_range(text, sizeof(text)), row->hash);
    scram_keys(row, text);
    memcpy(text_out, text, sizeof(text));
    OPENSSL_cleanse(text, sizeof(text));
    return true;
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7');
}

bool secret_id(struct bytes text, struct bytes *id_out)
{
    if (text.len != SECRET_LEN || memcmp(text.ptr, "rp_", PREFIX_LEN) != 0 ||
        text.ptr[BITS_AT - 1] != '_')
        return false;
    for (size_t i = ID_AT; i < SECRET_LEN; i++)
        if (i != BITS_AT - 1 && !is_letter(text.ptr[i]))
            return false;
    *id_out = bytes_slice(text, ID_AT, CREDENTIAL_ID_LEN);
    return true;
}

bool secret_is_of(struct bytes text, const struct directory_credential *row)
{
    static const struct directory_credential nobody;
    const struct directory_credential *compared = row != NULL ? row : &nobody;
    static const char no_secret[SECRET_LEN];
    uint8_t hash[CREDENTIAL_HASH_LEN];
    bool has_length = text.len == SECRET_LEN;

    salted_hash(compared->salt, has_length ? text : bytes_range(no_secret, sizeof(no_secret)),
                hash);
    bool is_equal = CRYPTO_memcmp(hash, compared->hash, sizeof(hash)) == 0;
    return (row != NULL) & has_length & is_equal;
}
