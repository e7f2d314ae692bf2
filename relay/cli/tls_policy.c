/* tls_policy.c - ringpost tls-policy: what delivery would demand of TLS with a domain's mail hosts,
 * and who says so; without a daemon. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "delivery/line/demand.h"
#include "delivery/line/router.h"
#include "delivery/mta_sts/sts_store.h"
#include "dns/cache.h"
#include "dns/name.h"
#include "relay/cli/cli.h"

enum { ARENA_MAX = 256 * 1024, HEX_MAX = 2 * 64 + 1 };

struct policy_run {
    struct cli *cli;
    const char *domain;
    struct config *config;
    struct engine *engine;
    struct dns_cache *cache;
    struct resolver *resolver;
    struct sts_store *sts;
    struct arena arena;
    struct mx_set set;
    struct bytes looked_up;
    const struct route *route;
    bool requires_tls;
    bool is_done;
    int code;
};

static int read_options(struct policy_run *run)
{
    struct cli_walk walk = {0};

    while (cli_option(run->cli, &walk)) {
        if (cli_flag(&walk, "--requiretls", &run->requires_tls))
            continue;
        if (walk.word == NULL)
            return cli_misuse(run->cli, "unknown option %s", walk.name);
        if (run->domain != NULL)
            return cli_misuse(run->cli, "one DOMAIN, but got %s as well", walk.word);
        run->domain = walk.word;
    }
    if (walk.is_bad)
        return EXIT_USAGE;
    return run->domain != NULL ? EXIT_GOOD : cli_misuse(run->cli, "it needs a DOMAIN");
}

/* --- telling ---------------------------------------------------------------------------------- */

/* "3 1 1 0b9fa5a5...", as zone files have it; of whole certificates the beginning. */
static json_t *record_json(const struct tls_record *record)
{
    char hex[HEX_MAX];
    size_t len = MIN(record->association.len, (size_t)(HEX_MAX / 2));

    for (size_t i = 0; i < len; i++)
        snprintf(hex + 2 * i, 3, "%02x", record->association.ptr[i]);
    return json_sprintf("%u %u %u %s%s", record->usage, record->selector, record->matching, hex,
                        len < record->association.len ? "..." : "");
}

static json_t *text_or_null(struct bytes text)
{
    return text.len == 0 ? json_null() : json_text(text);
}

static json_t *host_json(const struct mx_host *host, const struct tls_policy *policy)
{
    json_t *names = json_array(), *records = json_array();
    bool is_good = names != NULL && records != NULL;

    for (size_t i = 0; i < policy->name_count; i++)
        is_good = is_good && json_array_append_new(names, text_or_null(policy->names[i])) == 0;
    for (size_t i = 0; i < policy->record_count; i++)
        is_good = is_good && json_array_append_new(records, record_json(&policy->records[i])) == 0;
    check(is_good);
    return json_pack("{s:o, s:i, s:b, s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:o}", "host",
                     text_or_null(host->name), "preference", (int)host->preference, "secure",
                     (int)host->is_secure, "level", tls_level_name(policy->level), "source",
                     tls_source_name(policy->source), "rule", text_or_null(policy->rule),
                     "server_name", text_or_null(policy->server_name), "names", names, "records",
                     records, "found", tls_result_name(policy->found), "found_why",
                     text_or_null(policy->found_why));
}

static void print_json(const struct policy_run *run, struct tls_policy *const *policies)
{
    const struct mx_set *set = &run->set;
    json_t *hosts = json_array();

    for (size_t i = 0; i < set->host_count; i++)
        check(json_array_append_new(hosts, host_json(&set->hosts[i],
                                                     tls_policy_or_default(policies[i]))) == 0);
    cli_print_json(json_pack("{s:s, s:b, s:b, s:s, s:o}", "domain", run->domain, "trusted",
                             (int)run->config->dns.is_trusted, "secure", (int)set->is_secure,
                             "note", set->note, "hosts", hosts));
}

