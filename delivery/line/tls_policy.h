/*
 * tls_policy.h - what a connection to one MX host has to be: the contract between who finds that
 * out (the configuration; DANE, MTA-STS) and who connects (a carrier).
 *
 *   lookup.c: hosts of a destination --rule of the configuration--> a policy for all of them
 *             --TLSA records, MTA-STS policy--> a policy for each --> site_get() --> struct host
 *
 * Destinations whose hosts are the same and whose demands are not are different sites, because a
 * site's connections are used for all of its mail: tls_policies_demand(). TLSA records are no part
 * of that: they change while the demand stays. A connection keeps the policy it was opened under.
 *
 * Immutable once made, and counted. Thread: the engine's.
 */
#pragma once

#include "base/buf.h"
#include "io/tls_client.h" /* struct tls_record */

enum tls_level {                          /* a later one demands more */
                 TLS_LEVEL_NONE,          /* plain, even where STARTTLS is offered */
                 TLS_LEVEL_OPPORTUNISTIC, /* TLS where it works, whoever answers */
                 TLS_LEVEL_REQUIRE,       /* encrypted, whoever answers */
                 TLS_LEVEL_VERIFY,        /* encrypted, and the host is who it says */
                 TLS_LEVEL_REFUSE,        /* not to be connected to at all: `found` says why */
                 TLS_LEVEL_COUNT
};

/* Who decided. */
enum tls_source {
    TLS_SOURCE_CONFIG,
    TLS_SOURCE_DANE,
    TLS_SOURCE_MTA_STS,
    TLS_SOURCE_REQUIRETLS, /* the message itself, RFC 8689 */
    TLS_SOURCE_COUNT
};

/* What became of it: the result types of RFC 8460 section 4.3, and two of success. */
enum tls_result {
    TLS_RESULT_NONE, /* there was no reason to try */
    TLS_RESULT_SUCCESS,
    TLS_RESULT_STARTTLS_NOT_SUPPORTED,
    TLS_RESULT_CERTIFICATE_HOST_MISMATCH,
    TLS_RESULT_CERTIFICATE_EXPIRED,
    TLS_RESULT_CERTIFICATE_NOT_TRUSTED,
    TLS_RESULT_VALIDATION_FAILURE, /* anything else that went wrong with TLS */
    TLS_RESULT_TLSA_INVALID,
    TLS_RESULT_DNSSEC_INVALID,
    TLS_RESULT_DANE_REQUIRED,
    TLS_RESULT_STS_POLICY_FETCH_ERROR,
    TLS_RESULT_STS_POLICY_INVALID,
    TLS_RESULT_STS_WEBPKI_INVALID,
    TLS_RESULT_COUNT
};

const char *tls_level_name(enum tls_level level);    /* "opportunistic" */
const char *tls_source_name(enum tls_source source); /* "mta-sts" */
const char *tls_result_name(enum tls_result result); /* "certificate-expired"; NONE: "none" */

enum {
    TLS_POLICY_NAMES_MAX = 8,
    TLS_POLICY_RECORDS_MAX = 16,
    TLS_RECORD_LEN_MAX = 8192, /* of a whole certificate or key, matching type 0 */
};

struct tls_policy {
    unsigned references; /* tls_policy_make() sets it */
    uint8_t level;       /* enum tls_level */
    uint8_t source;      /* enum tls_source */
    /* What the search for a policy found wrong (a policy that could not be fetched, TLSA records of
     * which none is usable): told with what is sent nevertheless, and why where level is REFUSE.
     * TLS_RESULT_NONE: nothing. */
    uint8_t found;          /* enum tls_result */
    bool is_final;          /* REFUSE: waiting would not change it; what asks for it is bounced */
    struct bytes found_why; /* a sentence without a full stop; empty: none */
    /* Which rule it was, for operators: "delivery.destinations[0] (match *.bank.example)", "the
     * policy 20160831085700Z of bank.example"; empty: the default. */
    struct bytes rule;
    /* Whom to ask for (SNI): the TLSA base domain. Empty: the MX host's name. */
    struct bytes server_name;
    /* VERIFY: a certificate is good that is for one of these. None: the MX host's name alone. An
     * address is compared with the certificate's addresses. */
    size_t name_count;
    const struct bytes *names;
    /* VERIFY: where there are any, they alone decide, and no certification authority of the system
     * does. DANE-EE heeds neither names nor dates, DANE-TA heeds both (RFC 7672 section 3.1). */
    size_t record_count;
    const struct tls_record *records;
};

/* Whether a host that has no TLS, or whose handshake fails, gets the mail in plain. */
static inline bool tls_policy_may_be_plain(const struct tls_policy *policy)
{
    return policy->level <= TLS_LEVEL_OPPORTUNISTIC;
}

/* A copy of all of it, in one allocation, with one reference. More names or records than there may
 * be are a bug of the caller's. */
struct tls_policy *tls_policy_make(const struct tls_policy *from);
struct tls_policy *tls_policy_keep(struct tls_policy *policy); /* NULL stays NULL */
void tls_policy_release(struct tls_policy **policy);           /* NULL: nothing */
/* NULL stands for the default: opportunistic, by the configuration. */
const struct tls_policy *tls_policy_or_default(const struct tls_policy *policy);

/* The message demands it: what the host has not, bounces it (RFC 8689 section 4.2.1). */
static inline bool tls_policy_is_of_message(const struct tls_policy *policy)
{
    return policy->source == TLS_SOURCE_REQUIRETLS;
}

/* What tells sites with the same hosts apart: of one policy a host, in any order, since hosts of
 * one preference are shuffled; so a policy that is not for all of them must name its host. 0:
 * nothing but defaults. Nobody outside can choose names so that two demands become one; the same
 * on all engines of the process. */
must_use uint64_t tls_policies_demand(struct tls_policy *const *policies, size_t count);

/* Appends all that a session with the host depends on. */
must_use bool tls_policy_identify(const struct tls_policy *policy, struct buf *out);

/* A rule of the configuration, for the domains that match. */
struct tls_rule {
    const char *match; /* domain, or "*.suffix", or "*" */
    int level;         /* enum tls_level; never REFUSE */
    size_t name_count; /* of certificates; none: the MX host's */
    const char *const *names;
};
/* What it demands alone, or NULL where that is the default. `number`: its place in the list;
 * `is_own`: false for the last, which is for everybody. */
struct tls_policy *tls_policy_of_rule(const struct tls_rule *rule, size_t number, bool is_own);
bool tls_rule_is_equal(const struct tls_rule *a, const struct tls_rule *b); /* but for its match */
