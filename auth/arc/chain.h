/*
 * chain.h - the ARC fields of a header, set by set (RFC 8617 section 4.2), and what their structure
 * is worth (section 5.2, steps 1 to 3). Pure; slices point into the header.
 */
#pragma once

#include "auth/mail_header.h"

enum { ARC_SETS_MAX = 50 };

enum arc_cv { ARC_CV_UNKNOWN, ARC_CV_NONE, ARC_CV_PASS, ARC_CV_FAIL };

struct arc_set {
    const struct mail_field *results, *message, *seal; /* NULL: missing */
    struct bytes payload; /* of the results: authserv-id and what follows, as it came */
    enum arc_cv cv;
};

struct arc_chain {
    bool is_there;                     /* there is at least one ARC field */
    unsigned count;                    /* the highest instance; 0: none could be read */
    const char *wrong;                 /* a phrase; NULL: the structure is that of a chain */
    unsigned wrong_at;                 /* the instance it is said of; 0: of none */
    struct arc_set sets[ARC_SETS_MAX]; /* of instance 1 first */
};

/* `header` is whole. */
void arc_chain_read(const struct mail_header *header, struct arc_chain *out);
/* The newest seal says that the chain had failed before: nobody may add to it (section 5.1). */
bool arc_chain_has_ended(const struct arc_chain *chain);
