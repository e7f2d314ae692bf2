/* site.c - the life of a site: who holds it, what it may do, when it rests. */
#include "delivery/line/site.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/line/provider.h"
#include "delivery/line/store_route.h"

enum {
    TLS_KEY_LEN = 64, /* more than the demand takes */
    FAILURE_TEXT_MAX = 255,
    SPREAD_PART = 4, /* of a rest: as much longer some of what waited may wait */
    SPREAD_MIN_MS = 1000,
};

static void on_timeout(struct timeout *timeout);

/* --- life ------------------------------------------------------------------------------------ */

static void join_limits(struct site *site)
{
    struct limits of_provider;

    site->limits = site->own;
    if (site->provider == NULL)
        return;
    limits_of_provider(&of_provider, site->delivery->settings, site->provider);
    limits_add_all(&site->limits, &of_provider);
}

static bool add_hosts(struct site *site)
{
    const struct host *hosts = site->hosts->host;
    bool is_stricter = false;

    for (size_t i = 0; i < site->hosts->count; i++)
        if (i == 0 || hosts[i].name.ptr != hosts[i - 1].name.ptr) /* another address of the same */
            is_stricter |= limits_add(&site->own, site->delivery->settings, hosts[i].name);
    return is_stricter;
}

/* What was counted stays with the former provider, what waits goes along. */
static void count_anew(struct site *site)
{
    struct bytes name = site->provider != NULL ? bytes_of(site->provider->name) : site->name;
    int64_t waiting = (int64_t)site->waiting_count;

    if (site->counts != NULL) {
        series_add(site->counts, RECIPIENTS_WAITING, -waiting);
        series_put(&site->counts);
    }
    site->counts = series_begin(&family_sites, name);
    series_add(site->counts, RECIPIENTS_WAITING, waiting);
}

/* Its hosts or the settings are new. */
static void adapt(struct site *site, bool is_of_provider_before)
{
    if (site->counts == NULL || !is_of_provider_before)
        count_anew(site);
    join_limits(site);
    site_egresses_adapt(site, is_of_provider_before);
}

static void init_limits(struct site *site)
{
    if (site->is_store)
        limits_init_store(&site->own, site->delivery->settings);
    else
        limits_init(&site->own, site->delivery->settings);
}

void site_forget_domains(struct site *site)
{
    init_limits(site);
    if (site->is_store)
        return;
    (void)limits_add(&site->own, site->delivery->settings, site->name);
    (void)add_hosts(site);
}

void site_add_domain(struct site *site, struct bytes domain)
{
    if (site->is_store)
        return;
    (void)limits_add(&site->own, site->delivery->settings, domain);
}

void site_reconfigure(struct site *site)
{
    const struct provider_rule *before = site->provider;

    site->provider = site->is_store ? NULL : provider_of(site->delivery->settings, site->hosts);
    adapt(site, provider_is_equal(before, site->provider));
    site_dirty(site);
}

/* The key begins with the name. */
static struct site *site_new(struct delivery *delivery, struct bytes key, size_t name_len)
{
    struct site *site = calloc(1, sizeof(*site) + key.len);

    check(site != NULL);
    uint8_t *copy = (uint8_t *)(site + 1);

    memcpy(copy, key.ptr, key.len);
    site->delivery = delivery;
    site->name = (struct bytes){copy, name_len};
    site->is_store = store_is_site(delivery, site->name);
    init_limits(site);
    site_add_domain(site, site->name);
    turns_init(&site->turns);
    list_init(&site->carriers);
    list_init(&site->idle);
    list_node_init(&site->in_all);
    list_node_init(&site->in_dirty);
    list_node_init(&site->in_starved);
    timeout_init(&site->timeout, on_timeout);
    site_state_init(site);
    map_insert(&delivery->sites, &site->node, (struct bytes){copy, key.len});
    list_push_back(&delivery->all_sites, &site->in_all);
    delivery->site_count++;
    return site;
}

/* The site of a name and a demand; made where there is none. */
static struct site *find(struct delivery *delivery, struct bytes name, uint64_t demand)
{
    struct buf key;

    buf_init(&key, name.len + TLS_KEY_LEN);
    check(buf_append(&key, name));
    if (demand != 0)
        check(buf_printf(&key, " %016" PRIx64, demand));
    struct map_node *node = map_find(&delivery->sites, buf_bytes(&key));
    struct site *site = node != NULL ? container_of(node, struct site, node)
                                     : site_new(delivery, buf_bytes(&key), name.len);

    buf_free(&key);
    return site;
}

struct site *site_get(struct delivery *delivery, const struct mx_set *set,
                      struct tls_policy *const *policies, struct bytes domain)
{
    uint64_t demand = policies != NULL ? tls_policies_demand(policies, set->host_count) : 0;
    struct site *site = find(delivery, set->site.len > 0 ? set->site : domain, demand);
    const struct provider_rule *before = site->provider;
    struct hosts *old = site->hosts;

