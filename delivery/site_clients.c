/* site_clients.c - what a site learns from its connections. */
#include <stdio.h>
#include <string.h>

#include "base/metric.h"
#include "delivery/smtp_client.h"

enum {
    CAP_MS = 5 * 1000,
    FRUITLESS_MAX = 3, /* one message may have a peer hang up; three connections have no luck */
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
    site->resting_until_ms = 0;
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
    /* It let this one in, so it may let one more in: a peer that refuses now and then does not end
     * with one connection, one with a fixed limit is asked again once a success. */
    site->cap = MAX(site->cap, site->client_count + 1);
    site_dirty(site);
    if (host != NULL)
        host->ready++;
    egress_ready(client->egress->egress, 1);
}

void site_client_left(struct site *site, struct smtp_client *client)
{
    struct host *host = hosts_find(site->hosts, &client->address);

    check(site->ready_count > 0);
    site->ready_count--;
    if (host != NULL && host->ready > 0)
        host->ready--;
    egress_ready(client->egress->egress, -1);
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
 * itself, these may also be other engines'. */
static bool has_enough(const struct site *site, const struct smtp_client *client,
                       const struct verdict *verdict)
{
    const struct host *host = hosts_find(site->hosts, &client->address);

    if (host != NULL && host->ready > 0)
        return true;
    return !verdict->is_ours && egress_ready(client->egress->egress, 0) > 0;
}

static void lower_cap(struct site *site)
{
    /* Without this one; where many are refused the next ones lower it further. */
    site->cap = site->client_count - 1;
    site->cap_until_ms = engine_now_ms(site->delivery->engine) + CAP_MS;
    site_dirty(site);
}

void site_client_failed(struct site *site, struct smtp_client *client,
                        const struct verdict *verdict)
{
    metric_inc(METRIC_DELIVERY_CONNECTS_FAILED);
    opened(site, client);
    if (is_of_source(verdict) || !has_enough(site, client, verdict)) {
        remember_failure(site, client, verdict);
        return;
    }
    lower_cap(site);
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
}

bool site_client_is_surplus(struct site *site, struct smtp_client *client)
{
    list_for_each(node, &site->clients) {
        const struct smtp_client *other = container_of(node, struct smtp_client, in_site);

        if (other == client || other->messages_done == 0 || other->state == CLIENT_CLOSING)
            continue;
        lower_cap(site);
        return true;
    }
    return false;
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