static void print_host(const struct mx_host *host, const struct tls_policy *policy)
{
    printf("%5u %.*s%s\n      %s, by %s", host->preference, BYTES_ARG(host->name),
           host->is_secure ? " (secure)" : "", tls_level_name(policy->level),
           policy->source == TLS_SOURCE_CONFIG && policy->rule.len == 0
               ? "the default"
               : tls_source_name(policy->source));
    if (policy->rule.len > 0)
        printf(": %.*s", BYTES_ARG(policy->rule));
    puts("");
    for (size_t i = 0; i < policy->record_count; i++) {
        json_t *record = record_json(&policy->records[i]);

        printf("      TLSA %s\n", json_string_value(record));
        json_decref(record);
    }
    for (size_t i = 0; policy->level == TLS_LEVEL_VERIFY && i < policy->name_count; i++)
        printf("      name %.*s\n", BYTES_ARG(policy->names[i]));
    if (policy->found != TLS_RESULT_NONE) {
        char why[512];

        snprintf(why, sizeof(why), "%.*s", BYTES_ARG(policy->found_why));
        printf("      found %s: ", tls_result_name(policy->found));
        cli_print_text(why); /* a stranger's server wrote some of it */
        puts("");
    }
}

static void print(const struct policy_run *run, struct tls_policy *const *policies)
{
    const struct mx_set *set = &run->set;

    printf("%s: %s\n", run->domain, set->note);
    if (!run->config->dns.is_trusted)
        puts("DNSSEC: not looked at, dns.trusted is false");
    else if (run->route == NULL || run->route->use_mx)
        printf("DNSSEC: the MX set is %s\n", set->is_secure ? "secure" : "not secure");
    for (size_t i = 0; i < set->host_count; i++)
        print_host(&set->hosts[i], tls_policy_or_default(policies[i]));
}

static void on_demand(void *context, struct tls_policy *const *policies, int64_t expires_ms)
{
    struct policy_run *run = context;

    (void)expires_ms;
    if (run->cli->json)
        print_json(run, policies);
    else
        print(run, policies);
    run->is_done = true;
}

/* --- asking ----------------------------------------------------------------------------------- */

static void on_mx(void *context, const struct mx_set *set)
{
    struct policy_run *run = context;
    const struct delivery_settings *settings = &run->config->delivery;
    struct bytes domain = bytes_of(run->domain);

    if (set->status != MX_OK || !mx_set_copy(&run->arena, set, &run->set)) {
        run->code = cli_fail(EXIT_FAILED, "%s", set->note);
        run->is_done = true;
        return;
    }
    struct tls_policy *rule = router_tls_policy(settings, domain);
    const struct demand_request request = {
        .domain = run->looked_up,
        .tls = run->requires_tls ? MAIL_TLS_REQUIRED : MAIL_TLS_ANY,
        .is_named = run->route != NULL && !run->route->use_mx,
        .uses_dane = settings->dane,
        .sts = settings->mta_sts && run->route == NULL ? run->sts : NULL,
        .rule = rule,
        .is_rule_own = router_tls_is_own(settings, domain) ||
                       tls_policy_or_default(rule)->level == TLS_LEVEL_NONE,
        .allow_private = settings->mx.allow_private,
        .allow_private_count = settings->mx.allow_private_count,
    };

    (void)demand_start(run->resolver, &run->set, &request, on_demand, run);
    tls_policy_release(&rule);
}

