/* site.c - the life of a site: who holds it, what it may do, when it rests. */
#include "delivery/line/site.h"

#include <stdlib.h>
#include <string.h>

enum { FAILURE_TEXT_MAX = 255 };

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
    list_init(&site->carriers);
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

bool site_cancel_waiters(struct site *site)
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

    if (site->destination_count > 0 || site->carrier_count > 0 || !site_cancel_waiters(site))
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
    struct bytes text = bytes_slice(failure->judgement.text, 0, FAILURE_TEXT_MAX);
    struct site_failure *copy =
        malloc(sizeof(*copy) + text.len + failure->host.len + failure->ip.len);

    check(copy != NULL);
    uint8_t *at = (uint8_t *)(copy + 1);

    *copy = *failure;
    copy->judgement.text = bytes_put(text, &at);
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

void site_wake(struct site *site)
{
    hosts_wake(site->hosts);
    site_rest(site, 0);
    for (size_t i = 0; i < site->egress_count; i++) {
        egress_succeeded(site->egresses[i].egress);
        egress_forget_allowed(site->egresses[i].egress);
    }
    site_dirty(site);
}

static bool is_limited_by_peer(const struct site_egress *e)
{
    unsigned allowed = egress_allowed(e->egress);

    return allowed != 0 && egress_connections(e->egress) >= allowed;
}

const char *site_constraint(const struct site *site, int64_t *until_ms_out)
{
    int64_t now_ms = engine_now_ms(site->delivery->engine);

    *until_ms_out = 0;
    if (site->resting_until_ms > now_ms) {
        *until_ms_out = site->resting_until_ms;
        return "site-resting";
    }
    if (site->waiting_count == 0)
        return "nothing-waits";
    if (list_is_linked(&site->in_starved))
        return outcomes_are_many(site->delivery->outcomes) ? "outcomes-unwritten" : "disk-full";
    if (site->rate_until_ms > now_ms) {
        *until_ms_out = site->rate_until_ms;
        return "message-rate";
    }
    for (size_t i = 0; i < site->egress_count; i++)
        if (site->egresses[i].is_waiting)
            return is_limited_by_peer(&site->egresses[i]) ? "peer-refuses-more-connections"
                                                          : "connection-limit";
    return site->opening_count > 0 ? "connecting" : "connections-busy";
}
