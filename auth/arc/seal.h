/*
 * seal.h - the ARC set of a message that is passed on (RFC 8617 section 5.1).
 *
 *   struct body_hashes hashes;          the body as it leaves
 *   arc_sealer_init(&sealer, &hashes);
 *   body_hashes_feed(&hashes, run) ... body_hashes_finish(&hashes);
 *   arc_seal(&sealer, &header, &request, &out, &reason);
 *
 * The header is the one that leaves, its DKIM signatures included: a set is made last. What is
 * appended to `out` goes before it. Everything is relaxed/relaxed with SHA-256.
 *
 * Any thread, one at a time; keys as private_key.h says.
 */
#pragma once

#include "auth/arc/verify.h"
#include "auth/dkim/private_key.h"

struct arc_sealer {
    /* private */
    struct body_hashes *hashes;
    int want;
};

struct arc_seal_request {
    struct bytes domain, selector; /* d= and s=; A-labels, lower case */
    struct dkim_key *key;
    /* The results of this host: the value of its Authentication-Results, authserv-id first, with
     * its folds. arc= among them should say `status`. */
    struct bytes results;
    enum arc_status status; /* what the chain was worth when it came */
    struct bytes names;     /* h=; empty: what dkim_sign() signs, and DKIM signatures */
    bool is_flat;           /* values are not folded: who compares texts wants that */
    int64_t wall_ms;
};

enum arc_sealing {
    ARC_SEALED,
    ARC_ENDED,   /* nothing is added: the newest seal says cv=fail, or there are ARC_SETS_MAX */
    ARC_REFUSED, /* *reason_out says why */
};

/* Before the body's first octet. */
void arc_sealer_init(struct arc_sealer *sealer, struct body_hashes *hashes);
/* After body_hashes_finish(): appends ARC-Seal, ARC-Message-Signature and
 * ARC-Authentication-Results, each ending in CRLF; nothing unless ARC_SEALED. */
must_use enum arc_sealing arc_seal(const struct arc_sealer *sealer,
                                   const struct mail_header *header,
                                   const struct arc_seal_request *request, struct buf *out,
                                   const char **reason_out);
