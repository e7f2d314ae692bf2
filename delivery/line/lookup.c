/* lookup.c - collects the hosts of a route, or asks for the MX. */
#include "delivery/line/lookup.h"

#include <stdio.h>
#include <stdlib.h>

#include "delivery/line/demand.h"
#include "delivery/line/router.h"

enum { ARENA_MAX = 256 * 1024, NUMERIC_TTL_MS = 3600 * 1000, FAILED_TTL_MS = 30 * 1000 };

struct lookup {
    struct delivery *delivery;
    const struct route *route;
    struct bytes domain;
    enum mail_tls tls; /* what mail for it asks */
    lookup_done *done;
    void *context;
    struct turn_end turn_end; /* numeric targets need no waiting, but done() is called later */
    struct mx_lookup *mx;
    struct demand *demand;
    struct arena arena;
    struct bytes looked_up; /* the domain, or whose MX a route says */
    struct mx_set found;
    size_t target; /* being looked up */
    uint16_t port; /* of it */
    struct mx_set set;
    struct mx_host hosts[MX_HOSTS_MAX];
    char note[256]; /* of the first target that failed */
};

static void next_target(struct lookup *lookup);

static void tell(struct lookup *lookup, const struct mx_set *set,
                 struct tls_policy *const *policies)
{
    lookup->done(lookup->context, set, policies);
    arena_free(&lookup->arena);
    free(lookup);
}

static void on_demand(void *context, struct tls_policy *const *policies, int64_t expires_ms)
{
    struct lookup *lookup = context;

    lookup->demand = NULL;
    lookup->found.expires_ms = MIN(lookup->found.expires_ms, expires_ms);
    tell(lookup, &lookup->found, policies);
}

/* What is demanded of TLS with its hosts. A domain that a route sends elsewhere is not asked: the
 * name that it is sent to is. */
static void ask_demand(struct lookup *lookup)
{
    struct delivery *delivery = lookup->delivery;
    const struct delivery_settings *settings = delivery->settings;
    bool is_by_route = lookup->route != NULL;
    struct tls_policy *rule = router_tls_policy(settings, lookup->domain);
    struct demand_request request = {
        .domain = lookup->looked_up,
        .tls = lookup->tls,
        .is_named = is_by_route && !lookup->route->use_mx,
        .uses_dane = settings->dane,
        .sts = settings->mta_sts && !is_by_route ? delivery->sts : NULL,
        .rule = rule,
        .is_rule_own = router_tls_is_own(settings, lookup->domain) ||
                       tls_policy_or_default(rule)->level == TLS_LEVEL_NONE,
        .allow_private = settings->mx.allow_private,
        .allow_private_count = settings->mx.allow_private_count,
    };

    lookup->demand = demand_start(delivery->resolver, &lookup->found, &request, on_demand, lookup);
    tls_policy_release(&rule);
}

static void finish(struct lookup *lookup, const struct mx_set *set)
{
    struct mx_set failed = {.status = MX_FAILED,
                            .expires_ms = set->expires_ms,
                            .note = "memory ran dry while looking up the domain"};

    if (set->status != MX_OK)
        tell(lookup, set, NULL);
    else if (mx_set_copy(&lookup->arena, set, &lookup->found))
        ask_demand(lookup);
    else
        tell(lookup, &failed, NULL);
}

static void on_mx(void *context, const struct mx_set *set)
{
    struct lookup *lookup = context;

    lookup->mx = NULL;
    finish(lookup, set);
}

static void fail_later(struct lookup *lookup, const char *note)
{
    lookup->set.status = MX_FAILED;
    lookup->set.note = note;
    lookup->set.expires_ms = engine_now_ms(lookup->delivery->engine) + FAILED_TTL_MS;
    engine_at_turn_end(lookup->delivery->engine, &lookup->turn_end);
}

/* The status that says most: one that is temporary beats one that is final. */
static void note_failure(struct lookup *lookup, enum mx_status status, const char *note)
{
    if (lookup->set.status == MX_OK || status == MX_FAILED) {
        lookup->set.status = status;
        snprintf(lookup->note, sizeof(lookup->note), "%s", note);
    }
}

static void on_host(void *context, const struct mx_set *set)
{
    struct lookup *lookup = context;

    lookup->mx = NULL;
    if (set->status != MX_OK)
        note_failure(lookup, set->status, set->note);
    for (size_t i = 0; i < set->host_count && lookup->set.host_count < MX_HOSTS_MAX; i++) {
        struct mx_host *host = &lookup->hosts[lookup->set.host_count];

        *host = set->hosts[i];
        host->preference = (uint16_t)lookup->set.host_count;
        if (arena_copy(&lookup->arena, set->hosts[i].name, &host->name))
            lookup->set.host_count++;
    }
    lookup->set.expires_ms = MIN(lookup->set.expires_ms, set->expires_ms);
    lookup->target++;
    next_target(lookup);
}

