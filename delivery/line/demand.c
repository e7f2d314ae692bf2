/* demand.c - DANE, then MTA-STS, then our own rule. */
#include "delivery/line/demand.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/line/dane.h"
#include "delivery/mta_sts/sts_lookup.h"
#include "dns/name.h"

enum { RULE_MAX = 400, WHY_MAX = RULE_MAX + 300 };

struct demand {
    struct resolver *resolver;
    const struct mx_set *set;
    struct demand_request request;
    demand_done *done;
    void *context;
    struct turn_end turn_end;
    struct dane_lookup *dane;
    struct sts_lookup *sts;
    int64_t expires_ms;
    struct tls_policy *policies[MX_HOSTS_MAX];
};

static void demand_free(struct demand *demand)
{
    engine_turn_end_cancel(resolver_engine(demand->resolver), &demand->turn_end);
    dane_lookup_cancel(&demand->dane);
    sts_lookup_cancel(&demand->sts);
    for (size_t i = 0; i < MX_HOSTS_MAX; i++) /* the set is gone once its owner was told */
        tls_policy_release(&demand->policies[i]);
    tls_policy_release(&demand->request.rule);
    free(demand);
}

/* --- the result ------------------------------------------------------------------------------- */

static void count(const struct tls_policy *policy)
{
    static const enum metric metrics[][TLS_LEVEL_COUNT] = {
        [TLS_SOURCE_DANE] = {[TLS_LEVEL_REQUIRE] = METRIC_TLS_DANE_REQUIRE,
                             [TLS_LEVEL_VERIFY] = METRIC_TLS_DANE_VERIFY,
                             [TLS_LEVEL_REFUSE] = METRIC_TLS_DANE_REFUSE},
        [TLS_SOURCE_MTA_STS] = {[TLS_LEVEL_OPPORTUNISTIC] = METRIC_TLS_STS_TESTING,
                                [TLS_LEVEL_VERIFY] = METRIC_TLS_STS_VERIFY,
                                [TLS_LEVEL_REFUSE] = METRIC_TLS_STS_REFUSE},
    };

    if (policy->source == TLS_SOURCE_DANE || policy->source == TLS_SOURCE_MTA_STS)
        metric_inc(metrics[policy->source][policy->level]);
}

static void tell(const struct demand *demand, const struct mx_host *host,
                 const struct tls_policy *policy)
{
    log_debug("domain=%s host=%s tls=%s by=%s rule=%s found=%s", LOG_TEXT(demand->request.domain),
              LOG_TEXT(host->name), LOG_STRING(tls_level_name(policy->level)),
              LOG_STRING(tls_source_name(policy->source)), LOG_TEXT(policy->rule),
              LOG_STRING(tls_result_name(policy->found)));
    if (policy->found != TLS_RESULT_NONE)
        log_limited(LOG_LEVEL_INFO, "domain=%s host=%s tls=%s by=%s found=%s why=%s",
                    LOG_TEXT(demand->request.domain), LOG_TEXT(host->name),
                    LOG_STRING(tls_level_name(policy->level)),
                    LOG_STRING(tls_source_name(policy->source)),
                    LOG_STRING(tls_result_name(policy->found)), LOG_TEXT(policy->found_why));
}

/* --- REQUIRETLS ------------------------------------------------------------------------------- */

/* An operator's names are as good as those that DNSSEC or MTA-STS vouch for. */
static bool rule_names_hosts(const struct demand *demand)
{
    const struct tls_policy *rule = tls_policy_or_default(demand->request.rule);

    return demand->request.is_rule_own && rule->level == TLS_LEVEL_VERIFY && rule->name_count > 0;
}

/* RFC 8689 section 2: that the host is the domain's is not only DNS's word. */
static const char *vouched_for(const struct demand *demand, const struct mx_host *host,
                               const struct tls_policy *found)
{
    if (demand->request.is_named)
        return "a host by a route";
    if (host->canonical.len == 0 || bytes_equal_nocase(host->name, demand->request.domain))
        return "the host that the address names";
    if (demand->set->is_secure)
        return "its MX by DNSSEC";
    if (found != NULL && found->source == TLS_SOURCE_MTA_STS &&
        found->found != TLS_RESULT_VALIDATION_FAILURE)
        return "its MX by MTA-STS";
    return NULL;
}

