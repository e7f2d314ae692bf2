/* site_egress.c - a site's sources: made, kept over a reload, left. */
#include "delivery/line/site_egress.h"

#include <stdlib.h>
#include <string.h>

#include "delivery/line/provider.h"
#include "delivery/line/site.h"
#include "delivery/line/store_route.h"

/* --- limits ----------------------------------------------------------------------------------- */

/* A site of a provider that no rule names has only the provider's. */
static struct egress_limits own_limits(const struct site *site)
{
    bool is_any = site->provider != NULL && site->own.is_default;

    return (struct egress_limits){
        .connections_max = is_any ? EGRESS_CONNECTIONS_ANY : limits_connections(&site->own),
        .messages_per_s = is_any ? 0 : limits_rate(&site->own),
        .is_default = site->own.is_default,
        .generation = site->delivery->generation,
    };
}

static struct egress_limits provider_limits(const struct site *site)
{
    struct limits limits;

    limits_of_provider(&limits, site->delivery->settings, site->provider);
    return (struct egress_limits){
        .connections_max = limits_connections(&limits),
        .messages_per_s = limits_rate(&limits),
        .is_default = limits.is_default,
        .generation = site->delivery->generation,
    };
}

void site_egresses_limit(struct site *site)
{
    const struct egress_limits own = own_limits(site);

    for (struct site_egress *e = site->egresses; e != NULL; e = e->next) {
        egress_limit(e->egress, &own);
        if (site->provider != NULL) {
            const struct egress_limits of_provider = provider_limits(site);

            egress_limit(egress_provider(e->egress), &of_provider);
        }
    }
}

/* --- made and kept ---------------------------------------------------------------------------- */

