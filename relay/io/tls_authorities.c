/* tls_authorities.c - a store of X.509 that is filled once. */
#include "io/tls_authorities.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/tls_private.h"

static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    return text != NULL ? text : "unknown error";
}

/* Adds all certificates and lists of the text; false: one of them cannot be used. */
static bool add_all(struct tls_authorities *authorities, BIO *bio)
{
    STACK_OF(X509_INFO) *all = PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL);
    bool is_good = all != NULL;

    for (int i = 0; is_good && i < sk_X509_INFO_num(all); i++) {
        const X509_INFO *info = sk_X509_INFO_value(all, i);

        if (info->x509 != NULL) {
            is_good = X509_STORE_add_cert(authorities->store, info->x509) == 1;
            authorities->count++;
        }
        if (is_good && info->crl != NULL) {
            is_good = X509_STORE_add_crl(authorities->store, info->crl) == 1;
            authorities->has_revoked = true;
        }
    }
    sk_X509_INFO_pop_free(all, X509_INFO_free);
    return is_good;
}

static bool load_file(struct tls_authorities *authorities, const char *path,
                      char why[static TLS_WHY_MAX])
{
    BIO *bio = tls_read_file(path, why);

    if (bio == NULL)
        return false;
    bool is_good = add_all(authorities, bio);

    BIO_free(bio);
    if (!is_good)
        snprintf(why, TLS_WHY_MAX, "%s: cannot be read: %s", path, reason());
    else if (authorities->count == 0)
        snprintf(why, TLS_WHY_MAX, "%s: holds no certificate in PEM", path);
    else if (authorities->has_revoked)
        check(X509_STORE_set_flags(authorities->store,
                                   X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1);
    return is_good && authorities->count > 0;
}

/* One file: of a directory OpenSSL reads what it needs when it needs it, on the engine. */
static const char *path_of_system(void)
{
    const char *paths[] = {
        getenv(X509_get_default_cert_file_env()), X509_get_default_cert_file(),
        "/etc/ssl/certs/ca-certificates.crt", /* Debian's, and who follows it */
        "/etc/pki/tls/certs/ca-bundle.crt",       "/etc/ssl/ca-bundle.pem",
    };

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (paths[i] != NULL && access(paths[i], R_OK) == 0)
            return paths[i];
    return NULL;
}

struct tls_authorities *tls_authorities_load(const char *path, char why[static TLS_WHY_MAX])
{
    struct tls_authorities *authorities = calloc(1, sizeof(*authorities));
    bool is_good;

    check(authorities != NULL);
    atomic_init(&authorities->references, 1);
    ERR_clear_error();
    authorities->store = X509_STORE_new();
    check(authorities->store != NULL);
    if (path == NULL)
        path = path_of_system();
    is_good = path == NULL || load_file(authorities, path, why);
    ERR_clear_error();
    if (!is_good)
        tls_authorities_release(&authorities);
    return authorities;
}

struct tls_authorities *tls_authorities_keep(struct tls_authorities *authorities)
{
    unsigned before = atomic_fetch_add(&authorities->references, 1);

    check(before > 0);
    return authorities;
}

void tls_authorities_release(struct tls_authorities **authorities)
{
    struct tls_authorities *released = *authorities;

    *authorities = NULL;
    if (released == NULL || atomic_fetch_sub(&released->references, 1) > 1)
        return;
    X509_STORE_free(released->store);
    free(released);
}

size_t tls_authorities_count(const struct tls_authorities *authorities)
{
    return authorities->count;
}
