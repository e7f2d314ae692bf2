/* key_record.c - the record's tags, and the key in p= by a strict DER reader of its own. */
#include "auth/dkim/key_record.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "auth/tag_list.h"

enum {
    ED25519_LEN = 32,
    EXPONENT_LEN_MAX = 8, /* longer ones only cost time */
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_SEQUENCE = 0x30,
};

/* --- DER -------------------------------------------------------------------------------------- */

/* Takes an element of that tag off the front; its length is in the shortest form. */
static bool take_der(struct bytes *input, uint8_t tag, struct bytes *content_out)
{
    size_t len_len = 0, len;

    if (input->len < 2 || input->ptr[0] != tag)
        return false;
    len = input->ptr[1];
    if (len >= 0x80) {
        len_len = len & 0x7f;
        len = 0;
        if (len_len == 0 || len_len > 2 || input->len < 2 + len_len || input->ptr[2] == 0)
            return false;
        for (size_t i = 0; i < len_len; i++)
            len = len << 8 | input->ptr[2 + i];
        if (len < 0x80)
            return false;
    }
    if (input->len - 2 - len_len < len)
        return false;
    *content_out = bytes_slice(*input, 2 + len_len, len);
    *input = bytes_slice(*input, 2 + len_len + len, input->len);
    return true;
}

/* A positive one, without the zero that says so. */
static bool take_integer(struct bytes *input, struct bytes *number_out)
{
    struct bytes number;

    if (!take_der(input, DER_INTEGER, &number) || number.len == 0 || number.ptr[0] >= 0x80)
        return false;
    if (number.ptr[0] == 0) {
        if (number.len == 1 || number.ptr[1] < 0x80)
            return false;
        number = bytes_slice(number, 1, number.len);
    }
    *number_out = number;
    return true;
}

/* RSAPublicKey (RFC 8017 appendix A.1.1). */
static bool read_rsa_der(struct bytes der, struct bytes *modulus_out, struct bytes *exponent_out)
{
    struct bytes inside;

    return take_der(&der, DER_SEQUENCE, &inside) && der.len == 0 &&
           take_integer(&inside, modulus_out) && take_integer(&inside, exponent_out) &&
           inside.len == 0;
}

