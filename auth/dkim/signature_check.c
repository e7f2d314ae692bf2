/* signature_check.c - the order of RFC 6376 section 6.1: the field, the key, the hashes. */
#include "auth/dkim/signature_check.h"

#include <string.h>

static const char *const result_names[] = {
    [DKIM_NONE] = "none",           [DKIM_PASS] = "pass",       [DKIM_FAIL] = "fail",
    [DKIM_POLICY] = "policy",       [DKIM_NEUTRAL] = "neutral", [DKIM_TEMPERROR] = "temperror",
    [DKIM_PERMERROR] = "permerror",
};

const char *dkim_result_name(enum dkim_result result)
{
    return result_names[result];
}

void signature_check_settle(struct signature_check *check, enum dkim_result result,
                            const char *reason)
{
    check->result = result;
    check->reason = reason;
}

void signature_check_start(struct signature_check *check, enum signature_kind kind,
                           struct bytes value, int64_t wall_ms, struct arena *arena)
{
    const char *reason;

    *check = (struct signature_check){0};
    if (!dkim_signature_parse(kind, value, arena, &check->signature, &reason))
        signature_check_settle(check, DKIM_PERMERROR, reason);
    else if (check->signature.has_expiry &&
             (uint64_t)MAX(wall_ms / 1000, (int64_t)0) > check->signature.expiry_s)
        signature_check_settle(check, DKIM_PERMERROR, "it has expired");
    else if (!arena_printf(arena, &check->key_name, "%.*s._domainkey.%.*s",
                           BYTES_ARG(check->signature.selector),
                           BYTES_ARG(check->signature.domain)))
        signature_check_settle(check, DKIM_NEUTRAL, "there is no memory for it");
}

enum check_step signature_check_run(struct signature_check *check, struct lookup *question_out)
{
    if (check->result != DKIM_NONE || check->has_asked)
        return CHECK_DONE;
    check->has_asked = true;
    *question_out = (struct lookup){.type = LOOKUP_TXT, .name = check->key_name};
    return CHECK_ASKS;
}

/* t=s is for signatures whose i= is of d= itself (RFC 6376 section 3.6.1). */
static void drop_strict(struct signature_check *check)
{
    struct dkim_public_keys *keys = &check->keys;
    size_t kept = 0;

    for (size_t i = 0; i < keys->count; i++) {
        if (keys->keys[i].is_strict && check->signature.identity_is_below)
            dkim_public_key_free(&keys->keys[i]);
        else
            keys->keys[kept++] = keys->keys[i];
    }
    keys->count = kept;
    if (kept == 0)
        signature_check_settle(check, DKIM_PERMERROR, "the key is not for sub-domains in i=");
}

void signature_check_answer(struct signature_check *check, const struct lookup_answer *answer)
{
    const char *reason;

    if (check->result != DKIM_NONE)
        return;
    switch (answer->result) {
    case LOOKUP_NO_DATA:
    case LOOKUP_NO_NAME:
        signature_check_settle(check, DKIM_PERMERROR, "there is no key for it");
        return;
    case LOOKUP_FAILED:
        signature_check_settle(check, DKIM_TEMPERROR, "its key cannot be had for now");
        return;
    case LOOKUP_FOUND:
        break;
    }
    if (!dkim_public_keys_read(answer, check->signature.key_algorithm, &check->keys, &reason)) {
        signature_check_settle(check, DKIM_PERMERROR, reason);
        return;
    }
    drop_strict(check);
    if (check->keys.count > 0) {
        check->key_bits = check->keys.keys[0].bits;
        check->is_testing = check->keys.keys[0].is_testing;
    }
}

/* The key that matches; NULL: none. */
static const struct dkim_public_key *match(const struct signature_check *check,
                                           const uint8_t *digest)
{
    for (size_t i = 0; i < check->keys.count; i++)
        if (dkim_public_key_verify(&check->keys.keys[i], check->signature.key_algorithm, digest,
                                   check->signature.signature))
            return &check->keys.keys[i];
    return NULL;
}

void signature_check_verify(struct signature_check *check,
                            const uint8_t header_digest[static DKIM_HASH_LEN],
                            const uint8_t *body_digest)
{
    const struct dkim_signature *signature = &check->signature;
    bool has_body = signature->body_hash.len > 0;

    if (check->result != DKIM_NONE)
        return;
    if (has_body && body_digest == NULL) {
        /* RFC 6376 section 3.5: l= must not be larger than the body. */
        signature_check_settle(check, DKIM_FAIL, "the body is shorter than its l=");
        return;
    }
    if (has_body && memcmp(signature->body_hash.ptr, body_digest, DKIM_HASH_LEN) != 0) {
        signature_check_settle(check, DKIM_FAIL, "the body was changed");
        return;
    }
    const struct dkim_public_key *key = match(check, header_digest);
    if (key == NULL) {
        signature_check_settle(check, DKIM_FAIL, "the signature does not match the header");
        return;
    }
    check->key_bits = key->bits;
    check->is_testing = key->is_testing;
    if (signature->key_algorithm == SIGNATURE_RSA_SHA256 && key->bits < KEY_BITS_ACCEPTED)
        signature_check_settle(check, DKIM_POLICY, "its key is too short to prove anything");
    else
        signature_check_settle(check, DKIM_PASS, "it matches");
}

void signature_check_free(struct signature_check *check)
{
    dkim_public_keys_free(&check->keys);
}
