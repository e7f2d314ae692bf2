/*
 * signature_check.h - one signature: is it usable, what is its key, does it match a digest.
 *
 *   start --> [asks for the key --> answer] --> done --> signature_check_verify()
 *
 * The verifiers of DKIM and of ARC have one for each of their signatures (lookup.h says how a check
 * asks). What is known to be unusable asks nothing. Any thread, one at a time.
 */
#pragma once

#include "auth/dkim/key_record.h"
#include "auth/dkim/signature.h"

/* RFC 8601 section 2.7.1. */
enum dkim_result {
    DKIM_NONE, /* not of a signature: the message has none */
    DKIM_PASS,
    DKIM_FAIL,      /* body or signature do not match */
    DKIM_POLICY,    /* matches, and is not accepted: the key is too short */
    DKIM_NEUTRAL,   /* not looked at, for a bound of ours */
    DKIM_TEMPERROR, /* the key could not be had for now */
    DKIM_PERMERROR, /* signature or key cannot be used */
};

const char *dkim_result_name(enum dkim_result result);

struct signature_check {
    struct dkim_signature signature;
    /* DKIM_NONE until it is known to be something else than a pass or a fail. */
    enum dkim_result result;
    const char *reason; /* a static text */
    unsigned key_bits;  /* of the key that matched, or of the first one; 0: no usable key */
    bool is_testing;    /* that key's t=y */
    /* private */
    bool has_asked, has_keys;
    struct bytes key_name;
    struct dkim_public_keys keys;
};

/* Reads the signature. The arena lives as long as the check. */
void signature_check_start(struct signature_check *check, enum signature_kind kind,
                           struct bytes value, int64_t wall_ms, struct arena *arena);
/* As a bound of ours, or another reason, has it that nothing is looked at. */
void signature_check_settle(struct signature_check *check, enum dkim_result result,
                            const char *reason);
enum check_step signature_check_run(struct signature_check *check, struct lookup *question_out);
void signature_check_answer(struct signature_check *check, const struct lookup_answer *answer);
/* Once done: settles what is not settled yet, by the digest of the header and of the body (NULL:
 * it is shorter than l=; not looked at of an ARC seal). */
void signature_check_verify(struct signature_check *check,
                            const uint8_t header_digest[static DKIM_HASH_LEN],
                            const uint8_t *body_digest);
void signature_check_free(struct signature_check *check);