    site->hosts = hosts_new(set, policies, old);
    if (old != NULL)
        hosts_release(&old);
    site->destination_count++;
    bool is_stricter = false;

    if (!site->is_store) {
        is_stricter = add_hosts(site);
        is_stricter |= limits_add(&site->own, delivery->settings, domain);
        site->provider = provider_of(delivery->settings, site->hosts);
    }
    if (is_stricter || site->egresses == NULL || !provider_is_equal(before, site->provider))
        adapt(site, provider_is_equal(before, site->provider));
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

void site_check_unused(struct site *site)
{
    struct delivery *delivery = site->delivery;

    if (site->destination_count > 0 || site->carrier_count > 0 || !site_cancel_waiters(site))
        return;
    check(site->waiting_count == 0);
    engine_timeout_cancel(delivery->engine, &site->timeout);
    site_state_end(site);
    map_remove(&delivery->sites, &site->node);
    list_remove(&site->in_all);
    list_remove(&site->in_dirty);
    list_remove(&site->in_starved);
    site_egresses_free(site);
    series_put(&site->counts);
    hosts_release(&site->hosts);
    free(site->failure);
    delivery->site_count--;
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

void site_told(struct site *site)
{
    site_egresses_sweep(site);
    site_dirty(site);
    site_check_unused(site);
}

void site_emptied(struct site *site)
{
    if (site->state == SITE_FAILING || site->state == SITE_RESTING)
        return;
    (void)site_cancel_waiters(site);
    site_enter(site, SITE_IDLE);
}

void site_starve(struct site *site)
{
    /* Or while one engine has no room the others have no more than their part of a rate. */
    for (struct site_egress *e = site->egresses; e != NULL; e = e->next)
        egress_share_pass(&e->sender);
    if (!list_is_linked(&site->in_starved))
        list_push_back(&site->delivery->starved_sites, &site->in_starved);
    if (site->state != SITE_FAILING)
        site_enter(site, SITE_STARVED);
}

void site_set_failure(struct site *site, const struct site_failure *failure, bool is_final)
{
    struct bytes text = bytes_slice(failure->judgement.text, 0, FAILURE_TEXT_MAX);
    struct site_failure *copy =
        malloc(sizeof(*copy) + text.len + failure->host.len + failure->ip.len +
               failure->source.len + failure->tls.reason.len);

    check(copy != NULL);
    uint8_t *at = (uint8_t *)(copy + 1);

    *copy = *failure;
    copy->judgement.text = bytes_put(text, &at);
    copy->host = bytes_put(failure->host, &at);
    copy->ip = bytes_put(failure->ip, &at);
    copy->source = bytes_put(failure->source, &at);
    copy->tls.reason = bytes_put(failure->tls.reason, &at);
    free(site->failure);
    site->failure = copy;
    site->trouble = is_final && site->trouble != SITE_TROUBLE_FAILED ? SITE_TROUBLE_REFUSED
                                                                     : SITE_TROUBLE_FAILED;
}

static void on_timeout(struct timeout *timeout)
{
    struct site *site = container_of(timeout, struct site, timeout);

    site->timeout_at_ms = 0;
    site_end_rest(site);
}

void site_rest(struct site *site, int64_t until_ms)
{
    struct delivery *delivery = site->delivery;
    int64_t rest_ms = until_ms - engine_now_ms(delivery->engine);

    check(rest_ms > 0);
    site->rest.until_ms = until_ms;
    site->rest.spread_ms =
        (int32_t)MIN(MAX(rest_ms / SPREAD_PART, (int64_t)SPREAD_MIN_MS), (int64_t)INT32_MAX);
    site->rest.has_scout = false;
    site->timeout_at_ms = until_ms;
    engine_timeout(delivery->engine, &site->timeout, rest_ms);
    if (site->trouble != SITE_TROUBLE_NONE) {
        site->fail_left = (unsigned)MIN(site->waiting_count, (size_t)FAIL_MAX);
        site_enter(site, SITE_FAILING);
    } else {
        site_enter(site, SITE_RESTING);
    }
    site->trouble = SITE_TROUBLE_NONE;
    (void)site_cancel_waiters(site); /* shares of the rate are for those that can send */
    site_dirty(site);
}

void site_failed(struct site *site)
{
    site->fail_left = 0;
    site_enter(site, site->rest.until_ms != 0 ? SITE_RESTING : SITE_IDLE);
    site_dirty(site);
}

void site_end_rest(struct site *site)
{
    if (site->rest.until_ms != 0) {
        engine_timeout_cancel(site->delivery->engine, &site->timeout);
        site->timeout_at_ms = 0;
        site->rest.until_ms = 0;
    }
    if (site->state == SITE_RESTING)
        site_enter(site, SITE_IDLE); /* FAILING: once all are told */
    site_dirty(site);
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
    site_end_rest(site);
    for (struct site_egress *e = site->egresses; e != NULL; e = e->next) {
        egress_succeeded(e->egress);
        egress_forget_allowed(e->egress);
    }
}
