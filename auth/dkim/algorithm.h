/*
 * algorithm.h - what signs: RFC 6376 section 3.3 as RFC 8301 and RFC 8463 left it.
 *
 * Both hash with SHA-256; rsa-sha1 is known by name and by nothing else.
 */
#pragma once

#include "base/bytes.h"

enum signature_algorithm { SIGNATURE_RSA_SHA256, SIGNATURE_ED25519_SHA256 };

enum {
    DKIM_HASH_LEN = 32,
    DKIM_SIGNATURE_LEN_MAX = 1024, /* of RSA with 8,192 bits */
};

const char *signature_algorithm_name(enum signature_algorithm algorithm); /* "rsa-sha256" */
const char *signature_key_type(enum signature_algorithm algorithm); /* k= of a key record: "rsa" */
/* SHA-256 of the library, looked up once: by its name each use costs more than a short text. */
const struct evp_md_st *dkim_sha256(void);

/* A hash that is begun; who has it frees it by EVP_MD_CTX_free(). */
struct evp_md_ctx_st *dkim_hash_begin(void);
/* `hash` is one of those: what canonicalised text is handed to. */
void dkim_hash_update(void *hash, struct bytes run);