static void targets_done(struct lookup *lookup)
{
    struct mx_set *set = &lookup->set;
    struct buf name;

    buf_init(&name, 400);
    bool ok = buf_append(&name, BYTES("route:"));

    for (size_t i = 0; ok && i < lookup->route->target_count; i++)
        ok = buf_printf(&name, "%s%s", i > 0 ? "," : "", lookup->route->targets[i]);
    (void)ok; /* a name that is cut still names this route only, by its first targets */
    set->site = buf_bytes(&name);
    set->hosts = lookup->hosts;
    if (set->host_count > 0)
        set->status = MX_OK;
    else if (set->status == MX_OK)
        set->status = MX_NO_ADDRESS;
    set->note = lookup->note[0] != '\0' ? lookup->note : "by a route";
    finish(lookup, set);
    buf_free(&name);
}

static void add_numeric(struct lookup *lookup, const struct route_target *target)
{
    char text[ADDRESS_TEXT_MAX];
    struct mx_host *host = &lookup->hosts[lookup->set.host_count];
    size_t len = address_format(&target->address, text);

    *host = (struct mx_host){.preference = (uint16_t)lookup->set.host_count, .address_count = 1};
    host->addresses[0] = target->address;
    if (arena_copy(&lookup->arena, bytes_range(text, len), &host->name))
        lookup->set.host_count++;
}

static void next_target(struct lookup *lookup)
{
    struct delivery *delivery = lookup->delivery;
    struct route_target target;

    for (; lookup->target < lookup->route->target_count && lookup->set.host_count < MX_HOSTS_MAX;
         lookup->target++) {
        struct bytes text = bytes_of(lookup->route->targets[lookup->target]);

        if (!router_parse_target(text, delivery->settings->mx.port, &target)) {
            note_failure(lookup, MX_NO_ADDRESS, "a target of the route is no host");
            continue;
        }
        if (target.is_numeric) {
            add_numeric(lookup, &target);
            continue;
        }
        lookup->mx = mx_lookup_host(delivery->resolver, &delivery->settings->mx, target.host,
                                    target.port, on_host, lookup);
        if (lookup->mx != NULL)
            return;
        note_failure(lookup, MX_FAILED, "memory ran dry while looking up a host");
    }
    targets_done(lookup);
}

static void on_turn_end(struct turn_end *turn_end)
{
    struct lookup *lookup = container_of(turn_end, struct lookup, turn_end);

    if (lookup->set.note != NULL)
        finish(lookup, &lookup->set);
    else
        next_target(lookup);
}

struct lookup *lookup_start(struct delivery *delivery, const struct route *route,
                            const struct domain *of, lookup_done *done, void *context)
{
    struct bytes domain = domain_name(of);
    struct lookup *lookup = calloc(1, sizeof(*lookup));

    check(lookup != NULL);
    lookup->delivery = delivery;
    lookup->route = route;
    lookup->tls = (enum mail_tls)of->tls;
    lookup->domain = domain;
    lookup->looked_up = domain;
    lookup->done = done;
    lookup->context = context;
    arena_init(&lookup->arena, ARENA_MAX);
    turn_end_init(&lookup->turn_end, on_turn_end);
    lookup->set.expires_ms = engine_now_ms(delivery->engine) + NUMERIC_TTL_MS;
    if (route != NULL && !route->use_mx) {
        engine_at_turn_end(delivery->engine, &lookup->turn_end);
        return lookup;
    }
    struct bytes name = domain;

    if (route != NULL && route->target_count > 0)
        name = bytes_of(route->targets[0]);
    lookup->looked_up = name;
    lookup->mx = mx_lookup_start(delivery->resolver, &delivery->settings->mx, name, on_mx, lookup);
    if (lookup->mx == NULL)
        fail_later(lookup, "memory ran dry while looking up the domain");
    return lookup;
}

void lookup_cancel(struct lookup **lookup)
{
    struct lookup *l = *lookup;

    *lookup = NULL;
    if (l == NULL)
        return;
    if (l->mx != NULL)
        mx_lookup_cancel(&l->mx);
    demand_cancel(&l->demand);
    engine_turn_end_cancel(l->delivery->engine, &l->turn_end);
    arena_free(&l->arena);
    free(l);
}
