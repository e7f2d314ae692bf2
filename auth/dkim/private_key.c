/* private_key.c - a key with the contexts that a signature needs, made once. */
#include "auth/dkim/private_key.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "auth/dkim/key_record.h"
#include "base/base64.h"

struct dkim_key {
    EVP_PKEY *pkey;
    enum signature_algorithm algorithm;
    EVP_PKEY_CTX *rsa; /* or */
    EVP_MD_CTX *ed25519;
};

/* An encrypted key is refused: there is nobody to ask for its password. */
static int no_password(char *buffer, int size, int is_write, void *context)
{
    (void)buffer, (void)size, (void)is_write, (void)context;
    return -1;
}

static const char *prepare(struct dkim_key *key)
{
    if (key->algorithm == SIGNATURE_ED25519_SHA256) {
        key->ed25519 = EVP_MD_CTX_new();
        check(key->ed25519 != NULL);
        return EVP_DigestSignInit(key->ed25519, NULL, NULL, NULL, key->pkey) == 1
                   ? NULL
                   : "an Ed25519 key that does not sign";
    }
    key->rsa = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    check(key->rsa != NULL);
    return EVP_PKEY_sign_init(key->rsa) == 1 &&
                   EVP_PKEY_CTX_set_rsa_padding(key->rsa, RSA_PKCS1_PADDING) == 1 &&
                   EVP_PKEY_CTX_set_signature_md(key->rsa, dkim_sha256()) == 1
               ? NULL
               : "an RSA key that does not sign";
}

static const char *judge(struct dkim_key *key)
{
    unsigned bits = dkim_key_bits(key);

    if (EVP_PKEY_is_a(key->pkey, "ED25519")) {
        key->algorithm = SIGNATURE_ED25519_SHA256;
        return NULL;
    }
    if (!EVP_PKEY_is_a(key->pkey, "RSA"))
        return "neither an RSA nor an Ed25519 key";
    key->algorithm = SIGNATURE_RSA_SHA256;
    if (bits < DKIM_RSA_BITS_MIN)
        return "an RSA key of less than 1024 bits";
    return bits > DKIM_RSA_BITS_MAX ? "an RSA key of more than 4096 bits" : NULL;
}

/* Halves that do not belong together make signatures that nobody can verify. To check an RSA key by
 * its numbers takes the library sixty times as long as to use it. */
static const char *try_out(struct dkim_key *key)
{
    static const uint8_t digest[DKIM_HASH_LEN] = {1};
    const struct dkim_public_key public_half = {.pkey = key->pkey};
    struct buf signature;

    buf_init(&signature, DKIM_SIGNATURE_LEN_MAX);
    bool is_good =
        dkim_key_sign(key, digest, &signature) &&
        dkim_public_key_verify(&public_half, key->algorithm, digest, buf_bytes(&signature));
    buf_free(&signature);
    return is_good ? NULL : "a key whose parts do not belong together";
}

struct dkim_key *dkim_key_read(struct bytes pem, const char **reason_out)
{
    struct dkim_key *key = calloc(1, sizeof(*key));
    const char *reason = "not a private key in PEM, without a password";
    BIO *bio;

    check(key != NULL);
    if (pem.len <= DKIM_PEM_MAX) {
        bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
        check(bio != NULL);
        key->pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
        BIO_free(bio);
    }
    if (key->pkey != NULL)
        reason = judge(key);
    if (reason == NULL)
        reason = prepare(key);
    if (reason == NULL)
        reason = try_out(key);
    ERR_clear_error();
    if (reason != NULL) {
        *reason_out = reason;
        dkim_key_free(&key);
    }
    return key;
}

void dkim_key_free(struct dkim_key **key)
{
    if (*key != NULL) {
        EVP_PKEY_CTX_free((*key)->rsa);
        EVP_MD_CTX_free((*key)->ed25519);
        EVP_PKEY_free((*key)->pkey);
    }
    free(*key);
    *key = NULL;
}

enum signature_algorithm dkim_key_algorithm(const struct dkim_key *key)
{
    return key->algorithm;
}

unsigned dkim_key_bits(const struct dkim_key *key)
{
    return (unsigned)EVP_PKEY_get_bits(key->pkey);
}

bool dkim_key_public(const struct dkim_key *key, struct buf *out)
{
    uint8_t raw[32];
    size_t raw_len = sizeof(raw);
    uint8_t *der = NULL;

    if (key->algorithm == SIGNATURE_ED25519_SHA256) {
        check(EVP_PKEY_get_raw_public_key(key->pkey, raw, &raw_len) == 1);
        return base64_write(bytes_range(raw, raw_len), out);
    }
    int len = i2d_PUBKEY(key->pkey, &der);
    bool is_good = len > 0 && base64_write(bytes_range(der, (size_t)len), out);

    OPENSSL_free(der);
    return is_good;
}

static bool sign(struct dkim_key *key, const uint8_t *digest, uint8_t *to, size_t *len)
{
    if (key->algorithm == SIGNATURE_RSA_SHA256)
        return EVP_PKEY_sign(key->rsa, to, len, digest, DKIM_HASH_LEN) == 1;
    /* RFC 8463 section 3: Ed25519 over the SHA-256 digest. */
    if (EVP_DigestSign(key->ed25519, to, len, digest, DKIM_HASH_LEN) == 1)
        return true;
    /* Some versions of the library want a context anew for each signature. */
    *len = DKIM_SIGNATURE_LEN_MAX;
    return EVP_DigestSignInit(key->ed25519, NULL, NULL, NULL, key->pkey) == 1 &&
           EVP_DigestSign(key->ed25519, to, len, digest, DKIM_HASH_LEN) == 1;
}

bool dkim_key_sign(struct dkim_key *key, const uint8_t digest[static DKIM_HASH_LEN],
                   struct buf *out)
{
    size_t len = DKIM_SIGNATURE_LEN_MAX;
    uint8_t *to = buf_reserve(out, len);

    if (to == NULL)
        return false;
    bool is_good = sign(key, digest, to, &len);

    ERR_clear_error();
    if (is_good)
        buf_extend(out, len);
    return is_good;
}
