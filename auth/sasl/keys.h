/*
 * keys.h - what is stored of a password for SCRAM-SHA-256 (RFC 5802 section 3, RFC 7677): enough to
 * check a login and to prove ourselves, not enough to log in elsewhere.
 *
 * Pure functions, any thread.
 */
#pragma once

#include "base/bytes.h"

enum {
    SASL_KEY_LEN = 32, /* SHA-256's */
    SASL_SALT_MAX = 32,
    SASL_USER_MAX = 320,        /* bytes: local@domain */
    SASL_ITERATIONS_MIN = 4096, /* RFC 7677 section 4 */
    SASL_ITERATIONS_MAX = 10 * 1000 * 1000,
};

struct sasl_keys {
    uint8_t salt[SASL_SALT_MAX];
    uint8_t salt_len; /* at least 1 */
    uint32_t iterations;
    uint8_t stored_key[SASL_KEY_LEN], server_key[SASL_KEY_LEN];
};

/* From a password that sasl_prepare() has prepared, or that is ASCII. Costs the iterations:
 * milliseconds, so nothing for an engine. False: the salt is empty or too long. */
must_use bool sasl_keys_derive(struct bytes password, struct bytes salt, uint32_t iterations,
                               struct sasl_keys *keys_out);
/* What an unknown user seems to have: always the same for the same name, in any case, and `key`;
 * and nobody's. */
void sasl_keys_fake(struct bytes key, struct bytes user, uint8_t salt_len, uint32_t iterations,
                    struct sasl_keys *keys_out);
