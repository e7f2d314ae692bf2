/*
 * record.h - what a DMARC record says (RFC 9989 section 4.7).
 *
 * A record begins with "v=DMARC1". Behind that, tags that are unknown, historic (pct, rf, ri) or
 * broken are passed over and their defaults hold; a tag that stands twice makes the text no record
 * (RFC 6376 section 3.2). Names of tags and values of these compare without case, that of v with.
 * Pure functions over bytes.
 */
#pragma once

#include "base/bytes.h"

enum dmarc_policy {
    DMARC_POLICY_NONE,
    DMARC_POLICY_QUARANTINE,
    DMARC_POLICY_REJECT,
};

enum dmarc_psd { DMARC_PSD_UNKNOWN, DMARC_PSD_NO, DMARC_PSD_YES };

struct dmarc_record {
    /* Without a valid p, or with an sp or np that is none, and no address for reports, a record
     * says nothing of mail; with one it is as p=none (section 4.7). Where it stands in the tree
     * counts all the same. */
    bool has_policy;
    enum dmarc_policy p, sp, np;        /* sp falls back to p, np to sp */
    bool is_strict_dkim, is_strict_spf; /* adkim, aspf */
    bool is_testing;                    /* t=y */
    enum dmarc_psd psd;
    struct bytes rua, ruf, fo; /* as they stand in the text, trimmed; empty: none */
};

/* False: no DMARC record. Slices point into the text. */
must_use bool dmarc_record_parse(struct bytes text, struct dmarc_record *out);

const char *dmarc_policy_name(enum dmarc_policy policy);
