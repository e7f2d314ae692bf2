/*
 * policy.h - the text of an MTA-STS policy (RFC 8461 section 3.2): which mail hosts a domain has,
 * and whether their TLS is to be insisted on.
 *
 * Pure, any thread.
 */
#pragma once

#include "base/bytes.h"

enum mta_sts_mode { MTA_STS_NONE, MTA_STS_TESTING, MTA_STS_ENFORCE };

enum {
    MTA_STS_TEXT_MAX = 64 * 1024,     /* RFC 8461 section 3.3 */
    MTA_STS_MAX_AGE_S_MAX = 31557600, /* a year */
};

struct mta_sts_policy {
    enum mta_sts_mode mode;
    uint32_t max_age_s; /* at most MTA_STS_MAX_AGE_S_MAX, whatever the text says */
    size_t mx_count;    /* patterns; at least one unless the mode is none */
    struct bytes text;  /* what it was read from */
};

const char *mta_sts_mode_name(enum mta_sts_mode mode); /* "enforce" */

/* Fields it does not know are passed over, as is a field that comes once more, but for mx. False
 * with a part of a sentence (static). `out->text` is `text`. */
must_use bool mta_sts_policy_parse(struct bytes text, struct mta_sts_policy *out,
                                   const char **why_out);
/* Whether `host` is one of its mail hosts (section 4.1): "*." stands for one label. */
bool mta_sts_policy_allows(const struct mta_sts_policy *policy, struct bytes host);
/* Takes the next line that has content off the front; false at the end. */
must_use bool mta_sts_line_take(struct bytes *text, struct bytes *line_out);
