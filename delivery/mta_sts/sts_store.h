/*
 * sts_store.h - the MTA-STS policies that are known, of the whole process, and over restarts.
 *
 * A policy holds until its max_age is over (RFC 8461 section 3.2), also where its TXT record or its
 * host are gone: so nobody takes a policy away by keeping us from looking. It lies in memory and in
 * mta_sts.db of the state directory. What could not be fetched is remembered for STS_FAILURE_MS and
 * not tried before, unless the domain's record names another policy. Of STS_DOMAINS_MAX domains and
 * STS_BYTES_MAX octets those go first that mail has gone to least lately.
 *
 * The fetches and the file have a pool of threads of their own; a file that cannot be read or
 * written is told and leaves the policies in memory.
 *
 * Thread: any, but for open and close.
 */
#pragma once

#include "auth/mta_sts/record.h"
#include "delivery/mta_sts/sts_policy.h"
#include "io/address.h"

enum {
    STS_WHY_MAX = 160,
    STS_DOMAINS_MAX = 50000,
    STS_BYTES_MAX = 32 << 20,
    STS_FAILURE_MS = 300 * 1000, /* RFC 8461 section 3.3 */
    STS_DOMAIN_MAX = 253,
};
#define STS_USED_MS (30 * 86400 * INT64_C(1000)) /* mail went there so lately: kept fresh */

/* Why there is none, or none newer: the result types of RFC 8460 section 4.3.2.2. */
enum sts_problem { STS_FINE, STS_FETCH_FAILED, STS_POLICY_INVALID, STS_WEBPKI_INVALID };
const char *sts_problem_name(enum sts_problem problem);
/* Their words there. */
#define STS_FETCH_FAILED_NAME "sts-policy-fetch-error"
#define STS_POLICY_INVALID_NAME "sts-policy-invalid"
#define STS_WEBPKI_INVALID_NAME "sts-webpki-invalid"

struct sts_settings {
    const char *state_dir;   /* NULL: nothing is read or written */
    bool is_readonly;        /* what is there is read, and nothing is written: for commands */
    const char *authorities; /* file of certificates; NULL: the system's */
};

struct sts_store;
struct blocking_pool;

/* Settings are copied. NULL with errno: no threads. */
struct sts_store *sts_store_open(const struct sts_settings *settings);
/* Fetches that begin from now on believe these; NULL: the system's. */
void sts_store_believe(struct sts_store *store, const char *authorities);
/* Ends fetches that are under way. Engines may still run, but nobody begins anything: what they ask
 * for from then on is answered as if it had failed. */
void sts_store_stop(struct sts_store *store);
/* Stopped, and the engines are gone. NULL: nothing. */
void sts_store_free(struct sts_store **store);

/* What is known of a domain at now_ms; *policy_out is one reference, or NULL. */
struct sts_known {
    struct sts_policy *policy;
    enum sts_problem problem;    /* of the last try, if that is to be left at it for now */
    char id[MTA_STS_ID_MAX + 1]; /* that it was tried for */
    char why[STS_WHY_MAX];
    int64_t retry_ms; /* monotonic */
};
void sts_store_find(struct sts_store *store, struct bytes domain, int64_t now_ms,
                    struct sts_known *out);
/* The same, and no mail goes there because of it. */
void sts_store_peek(struct sts_store *store, struct bytes domain, int64_t now_ms,
                    struct sts_known *out);
/* A domain whose policy has become old and may expire before its next mail comes: to be asked for
 * again. Each once in STS_FAILURE_MS; those to which no mail has gone for STS_USED_MS are left to
 * expire. False: none was found among the some that a call looks at. */
must_use bool sts_store_next_old(struct sts_store *store, int64_t now_ms,
                                 char domain_out[static STS_DOMAIN_MAX + 1]);
/* Learned: the policy of an id, or that it could not be had. Writes to the file: for
 * a thread of the pool. */
void sts_store_put(struct sts_store *store, struct bytes domain, struct sts_policy *policy);
void sts_store_fail(struct sts_store *store, struct bytes domain, struct bytes id,
                    enum sts_problem problem, const char *why);
/* For metrics. */
size_t sts_store_count(struct sts_store *store);
struct blocking_pool *sts_store_pool(const struct sts_store *store);
