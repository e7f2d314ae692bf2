/* site.c - the life of a site, and the decision to open connections. */
#include "delivery/line/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/client/smtp_client.h"

enum {
    RECIPIENTS_PER_OPENING = 4, /* waiting recipients that are worth another connection */
    NO_MEMORY_MS = 1000,
    FAILURE_TEXT_MAX = 255,
    SPREAD_PART = 4,       /* of a rest: as much longer some of what waited may wait */
    URGENT_MS = 60 * 1000, /* since a site took a recipient */
    NO_FAMILY_MS = 5 * 60 * 1000,
};

static void on_woken(struct egress_waiter *waiter);
static void on_timeout(struct timeout *timeout);
static void on_rest_over(struct timeout *timeout);

/* --- life ------------------------------------------------------------------------------------ */

/* To all engines: the strictest that any of them knows of counts. */
static void tell_limits(struct site *site)
{
    struct egress_limits limits = {
        .connections_max = limits_connections(&site->limits),
        .messages_per_s = limits_rate(&site->limits),
        .generation = site->delivery->generation,
    };

    for (size_t i = 0; i < site->egress_count; i++)
        egress_limit(site->egresses[i].egress, &limits);
}

static void add_hosts(struct site *site)
{
    const struct host *hosts = site->hosts->host;
    bool is_stricter = false;

    for (size_t i = 0; i < site->hosts->count; i++)
        if (i == 0 || hosts[i].name.ptr != hosts[i - 1].name.ptr) /* another address of the same */
            is_stricter |= limits_add(&site->limits, site->delivery->settings, hosts[i].name);
    if (is_stricter)
        tell_limits(site);
}

void site_add_domain(struct site *site, struct bytes domain)
{
    if (site->is_current && limits_add(&site->limits, site->delivery->settings, domain))
        tell_limits(site);
}

void site_reconfigure(struct site *site)
{
    struct delivery *delivery = site->delivery;
    const struct source *before = site->use->settings->sources;
    const struct source *sources = delivery->settings->sources;

    settings_release(delivery, &site->use);
    site->use = delivery->use;
    site->use->references++;
    for (size_t i = 0; i < site->egress_count; i++)
        site->egresses[i].source = &sources[i];
    if (site->failure != NULL && site->failure->source != NULL)
        site->failure->source = &sources[site->failure->source - before];
    limits_init(&site->limits, delivery->settings);
    (void)limits_add(&site->limits, delivery->settings, site->name);
    tell_limits(site);
    add_hosts(site);
    site->rate_until_ms = 0;
    site_dirty(site);
}

static struct site *site_new(struct delivery *delivery, struct bytes name)
{
    const struct delivery_settings *settings = delivery->settings;
    size_t sources = MIN(settings->source_count, (size_t)SOURCES_MAX);
    struct site *site = calloc(1, sizeof(*site) + sources * sizeof(site->egresses[0]) + name.len);

    check(site != NULL);
    uint8_t *copy = (uint8_t *)&site->egresses[sources];

    memcpy(copy, name.ptr, name.len);
    site->delivery = delivery;
    site->name = (struct bytes){copy, name.len};
    limits_init(&site->limits, settings);
    (void)limits_add(&site->limits, settings, name);
    site->is_current = true;
    site->use = delivery->use;
    site->use->references++;
    site->egress_count = sources;
    list_init(&site->turns);
    list_init(&site->clients);
    list_init(&site->idle);
    list_node_init(&site->in_all);
    list_node_init(&site->in_dirty);
    list_node_init(&site->in_starved);
    timeout_init(&site->timeout, on_timeout);
    timeout_init(&site->rest_timeout, on_rest_over);
    struct egress_limits limits = {
        .connections_max = limits_connections(&site->limits),
        .messages_per_s = limits_rate(&site->limits),
        .generation = delivery->generation,
    };

