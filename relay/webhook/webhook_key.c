/* webhook_key.c - keys and signatures by OpenSSL. */
#include "webhook/webhook_key.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "io/key_file.h"

enum { PEM_MAX = 4096, DER_MAX = 80, FILE_MAX = 128, P256_BITS = 256 };

struct webhook_key {
    EVP_PKEY *pkey;
};

static bool file_of(const char *name, char out[static FILE_MAX])
{
    return snprintf(out, FILE_MAX, "webhooks/%s.pem", name) < FILE_MAX;
}

/* --- files ------------------------------------------------------------------------------------ */

static int make(const char *state_dir, const char *file)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    BIO *memory = BIO_new(BIO_s_secmem());
    int error = -ENOMEM;
    char *text;

    if (pkey != NULL && memory != NULL &&
        PEM_write_bio_PKCS8PrivateKey(memory, pkey, NULL, NULL, 0, NULL, NULL)) {
        long len = BIO_get_mem_data(memory, &text);

        error = key_file_make(state_dir, file, bytes_range(text, (size_t)len));
    }
    BIO_free(memory);
    EVP_PKEY_free(pkey);
    return error == -EEXIST ? 0 : error; /* another process was quicker */
}

static EVP_PKEY *parse(struct bytes pem)
{
    BIO *memory = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *pkey = memory == NULL ? NULL : PEM_read_bio_PrivateKey(memory, NULL, NULL, NULL);

    BIO_free(memory);
    if (pkey == NULL || (EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_bits(pkey) == P256_BITS))
        return pkey;
    EVP_PKEY_free(pkey);
    return NULL;
}

static int load(const char *state_dir, const char *file, EVP_PKEY **out)
{
    struct buf pem;

    buf_init(&pem, PEM_MAX);
    int error = key_file_read(state_dir, file, &pem);
    if (error == 0) {
        *out = parse(buf_bytes(&pem));
        if (*out == NULL)
            error = -EBADMSG;
    }
    if (pem.ptr != NULL)
        OPENSSL_cleanse(pem.ptr, pem.capacity);
    buf_free(&pem);
    return error == -EFBIG ? -EBADMSG : error;
}

int webhook_key_open(const char *state_dir, const char *name, struct webhook_key **key_out)
{
    EVP_PKEY *pkey = NULL;
    char file[FILE_MAX];

    if (!file_of(name, file))
        return -ENAMETOOLONG;
    int error = load(state_dir, file, &pkey);
    if (error == -ENOENT) {
        error = make(state_dir, file);
        if (error == 0)
            error = load(state_dir, file, &pkey);
    }
    if (error < 0)
        return error;
    *key_out = calloc(1, sizeof(**key_out));
    check(*key_out != NULL);
    (*key_out)->pkey = pkey;
    return 0;
}

void webhook_key_free(struct webhook_key **key)
{
    if (*key != NULL)
        EVP_PKEY_free((*key)->pkey);
    free(*key);
    *key = NULL;
}

void webhook_key_remove(const char *state_dir, const char *name)
{
    char file[FILE_MAX];

    if (file_of(name, file))
        key_file_remove(state_dir, file);
}

/* --- what it is for --------------------------------------------------------------------------- */

bool webhook_key_public(const struct webhook_key *key, struct buf *out)
{
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(key->pkey, &der);
    bool is_good = len > 0 && base64_write(bytes_range(der, (size_t)len), out);

    OPENSSL_free(der);
    return is_good;
}

bool webhook_key_sign(const struct webhook_key *key, struct bytes timestamp, struct bytes body,
                      struct buf *out)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t der[DER_MAX];
    size_t len = sizeof(der);

    bool is_good =
        context != NULL && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
        EVP_DigestSignUpdate(context, timestamp.ptr, timestamp.len) == 1 &&
        EVP_DigestSignUpdate(context, body.ptr, body.len) == 1 &&
        EVP_DigestSignFinal(context, der, &len) == 1 && base64_write(bytes_range(der, len), out);
    EVP_MD_CTX_free(context);
    return is_good;
}
