/*
 * signature.h - what a signature field says: DKIM-Signature (RFC 6376 section 3.5) and its kin of
 * ARC (RFC 8617 section 4.1), which lack some tags.
 *
 * Slices point into the field, but for domain and selector, which are in the arena as DNS has
 * them: A-labels, lower case (RFC 8616 section 5). Pure functions over bytes.
 */
#pragma once

#include "auth/dkim/algorithm.h"
#include "auth/dkim/canonical.h"
#include "auth/tag_list.h"
#include "base/arena.h"

enum signature_kind {
    SIGNATURE_DKIM,
    SIGNATURE_ARC_MESSAGE, /* no v=; i= is the instance, which the caller reads */
    SIGNATURE_ARC_SEAL,    /* and no h=, bh=, c=, l= */
};

struct dkim_signature {
    /* What could be read, also of a signature that is refused; else empty. */
    struct bytes domain;    /* d= */
    struct bytes selector;  /* s= */
    struct bytes algorithm; /* a= as given */
    /* Only of one that is not refused. */
    enum signature_algorithm key_algorithm;
    enum canonical_form header_form, body_form;
    struct bytes names;     /* h= */
    struct bytes identity;  /* i=, as given; empty without */
    bool identity_is_below; /* its domain is a sub-domain of d= */
    bool has_length;
    uint64_t length;             /* l= */
    struct bytes body_hash;      /* bh=, decoded, in the arena */
    struct bytes signature;      /* b=, decoded, in the arena */
    struct bytes signature_text; /* b= as given */
    struct bytes without;        /* the span of b=, to be left out of the hash */
    bool has_time, has_expiry;
    uint64_t time_s, expiry_s; /* t=, x= */
};

enum { SIGNATURE_ARENA = 4096 }; /* bytes of the arena that one needs at most */

/* `value` is the field's, as it came. False, with a reason in words, where it cannot be used: not
 * the syntax, something required is missing or unknown, i= outside of d=, no From in h=. Whether it
 * has expired is not asked here. */
must_use bool dkim_signature_parse(enum signature_kind kind, struct bytes value,
                                   struct arena *arena, struct dkim_signature *out,
                                   const char **reason_out);
