/* tls_policy.c - policies in one piece of memory, and what two of them differ in. */
#include "delivery/line/tls_policy.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/siphash.h"
#include "delivery/mta_sts/sts_store.h"

enum {
    DEMAND_MAX = 16 * 1024, /* of a host with all the names there may be */
    DEMANDS_MAX = 64,       /* more than the hosts of a set */
    RULE_MAX = 320,
};

const char *tls_level_name(enum tls_level level)
{
    static const char *const names[TLS_LEVEL_COUNT] = {
        [TLS_LEVEL_NONE] = "none",       [TLS_LEVEL_OPPORTUNISTIC] = "opportunistic",
        [TLS_LEVEL_REQUIRE] = "require", [TLS_LEVEL_VERIFY] = "verify",
        [TLS_LEVEL_REFUSE] = "refuse",
    };

    return names[level];
}

const char *tls_source_name(enum tls_source source)
{
    static const char *const names[TLS_SOURCE_COUNT] = {
        [TLS_SOURCE_CONFIG] = "config",
        [TLS_SOURCE_DANE] = "dane",
        [TLS_SOURCE_MTA_STS] = "mta-sts",
        [TLS_SOURCE_REQUIRETLS] = "requiretls",
    };

    return names[source];
}

const char *tls_result_name(enum tls_result result)
{
    static const char *const names[TLS_RESULT_COUNT] = {
        [TLS_RESULT_NONE] = "none",
        [TLS_RESULT_SUCCESS] = "success",
        [TLS_RESULT_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
        [TLS_RESULT_CERTIFICATE_HOST_MISMATCH] = "certificate-host-mismatch",
        [TLS_RESULT_CERTIFICATE_EXPIRED] = "certificate-expired",
        [TLS_RESULT_CERTIFICATE_NOT_TRUSTED] = "certificate-not-trusted",
        [TLS_RESULT_VALIDATION_FAILURE] = "validation-failure",
        [TLS_RESULT_TLSA_INVALID] = "tlsa-invalid",
        [TLS_RESULT_DNSSEC_INVALID] = "dnssec-invalid",
        [TLS_RESULT_DANE_REQUIRED] = "dane-required",
        [TLS_RESULT_STS_POLICY_FETCH_ERROR] = STS_FETCH_FAILED_NAME,
        [TLS_RESULT_STS_POLICY_INVALID] = STS_POLICY_INVALID_NAME,
        [TLS_RESULT_STS_WEBPKI_INVALID] = STS_WEBPKI_INVALID_NAME,
    };

    return names[result];
}

/* --- memory ----------------------------------------------------------------------------------- */

static size_t texts_len(const struct tls_policy *p)
{
    size_t len = p->found_why.len + p->rule.len + p->server_name.len;

    for (size_t i = 0; i < p->name_count; i++)
        len += p->names[i].len;
    for (size_t i = 0; i < p->record_count; i++)
        len += p->records[i].association.len;
    return len;
}

struct tls_policy *tls_policy_make(const struct tls_policy *from)
{
    check(from->level < TLS_LEVEL_COUNT);
    check(from->source < TLS_SOURCE_COUNT);
    check(from->found < TLS_RESULT_COUNT);
    check(from->name_count <= TLS_POLICY_NAMES_MAX);
    check(from->record_count <= TLS_POLICY_RECORDS_MAX);
    size_t names_len = from->name_count * sizeof(struct bytes);
    size_t records_len = from->record_count * sizeof(struct tls_record);
    struct tls_policy *policy = malloc(sizeof(*policy) + names_len + records_len + texts_len(from));

    check(policy != NULL);
    struct bytes *names = (struct bytes *)(policy + 1);
    struct tls_record *records = (struct tls_record *)(names + from->name_count);
    uint8_t *at = (uint8_t *)(records + from->record_count);

    *policy = *from;
    policy->references = 1;
    policy->found_why = bytes_put(from->found_why, &at);
    policy->rule = bytes_put(from->rule, &at);
    policy->server_name = bytes_put(from->server_name, &at);
    for (size_t i = 0; i < from->name_count; i++)
        names[i] = bytes_put(from->names[i], &at);
    for (size_t i = 0; i < from->record_count; i++) {
        check(from->records[i].association.len <= TLS_RECORD_LEN_MAX);
        records[i] = from->records[i];
        records[i].association = bytes_put(from->records[i].association, &at);
    }
    policy->names = names;
    policy->records = records;
    return policy;
}

struct tls_policy *tls_policy_keep(struct tls_policy *policy)
{
    if (policy != NULL)
        policy->references++;
    return policy;
}

void tls_policy_release(struct tls_policy **policy)
{
    struct tls_policy *released = *policy;

    *policy = NULL;
    if (released == NULL)
        return;
    check(released->references > 0);
    if (--released->references == 0)
        free(released);
}

const struct tls_policy *tls_policy_or_default(const struct tls_policy *policy)
{
    static const struct tls_policy by_default = {.level = TLS_LEVEL_OPPORTUNISTIC,
                                                 .source = TLS_SOURCE_CONFIG};

    return policy != NULL ? policy : &by_default;
}

/* --- what they demand ------------------------------------------------------------------------- */

static struct siphash_key key; /* one for all engines */

static void make_key(void)
{
    ssize_t len;

    do
        len = getrandom(&key, sizeof(key), 0);
    while (len < 0 && errno == EINTR);
    check(len == (ssize_t)sizeof(key)); /* so few are never cut short */
}

static bool put_text(struct buf *out, struct bytes text)
{
    return buf_printf(out, "%zu:", text.len) && buf_append(out, text);
}

static bool put_demand(struct buf *out, const struct tls_policy *p)
{
    bool ok =
        buf_printf(out, "%u %u %d %d ", p->level, p->source, p->record_count > 0, p->is_final) &&
        put_text(out, p->server_name);

    for (size_t i = 0; ok && i < p->name_count; i++)
        ok = put_text(out, p->names[i]);
    return ok && buf_append_byte(out, '\n');
}

bool tls_policy_identify(const struct tls_policy *p, struct buf *out)
{
    bool ok = put_demand(out, p);

    for (size_t i = 0; ok && i < p->record_count; i++) {
        const struct tls_record *r = &p->records[i];

        ok = buf_printf(out, "%u %u %u ", r->usage, r->selector, r->matching) &&
             put_text(out, r->association);
    }
    return ok;
}

static bool demands_nothing(const struct tls_policy *p)
{
    return p == NULL || (p->level == TLS_LEVEL_OPPORTUNISTIC && p->source == TLS_SOURCE_CONFIG &&
                         p->server_name.len == 0 && p->name_count == 0 && p->record_count == 0);
}

static bool is_among(const uint64_t *seen, size_t count, uint64_t one)
{
    for (size_t i = 0; i < count; i++)
        if (seen[i] == one)
            return true;
    return false;
}

uint64_t tls_policies_demand(struct tls_policy *const *policies, size_t count)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    uint64_t seen[DEMANDS_MAX];
    size_t seen_count = 0;
    bool is_default = true;
    uint64_t demand = 0;
    struct buf text;

    check(count <= DEMANDS_MAX);

    for (size_t i = 0; i < count; i++)
        is_default = is_default && demands_nothing(policies[i]);
    if (is_default)
        return 0;
    check(pthread_once(&once, make_key) == 0);
    buf_init(&text, DEMAND_MAX);
    /* A sum: equal hosts come in any order. Each once: a host less is no other demand. */
    for (size_t i = 0; i < count; i++) {
        buf_clear(&text);
        check(put_demand(&text, tls_policy_or_default(policies[i])));
        uint64_t one = siphash(&key, buf_bytes(&text));

        if (is_among(seen, seen_count, one))
            continue;
        seen[seen_count++] = one;
        demand += one;
    }
    buf_free(&text);
    return demand != 0 ? demand : 1;
}

