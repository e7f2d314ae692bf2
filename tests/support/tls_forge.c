/* tls_forge.c - see tls_forge.h. */
#include "support/tls_forge.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    check(extension != NULL);
    check(X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

struct forge forge_make(const struct forge *issuer, const char *name, int days)
{
    static long serial;
    char common[32];
    struct forge forge = {.key = EVP_EC_gen("P-256"), .certificate = X509_new()};
    X509 *c = forge.certificate;
    X509 *above = issuer != NULL ? issuer->certificate : c;
    long day = 24 * 3600;

    check(forge.key != NULL && c != NULL);
    serial++;
    snprintf(common, sizeof(common), "forged %ld", serial);
    check(X509_set_version(c, X509_VERSION_3) == 1);
    check(ASN1_INTEGER_set(X509_get_serialNumber(c), serial) == 1);
    check(X509_gmtime_adj(X509_getm_notBefore(c), days < 0 ? (days - 2) * day : -day) != NULL);
    check(X509_gmtime_adj(X509_getm_notAfter(c), days * day) != NULL);
    check(X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
                                     (const unsigned char *)common, -1, -1, 0) == 1);
    check(X509_set_issuer_name(c, X509_get_subject_name(above)) == 1);
    check(X509_set_pubkey(c, forge.key) == 1);
    add_extension(c, above, NID_basic_constraints, name == NULL ? "critical,CA:TRUE" : "CA:FALSE");
    add_extension(c, above, NID_subject_key_identifier, "hash");
    if (name != NULL)
        add_extension(c, above, NID_subject_alt_name, name);
    check(X509_sign(c, issuer != NULL ? issuer->key : forge.key, EVP_sha256()) > 0);
    return forge;
}

void forge_revoke(struct forge *issuer, const struct forge *of)
{
    X509_CRL *list = X509_CRL_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -3600);
    ASN1_TIME *then = X509_gmtime_adj(NULL, 24 * 3600L);

    check(list != NULL && now != NULL && then != NULL);
    check(X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer->certificate)) == 1);
    check(X509_CRL_set1_lastUpdate(list, now) == 1);
    check(X509_CRL_set1_nextUpdate(list, then) == 1);
    if (of != NULL) {
        X509_REVOKED *entry = X509_REVOKED_new();

        check(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(of->certificate)) == 1);
        check(X509_REVOKED_set_revocationDate(entry, now) == 1);
        check(X509_CRL_add0_revoked(list, entry) == 1);
    }
    check(X509_CRL_sort(list) == 1);
    check(X509_CRL_sign(list, issuer->key, EVP_sha256()) > 0);
    ASN1_TIME_free(now);
    ASN1_TIME_free(then);
    X509_CRL_free(issuer->revoked);
    issuer->revoked = list;
}

void forge_write(const struct forge *forge, const char *path, bool is_key)
{
    FILE *file = fopen(path, "ae");

    check(file != NULL);
    if (is_key)
        check(PEM_write_PrivateKey(file, forge->key, NULL, NULL, 0, NULL, NULL) == 1);
    else
        check(PEM_write_X509(file, forge->certificate) == 1);
    check(fclose(file) == 0);
}

void forge_write_revoked(const struct forge *issuer, const char *path)
{
    FILE *file = fopen(path, "ae");

    check(file != NULL);
    check(PEM_write_X509_CRL(file, issuer->revoked) == 1);
    check(fclose(file) == 0);
}

void forge_free(struct forge *forge)
{
    EVP_PKEY_free(forge->key);
    X509_free(forge->certificate);
    X509_CRL_free(forge->revoked);
    *forge = (struct forge){0};
}

void forge_digest(const struct forge *forge, unsigned selector, uint8_t out[static 32])
{
    unsigned char *der = NULL;
    int len = selector == 0 ? i2d_X509(forge->certificate, &der) : i2d_PUBKEY(forge->key, &der);
    unsigned digest_len = 0;

    check(len > 0);
    check(EVP_Digest(der, (size_t)len, out, &digest_len, EVP_sha256(), NULL) == 1);
    check(digest_len == 32);
    OPENSSL_free(der);
}
