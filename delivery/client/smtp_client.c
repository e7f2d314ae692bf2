/* smtp_client.c - the connection: states, deadlines, the driver of both halves. */
#include "delivery/client/smtp_client.h"

#include <stdio.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/client/transaction.h"

enum {
    OUTPUT_MAX = 128 * 1024,
    ARENA_MAX = 4 * 1024 * 1024,
    CONTENT_TIMEOUT_S = 180, /* RFC 5321 section 4.5.3.2.5 */
    LOAD_TIMEOUT_S = 300,
    IDLE_STEP_MS = 1000,  /* how often an idle connection looks whether others want its slot */
    GIVE_WAY_AFTER = 100, /* messages, if others wait for a slot; */
    GIVE_WAY_MS = 10000,  /* or this long: a slow peer's messages take seconds each */
};

#define BIT(state) (1U << (state))
enum { ALIVE = BIT(CLIENT_READY) | BIT(CLIENT_TRANSACTION) };

static const struct {
    const char *name;
    enum metric gauge;
    unsigned next; /* states that may follow */
} states[CLIENT_STATE_COUNT] = {
    [CLIENT_CONNECT] = {"connect", METRIC_CLIENT_CONNECT,
                        BIT(CLIENT_GREETING) | BIT(CLIENT_CLOSING)},
    [CLIENT_GREETING] = {"greeting", METRIC_CLIENT_GREETING,
                         BIT(CLIENT_EHLO) | BIT(CLIENT_CLOSING)},
    [CLIENT_EHLO] = {"ehlo", METRIC_CLIENT_EHLO, BIT(CLIENT_READY) | BIT(CLIENT_CLOSING)},
    [CLIENT_READY] = {"ready", METRIC_CLIENT_READY,
                      BIT(CLIENT_TRANSACTION) | BIT(CLIENT_QUIT) | BIT(CLIENT_CLOSING)},
    [CLIENT_TRANSACTION] = {"transaction", METRIC_CLIENT_TRANSACTION,
                            BIT(CLIENT_READY) | BIT(CLIENT_CLOSING)},
    [CLIENT_QUIT] = {"quit", METRIC_CLIENT_QUIT, BIT(CLIENT_CLOSING)},
    [CLIENT_CLOSING] = {"closing", METRIC_CLIENT_CLOSING, 0},
};

_Static_assert(sizeof(struct smtp_client) <= 1536 + sizeof(struct conn),
               "what a connection costs beside its buffers");

void client_enter(struct smtp_client *c, enum client_state state)
{
    bool was_alive = (BIT(c->state) & ALIVE) != 0;
    bool is_alive = (BIT(state) & ALIVE) != 0;

    check((states[c->state].next & BIT(state)) != 0);
    log_debug("client=%p site=%s state=%s next=%s", (void *)c, LOG_TEXT(c->site->name),
              states[c->state].name, states[state].name);
    metric_dec(states[c->state].gauge);
    metric_inc(states[state].gauge);
    c->state = (uint8_t)state;
    if (was_alive && !is_alive)
        site_client_left(c->site, c);
}

/* For a slot of this egress; the own site may wait for another connection, too. */
static bool others_wait(const struct smtp_client *c)
{
    return egress_has_waiters(c->egress->egress, c->egress->is_waiting);
}

static bool has_done_enough(const struct smtp_client *c)
{
    uint64_t messages_max = limits_messages(&c->site->limits);

    if (c->extensions.mail_max != 0) /* RFC 9422 */
        messages_max = MIN(messages_max, c->extensions.mail_max);
    if (c->delivery->is_stopping || !c->site->is_current || c->is_worn ||
        c->messages_done >= messages_max)
        return true;
    return (c->messages_done >= GIVE_WAY_AFTER ||
            (c->messages_done > 0 &&
             engine_now_ms(c->delivery->engine) - c->opened_ms >= GIVE_WAY_MS)) &&
           others_wait(c);
}

