/*
 * dmarc_count.h - what the event of a received or refused message counts to a DMARC report: which
 * report, which row (tally.h).
 *
 * The checks of such an event have a line `dmarc-record` where mail is reported; without one the
 * message counts nowhere. A message that was put off counts when it comes again. Pure, any thread.
 */
#pragma once

#include <jansson.h>

#include "reporting/tally.h"

enum { DMARC_COUNT_TEXT_MAX = 1024 };

struct dmarc_count {
    struct bytes domain, policy; /* of the report */
    struct tally_row row;
    char policy_text[DMARC_COUNT_TEXT_MAX], auth[DMARC_COUNT_TEXT_MAX];
    char envelope_from[TALLY_DOMAIN_MAX + 1], header_from[TALLY_DOMAIN_MAX + 1];
};

/* Columns of a row: */
enum {
    DMARC_SOURCE_IP,
    DMARC_DISPOSITION, /* "none", "quarantine", "reject" */
    DMARC_DKIM,        /* aligned: "pass" or "fail" */
    DMARC_SPF,
    DMARC_REASON, /* type of an override and a comment, with a space between; or empty */
    DMARC_HEADER_FROM,
    DMARC_ENVELOPE_FROM,
    DMARC_AUTH, /* JSON: {"dkim": [[domain, selector, result]...], "spf": [domain, result]} */
};

/* False: it counts nowhere. Texts lie in *out and in `event`. */
must_use bool dmarc_count_take(const json_t *event, struct dmarc_count *out);
/* The value of a word "key=value" of a text, as the policy of a report is one; empty: none. */
struct bytes dmarc_count_word(struct bytes text, const char *key);
