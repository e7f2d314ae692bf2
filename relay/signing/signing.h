/*
 * signing.h - one message's DKIM signatures, from its first byte on its way in to the fields that
 * are put before it.
 *
 *   begin --> content... --> finish --> [keys are read] --> [a turn has time] --> done
 *                 |
 *                 '-- the header is whole: From says the domain, the directory which keys
 *
 * Content is given as it is stored, for so it leaves. The domains that sign are those of the
 * addresses in From, in their order, or the one above that allows sub-domains
 * (directory/snapshot.h); each signs with every key of its that is active, up to
 * SIGNING_DOMAINS_MAX of them and as many signatures as dkim_sign() makes. A tenant's mail is
 * signed for domains of that tenant. Our own (notifications) is signed for whose domain it is.
 *
 * What is to be signed and cannot be is not sent without: the result is a refusal, for now where a
 * key cannot be had, for good where the header is larger than what can be signed. What a domain is
 * not asked for (another's, or one that is not active) is no failure, and `word` says why.
 *
 * Thread: the engine's.
 */
#pragma once

#include "signing/signer.h"
#include "smtp/verdict.h"

struct signing;

enum {
    SIGNING_FIELDS_MAX = 32 * 1024, /* bytes put before a message */
    SIGNING_DOMAINS_MAX = 4,        /* with two keys each that is all there may be */
};

struct signing_result {
    struct verdict verdict; /* OK: it may leave, with `fields` before it */
    const char *word;    /* "signed"; or why not: "no-from", "no-domain", "domain-pending", "key",
                             * "header" */
    struct bytes fields; /* whole fields; empty where it is not signed */
    struct bytes domain; /* d= of the first; empty */
    struct bytes selectors; /* "rp1r,rp1e", its own; empty */
};

/* `tenant` is a name, empty of our own mail; copied. NULL: no memory. */
must_use struct signing *signing_begin(struct signer *signer, struct bytes tenant);
void signing_content(struct signing *signing, struct bytes run);
/*
 * All content was given. `prefix` are whole fields that go before it; it is looked at until done().
 * done() is called once, before this returns or later; what it is told lives until signing_free().
 */
void signing_finish(struct signing *signing, struct bytes prefix,
                    void (*done)(void *context, const struct signing_result *result),
                    void *context);
size_t signing_memory(const struct signing *signing); /* what it takes of the process */
/* At any time; done() is not called any more. NULL is fine. */
void signing_free(struct signing **signing);

/* "signed shop.example rp1r,rp1e", as messages carry it (queue/tail.h), and what it says. */
must_use bool signing_put_words(const struct signing_result *result, struct buf *out);
