/*
 * verify.h - what an Authenticated Received Chain is worth (RFC 8617 section 5.2).
 *
 *   header whole --> new --> run, ask, answer ... done --.
 *                      '--> body to the body_hashes --> finish --> verdict
 *
 * One machine behind auth/lookup.h asks for all keys, one after the other: of the newest message
 * signature, of the seals from the newest down, then of older message signatures for oldest-pass.
 * It stops at the first that is of no use. The body goes to the body_hashes that were given, which
 * DKIM's verifier may share.
 *
 * All failures are permanent (section 5.2.1): there is no temperror. What failed only because DNS
 * did not answer is told apart by is_temporary, for those who would rather see the message again.
 *
 * Bounded: ARC_SETS_MAX sets, two keys each. Any thread, one at a time.
 */
#pragma once

#include "auth/dkim/body_hash.h"
#include "auth/lookup.h"

enum arc_status { ARC_NONE, ARC_PASS, ARC_FAIL };

const char *arc_status_name(enum arc_status status); /* "pass": RFC 8601 section 2.7 */

struct arc_verifier;

/* Lives as long as the verifier. */
struct arc_verdict {
    enum arc_status status;
    bool is_temporary;    /* of a fail: a key could not be had for now */
    unsigned count;       /* sets; of a broken chain the highest instance */
    unsigned oldest_pass; /* of a pass: header.oldest-pass (section 6); 0: all signatures hold */
    struct bytes chain;   /* the seals, newest first, as of section 7.2.2: "as[1].d=a.example
                             as[1].s=x"; empty where none could be read */
    struct bytes reason;  /* a phrase in printable ASCII */
};

/* One set of a chain, for those who trust its sealer. */
struct arc_link {
    struct bytes domain, selector; /* of the seal */
    struct bytes
        results; /* authserv-id and results, as they came; of a pass alone to be believed */
};

/* `header` is whole, and with `hashes` outlives it. To be called before the body's first octet. */
struct arc_verifier *arc_verifier_new(const struct mail_header *header, struct body_hashes *hashes,
                                      int64_t wall_ms);
void arc_verifier_free(struct arc_verifier **verifier);
must_use enum check_step arc_verifier_run(struct arc_verifier *verifier,
                                          struct lookup *question_out);
void arc_verifier_answer(struct arc_verifier *verifier, const struct lookup_answer *answer);
/* Once done and the hashes are finished. */
const struct arc_verdict *arc_verifier_verdict(struct arc_verifier *verifier);
/* Instance 1 to verdict->count; false where it has no readable seal. */
must_use bool arc_verifier_link(const struct arc_verifier *verifier, unsigned instance,
                                struct arc_link *out);