static int open_parts(struct policy_run *run)
{
    const struct engine_settings settings = {.ring_entries = 256, .buffer_count = 8};
    const struct sts_settings sts = {.state_dir = run->config->state_dir,
                                     .is_readonly = true,
                                     .authorities = run->config->delivery_tls.ca};
    const char *why = NULL;

    if (engine_probe(&why) < 0)
        return cli_fail(EXIT_CONFIG, "%s", why);
    run->engine = engine_create(&settings);
    if (run->engine == NULL)
        return cli_fail(EXIT_OS, "no ring: %s", strerror(errno));
    run->cache = resolver_cache_create(&run->config->dns);
    run->resolver = resolver_create(run->engine, run->cache, &run->config->dns, &why);
    if (run->resolver == NULL)
        return cli_fail(EXIT_CONFIG, "dns: %s", why == NULL ? "no memory" : why);
    run->sts = sts_store_open(&sts);
    return run->sts != NULL ? EXIT_GOOD : cli_fail(EXIT_OS, "no threads: %s", strerror(errno));
}

static void close_parts(struct policy_run *run)
{
    if (run->sts != NULL)
        sts_store_stop(run->sts);
    resolver_destroy(&run->resolver);
    if (run->engine != NULL)
        engine_turn(run->engine, 0); /* what was polled for is freed there */
    engine_destroy(&run->engine);
    dns_cache_free(&run->cache);
    sts_store_free(&run->sts);
}

/* A route by names: the first is shown, the others are tried after it and are looked up alike. */
static int ask(struct policy_run *run)
{
    const struct delivery_settings *settings = &run->config->delivery;
    struct bytes domain = bytes_of(run->domain);
    struct route_target target;
    struct mx_lookup *mx;

    run->route = router_route(settings, domain);
    run->looked_up = domain;
    if (run->route != NULL && run->route->target_count > 0)
        run->looked_up = bytes_of(run->route->targets[0]);
    if (run->route == NULL || run->route->use_mx) {
        mx = mx_lookup_start(run->resolver, &settings->mx, run->looked_up, on_mx, run);
    } else {
        if (!router_parse_target(run->looked_up, settings->mx.port, &target))
            return cli_fail(EXIT_FAILED, "a target of the route is no host");
        mx = mx_lookup_host(run->resolver, &settings->mx,
                            target.is_numeric ? run->looked_up : target.host, target.port, on_mx,
                            run);
    }
    if (mx == NULL)
        return cli_fail(EXIT_OS, "no memory for a lookup");
    while (!run->is_done)
        engine_turn(run->engine, -1);
    return run->code;
}

static int run_tls_policy(struct cli *cli)
{
    struct policy_run run = {.cli = cli};
    struct dns_name name;
    int code = read_options(&run);

    if (code != EXIT_GOOD)
        return code;
    if (!dns_name_parse(bytes_of(run.domain), &name))
        return cli_misuse(cli, "%s is no domain", run.domain);
    run.domain = name.text;
    run.config = cli_config(cli);
    if (run.config == NULL)
        return EXIT_CONFIG;
    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR); /* what goes wrong is told with the hosts */
    arena_init(&run.arena, ARENA_MAX);
    code = open_parts(&run);
    if (code == EXIT_GOOD)
        code = ask(&run);
    close_parts(&run);
    arena_free(&run.arena);
    config_release(&run.config);
    return code;
}

const struct cli_command cli_tls_policy = {
    "tls-policy",
    "what delivery would demand of TLS with a domain's mail hosts",
    "usage: ringpost [-c FILE] tls-policy [--requiretls] [--json] DOMAIN\n\n"
    "Looks up the mail hosts of DOMAIN, their TLSA records (DANE) and its MTA-STS policy, and\n"
    "says for each host what a connection to it would have to be and which rule says so: none,\n"
    "opportunistic, require (encrypted), verify (and the host is who it says), refuse (no\n"
    "connection at all). With --requiretls: for a message whose sender demands it (RFC 8689);\n"
    "whether the host offers REQUIRETLS is not known. Connects to no mail host. Works without a\n"
    "daemon; asks dns.servers, reads the policies that the daemon keeps, and fetches what it\n"
    "would fetch.\n"
    "Exit code 0; 1 if DOMAIN has no mail host, 64 for wrong arguments.\n",
    run_tls_policy,
};
