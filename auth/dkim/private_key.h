/*
 * private_key.h - a key that signs: from PEM, to what its record in DNS says.
 *
 * Reading one is not for an engine (it parses and checks); using it is. One thread at a time an
 * object: it keeps what a signature needs ready.
 */
#pragma once

#include "auth/dkim/algorithm.h"
#include "base/buf.h"

enum {
    DKIM_PEM_MAX = 16 * 1024,
    DKIM_RSA_BITS_MIN = 1024, /* RFC 8301 section 3.2 */
    DKIM_RSA_BITS_MAX = 4096,
};

struct dkim_key;

/* Unencrypted PEM, PKCS#8 or "RSA PRIVATE KEY". NULL, with a reason in words ("an RSA key of 512
 * bits; at least 1024 are needed"), for what is no key of ours. */
struct dkim_key *dkim_key_read(struct bytes pem, const char **reason_out);
void dkim_key_free(struct dkim_key **key); /* wiped */
enum signature_algorithm dkim_key_algorithm(const struct dkim_key *key);
unsigned dkim_key_bits(const struct dkim_key *key);
/* Appends the value of p=: base64 of SPKI (RSA) or of 32 octets (Ed25519). */
must_use bool dkim_key_public(const struct dkim_key *key, struct buf *out);
/* Appends the signature's octets; false where the library has no memory or `out` no room. */
must_use bool dkim_key_sign(struct dkim_key *key, const uint8_t digest[static DKIM_HASH_LEN],
                            struct buf *out);
