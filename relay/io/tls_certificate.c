/* tls_certificate.c - reads, judges and makes certificates. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "io/tls_private.h"

enum {
    CHAIN_MAX = 16, /* certificates of a file */
    FILE_MAX = 1 << 20,
    SELF_SIGNED_DAYS = 3650,
    SERIAL_BITS = 127,
};

/* --- reading ---------------------------------------------------------------------------------- */

/* A file of a reasonable size as a BIO in memory: a device or a pipe could hold us for ever. */
BIO *tls_read_file(const char *path, char why[static TLS_WHY_MAX])
{
    struct stat status;
    BIO *bio = NULL;
    char *text = NULL;
    FILE *file = fopen(path, "re");

    if (file == NULL || fstat(fileno(file), &status) < 0) {
        snprintf(why, TLS_WHY_MAX, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(status.st_mode) || status.st_size > FILE_MAX) {
        snprintf(why, TLS_WHY_MAX, "%s: is no file of PEM text", path);
    } else {
        size_t size = (size_t)status.st_size;

        text = malloc(size + 1);
        check(text != NULL);
        size_t len = fread(text, 1, size, file);
        bio = BIO_new(BIO_s_mem());
        check(bio != NULL);
        check(len == 0 || BIO_write(bio, text, (int)len) == (int)len);
        OPENSSL_cleanse(text, size);
    }
    free(text);
    if (file != NULL)
        fclose(file);
    return bio;
}

static const char *openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason != NULL ? reason : "unknown error";
}

static bool read_chain(struct tls_certificate *certificate, const char *path,
                       char why[static TLS_WHY_MAX])
{
    BIO *bio = tls_read_file(path, why);
    X509 *next = NULL;

    if (bio == NULL)
        return false;
    certificate->leaf = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    certificate->chain = sk_X509_new_null();
    check(certificate->chain != NULL);
    while (certificate->leaf != NULL && sk_X509_num(certificate->chain) < CHAIN_MAX &&
           (next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
        check(sk_X509_push(certificate->chain, next) > 0);
    BIO_free(bio);
    /* Behind the last one there is no further: that is no error. */
    unsigned long error = ERR_peek_last_error();
    bool is_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    if (certificate->leaf == NULL && is_end)
        snprintf(why, TLS_WHY_MAX, "%s: holds no certificate in PEM", path);
    else if (sk_X509_num(certificate->chain) == CHAIN_MAX)
        snprintf(why, TLS_WHY_MAX, "%s: holds more than %d certificates", path, CHAIN_MAX);
    else if (!is_end)
        snprintf(why, TLS_WHY_MAX, "%s: a certificate cannot be read: %s", path, openssl_reason());
    else
        return true;
    return false;
}

/* Nobody is there to type one. */
static int no_passphrase(char *text, int size, int is_writing, void *context)
{
    (void)text;
    (void)size;
    (void)is_writing;
    *(bool *)context = true;
    return -1;
}

static bool read_key(struct tls_certificate *certificate, const char *path,
                     char why[static TLS_WHY_MAX])
{
    BIO *bio = tls_read_file(path, why);
    bool is_encrypted = false;

    if (bio == NULL)
        return false;
    certificate->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &is_encrypted);
    BIO_free(bio);
    if (is_encrypted)
        snprintf(why, TLS_WHY_MAX, "%s: the key is encrypted; only keys without a passphrase do",
                 path);
    else if (certificate->key == NULL)
        snprintf(why, TLS_WHY_MAX, "%s: holds no private key in PEM", path);
    return certificate->key != NULL;
}

/* What TLS itself has against them, such as a key that is too small. */
static bool is_accepted(const struct tls_certificate *certificate, const char *path,
                        char why[static TLS_WHY_MAX])
{
    SSL_CTX *ctx = tls_context_make(certificate);
    bool is_good = ctx != NULL;

    if (!is_good)
        snprintf(why, TLS_WHY_MAX, "%s: cannot be used: %s", path, openssl_reason());
    SSL_CTX_free(ctx);
    return is_good;
}

struct tls_certificate *tls_certificate_load(const char *certificate_path, const char *key_path,
                                             enum tls_part *part_out, char why[static TLS_WHY_MAX])
{
    struct tls_certificate *certificate = calloc(1, sizeof(*certificate));

    check(certificate != NULL);
    atomic_init(&certificate->references, 1);
    ERR_clear_error();
    *part_out = TLS_PART_CERTIFICATE;
    if (!read_chain(certificate, certificate_path, why))
        goto fail;
    ERR_clear_error();
    *part_out = TLS_PART_KEY;
    if (!read_key(certificate, key_path, why))
        goto fail;
    if (X509_check_private_key(certificate->leaf, certificate->key) != 1) {
        snprintf(why, TLS_WHY_MAX, "%s: is not the key of the certificate in %s", key_path,
                 certificate_path);
        goto fail;
    }
    ERR_clear_error();
    *part_out = TLS_PART_CERTIFICATE;
    if (!is_accepted(certificate, certificate_path, why))
        goto fail;
    ERR_clear_error();
    return certificate;
fail:
    ERR_clear_error();
    tls_certificate_release(&certificate);
    return NULL;
}

struct tls_certificate *tls_certificate_keep(struct tls_certificate *certificate)
{
    unsigned before = atomic_fetch_add(&certificate->references, 1);

    check(before > 0);
    return certificate;
}

void tls_certificate_release(struct tls_certificate **certificate)
{
    struct tls_certificate *released = *certificate;

    *certificate = NULL;
    if (released == NULL || atomic_fetch_sub(&released->references, 1) > 1)
        return;
    X509_free(released->leaf);
    sk_X509_pop_free(released->chain, X509_free);
    EVP_PKEY_free(released->key);
    free(released);
}

/* --- judging ---------------------------------------------------------------------------------- */

static int64_t ms_of(const ASN1_TIME *time)
{
    struct tm parts;

    if (ASN1_TIME_to_tm(time, &parts) != 1)
        return 0;
    return (int64_t)timegm(&parts) * 1000;
}

int64_t tls_certificate_not_before_ms(const struct tls_certificate *certificate)
{
    return ms_of(X509_get0_notBefore(certificate->leaf));
}

int64_t tls_certificate_not_after_ms(const struct tls_certificate *certificate)
{
    return ms_of(X509_get0_notAfter(certificate->leaf));
}

bool tls_certificate_is_for(const struct tls_certificate *certificate, struct bytes host)
{
    return host.len > 0 &&
           X509_check_host(certificate->leaf, (const char *)host.ptr, host.len, 0, NULL) == 1;
}

static size_t add_name(char out[static TLS_NAMES_MAX], size_t len, const ASN1_STRING *name)
{
    struct bytes text = {ASN1_STRING_get0_data(name), (size_t)ASN1_STRING_length(name)};

    if (len + text.len + 3 > TLS_NAMES_MAX)
        return len;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return len;
    return len + (size_t)snprintf(out + len, TLS_NAMES_MAX - len, "%s%.*s", len > 0 ? ", " : "",
                                  BYTES_ARG(text));
}

void tls_certificate_names(const struct tls_certificate *certificate,
                           char out[static TLS_NAMES_MAX])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate->leaf, NID_subject_alt_name, NULL, NULL);
    const X509_NAME *subject = X509_get_subject_name(certificate->leaf);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    size_t len = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS)
            len = add_name(out, len, name->d.dNSName);
    }
    if (len == 0 && at >= 0)
        len = add_name(out, len, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (len == 0)
        snprintf(out, TLS_NAMES_MAX, "nobody");
    GENERAL_NAMES_free(names);
}

