/*
 * dkim_forger.h - signatures with any tags, also those that our signer would never make: good
 * mathematics under wrong words.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "auth/dkim/body_hash.h"
#include "auth/dkim/signed_fields.h"
#include "base/base64.h"

struct forger {
    EVP_PKEY *pkey;
    bool is_rsa;
    char p[1024];    /* p= of its record */
    char bare[1024]; /* of RSA, as RSAPublicKey */
};

struct forgery {
    const char *tags;  /* all but bh= and b=, ending in ";" */
    const char *names; /* as in its h= */
    enum canonical_form header_form, body_form;
    uint64_t length; /* that bh= is of; BODY_HASH_WHOLE: all */
};

static inline void forger_text(char *to, const uint8_t *der, size_t len)
{
    struct buf text;

    buf_init(&text, 1023);
    check(base64_write(bytes_range(der, len), &text));
    memcpy(to, buf_bytes(&text).ptr, buf_len(&text));
    to[buf_len(&text)] = '\0';
    buf_free(&text);
}

/* RSA with so many bits, or Ed25519 with 0. */
static inline void forger_init(struct forger *forger, unsigned bits)
{
    uint8_t raw[32], *der = NULL;
    size_t raw_len = sizeof(raw);

    forger->is_rsa = bits > 0;
    if (!forger->is_rsa) {
        forger->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        check(EVP_PKEY_get_raw_public_key(forger->pkey, raw, &raw_len) == 1);
        forger_text(forger->p, raw, raw_len);
        return;
    }
    forger->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits);
    int len = i2d_PUBKEY(forger->pkey, &der);

    forger_text(forger->p, der, (size_t)len);
    OPENSSL_free(der);
    der = NULL;
    len = i2d_PublicKey(forger->pkey, &der);
    forger_text(forger->bare, der, (size_t)len);
    OPENSSL_free(der);
}

static inline void forger_free(struct forger *forger)
{
    EVP_PKEY_free(forger->pkey);
}

static inline void forger_update(void *context, struct bytes run)
{
    check(EVP_DigestUpdate(context, run.ptr, run.len) == 1);
}

static inline void forger_sign(const struct forger *forger, const uint8_t *digest, struct buf *out)
{
    EVP_PKEY_CTX *rsa = EVP_PKEY_CTX_new_from_pkey(NULL, forger->pkey, NULL);
    EVP_MD_CTX *other = EVP_MD_CTX_new();
    uint8_t signature[1024];
    size_t len = sizeof(signature);

    if (forger->is_rsa)
        check(EVP_PKEY_sign_init(rsa) == 1 &&
              EVP_PKEY_CTX_set_rsa_padding(rsa, RSA_PKCS1_PADDING) == 1 &&
              EVP_PKEY_CTX_set_signature_md(rsa, EVP_sha256()) == 1 &&
              EVP_PKEY_sign(rsa, signature, &len, digest, DKIM_HASH_LEN) == 1);
    else
        check(EVP_DigestSignInit(other, NULL, NULL, NULL, forger->pkey) == 1 &&
              EVP_DigestSign(other, signature, &len, digest, DKIM_HASH_LEN) == 1);
    check(base64_write(bytes_range(signature, len), out));
    EVP_PKEY_CTX_free(rsa);
    EVP_MD_CTX_free(other);
}

/* The fields and the body, hashed as the forgery says; "DKIM-Signature: TAGS bh=..; b=.." and the
 * message go to `out`. */
static inline void forge(const struct forger *forger, const struct forgery *forgery,
                         struct bytes message, struct buf *out)
{
    struct mail_header header;
    struct body_hashes hashes;
    struct bytes rest = message;
    uint8_t digest[DKIM_HASH_LEN];
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    struct canonical_sink sink = {forger_update, state};
    size_t start = buf_len(out);

    mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    mail_header_feed(&header, &rest);
    mail_header_finish(&header);
    body_hashes_init(&hashes);
    int want = body_hashes_want(&hashes, forgery->body_form, forgery->length);
    body_hashes_feed(&hashes, rest);
    body_hashes_finish(&hashes);
    const uint8_t *body = body_hashes_digest(&hashes, want);
    check(buf_printf(out, "DKIM-Signature: %s bh=", forgery->tags));
    check(base64_write(bytes_range(body != NULL ? body : digest, DKIM_HASH_LEN), out));
    check(buf_printf(out, "; b="));

    struct bytes field = bytes_slice(buf_bytes(out), start, buf_len(out));
    struct mail_field own = {.raw = field,
                             .name = bytes_slice(field, 0, 14),
                             .value = bytes_slice(field, 15, field.len)};
    struct field_index *index = field_index_new(&header);

    check(EVP_DigestInit_ex(state, EVP_sha256(), NULL) == 1);
    signed_fields_put(index, bytes_of(forgery->names), NULL, forgery->header_form, sink);
    canonical_field_put(forgery->header_form, &own, BYTES_NONE, false, sink);
    check(EVP_DigestFinal_ex(state, digest, NULL) == 1);
    forger_sign(forger, digest, out);
    check(buf_printf(out, "\r\n") && buf_append(out, message));
    field_index_free(&index);
    body_hashes_free(&hashes);
    mail_header_free(&header);
    EVP_MD_CTX_free(state);
}
