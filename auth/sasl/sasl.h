/*
 * sasl.h - one login, the server's side (RFC 4422): PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 and
 * SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677).
 *
 *   sasl_start --> sasl_prompt or sasl_respond, then sasl_respond again and again:
 *                    |  SASL_CHALLENGE: sasl_challenge() is to be sent, and answered
 *                    |  SASL_ASKS_SECRET, SASL_ASKS_KEYS: the owner looks it up, at once or later,
 *                    |     then sasl_answer_secret() or sasl_answer_keys(), which go on alike
 *                    '--> SASL_DONE, SASL_REFUSED, SASL_MALFORMED: over
 *
 * Messages come and go as they are; who carries them has their base64. Everything is bounded.
 * Compares take as long whatever they find, and an unknown user takes the same way as a known one
 * with the wrong secret: SCRAM shows him a salt that stays the same.
 *
 * Who wants to act for somebody else than he logs in as is refused.
 *
 * Pure but for the memory of its buffers. Thread: any one at a time.
 */
#pragma once

#include "auth/sasl/keys.h"
#include "base/buf.h"

/* In the order in which a server offers them: the best first. */
enum sasl_mechanism {
    SASL_SCRAM_SHA_256_PLUS,
    SASL_SCRAM_SHA_256,
    SASL_PLAIN,
    SASL_LOGIN,
};
enum { SASL_MECHANISM_COUNT = SASL_LOGIN + 1 };

const char *sasl_mechanism_name(enum sasl_mechanism mechanism);
/* In any case. False: none has that name. */
must_use bool sasl_mechanism_find(struct bytes name, enum sasl_mechanism *mechanism_out);

enum {
    SASL_SECRET_MAX = 255,    /* RFC 4616 section 2 */
    SASL_RESPONSE_MAX = 4096, /* no message of a client that is any good is longer */
    SASL_CHALLENGE_MAX = 372, /* ours: in base64 it is a reply of 512 bytes */
    SASL_BINDING_MAX = 64,
    SASL_NONCE_MAX = 64,
};

/* What a login can be bound to; empty: not there, and without both -PLUS is not offered. */
struct sasl_channel {
    struct bytes exporter; /* tls-exporter, RFC 9266: 32 bytes */
    struct bytes
        end_point; /* tls-server-end-point, RFC 5929 section 4: a hash of the certificate */
};

struct sasl_settings {
    struct sasl_channel channel; /* copied */
    struct bytes fake_key;       /* secret, the same for as long as the stored salts are; copied */
    uint8_t fake_salt_len;       /* as the stored ones have */
    uint32_t fake_iterations;
    struct bytes
        nonce; /* SCRAM: fresh for every login, 128 random bits or more, printable and without
                           a comma; copied */
};

enum sasl_step {
    SASL_CHALLENGE,
    SASL_ASKS_SECRET, /* is sasl_secret() that of sasl_user()? */
    SASL_ASKS_KEYS,   /* what is stored for sasl_user()? */
    SASL_DONE,        /* the client is sasl_user() */
    SASL_REFUSED,     /* it is not, or may not log in in this way */
    SASL_MALFORMED,   /* what it said is no message of the mechanism */
};

struct sasl {
    enum sasl_mechanism mechanism;
    uint8_t state;
    bool is_known;   /* SCRAM: the keys are somebody's */
    bool is_refused; /* decided before: told at the end, as for a wrong secret */
    size_t user_len, secret_len;
    uint8_t user[SASL_USER_MAX + 1], secret[SASL_SECRET_MAX + 1];
    struct sasl_settings settings; /* slices point into: */
    uint8_t exporter[SASL_BINDING_MAX], end_point[SASL_BINDING_MAX];
    uint8_t fake_key[SASL_KEY_LEN], nonce[SASL_NONCE_MAX];
    struct sasl_keys keys;
    struct buf challenge;
    struct buf binding;         /* SCRAM: what the client's last message must have as c= */
    struct buf transcript;      /* SCRAM: its AuthMessage, as far as it went */
    size_t nonce_at, nonce_len; /* of the transcript: both sides' */
};

void sasl_start(struct sasl *sasl, enum sasl_mechanism mechanism,
                const struct sasl_settings *settings);
/* The client sent no initial response: asks for it. Once, before anything else. */
enum sasl_step sasl_prompt(struct sasl *sasl);
/* A response, the initial one too. It may be empty. */
enum sasl_step sasl_respond(struct sasl *sasl, struct bytes response);
enum sasl_step sasl_answer_secret(struct sasl *sasl, bool is_right);
/* NULL: there is no such user, or he has none. Copied. */
enum sasl_step sasl_answer_keys(struct sasl *sasl, const struct sasl_keys *keys);

struct bytes sasl_challenge(const struct sasl *sasl); /* may be empty */
/* Prepared (RFC 4013); of a client that did not prove it, before SASL_DONE. Empty: not known. */
static inline struct bytes sasl_user(const struct sasl *sasl)
{
    return bytes_range(sasl->user, sasl->user_len);
}
struct bytes sasl_secret(const struct sasl *sasl); /* with SASL_ASKS_SECRET; else ptr NULL */

void sasl_end(struct sasl *sasl); /* wipes it and frees its buffers */