/* --- deadlines ------------------------------------------------------------------------------- */

void client_arm_deadline(struct smtp_client *c)
{
    struct sent sent;
    int64_t after_s = 0;

    if (pipeline_first(&c->pipeline, &sent))
        after_s = client_commands[sent.command].timeout_s;
    else if (c->state == CLIENT_TRANSACTION)
        after_s = c->transaction->walk == WALK_LOAD ? LOAD_TIMEOUT_S : CONTENT_TIMEOUT_S;
    if (after_s > 0)
        conn_deadline(&c->conn, after_s * 1000);
}

static void on_timeout(struct smtp_client *c)
{
    int64_t idle_ms = engine_now_ms(c->delivery->engine) - c->idle_since_ms;
    struct sent sent;
    char text[128];

    switch ((enum client_state)c->state) {
    case CLIENT_READY:
        if (has_done_enough(c) || others_wait(c) ||
            idle_ms >= limits_idle_s(&c->site->limits) * 1000LL)
            client_quit(c);
        else
            conn_deadline(&c->conn, IDLE_STEP_MS);
        return;
    case CLIENT_CONNECT:
        client_fail_ours(c, 4, 1, "connection", "connect-timeout",
                         "the connection was not answered in time");
        return;
    case CLIENT_GREETING:
    case CLIENT_EHLO:
    case CLIENT_TRANSACTION:
        if (pipeline_first(&c->pipeline, &sent))
            snprintf(text, sizeof(text), "no reply to %s within %u s",
                     client_commands[sent.command].name, client_commands[sent.command].timeout_s);
        else
            snprintf(text, sizeof(text), "the peer took no content for %d s", CONTENT_TIMEOUT_S);
        client_fail_ours(c, 4, 2, "connection", "timeout", text);
        return;
    case CLIENT_QUIT:
    case CLIENT_CLOSING:
    case CLIENT_STATE_COUNT:
        break;
    }
    smtp_client_abort(c);
}

/* --- the sending half ------------------------------------------------------------------------ */

static void go_idle(struct smtp_client *c)
{
    c->idle_since_ms = engine_now_ms(c->delivery->engine);
    list_push_back(&c->site->idle, &c->in_idle);
    conn_deadline(&c->conn, IDLE_STEP_MS);
}

/* Recipient domains of one transaction: what the peer says (RFC 9422), what its site has shown. */
static size_t domains_max(const struct smtp_client *c)
{
    uint64_t said = c->extensions.rcpt_domain_max;
    uint64_t shown = c->site->domains_max;

    return (size_t)MIN(said != 0 && shown != 0 ? MIN(said, shown) : MAX(said, shown),
                       (uint64_t)PULL_MAX);
}

/* Pulls the next message. */
static bool next_message(struct smtp_client *c)
{
    uint64_t limit = limits_recipients(&c->site->limits);
    struct pull pull = {.pendings = c->delivery->pulled};

    if (list_is_linked(&c->in_idle))
        return false;
    if (c->conn.eof || !conn_is_open(&c->conn)) {
        client_lost_unused(c, NULL);
        return true;
    }
    if (client_has_unasked_input(c)) { /* the beginning of a reply that answers nothing */
        client_lost_unused(c, NULL);
        return true;
    }
    if (has_done_enough(c)) {
        client_quit(c);
        return true;
    }
    if (c->extensions.rcpt_max != 0) /* RFC 9422 */
        limit = MIN(limit, c->extensions.rcpt_max);
    if (c->recipients_max != 0)
        limit = MIN(limit, (uint64_t)c->recipients_max);
    pull.count_max = (size_t)MIN(limit, (uint64_t)PULL_MAX);
    pull.domains_max = domains_max(c);
    if (!site_next(c->site, c, &pull)) {
        go_idle(c);
        return false;
    }
    transaction_begin(c, &pull);
    return true;
}

