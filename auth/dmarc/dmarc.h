/*
 * dmarc.h - whether the author's domain stands behind a message, and what is to be done with one it
 * does not stand behind (RFC 9989).
 *
 * Two runs. The first finds the policy and needs nothing but From, so it can go beside SPF and
 * DKIM; the second, once these are known, compares domains:
 *
 *     dmarc_start(&dmarc, &authors);
 *     ... run until CHECK_DONE, each question answered
 *     dmarc_judge(&dmarc, identifiers, count);
 *     ... run until CHECK_DONE
 *
 * Several author domains, or several From fields, never pass: the strictest policy of the first
 * AUTHOR_DOMAINS_MAX domains applies. Without a domain, or without a record, DMARC says nothing.
 * A failed look-up makes it temperror; in the second run, and in SPF and DKIM, only if nothing else
 * passes.
 *
 * Bounds: eight questions and one for an author domain; eight for an identifier below the author's
 * organisation, DMARC_IDENTIFIERS_MAX of these.
 */
#pragma once

#include "auth/dmarc/author.h"
#include "auth/dmarc/walk.h"

enum { DMARC_IDENTIFIERS_MAX = 16, DMARC_QUESTION_MAX = 8 + AUTHOR_DOMAIN_MAX };

enum dmarc_result {
    DMARC_NONE,
    DMARC_PASS,
    DMARC_FAIL,
    DMARC_TEMPERROR,
};

/* What SPF or DKIM has shown to be true, or might have: one that is aligned and temporary makes
 * temperror of what else would be a fail. */
struct dmarc_identifier {
    bool is_dkim;
    bool is_temporary;   /* its check ended in temperror */
    struct bytes domain; /* lower-case A-labels; lives until the second run is done */
    bool is_aligned;     /* out */
};

struct dmarc {
    enum dmarc_result result;      /* after the first run: FAIL, unless it is known to be another */
    bool has_policy;               /* else the rest says nothing */
    enum dmarc_policy policy;      /* as published for this author: p, sp or np */
    const char *policy_tag;        /* "p", "sp" or "np" */
    enum dmarc_policy disposition; /* NONE unless result is FAIL */
    struct author_domain domain;   /* whose record it is */
    struct author_domain author;   /* for whom it was found */
    struct dmarc_record record;    /* without rua, ruf, fo */
    const char *why;               /* a static string */

    /* private */
    const struct authors *authors;
    unsigned author_number;
    struct walk walk;    /* from the author domain */
    struct walk walk_up; /* from an identifier */
    bool is_authors_own; /* the record stands at the author domain */
    struct dmarc_identifier *identifiers;
    size_t identifier_count, identifier_number;
    bool has_failed;
    uint8_t state;
    size_t question_len;
    uint8_t question[DMARC_QUESTION_MAX];
};

/* `authors` is finished and lives until the last run is done. */
void dmarc_start(struct dmarc *dmarc, const struct authors *authors);
/* CHECK_ASKS: *lookup_out is to be answered before it is run again. */
must_use enum check_step dmarc_run(struct dmarc *dmarc, struct lookup *lookup_out);
void dmarc_answer(struct dmarc *dmarc, const struct lookup_answer *answer);
/* After the first run. Identifiers past DMARC_IDENTIFIERS_MAX are compared by name alone. */
void dmarc_judge(struct dmarc *dmarc, struct dmarc_identifier *identifiers, size_t count);

const char *dmarc_result_name(enum dmarc_result result);