static struct tls_policy *policy_of_message(const struct demand *demand, const struct mx_host *host,
                                            const struct tls_policy *found)
{
    bool is_by_dane = found != NULL && found->source == TLS_SOURCE_DANE;
    bool is_refused = found != NULL && found->level == TLS_LEVEL_REFUSE;
    const char *how = vouched_for(demand, host, found);
    struct tls_policy policy = {.level = TLS_LEVEL_VERIFY, .name_count = 1, .names = &host->name};
    char rule[RULE_MAX];

    if (rule_names_hosts(demand)) {
        policy = *demand->request.rule;
        how = "names by the configuration";
    } else if (is_refused || (is_by_dane && found->level == TLS_LEVEL_VERIFY)) {
        policy = *found;
        policy.is_final = is_refused && !is_by_dane; /* a look-up for DANE may be answered later */
        how = is_by_dane ? "DANE" : "MTA-STS";
    } else if (how == NULL) {
        how = "no host";
        policy.level = TLS_LEVEL_REFUSE;
        policy.found = TLS_RESULT_VALIDATION_FAILURE;
        policy.found_why = BYTES("REQUIRETLS: neither DNSSEC nor MTA-STS says that the host is the "
                                 "domain's");
        policy.is_final = found == NULL || found->found != TLS_RESULT_STS_POLICY_FETCH_ERROR;
    }
    snprintf(rule, sizeof(rule), "REQUIRETLS, %s", how);
    policy.source = TLS_SOURCE_REQUIRETLS;
    policy.rule = bytes_of(rule);
    return tls_policy_make(&policy);
}

static void require_all(struct demand *demand)
{
    for (size_t i = 0; i < demand->set->host_count; i++) {
        struct tls_policy *policy =
            policy_of_message(demand, &demand->set->hosts[i], demand->policies[i]);

        tls_policy_release(&demand->policies[i]);
        demand->policies[i] = policy;
    }
}

/* Whether what the receiver publishes counts. */
static bool asks_receiver(const struct demand *demand)
{
    switch (demand->request.tls) {
    case MAIL_TLS_ANY:
        return !demand->request.is_rule_own;
    case MAIL_TLS_REQUIRED:
        return !rule_names_hosts(demand);
    case MAIL_TLS_OPTIONAL:
        break;
    }
    return false;
}

/* What the receiver does not demand, or demands less of, the rule says. */
static void finish(struct demand *demand)
{
    struct tls_policy *rule = demand->request.rule;
    const struct tls_policy *least = tls_policy_or_default(rule);

    if (demand->request.tls == MAIL_TLS_REQUIRED) {
        least = tls_policy_or_default(NULL);
        require_all(demand);
    }
    for (size_t i = 0; i < demand->set->host_count; i++) {
        struct tls_policy **policy = &demand->policies[i];

        if (*policy != NULL && (*policy)->level < least->level)
            tls_policy_release(policy);
        if (*policy == NULL)
            *policy = tls_policy_keep(rule);
        count(tls_policy_or_default(*policy));
        tell(demand, &demand->set->hosts[i], tls_policy_or_default(*policy));
    }
    demand->done(demand->context, demand->policies, demand->expires_ms);
    demand_free(demand);
}

/* --- MTA-STS ---------------------------------------------------------------------------------- */

static enum tls_result result_of(enum sts_problem problem)
{
    switch (problem) {
    case STS_FINE:
        return TLS_RESULT_NONE;
    case STS_FETCH_FAILED:
        return TLS_RESULT_STS_POLICY_FETCH_ERROR;
    case STS_POLICY_INVALID:
        return TLS_RESULT_STS_POLICY_INVALID;
    case STS_WEBPKI_INVALID:
        return TLS_RESULT_STS_WEBPKI_INVALID;
    }
    check(false);
}

/* RFC 8461 section 5: a host that the policy does not name is not used in enforce, and told of in
 * testing. */
