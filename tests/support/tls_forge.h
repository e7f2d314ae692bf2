/*
 * tls_forge.h - certificates of every kind for tests: authorities, those below them, revoked ones.
 */
#pragma once

#include <openssl/x509.h>

#include "base/bytes.h"

struct forge {
    EVP_PKEY *key;
    X509 *certificate;
    X509_CRL *revoked;
};

/* P-256, good from a day ago for `days` (negative: expired so many days ago). `issuer` NULL: by
 * itself. `name`: "DNS:mx.example", "IP:127.0.0.1"; NULL: of an authority. */
struct forge forge_make(const struct forge *issuer, const char *name, int days);
/* The issuer says that it does not stand by that one any more. */
void forge_revoke(struct forge *issuer, const struct forge *of);
/* Appends to a PEM file what is not NULL; with the key, the key alone. */
void forge_write(const struct forge *forge, const char *path, bool is_key);
void forge_write_revoked(const struct forge *issuer, const char *path);
void forge_free(struct forge *forge);
/* SHA-256 of its key (selector 1) or of all of it (selector 0). */
void forge_digest(const struct forge *forge, unsigned selector, uint8_t out[static 32]);
