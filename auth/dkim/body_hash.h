/*
 * body_hash.h - the hashes of a body that signatures ask for, made while it arrives.
 *
 * One of these serves all signatures of a message, DKIM's and ARC's: a body is canonicalised and
 * hashed once a form, and what l= limits to its first octets is taken from the same hash on the
 * way. Wants come before the first octet of the body.
 * Any thread, one at a time.
 */
#pragma once

#include "auth/dkim/algorithm.h"
#include "auth/dkim/canonical.h"

enum { BODY_HASH_WANTS_MAX = 64 };
#define BODY_HASH_WHOLE UINT64_MAX /* no l= */

struct body_hash_want {
    enum canonical_form form;
    uint64_t length; /* octets of the canonical form, from its start */
    bool is_made;
    uint8_t digest[DKIM_HASH_LEN];
};

struct body_hashes {
    /* private */
    size_t count;
    bool is_finished;
    struct body_hash_want wants[BODY_HASH_WANTS_MAX];
    struct body_hash_form {
        struct body_hashes *hashes;
        struct evp_md_ctx_st *state; /* NULL: nobody wants this form */
        uint64_t hashed;             /* octets */
        uint64_t next;               /* the least length above that somebody wants */
        struct canonical_body body;
    } forms[2];
};

void body_hashes_init(struct body_hashes *hashes);
void body_hashes_free(struct body_hashes *hashes);
/* A number to ask for the digest with; the same for the same. -1: too many are wanted. */
must_use int body_hashes_want(struct body_hashes *hashes, enum canonical_form form,
                              uint64_t length);
void body_hashes_feed(struct body_hashes *hashes, struct bytes body);
void body_hashes_finish(struct body_hashes *hashes); /* the body has ended */
/* After body_hashes_finish(). NULL: the body is shorter than that length. */
const uint8_t *body_hashes_digest(const struct body_hashes *hashes, int want);
/* After body_hashes_finish(): octets of the body in a form that is wanted. */
uint64_t body_hashes_size(const struct body_hashes *hashes, enum canonical_form form);
