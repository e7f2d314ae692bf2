/* algorithm.c - names, and the one hash. */
#include "auth/dkim/algorithm.h"

#include <pthread.h>

#include <openssl/evp.h>

static const struct {
    const char *name, *key_type;
} algorithms[] = {
    [SIGNATURE_RSA_SHA256] = {"rsa-sha256", "rsa"},
    [SIGNATURE_ED25519_SHA256] = {"ed25519-sha256", "ed25519"},
};

const char *signature_algorithm_name(enum signature_algorithm algorithm)
{
    return algorithms[algorithm].name;
}

const char *signature_key_type(enum signature_algorithm algorithm)
{
    return algorithms[algorithm].key_type;
}

static EVP_MD *sha256;

static void fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    check(sha256 != NULL);
}

const struct evp_md_st *dkim_sha256(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, fetch);
    return sha256;
}

EVP_MD_CTX *dkim_hash_begin(void)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();

    check(hash != NULL && EVP_DigestInit_ex2(hash, dkim_sha256(), NULL) == 1);
    return hash;
}

void dkim_hash_update(void *hash, struct bytes run)
{
    check(EVP_DigestUpdate(hash, run.ptr, run.len) == 1);
}