static bool texts_are_equal(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* What a receiver sees of it. Its weight is ours alone. */
static bool source_is_equal(const struct source *a, const struct source *b)
{
    return texts_are_equal(a->name, b->name) && texts_are_equal(a->ehlo, b->ehlo) &&
           a->has_address4 == b->has_address4 && a->has_address6 == b->has_address6 &&
           (!a->has_address4 || address_equal(&a->address4, &b->address4)) &&
           (!a->has_address6 || address_equal(&a->address6, &b->address6));
}

/* Receivers judge addresses: a name that stands for another one begins anew. */
static struct bytes identify(const struct source *source, struct buf *out)
{
    char text[ADDRESS_TEXT_MAX];
    bool ok = buf_append(out, bytes_of(source->name));

    if (ok && source->has_address4)
        ok = buf_printf(out, " %.*s", (int)address_format(&source->address4, text), text);
    if (ok && source->has_address6)
        ok = buf_printf(out, " %.*s", (int)address_format(&source->address6, text), text);
    check(ok);
    return buf_bytes(out);
}

static struct site_egress *make(struct site *site, const struct source *source)
{
    struct delivery *delivery = site->delivery;
    struct site_egress *e = calloc(1, sizeof(*e));
    const struct egress_limits own = own_limits(site);
    struct buf identity;

    check(e != NULL);
    buf_init(&identity, 4096);
    e->site = site;
    e->source = source;
    e->use = delivery->use;
    e->use->references++;
    e->counts = site->is_store
                    ? series_begin(&family_sources, bytes_of(source->name))
                    : series_keep(e->use->of_sources[source - e->use->settings->sources]);
    if (site->provider != NULL) {
        const struct egress_limits of_provider = provider_limits(site);

        e->egress = egress_get_of(delivery->egresses, bytes_of(site->provider->name), &of_provider,
                                  site->name, identify(source, &identity), &own);
    } else {
        e->egress = egress_get(site->is_store ? delivery->store.egresses : delivery->egresses,
                               site->name, identify(source, &identity), &own);
    }
    buf_free(&identity);
    e->waiter.engine = delivery->engine;
    e->sender.engine = delivery->engine;
    list_node_init(&e->waiter.node);
    return e;
}

/* Takes it off the list; NULL: there is none. */
static struct site_egress *take(struct site_egress **list, const struct source *source)
{
    for (struct site_egress **at = list; *at != NULL; at = &(*at)->next) {
        struct site_egress *e = *at;

        if (!source_is_equal(e->source, source))
            continue;
        *at = e->next;
        return e;
    }
    return NULL;
}

static void use_newest(struct site_egress *e, const struct source *source)
{
    struct delivery *delivery = e->site->delivery;

    settings_release(delivery, &e->use);
    e->use = delivery->use;
    e->use->references++;
    e->source = source;
}

/* Out of both lines; false: a letter is on its way to it. */
static bool cancel(struct site_egress *e)
{
    if (e->is_waiting && egress_waiter_cancel(e->egress, &e->waiter))
        e->is_waiting = false;
    bool has_no_share = egress_share_drop(&e->sender);

    return !e->is_waiting && has_no_share && e->holder == NULL;
}

static void leave(struct site *site, struct site_egress *e)
{
    e->is_leaving = true;
    e->next = site->leaving;
    site->leaving = e;
    (void)cancel(e);
    /* At most as many as may be open to a site; one that ends is freed later, never in here. */
    list_for_each(node, &site->carriers) {
        struct carrier *carrier = container_of(node, struct carrier, in_site);

        if (carrier->egress == e)
            site_carriers(site)->leave(carrier);
    }
}

void site_egresses_adapt(struct site *site, bool is_of_provider_before)
{
    const struct delivery_settings *settings = site->delivery->settings;
    const struct source *sources = site->is_store ? &store_source : settings->sources;
    size_t count = site->is_store ? 1 : MIN(settings->source_count, (size_t)SOURCES_MAX);
    struct site_egress *before = site->egresses;
    struct site_egress **end = &site->egresses;
    struct site_egress *e;

    for (size_t i = 0; i < count; i++) {
        const struct source *source = &sources[i];

        e = is_of_provider_before ? take(&before, source) : NULL;
        if (e != NULL)
            use_newest(e, source);
        else
            e = make(site, source);
        *end = e;
        end = &e->next;
    }
    *end = NULL;
    while ((e = before) != NULL) {
        before = e->next;
        leave(site, e);
    }
    site_egresses_sweep(site);
    site_egresses_limit(site);
}

/* --- gone ------------------------------------------------------------------------------------- */

static void free_egress(struct delivery *delivery, struct site_egress *e)
{
    check(e->carrier_count == 0);
    check(!e->is_waiting);
    check(e->sender.share == NULL);
    check(e->holder == NULL);
    egress_put(&e->egress);
    series_put(&e->counts);
    settings_release(delivery, &e->use);
    free(e);
}

void site_egresses_sweep(struct site *site)
{
    struct site_egress **at = &site->leaving;

    while (*at != NULL) {
        struct site_egress *e = *at;

        if (e->carrier_count > 0 || e->is_waiting || e->holder != NULL ||
            !egress_share_drop(&e->sender)) {
            at = &e->next;
            continue;
        }
        *at = e->next;
        free_egress(site->delivery, e);
    }
}

void site_egresses_free(struct site *site)
{
    struct site_egress *e;

    site_egresses_sweep(site);
    check(site->leaving == NULL);
    while ((e = site->egresses) != NULL) {
        site->egresses = e->next;
        check(egress_share_drop(&e->sender));
        free_egress(site->delivery, e);
    }
}

bool site_cancel_waiters(struct site *site)
{
    bool all = true;

    for (struct site_egress *e = site->egresses; e != NULL; e = e->next)
        all = cancel(e) && all;
    for (struct site_egress *e = site->leaving; e != NULL; e = e->next)
        all = cancel(e) && all;
    return all;
}

void site_egress_opened(struct site_egress *egress, void (*rung)(void *egress))
{
    if (egress->carrier_count++ == 0)
        egress_hold(&egress->holder, egress->egress, egress->site->delivery->engine, rung, egress);
    series_add(egress->counts, SOURCE_OPENED, 1);
    series_add(egress->counts, SOURCE_OPEN, 1);
}

void site_egress_closed(struct site_egress **egress)
{
    struct site_egress *e = *egress;

    *egress = NULL;
    check(e->carrier_count > 0);
    if (--e->carrier_count == 0)
        (void)egress_hold_end(&e->holder);
    series_add(e->counts, SOURCE_OPEN, -1);
    egress_connect_end(e->egress);
    if (e->is_leaving)
        site_egresses_sweep(e->site);
}

/* --- rate ------------------------------------------------------------------------------------- */

uint64_t site_egress_charge(struct site_egress *e, const struct egress_mail *mail, unsigned count)
{
    return egress_charge(e->egress, site_egress_waiter(e), mail, count);
}

int64_t site_share_at_ms(const struct site *site)
{
    int64_t now_ms = engine_now_ms(site->delivery->engine);
    int64_t at_ms = 0;

    for (const struct site_egress *e = site->egresses; e != NULL; e = e->next) {
        int64_t share_ms = egress_share_at_ms(&e->sender, now_ms);

        if (share_ms != 0 && (at_ms == 0 || share_ms < at_ms))
            at_ms = share_ms;
    }
    return at_ms;
}
