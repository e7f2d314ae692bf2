/*
 * tls_count.h - what the event of an attempt counts to a TLS report (RFC 8460): which report, which
 * row (tally.h).
 *
 * Sessions are counted, not messages: the first attempt of a connection has the time that
 * connecting took. One attempt for several recipients has an event for each, so the last
 * TLS_COUNT_SEEN attempts are remembered. A host that was not connected to, since its policy cannot
 * be met, counts once an attempt too. Thread: one at a time for each struct.
 */
#pragma once

#include <jansson.h>

#include "reporting/tally.h"

enum { TLS_COUNT_SEEN = 4096, TLS_COUNT_TEXT_MAX = 256 };

/* Zeroed. */
struct tls_count_seen {
    uint64_t hashes[TLS_COUNT_SEEN];
};

struct tls_count {
    struct bytes domain; /* of the recipient */
    struct tally_row row;
    char domain_text[TALLY_DOMAIN_MAX + 1];
};

/* Columns of a row: */
enum {
    TLS_POLICY_TYPE,   /* "tlsa", "sts", "no-policy-found" */
    TLS_POLICY_DOMAIN, /* the recipient's, or with DANE the host's */
    TLS_RESULT,        /* "success" or a result type */
    TLS_SOURCE_IP,     /* empty with success, as the next three are */
    TLS_MX_HOST,       /* with DANE also with success */
    TLS_MX_IP,
    TLS_REASON,
};

/* Without parsing it: may the line count at all? */
bool tls_count_may(struct bytes line);
/* False: it counts nowhere. Texts lie in *out and in `event`. */
must_use bool tls_count_take(const json_t *event, struct tls_count_seen *seen,
                             struct tls_count *out);