/* The RSAPublicKey inside a SubjectPublicKeyInfo of rsaEncryption (RFC 3279 section 2.3.1). */
static bool open_spki(struct bytes der, struct bytes *key_out)
{
    static const uint8_t rsa[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
    struct bytes inside, algorithm, bits, oid = bytes_range(rsa, sizeof(rsa));

    if (!take_der(&der, DER_SEQUENCE, &inside) || der.len != 0 ||
        !take_der(&inside, DER_SEQUENCE, &algorithm) || !take_der(&inside, DER_BIT_STRING, &bits) ||
        inside.len != 0)
        return false;
    struct bytes parameters = bytes_slice(algorithm, oid.len, algorithm.len);
    if (!bytes_equal(bytes_slice(algorithm, 0, oid.len), oid) ||
        (parameters.len != 0 && !bytes_equal(parameters, BYTES("\x05\x00"))) || bits.len == 0 ||
        bits.ptr[0] != 0)
        return false;
    *key_out = bytes_slice(bits, 1, bits.len);
    return true;
}

static EVP_PKEY *make_rsa(struct bytes modulus, struct bytes exponent)
{
    BIGNUM *n = BN_bin2bn(modulus.ptr, (int)modulus.len, NULL);
    BIGNUM *e = BN_bin2bn(exponent.ptr, (int)exponent.len, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    check(n != NULL && e != NULL && build != NULL && context != NULL);
    if (OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        params = OSSL_PARAM_BLD_to_param(build);
    check(params != NULL);
    if (EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(context);
    BN_free(n);
    BN_free(e);
    return key;
}

/* Both forms are in use: RFC 6376 says RSAPublicKey and shows SPKI (its erratum 3017). */
static const char *read_rsa(struct bytes der, struct dkim_public_key *out)
{
    struct bytes key = der, modulus, exponent;

    if (!read_rsa_der(key, &modulus, &exponent) &&
        !(open_spki(der, &key) && read_rsa_der(key, &modulus, &exponent)))
        return "its p= is not an RSA key";
    if (modulus.len > KEY_BITS_MAX / 8)
        return "its RSA key is too long";
    if (exponent.len > EXPONENT_LEN_MAX || (exponent.ptr[exponent.len - 1] & 1) == 0 ||
        (exponent.len == 1 && exponent.ptr[0] < 3) || (modulus.ptr[modulus.len - 1] & 1) == 0)
        return "its RSA key is not one";
    out->pkey = make_rsa(modulus, exponent);
    return out->pkey == NULL ? "its RSA key is not one" : NULL;
}

static const char *read_ed25519(struct bytes octets, struct dkim_public_key *out)
{
    if (octets.len != ED25519_LEN)
        return "its p= is not an Ed25519 key";
    out->pkey = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, octets.ptr, octets.len);
    return out->pkey == NULL ? "its p= is not an Ed25519 key" : NULL;
}

static const char *read_key(struct bytes value, enum signature_algorithm algorithm,
                            struct dkim_public_key *out)
{
    const char *reason = "its p= is not base64";
    struct buf octets;

    buf_init(&octets, KEY_RECORD_MAX);
    if (tag_base64(value, &octets))
        reason = algorithm == SIGNATURE_RSA_SHA256 ? read_rsa(buf_bytes(&octets), out)
                                                   : read_ed25519(buf_bytes(&octets), out);
    buf_free(&octets);
    if (reason == NULL)
        out->bits = (unsigned)EVP_PKEY_get_bits(out->pkey);
    ERR_clear_error();
    return reason;
}

/* --- the record ------------------------------------------------------------------------------- */

static bool lists(const struct tag_list *list, struct bytes tag, struct bytes wanted)
{
    struct bytes rest = tag_list_value(list, tag), item;
    bool is_there = false;

    while (tag_item_take(&rest, ':', &item))
        is_there = is_there || bytes_equal(item, wanted);
    return is_there;
}

static bool has(const struct tag_list *list, struct bytes tag)
{
    return tag_list_find(list, tag) != NULL;
}

/* NULL, or why the record's key is not for this signature. */
static const char *judge_tags(const struct tag_list *list, enum signature_algorithm algorithm)
{
    const struct tag *version = tag_list_find(list, BYTES("v"));
    struct bytes type = has(list, BYTES("k")) ? tag_list_value(list, BYTES("k")) : BYTES("rsa");

    if (version != NULL &&
        (version != &list->tags[0] || !bytes_equal(version->value, BYTES("DKIM1"))))
        return "the record is of another version";
    if (!has(list, BYTES("p")))
        return "the record has no p=";
    if (tag_list_value(list, BYTES("p")).len == 0)
        return "the key is revoked";
    if (!bytes_equal(type, bytes_of(signature_key_type(algorithm))))
        return "the key is of another type";
    if (has(list, BYTES("h")) && !lists(list, BYTES("h"), BYTES("sha256")))
        return "the key is not for this hash";
    if (has(list, BYTES("s")) && !lists(list, BYTES("s"), BYTES("*")) &&
        !lists(list, BYTES("s"), BYTES("email")))
        return "the key is not for mail";
    return NULL;
}

bool dkim_key_record_parse(struct bytes text, enum signature_algorithm algorithm,
                           struct dkim_public_key *out, const char **reason_out)
{
    struct dkim_public_key key = {0};
    const char *reason;
    struct tag_list list;

    if (text.len > KEY_RECORD_MAX) {
        *reason_out = "the record is too long";
        return false;
    }
    if (!tag_list_parse(text, &list, reason_out))
        return false;
    reason = judge_tags(&list, algorithm);
    if (reason == NULL)
        reason = read_key(tag_list_value(&list, BYTES("p")), algorithm, &key);
    if (reason != NULL) {
        *reason_out = reason;
        return false;
    }
    key.is_testing = lists(&list, BYTES("t"), BYTES("y"));
    key.is_strict = lists(&list, BYTES("t"), BYTES("s"));
    *out = key;
    return true;
}

void dkim_public_key_free(struct dkim_public_key *key)
{
    EVP_PKEY_free(key->pkey);
    key->pkey = NULL;
}

bool dkim_public_keys_read(const struct lookup_answer *answer, enum signature_algorithm algorithm,
                           struct dkim_public_keys *out, const char **reason_out)
{
    enum { RECORDS_MAX = 16 };
    size_t count = MIN(answer->count, (size_t)RECORDS_MAX);
    const char *first = "there is no record";

    out->count = 0;
    for (size_t i = 0; i < count && out->count < KEYS_MAX; i++) {
        const char *reason;

        if (dkim_key_record_parse(answer->records[i].text, algorithm, &out->keys[out->count],
                                  &reason))
            out->count++;
        else if (i == 0)
            first = reason;
    }
    if (out->count > 0)
        return true;
    *reason_out = first;
    return false;
}

void dkim_public_keys_free(struct dkim_public_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        dkim_public_key_free(&keys->keys[i]);
    keys->count = 0;
}

/* --- signatures ------------------------------------------------------------------------------- */

static bool verify_rsa(EVP_PKEY *pkey, const uint8_t *digest, struct bytes signature)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

    check(context != NULL);
    bool is_good =
        EVP_PKEY_verify_init(context) == 1 &&
        EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
        EVP_PKEY_CTX_set_signature_md(context, dkim_sha256()) == 1 &&
        EVP_PKEY_verify(context, signature.ptr, signature.len, digest, DKIM_HASH_LEN) == 1;
    EVP_PKEY_CTX_free(context);
    return is_good;
}

/* RFC 8463 section 3: Ed25519 over the SHA-256 digest. */
static bool verify_ed25519(EVP_PKEY *pkey, const uint8_t *digest, struct bytes signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    check(context != NULL);
    bool is_good =
        EVP_DigestVerifyInit(context, NULL, NULL, NULL, pkey) == 1 &&
        EVP_DigestVerify(context, signature.ptr, signature.len, digest, DKIM_HASH_LEN) == 1;
    EVP_MD_CTX_free(context);
    return is_good;
}

bool dkim_public_key_verify(const struct dkim_public_key *key, enum signature_algorithm algorithm,
                            const uint8_t digest[static DKIM_HASH_LEN], struct bytes signature)
{
    bool is_good = algorithm == SIGNATURE_RSA_SHA256 ? verify_rsa(key->pkey, digest, signature)
                                                     : verify_ed25519(key->pkey, digest, signature);

    /* TLS on the same thread takes what is left in the library's queue for its own error. */
    ERR_clear_error();
    return is_good;
}
