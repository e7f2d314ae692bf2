/* dkim_key.c - keys by OpenSSL, as PKCS #8 in PEM. */
#include "directory/dkim_key.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "io/key_file.h"

enum { RSA_BITS = 2048, ED25519_LEN = 32 };

const char *dkim_key_state_name(enum dkim_key_state state)
{
    static const char *const names[] = {"published", "active", "retired"};

    return names[state];
}

/* In the form of the record: the SubjectPublicKeyInfo of RSA (RFC 6376 section 3.6.1), the bare 32
 * bytes of Ed25519 (RFC 8463 section 4.2). */
static bool print_public(EVP_PKEY *key, enum signature_algorithm algorithm, struct buf *out)
{
    uint8_t bare[ED25519_LEN];
    size_t len = sizeof(bare);

    if (algorithm == SIGNATURE_ED25519_SHA256)
        return EVP_PKEY_get_raw_public_key(key, bare, &len) == 1 && len == sizeof(bare) &&
               base64_write(bytes_range(bare, len), out);
    uint8_t *der = NULL;
    int der_len = i2d_PUBKEY(key, &der);
    bool is_good = der_len > 0 && base64_write(bytes_range(der, (size_t)der_len), out);
    OPENSSL_free(der);
    return is_good;
}

static EVP_PKEY *make(enum signature_algorithm algorithm)
{
    if (algorithm == SIGNATURE_ED25519_SHA256)
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)RSA_BITS);
}

static int save(EVP_PKEY *key, const char *state_dir, const char *file)
{
    BIO *memory = BIO_new(BIO_s_secmem());
    char *text;
    int error = -ENOMEM;

    if (memory != NULL && PEM_write_bio_PKCS8PrivateKey(memory, key, NULL, NULL, 0, NULL, NULL)) {
        long len = BIO_get_mem_data(memory, &text);

        error = key_file_make(state_dir, file, bytes_range(text, (size_t)len));
    }
    BIO_free(memory);
    return error;
}

int dkim_key_make(const char *state_dir, struct bytes domain, struct bytes selector,
                  enum signature_algorithm algorithm, char file_out[static DKIM_KEY_FILE_MAX],
                  struct buf *public_out)
{
    char file[DKIM_KEY_FILE_MAX];
    int len = snprintf(file, sizeof(file), "%.*s/%.*s.pem", BYTES_ARG(domain), BYTES_ARG(selector));

    if (len >= (int)sizeof(file))
        return -ENAMETOOLONG;
    EVP_PKEY *key = make(algorithm);
    if (key == NULL || !print_public(key, algorithm, public_out)) {
        EVP_PKEY_free(key);
        return -ENOMEM;
    }
    int error = save(key, state_dir, file);
    EVP_PKEY_free(key);
    if (error == 0)
        memcpy(file_out, file, (size_t)len + 1);
    return error;
}

void dkim_key_remove(const char *state_dir, struct bytes file)
{
    char name[DKIM_KEY_FILE_MAX];

    if (snprintf(name, sizeof(name), "%.*s", BYTES_ARG(file)) < (int)sizeof(name))
        key_file_remove(state_dir, name);
}

bool dkim_key_record(enum signature_algorithm algorithm, struct bytes public_key, struct buf *out)
{
    return buf_printf(out, "v=DKIM1; k=%s; p=%.*s", signature_key_type(algorithm),
                      BYTES_ARG(public_key));
}
