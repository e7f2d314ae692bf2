/*
 * verify.h - the DKIM signatures of a received message and what each is worth (RFC 6376 section 6).
 *
 *   header whole --> new --> each check: run, ask, answer ... done --.
 *                      '--> body to the body_hashes --> finish -------'--> verdicts
 *
 * There is one check a signature field, from the top down, numbered from 0, also for those that
 * cannot be read. They ask each for itself (lookup.h), side by side and while the body arrives. The
 * body goes to the body_hashes that were given, which ARC's verifier may share.
 *
 * Bounded: DKIM_SIGNATURES_MAX signatures are looked at, the first ones; all others, and all where
 * the header was cut, are neutral. An l= is honoured (RFC 6376 section 3.5) and told: what stands
 * behind its octets is nobody's word, and whoever acts on a pass looks at body_is_partial.
 * Any thread, one at a time.
 */
#pragma once

#include "auth/dkim/body_hash.h"
#include "auth/dkim/signature_check.h"

enum { DKIM_SIGNATURES_MAX = 20 };

struct dkim_verifier;

struct dkim_verdict {
    enum dkim_result result;
    /* What could be read of it; empty where nothing could. They live as long as the verifier. */
    struct bytes domain;         /* d=: A-labels, lower case */
    struct bytes selector;       /* s=: the same */
    struct bytes algorithm;      /* a=, a word; empty where it is none */
    struct bytes identity;       /* i=, as given; empty without */
    struct bytes signature_text; /* b=, as given, for header.b of RFC 6008 */
    struct bytes reason;         /* a sentence without its stop: why it is not a pass, or a note */
    unsigned key_bits;           /* 0: no key was found */
    bool is_testing;             /* the key's t=y: a pass is not to be relied upon either */
    bool body_is_partial;        /* l= covers less than the body: */
    uint64_t body_signed, body_size; /* octets, canonical */
};

/* `header` is whole, and with `hashes` outlives it. To be called before the body's first octet. */
struct dkim_verifier *dkim_verifier_new(const struct mail_header *header,
                                        struct body_hashes *hashes, int64_t wall_ms);
void dkim_verifier_free(struct dkim_verifier **verifier);
size_t dkim_verifier_count(const struct dkim_verifier *verifier); /* 0: "none" */
enum check_step dkim_verifier_run(struct dkim_verifier *verifier, size_t number,
                                  struct lookup *question_out);
void dkim_verifier_answer(struct dkim_verifier *verifier, size_t number,
                          const struct lookup_answer *answer);
/* Once that check is done and the hashes are finished. */
const struct dkim_verdict *dkim_verifier_verdict(struct dkim_verifier *verifier, size_t number);