/* --- rules of the configuration --------------------------------------------------------------- */

struct tls_policy *tls_policy_of_rule(const struct tls_rule *rule, size_t number, bool is_own)
{
    struct bytes names[TLS_POLICY_NAMES_MAX];
    char text[RULE_MAX];
    struct tls_policy policy = {
        .level = (uint8_t)rule->level,
        .source = TLS_SOURCE_CONFIG,
        .name_count = rule->name_count,
        .names = names,
    };

    check(rule->name_count <= TLS_POLICY_NAMES_MAX);
    if (!is_own && rule->level == TLS_LEVEL_OPPORTUNISTIC)
        return NULL;
    for (size_t i = 0; i < rule->name_count; i++)
        names[i] = bytes_of(rule->names[i]);
    if (is_own)
        snprintf(text, sizeof(text), "delivery.destinations[%zu] (match %s)", number, rule->match);
    else
        snprintf(text, sizeof(text), "delivery.tls");
    policy.rule = bytes_of(text);
    return tls_policy_make(&policy);
}

bool tls_rule_is_equal(const struct tls_rule *a, const struct tls_rule *b)
{
    bool is_equal = a->level == b->level && a->name_count == b->name_count;

    for (size_t i = 0; is_equal && i < a->name_count; i++)
        is_equal = strcmp(a->names[i], b->names[i]) == 0;
    return is_equal;
}
