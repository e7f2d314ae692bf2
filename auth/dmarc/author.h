/*
 * author.h - the author domains of a message: those of the addresses in From (RFC 9989
 * section 3.2.2, RFC 5322 section 3.6.2).
 *
 * A message has one From field with addresses of one domain, or it can never pass DMARC. Domains
 * come out as A-labels in lower case; a name that only DNS could tell from a host's is one too, for
 * readers show it.
 *
 * A field that is no address list is read as its readers read it: what stands behind each "@" is a
 * domain. So a comma too many ("Doe, John <x@bank.example>") or a dot too many hides no author from
 * the policy of his domain, and several domains never pass here either.
 *
 * Pure functions over bytes.
 */
#pragma once

#include "base/bytes.h"

enum {
    AUTHOR_DOMAINS_MAX = 4, /* more are counted and not kept */
    AUTHOR_DOMAIN_MAX = 255,
};

struct author_domain {
    size_t len;
    uint8_t text[AUTHOR_DOMAIN_MAX];
};

struct authors {
    unsigned fields;                                  /* From fields */
    unsigned addresses;                               /* in all of them */
    unsigned domain_count;                            /* different ones, kept or not */
    bool has_other;                                   /* an address whose domain is none: "[...]" */
    bool is_broken;                                   /* a field is no list of addresses */
    struct author_domain domains[AUTHOR_DOMAINS_MAX]; /* in order */
    const char *why; /* why there is no single author domain, a static string; NULL: there is one */
};

void authors_init(struct authors *authors);
/* A From field: what stands behind its colon. To be called for each, in order. */
void authors_add(struct authors *authors, struct bytes value);
/* All fields were added; sets `why`. */
void authors_finish(struct authors *authors);

static inline struct bytes author_domain(const struct authors *authors, unsigned number)
{
    return bytes_range(authors->domains[number].text, authors->domains[number].len);
}

/* A domain as DNS is asked for it: lower case, A-labels for U-labels; a final dot is refused.
 * False: it is none. */
must_use bool author_domain_from(struct bytes domain, struct author_domain *out);