bool tls_certificate_is_in_order(const struct tls_certificate *certificate)
{
    X509 *last = certificate->leaf;

    for (int i = 0; i < sk_X509_num(certificate->chain); i++) {
        X509 *issuer = sk_X509_value(certificate->chain, i);

        if (X509_check_issued(issuer, last) != X509_V_OK)
            return false;
        last = issuer;
    }
    return true;
}

bool tls_certificate_is_self_signed(const struct tls_certificate *certificate)
{
    return X509_self_signed(certificate->leaf, 1) == 1;
}

/* --- making ----------------------------------------------------------------------------------- */

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &context, nid, value);
    bool is_added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_added;
}

static bool set_serial(X509 *certificate)
{
    BIGNUM *number = BN_new();
    bool is_set = number != NULL &&
                  BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;

    BN_free(number);
    return is_set;
}

/* The name stands in subjectAltName; a common name has 64 bytes at most, so it is a fixed one. */
static bool fill(X509 *certificate, EVP_PKEY *key, const char *host)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    char names[512];

    if (snprintf(names, sizeof(names), "DNS:%s", host) >= (int)sizeof(names))
        return false;
    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -24 * 3600L) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), SELF_SIGNED_DAYS * 24 * 3600L) !=
               NULL &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                      (const unsigned char *)"ringpost, self-signed", -1, -1,
                                      0) == 1 &&
           X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
           add_extension(certificate, NID_subject_alt_name, names) &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

static struct bytes take_pem(BIO *bio)
{
    char *text;
    long len = BIO_get_mem_data(bio, &text);
    uint8_t *copy = OPENSSL_malloc((size_t)len);

    check(len > 0 && copy != NULL);
    memcpy(copy, text, (size_t)len);
    OPENSSL_cleanse(text, (size_t)len);
    return (struct bytes){copy, (size_t)len};
}

bool tls_self_signed(const char *host, struct bytes *certificate_out, struct bytes *key_out)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    BIO *certificate_pem = BIO_new(BIO_s_mem());
    BIO *key_pem = BIO_new(BIO_s_mem());

    check(certificate != NULL && certificate_pem != NULL && key_pem != NULL);
    bool is_made = key != NULL && fill(certificate, key, host) &&
                   PEM_write_bio_X509(certificate_pem, certificate) == 1 &&
                   PEM_write_bio_PKCS8PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) == 1;

    if (is_made) {
        *certificate_out = take_pem(certificate_pem);
        *key_out = take_pem(key_pem);
    }
    ERR_clear_error();
    BIO_free(certificate_pem);
    BIO_free(key_pem);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return is_made;
}

void tls_pem_free(struct bytes *pem)
{
    OPENSSL_clear_free((void *)(uintptr_t)pem->ptr, pem->len);
    *pem = BYTES_NONE;
}
