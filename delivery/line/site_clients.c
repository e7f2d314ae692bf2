/* site_clients.c - what a site learns from its connections. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/client/smtp_client.h"

enum {
    FRUITLESS_MAX = 3 /* one message may have a peer hang up; three connections have no luck */
};

static void opened(struct site *site, struct smtp_client *client)
{
    struct host *host = hosts_find(site->hosts, &client->address);

    check(client->is_opening);
    check(site->opening_count > 0);
    client->is_opening = false;
    site->opening_count--;
    if (host != NULL && host->opening > 0)
        host->opening--;
}

/* What it had against the site and the host is forgotten. */
static void forgive(struct site *site, struct smtp_client *client)
{
    struct host *host = hosts_find(site->hosts, &client->address);

    site->has_failed = false;
    site_rest(site, 0);
    if (host != NULL)
        host_succeeded(host);
    egress_succeeded(client->egress->egress);
}

void site_client_ready(struct site *site, struct smtp_client *client)
{
    struct host *host = hosts_find(site->hosts, &client->address);

    opened(site, client);
    site->ready_count++;
    /* A greeting proves nothing of a peer that greets all and hangs up on all. */
    if (site->fruitless < FRUITLESS_MAX)
        forgive(site, client);
    site_dirty(site);
    if (host != NULL)
        host->ready++;
    egress_let_in(client->egress->egress, engine_now_ms(site->delivery->engine));
}

void site_client_left(struct site *site, struct smtp_client *client)
{
    struct host *host = hosts_find(site->hosts, &client->address);

    check(site->ready_count > 0);
    site->ready_count--;
    if (host != NULL && host->ready > 0)
        host->ready--;
    egress_left(client->egress->egress, engine_now_ms(site->delivery->engine));
}

/* The source has to rest, and its host may be tried from another. */
static bool is_of_source(const struct verdict *verdict)
{
    return verdict->rule != NULL && strcmp(verdict->rule, FAILED_SOURCE) == 0;
}

static void remember_failure(struct site *site, struct smtp_client *client,
                             const struct verdict *verdict)
{
    struct host *host = hosts_find(site->hosts, &client->address);
    char ip[ADDRESS_TEXT_MAX];

    if (is_of_source(verdict))
        egress_failed(client->egress->egress, engine_now_ms(site->delivery->engine));
    else if (host != NULL)
        host_failed(host, engine_now_ms(site->delivery->engine));
    site->is_refused = verdict->kind == VERDICT_BOUNCED && (!site->has_failed || site->is_refused);
    address_format(&client->address, ip);
    struct site_failure failure = {
        .verdict = *verdict,
        .host = client->host_name,
        .ip = bytes_of(ip),
        .source = client->egress->source,
        .began_ms = client->opened_wall_ms,
    };

    site_set_failure(site, &failure);
    site_dirty(site);
}

/* A host that serves other connections of ours is not broken, it has enough of them; if it said so
 * itself, these may also be other engines'. Only of one that says nothing it must be this host that
 * has let one in: the next host is to be tried for one that is down. */
static bool has_enough(const struct site *site, const struct smtp_client *client,
                       const struct verdict *verdict)
{
    const struct host *host = hosts_find(site->hosts, &client->address);
    bool is_in = host != NULL && host->ready > 0;

    if (is_of_source(verdict) || (verdict->is_ours && !is_in))
        return false;
    return egress_turned_away(client->egress->egress, &client->egress->waiter,
                              !verdict->is_ours && verdict->kind == VERDICT_DEFERRED,
                              engine_now_ms(site->delivery->engine));
}

/* It gets in line for the next one that may be opened. */
static void tell_enough(struct site *site, const struct smtp_client *client,
                        const struct verdict *verdict)
{
    log_limited(LOG_LEVEL_INFO, "site=%s source=%s connections_allowed=%u why=%s",
                LOG_TEXT(site->name), LOG_STRING(client->egress->source->name),
                egress_allowed(client->egress->egress), LOG_TEXT(verdict->text));
    site_dirty(site);
}

void site_client_failed(struct site *site, struct smtp_client *client,
                        const struct verdict *verdict)
{
    metric_inc(METRIC_DELIVERY_CONNECTS_FAILED);
    opened(site, client);
    if (!has_enough(site, client, verdict)) {
        remember_failure(site, client, verdict);
        return;
    }
    tell_enough(site, client, verdict);
}

void site_client_useless(struct site *site, struct smtp_client *client,
                         const struct verdict *verdict)
{
    remember_failure(site, client, verdict);
}

void site_client_fruitless(struct site *site, struct smtp_client *client,
                           const struct verdict *verdict)
{
    if (site->fruitless < FRUITLESS_MAX)
        site->fruitless++;
    if (site->fruitless == FRUITLESS_MAX)
        remember_failure(site, client, verdict);
}

void site_client_fruitful(struct site *site, struct smtp_client *client)
{
    if (site->fruitless >= FRUITLESS_MAX)
        forgive(site, client);
    site->fruitless = 0;
    egress_served(client->egress->egress, engine_now_ms(site->delivery->engine));
}

bool site_client_is_surplus(struct site *site, struct smtp_client *client,
                            const struct verdict *verdict)
{
    if (!egress_turned_out(client->egress->egress, engine_now_ms(site->delivery->engine)))
        return false;
    tell_enough(site, client, verdict);
    return true;
}

void site_client_given_up(struct site *site, struct smtp_client *client)
{
    opened(site, client);
    site_dirty(site);
}

void site_client_gone(struct site *site, struct smtp_client *client)
{
    list_remove(&client->in_site);
    site->client_count--;
    egress_connect_end(client->egress->egress);
    site_dirty(site);
    site_check_unused(site);
}
