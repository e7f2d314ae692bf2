/*
 * key_record.h - public keys as DNS has them (RFC 6376 section 3.6.1, RFC 8463 section 4).
 *
 * A name should have one record. Where it has several, each that is a usable key of the algorithm
 * is tried, up to a bound: the owner may be changing keys. Any thread, one at a time an object.
 */
#pragma once

#include "auth/dkim/algorithm.h"
#include "auth/lookup.h"

enum {
    KEY_RECORD_MAX = 16 * 1024, /* octets of a record */
    KEY_BITS_ACCEPTED = 1024,   /* RSA below that is never a pass: RFC 8301 section 3.2 */
    KEY_BITS_MAX = 8192,        /* RSA above that is not used */
    KEYS_MAX = 4,               /* tried of one name */
};

struct dkim_public_key {
    struct evp_pkey_st *pkey;
    unsigned bits;
    bool is_testing; /* t=y */
    bool is_strict;  /* t=s: i= must be of d= itself */
};

struct dkim_public_keys {
    size_t count;
    struct dkim_public_key keys[KEYS_MAX];
};

/* One record. False, with a reason in words: not a key, revoked, of another type, unusable. */
must_use bool dkim_key_record_parse(struct bytes text, enum signature_algorithm algorithm,
                                    struct dkim_public_key *out, const char **reason_out);
void dkim_public_key_free(struct dkim_public_key *key);
/* All usable keys among the records found; false, with the reason of the first, where none is. */
must_use bool dkim_public_keys_read(const struct lookup_answer *answer,
                                    enum signature_algorithm algorithm,
                                    struct dkim_public_keys *out, const char **reason_out);
void dkim_public_keys_free(struct dkim_public_keys *keys);
/* Is it this key's signature of the SHA-256 `digest`? */
must_use bool dkim_public_key_verify(const struct dkim_public_key *key,
                                     enum signature_algorithm algorithm,
                                     const uint8_t digest[static DKIM_HASH_LEN],
                                     struct bytes signature);
