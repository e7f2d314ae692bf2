/*
 * verification.h - all checks of one received message, side by side on the engine: SPF of both
 * identities, iprev, DKIM, ARC, DMARC.
 *
 *   start --> SPF, iprev ask                        at MAIL
 *   header --> keys of DKIM and ARC, DMARC's policy at the end of the header
 *   body, finish --> signatures are compared; DMARC aligns once SPF and DKIM are known
 *   done() once every check is done, or the time is over
 *
 * DNS has one deadline and one sum of questions for all of them; past either, what is still asked
 * is LOOKUP_FAILED, and so ends as temperror. The same question of several checks is one of the
 * resolver's. Bodies are hashed once for all signatures of a form.
 *
 * Thread: the engine's. done() is never called from inside a call of here.
 */
#pragma once

#include "auth/arc/verify.h"
#include "auth/dkim/verify.h"
#include "auth/dmarc/dmarc.h"
#include "auth/iprev.h"
#include "auth/spf/spf.h"
#include "dns/resolver.h"
#include "io/address.h"

enum {
    VERIFICATION_DEADLINE_MS = 20000, /* what deadline_ms = 0 stands for */
    VERIFICATION_QUESTIONS_MAX = 400, /* what questions_max = 0 stands for */
};

/* A question that was answered; told in the order of the answers. */
struct verification_trace {
    const char *check; /* "spf", "helo", "iprev", "dkim", "arc", "dmarc" */
    size_t number;     /* of the signature, from 0 */
    const struct lookup *lookup;
    const struct lookup_answer *answer;
    const char *why; /* LOOKUP_FAILED: a static string; else NULL */
};

struct verification;

struct verification_settings {
    struct bytes hostname; /* for %{r} */
    unsigned deadline_ms;
    unsigned questions_max;
    int64_t wall_ms; /* when the message came */
    void (*trace)(void *context, const struct verification_trace *trace); /* or NULL */
    void (*done)(void *context, struct verification *verification);
    void *context;
};

struct verification_request {
    struct address client;  /* zeroed: not known; SPF and iprev are "none" */
    struct bytes helo;      /* any text */
    struct bytes mail_from; /* any text, without brackets; empty: the null path */
};

/* Copies what it keeps of both. The resolver outlives it. */
struct verification *verification_start(struct resolver *resolver,
                                        const struct verification_settings *settings,
                                        const struct verification_request *request);
/* The header is whole; it outlives the verification. Before the body's first octet. */
void verification_header(struct verification *verification, const struct mail_header *header);
void verification_body(struct verification *verification, struct bytes body);
/* The body has ended. */
void verification_finish(struct verification *verification);
/* At any time, also before done(), which is not called then. */
void verification_free(struct verification **verification);

/* --- once done: all live as long as the verification ------------------------------------------ */

const struct spf_result *verification_spf(const struct verification *verification);
const struct spf_result *verification_helo(const struct verification *verification);
const struct iprev_check *verification_iprev(const struct verification *verification);
size_t verification_dkim_count(const struct verification *verification);
const struct dkim_verdict *verification_dkim(const struct verification *verification,
                                             size_t number);
const struct arc_verdict *verification_arc(const struct verification *verification);
/* The newest set of a chain that passed; false: there is none. */
must_use bool verification_arc_link(const struct verification *verification, struct arc_link *out);
/* Why it is no pass, or what is to be known of one that is; empty: nothing. */
struct bytes verification_dkim_reason(const struct verification *verification, size_t number);
const struct dmarc *verification_dmarc(const struct verification *verification);
/* What DMARC compared, in the order SPF, DKIM from the top down; *count_out of them. */
const struct dmarc_identifier *verification_identifiers(const struct verification *verification,
                                                        size_t *count_out);
unsigned verification_questions(const struct verification *verification);

/* The field of RFC 8601 that says all of it, with its CRLF. False: `out` is full. */
must_use bool verification_write(const struct verification *verification, struct bytes id,
                                 struct buf *out);