    for (size_t i = 0; i < sources; i++) {
        struct site_egress *e = &site->egresses[i];

        e->site = site;
        e->source = &settings->sources[i];
        e->egress = egress_get(delivery->egresses, name, bytes_of(e->source->name), &limits);
        e->waiter.engine = delivery->engine;
        e->waiter.woken = on_woken;
        list_node_init(&e->waiter.node);
    }
    map_insert(&delivery->sites, &site->node, site->name);
    list_push_back(&delivery->all_sites, &site->in_all);
    delivery->site_count++;
    return site;
}

struct site *site_get(struct delivery *delivery, const struct mx_set *set, struct bytes domain)
{
    struct bytes name = set->site.len > 0 ? set->site : domain;
    struct map_node *node = map_find(&delivery->sites, name);
    struct site *site =
        node != NULL ? container_of(node, struct site, node) : site_new(delivery, name);
    struct hosts *old = site->hosts;

    site->hosts = hosts_new(set, old);
    if (old != NULL)
        hosts_release(&old);
    site->destination_count++;
    add_hosts(site);
    site_add_domain(site, domain);
    return site;
}

void site_put(struct site **site)
{
    struct site *s = *site;

    *site = NULL;
    check(s->destination_count > 0);
    s->destination_count--;
    site_check_unused(s);
}

void site_abandon(struct site *site)
{
    if (site->is_current)
        map_remove(&site->delivery->sites, &site->node);
    site->is_current = false;
}

/* True when no letter is on its way. */
static bool cancel_waiters(struct site *site)
{
    bool all = true;

    for (size_t i = 0; i < site->egress_count; i++) {
        struct site_egress *e = &site->egresses[i];

        if (e->is_waiting && egress_waiter_cancel(e->egress, &e->waiter))
            e->is_waiting = false;
        all = all && !e->is_waiting;
    }
    return all;
}

void site_check_unused(struct site *site)
{
    struct delivery *delivery = site->delivery;

    if (site->destination_count > 0 || site->client_count > 0 || !cancel_waiters(site))
        return;
    check(site->waiting_count == 0);
    engine_timeout_cancel(delivery->engine, &site->timeout);
    site_rest(site, 0);
    site_abandon(site);
    list_remove(&site->in_all);
    list_remove(&site->in_dirty);
    list_remove(&site->in_starved);
    for (size_t i = 0; i < site->egress_count; i++)
        egress_put(&site->egresses[i].egress);
    hosts_release(&site->hosts);
    free(site->failure);
    delivery->site_count--;
    settings_release(delivery, &site->use);
    free(site);
    delivery_check_stopped(delivery);
}

void site_dirty(struct site *site)
{
    if (list_is_linked(&site->in_dirty))
        return;
    list_push_back(&site->delivery->dirty_sites, &site->in_dirty);
    delivery_drive_later(site->delivery);
}

void site_starve(struct site *site)
{
    if (!list_is_linked(&site->in_starved))
        list_push_back(&site->delivery->starved_sites, &site->in_starved);
}

void site_set_failure(struct site *site, const struct site_failure *failure)
{
    struct bytes text = bytes_slice(failure->verdict.text, 0, FAILURE_TEXT_MAX);
    struct site_failure *copy =
        malloc(sizeof(*copy) + text.len + failure->host.len + failure->ip.len);

    check(copy != NULL);
    uint8_t *at = (uint8_t *)(copy + 1);

    *copy = *failure;
    copy->verdict.text = bytes_put(text, &at);
    copy->host = bytes_put(failure->host, &at);
    copy->ip = bytes_put(failure->ip, &at);
    free(site->failure);
    site->failure = copy;
    site->has_failed = true;
}

static void on_timeout(struct timeout *timeout)
{
    struct site *site = container_of(timeout, struct site, timeout);

    site->timeout_at_ms = 0;
    site_dirty(site);
}