static struct tls_policy *policy_of_sts(const struct demand *demand, const struct mx_host *host,
                                        const struct sts_answer *answer)
{
    const struct mta_sts_policy *text = &answer->policy->policy;
    bool is_enforced = text->mode == MTA_STS_ENFORCE;
    bool is_named = mta_sts_policy_allows(text, host->name);
    char rule[RULE_MAX], why[WHY_MAX];
    struct tls_policy policy = {
        .source = TLS_SOURCE_MTA_STS,
        .level = is_enforced ? TLS_LEVEL_VERIFY : TLS_LEVEL_OPPORTUNISTIC,
        .found = (uint8_t)result_of(answer->problem),
        .found_why = bytes_of(answer->why),
        .name_count = 1,
        .names = &host->name,
    };

    snprintf(rule, sizeof(rule), "the MTA-STS policy %.*s of %.*s (%s)",
             BYTES_ARG(answer->policy->id), BYTES_ARG(demand->request.domain),
             mta_sts_mode_name(text->mode));
    policy.rule = bytes_of(rule);
    if (!is_named) {
        snprintf(why, sizeof(why), "%.*s is no mail host by %s", BYTES_ARG(host->name), rule);
        policy.found = TLS_RESULT_VALIDATION_FAILURE;
        policy.found_why = bytes_of(why);
        policy.level = is_enforced ? TLS_LEVEL_REFUSE : TLS_LEVEL_OPPORTUNISTIC;
    }
    return tls_policy_make(&policy);
}

/* There is none that could be had, and that is worth telling. */
static struct tls_policy *policy_without_sts(const struct demand *demand,
                                             const struct sts_answer *answer)
{
    const struct tls_policy *rule = tls_policy_or_default(demand->request.rule);
    struct tls_policy policy = *rule;

    policy.found = (uint8_t)result_of(answer->problem);
    policy.found_why = bytes_of(answer->why);
    return tls_policy_make(&policy);
}

static void on_sts(void *context, const struct sts_answer *answer)
{
    struct demand *demand = context;
    bool is_in_force = answer->policy != NULL && answer->policy->policy.mode != MTA_STS_NONE;

    demand->sts = NULL;
    demand->expires_ms = MIN(demand->expires_ms, answer->expires_ms);
    for (size_t i = 0; i < demand->set->host_count; i++) {
        if (demand->policies[i] != NULL)
            continue;
        if (is_in_force)
            demand->policies[i] = policy_of_sts(demand, &demand->set->hosts[i], answer);
        else if (answer->problem != STS_FINE && answer->policy == NULL)
            demand->policies[i] = policy_without_sts(demand, answer);
    }
    finish(demand);
}

static bool wants_sts(const struct demand *demand)
{
    struct dns_name name;

    if (demand->request.sts == NULL || demand->request.is_named ||
        !dns_name_parse(demand->request.domain, &name))
        return false;
    for (size_t i = 0; i < demand->set->host_count; i++)
        if (demand->policies[i] == NULL)
            return true;
    return false;
}

/* DANE has spoken. */
static void go_on(struct demand *demand)
{
    const struct sts_rules rules = {demand->request.allow_private,
                                    demand->request.allow_private_count, false};

    if (wants_sts(demand))
        demand->sts = sts_lookup_start(demand->request.sts, demand->resolver, &rules,
                                       demand->request.domain, on_sts, demand);
    else
        finish(demand);
}

/* --- DANE ------------------------------------------------------------------------------------- */

static void on_dane(void *context, struct tls_policy **policies, int64_t expires_ms)
{
    struct demand *demand = context;

    demand->dane = NULL;
    demand->expires_ms = MIN(demand->expires_ms, expires_ms);
    for (size_t i = 0; i < demand->set->host_count; i++)
        demand->policies[i] = tls_policy_keep(policies[i]);
    go_on(demand);
}

static void turn_ended(struct turn_end *turn_end)
{
    struct demand *demand = container_of(turn_end, struct demand, turn_end);

    if (asks_receiver(demand))
        go_on(demand);
    else
        finish(demand);
}

struct demand *demand_start(struct resolver *resolver, const struct mx_set *set,
                            const struct demand_request *request, demand_done *done, void *context)
{
    struct demand *demand = calloc(1, sizeof(*demand));

    check(demand != NULL);
    check(set->host_count <= MX_HOSTS_MAX);
    demand->resolver = resolver;
    demand->set = set;
    demand->request = *request;
    demand->request.rule = tls_policy_keep(request->rule);
    demand->done = done;
    demand->context = context;
    demand->expires_ms = set->expires_ms;
    turn_end_init(&demand->turn_end, turn_ended);
    if (asks_receiver(demand) && request->uses_dane)
        demand->dane =
            dane_lookup_start(resolver, set, request->domain, request->is_named, on_dane, demand);
    else
        engine_at_turn_end(resolver_engine(resolver), &demand->turn_end);
    return demand;
}

void demand_cancel(struct demand **demand)
{
    struct demand *d = *demand;

    *demand = NULL;
    if (d != NULL)
        demand_free(d);
}