static bool send_next(struct smtp_client *c)
{
    switch ((enum client_state)c->state) {
    case CLIENT_READY:
        return next_message(c);
    case CLIENT_TRANSACTION:
        return transaction_send(c);
    case CLIENT_CONNECT:
    case CLIENT_GREETING:
    case CLIENT_EHLO:
    case CLIENT_QUIT:
    case CLIENT_CLOSING:
    case CLIENT_STATE_COUNT:
        break;
    }
    return false;
}

void client_run(struct smtp_client *c)
{
    bool progress;
    bool any = false;

    do {
        progress = client_take_reply(c);
        progress |= send_next(c);
        any |= progress;
    } while (progress && c->state != CLIENT_CLOSING);
    /* Only whole replies and bytes taken count: a peer that drips gains no time. */
    if (any && c->state != CLIENT_CLOSING)
        client_arm_deadline(c);
}

/* --- its beginning --------------------------------------------------------------------------- */

static void on_connected(struct smtp_client *c)
{
    c->connect_ms = (int32_t)(engine_now_ms(c->delivery->engine) - c->opened_ms);
    client_enter(c, CLIENT_GREETING);
    pipeline_push(&c->pipeline, COMMAND_GREETING, 0, 0);
    client_arm_deadline(c);
}

static void client_wake(struct conn *conn, enum conn_wake reason)
{
    struct smtp_client *c = container_of(conn, struct smtp_client, conn);

    switch (reason) {
    case CONN_CONNECTED:
        on_connected(c);
        return;
    case CONN_DATA:
    case CONN_DRAINED:
        client_run(c);
        return;
    case CONN_EOF:
        client_run(c); /* a last reply, 421 for example, says more than the end */
        if (c->state != CLIENT_CLOSING)
            client_lost(c, 0);
        return;
    case CONN_TIMEOUT:
        on_timeout(c);
        return;
    case CONN_ERROR:
        if (c->state != CLIENT_CONNECT)
            client_run(c);
        if (c->state != CLIENT_CLOSING)
            client_lost(c, conn->error);
        return;
    case CONN_CLOSED:
        c->is_closed = true;
        client_check_free(c);
        return;
    case CONN_SECURED: /* never asked for */
    case CONN_DETACHED:
        check(false);
        return;
    }
}

bool smtp_client_open(struct site *site, struct site_egress *egress, const struct host *host)
{
    struct delivery *delivery = site->delivery;
    struct smtp_client *c = slab_alloc(&delivery->clients);
    unsigned timeout_s = delivery->settings->connect_timeout_s;
    struct conn_settings settings = {.output_max = OUTPUT_MAX};

    if (c == NULL)
        return false;
    c->delivery = delivery;
    c->site = site;
    c->egress = egress;
    c->hosts = hosts_keep(site->hosts);
    c->host_name = host->name;
    c->address = host->address;
    c->dns_ms = -1;
    c->is_opening = true;
    c->opened_ms = engine_now_ms(delivery->engine);
    c->opened_wall_ms = engine_wall_ms(delivery->engine);
    list_node_init(&c->in_site);
    list_node_init(&c->in_idle);
    arena_init(&c->arena, ARENA_MAX);
    smtp_reply_reader_init(&c->reader);
    list_push_back(&site->clients, &c->in_site);
    site->client_count++;
    delivery->client_count++;
    metric_inc(METRIC_DELIVERY_CONNECTS);
    metric_inc(METRIC_CLIENT_CONNECT);
    conn_connect(&c->conn, delivery->engine, &c->address,
                 source_address(egress->source, &c->address), client_wake, &settings);
    conn_deadline(&c->conn, (timeout_s != 0 ? timeout_s : DELIVERY_CONNECT_S_DEFAULT) * 1000LL);
    return true;
}

void smtp_client_wake(struct smtp_client *c)
{
    check(c->state == CLIENT_READY);
    check(!list_is_linked(&c->in_idle));
    client_run(c);
}