void site_rest(struct site *site, int64_t until_ms)
{
    struct delivery *delivery = site->delivery;
    int64_t now_ms = engine_now_ms(delivery->engine);

    check(until_ms == 0 || until_ms > now_ms);
    if (site->resting_until_ms != 0) {
        engine_timeout_cancel(delivery->engine, &site->rest_timeout);
        delivery->resting_count--;
    }
    site->resting_until_ms = until_ms;
    if (until_ms == 0)
        return;
    engine_timeout(delivery->engine, &site->rest_timeout, until_ms - now_ms);
    delivery->resting_count++;
}

static void on_rest_over(struct timeout *timeout)
{
    site_rest(container_of(timeout, struct site, rest_timeout), 0);
}

void site_wake_at(struct site *site, int64_t at_ms)
{
    int64_t now_ms = engine_now_ms(site->delivery->engine);

    if (site->timeout_at_ms != 0 && site->timeout_at_ms <= at_ms)
        return;
    site->timeout_at_ms = at_ms;
    engine_timeout(site->delivery->engine, &site->timeout, MAX(at_ms - now_ms, (int64_t)1));
}

/* --- connections ----------------------------------------------------------------------------- */

static void open_client(struct site *site, struct site_egress *e, size_t number)
{
    struct host *host = &site->hosts->host[number];

    /* The slot is ours; every way out of here gives it back or to the connection. */
    if (!smtp_client_open(site, e, host)) {
        egress_connect_end(e->egress);
        site_wake_at(site, engine_now_ms(site->delivery->engine) + NO_MEMORY_MS);
        return;
    }
    host->opening++;
    site->opening_count++;
}

static void on_woken(struct egress_waiter *waiter)
{
    struct site_egress *e = container_of(waiter, struct site_egress, waiter);
    struct site *site = e->site;
    int64_t retry_ms;

    e->is_waiting = false;
    int host = hosts_next(site->hosts, source_has_ipv4(e->source), source_has_ipv6(e->source),
                          engine_now_ms(site->delivery->engine), &retry_ms);

    if (site->waiting_count == 0 || site->delivery->is_stopping || host < 0) {
        egress_connect_end(e->egress);
        site_dirty(site);
        site_check_unused(site);
        return;
    }
    open_client(site, e, (size_t)host);
    site_dirty(site);
}

/* Nobody can be reached: what waits is told, then the site rests. */
static void exhausted(struct site *site, int64_t until_ms)
{
    int64_t now_ms = engine_now_ms(site->delivery->engine);

    if (!site->has_failed && until_ms == INT64_MAX) {
        struct site_failure failure = {
            .verdict = verdict_of_ours(
                VERDICT_DEFERRED, 4, 4, "connection", "no-source",
                BYTES("none of the site's addresses can be reached from our source addresses")),
            .began_ms = engine_wall_ms(site->delivery->engine),
        };

        site_set_failure(site, &failure);
        until_ms = now_ms + NO_FAMILY_MS;
    }
    until_ms = until_ms == INT64_MAX ? now_ms + NO_FAMILY_MS : MAX(until_ms, now_ms + 1000);
    site_rest(site, until_ms);
    site->spread_ms = MAX((until_ms - now_ms) / SPREAD_PART, (int64_t)1000);
    site->has_scout = false;
    if (site->has_failed) {
        struct site_failure *failure = site->failure;

        failure->verdict.kind = site->is_refused ? VERDICT_BOUNCED : VERDICT_DEFERRED;
        site->fail_left = MIN(site->waiting_count, (size_t)FAIL_MAX);
        for (size_t i = 0; i < site->egress_count; i++)
            if (site->egresses[i].source == failure->source)
                egress_failed(site->egresses[i].egress, now_ms);
        log_limited(LOG_LEVEL_WARN, "site=%s resting_s=%lld host=%s ip=%s why=%s",
                    LOG_TEXT(site->name), (long long)(until_ms - now_ms) / 1000,
                    LOG_TEXT(failure->host), LOG_TEXT(failure->ip),
                    LOG_TEXT(failure->verdict.text));
    }
    site->has_failed = false;
    site_dirty(site);
}

