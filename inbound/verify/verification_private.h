/*
 * verification_private.h - what the files of a verification share.
 *
 * Private to verification.c and verification_write.c.
 */
#pragma once

#include "inbound/verify/verification.h"

enum {
    VERIFY_CHECKS_MAX = 5 + DKIM_SIGNATURES_MAX, /* SPF twice, iprev, DMARC, ARC */
    VERIFY_IDENTIFIERS_MAX = DKIM_SIGNATURES_MAX + 1,
};

enum verify_kind {
    VERIFY_SPF,
    VERIFY_HELO,
    VERIFY_IPREV,
    VERIFY_DMARC,
    VERIFY_ARC,
    VERIFY_DKIM,
};

/* One machine and the question it has out, if any. */
struct verify_check {
    struct dns_query query;
    struct verification *verification;
    enum verify_kind kind;
    size_t number;
    struct lookup lookup;
    bool is_done;
};

struct verification {
    struct resolver *resolver;
    struct verification_settings settings; /* defaults filled in */
    struct address client;
    struct bytes helo_name, mail_from;
    struct timeout deadline;
    struct turn_end turn_end;
    unsigned questions;
    bool is_late;     /* no question is asked any more */
    bool is_finished; /* the body has ended */
    bool is_judged;   /* DMARC knows the identifiers */
    bool is_told;
    struct spf_check *spf, *helo;
    struct iprev_check iprev;
    struct body_hashes hashes;
    struct dkim_verifier *dkim; /* NULL before the header */
    struct arc_verifier *arc;   /* the same */
    struct authors authors;
    struct dmarc dmarc;
    struct verify_check *dmarc_check;
    size_t identifier_count;
    struct dmarc_identifier identifiers[VERIFY_IDENTIFIERS_MAX];
    size_t check_count;
    struct verify_check *checks[VERIFY_CHECKS_MAX];
};

/* Goes on where a check that others wait for is done. */
void verification_advance(struct verification *verification);