/* Opens one connection or finds out why not; false: nothing more to try now. */
static bool open_one(struct site *site)
{
    int64_t now_ms = engine_now_ms(site->delivery->engine);
    int64_t until_ms = INT64_MAX;
    uint64_t usable = 0;
    bool is_waiting = false;
    int hosts[SOURCES_MAX];

    for (size_t i = 0; i < site->egress_count; i++) {
        struct site_egress *e = &site->egresses[i];
        int64_t resting_ms = egress_resting_until_ms(e->egress);
        int64_t retry_ms;

        is_waiting = is_waiting || e->is_waiting;
        if (resting_ms > now_ms) {
            until_ms = MIN(until_ms, resting_ms);
            continue;
        }
        hosts[i] = hosts_next(site->hosts, source_has_ipv4(e->source), source_has_ipv6(e->source),
                              now_ms, &retry_ms);
        if (hosts[i] >= 0 && !e->is_waiting)
            usable |= 1ULL << i;
        else if (hosts[i] < 0)
            until_ms = MIN(until_ms, retry_ms);
    }
    int pick = source_pick(site->use->settings->sources, site->egress_count, usable);

    if (pick < 0) {
        /* Every connection's end drives the site again, and so does a slot. */
        if (site->client_count == 0 && !is_waiting)
            exhausted(site, until_ms);
        return false;
    }
    struct site_egress *e = &site->egresses[pick];

    /* Where thousands of sites wait for a slot because a backlog became due, one that takes mail
     * must not stand in line with them whenever a connection of it ends. */
    e->waiter.is_urgent = site->took_ms != 0 && now_ms - site->took_ms < URGENT_MS;
    if (!egress_connect_begin(e->egress, &e->waiter)) {
        e->is_waiting = true;
        return true; /* another source may have one */
    }
    size_t before = site->client_count;

    open_client(site, e, (size_t)hosts[pick]);
    return site->client_count > before;
}

static bool wants_more(struct site *site)
{
    int64_t now_ms = engine_now_ms(site->delivery->engine);
    size_t wanted = (site->waiting_count + RECIPIENTS_PER_OPENING - 1) / RECIPIENTS_PER_OPENING;

    if (site->opening_count >= wanted || !list_is_empty(&site->idle))
        return false;
    if (site->rate_until_ms > now_ms) {
        site_wake_at(site, site->rate_until_ms);
        return false;
    }
    return true;
}

/* The peer may allow one more than it did: somebody has to ask now and then. */
static void probe_limits(struct site *site)
{
    for (size_t i = 0; i < site->egress_count; i++) {
        struct site_egress *e = &site->egresses[i];

        if (!e->is_waiting)
            continue;
        int64_t at_ms = egress_probe(e->egress, engine_now_ms(site->delivery->engine));

        if (at_ms != 0)
            site_wake_at(site, at_ms);
    }
}

static void wake_idle(struct site *site)
{
    struct list ready;
    struct list_node *node;

    list_init(&ready);
    list_splice(&ready, &site->idle); /* who finds nothing to send goes back */
    while (site->waiting_count > 0 && (node = list_pop_front(&ready)) != NULL)
        smtp_client_wake(container_of(node, struct smtp_client, in_idle));
    list_splice(&site->idle, &ready);
}

void site_drive(struct site *site)
{
    struct delivery *delivery = site->delivery;

    if (delivery->is_stopping)
        return;
    if (site->fail_left > 0) {
        site_fail_some(site);
        return;
    }
    if (site->waiting_count == 0) {
        (void)cancel_waiters(site);
        return;
    }
    if (site->resting_until_ms > engine_now_ms(delivery->engine)) {
        site_postpone_some(site);
        return;
    }
    if (!delivery_may_begin(delivery)) {
        site_starve(site);
        return;
    }
    wake_idle(site);
    while (site->waiting_count > 0 && wants_more(site))
        if (!open_one(site))
            break;
    probe_limits(site);
}
