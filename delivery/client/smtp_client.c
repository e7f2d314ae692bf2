/* smtp_client.c - the connection: states, deadlines, the driver of both halves. */
#include "delivery/client/smtp_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/client/transaction.h"

enum {
    CLIENTS_MAX = 20000, /* of one engine; the process's limit is the egress table's */
    OUTPUT_MAX = 128 * 1024,
    SCRATCH_MAX = 64 * 1024,
    ARENA_MAX = 4 * 1024 * 1024,
    CONTENT_TIMEOUT_S = 180, /* RFC 5321 section 4.5.3.2.5 */
    LOAD_TIMEOUT_S = 300,
    IDLE_STEP_MS = 1000, /* how often an idle connection looks whether others want its slot */
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
    [CLIENT_EHLO] = {"ehlo", METRIC_CLIENT_EHLO,
                     BIT(CLIENT_READY) | BIT(CLIENT_STARTTLS) | BIT(CLIENT_REOPEN) |
                         BIT(CLIENT_QUIT) | BIT(CLIENT_CLOSING)},
    [CLIENT_STARTTLS] = {"starttls", METRIC_CLIENT_STARTTLS,
                         BIT(CLIENT_HANDSHAKE) | BIT(CLIENT_READY) | BIT(CLIENT_REOPEN) |
                             BIT(CLIENT_QUIT) | BIT(CLIENT_CLOSING)},
    [CLIENT_HANDSHAKE] = {"handshake", METRIC_CLIENT_HANDSHAKE,
                          BIT(CLIENT_EHLO) | BIT(CLIENT_REOPEN) | BIT(CLIENT_CLOSING)},
    [CLIENT_REOPEN] = {"reopen", METRIC_CLIENT_REOPEN, BIT(CLIENT_CONNECT) | BIT(CLIENT_CLOSING)},
    [CLIENT_READY] = {"ready", METRIC_CLIENT_READY,
                      BIT(CLIENT_TRANSACTION) | BIT(CLIENT_QUIT) | BIT(CLIENT_CLOSING)},
    [CLIENT_TRANSACTION] = {"transaction", METRIC_CLIENT_TRANSACTION,
                            BIT(CLIENT_READY) | BIT(CLIENT_CLOSING)},
    [CLIENT_QUIT] = {"quit", METRIC_CLIENT_QUIT, BIT(CLIENT_CLOSING)},
    [CLIENT_CLOSING] = {"closing", METRIC_CLIENT_CLOSING, 0},
};

_Static_assert(sizeof(struct smtp_client) <= 1792 + sizeof(struct conn),
               "what a connection costs beside its buffers");

void client_enter(struct smtp_client *c, enum client_state state)
{
    bool was_alive = (BIT(c->state) & ALIVE) != 0;
    bool is_alive = (BIT(state) & ALIVE) != 0;

    check((states[c->state].next & BIT(state)) != 0);
    log_debug("client=%p site=%s state=%s next=%s", (void *)c,
              LOG_TEXT(carrier_site_name(&c->carrier)), states[c->state].name, states[state].name);
    metric_dec(states[c->state].gauge);
    metric_inc(states[state].gauge);
    c->state = (uint8_t)state;
    if (was_alive && !is_alive)
        carrier_left(&c->carrier);
}

static bool has_done_enough(struct smtp_client *c)
{
    uint64_t peers_max = c->extensions.mail_max; /* RFC 9422 */

    if (c->messages_done > 0 && carrier_lesson(&c->carrier) == CODES_SAY_TOO_MUCH)
        return true;
    return c->is_worn || carrier_is_finished(&c->carrier, c->messages_done, peers_max);
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
    int64_t idle_ms = client_now_ms(c) - c->idle_since_ms;
    struct sent sent;
    char text[128];

    switch ((enum client_state)c->state) {
    case CLIENT_READY:
        if (has_done_enough(c) || carrier_idle_is_over(&c->carrier, idle_ms))
            client_quit(c);
        else
            conn_deadline(&c->conn, IDLE_STEP_MS);
        return;
    case CLIENT_CONNECT:
        client_fail_ours(c, 4, 1, "connection", "connect-timeout",
                         "the connection was not answered in time");
        return;
    case CLIENT_HANDSHAKE:
        client_handshake_failed(c, "the handshake did not come to its end in time");
        return;
    case CLIENT_GREETING:
    case CLIENT_EHLO:
    case CLIENT_STARTTLS:
    case CLIENT_TRANSACTION:
        if (pipeline_first(&c->pipeline, &sent))
            snprintf(text, sizeof(text), "no reply to %s within %u s",
                     client_commands[sent.command].name, client_commands[sent.command].timeout_s);
        else
            snprintf(text, sizeof(text), "the peer took no content for %d s", CONTENT_TIMEOUT_S);
        client_fail_ours(c, 4, 2, "connection", "timeout", text);
        return;
    case CLIENT_REOPEN:
    case CLIENT_QUIT:
    case CLIENT_CLOSING:
    case CLIENT_STATE_COUNT:
        break;
    }
    client_abort(c);
}

/* --- the sending half ------------------------------------------------------------------------ */

/* Pulls the next message. */
static bool next_message(struct smtp_client *c)
{
    struct pull pull = {
        .recipients_max = c->extensions.rcpt_max, /* RFC 9422 */
        .domains_max = c->extensions.rcpt_domain_max,
    };

    if (carrier_is_idle(&c->carrier))
        return false;
    if (c->conn.eof || !conn_is_open(&c->conn)) {
        client_lost_unused(c, NULL);
        return true;
    }
    if (client_has_unasked_input(c)) { /* the beginning of a reply that answers nothing */
        if (c->messages_done > 0)
            client_tell_surplus(c);
        client_lost_unused(c, NULL);
        return true;
    }
    if (has_done_enough(c)) {
        client_quit(c);
        return true;
    }
    if (c->recipients_max != 0 &&
        (pull.recipients_max == 0 || pull.recipients_max > c->recipients_max))
        pull.recipients_max = c->recipients_max;
    if (!carrier_next(&c->carrier, &pull)) {
        c->idle_since_ms = client_now_ms(c);
        conn_deadline(&c->conn, IDLE_STEP_MS);
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
    case CLIENT_STARTTLS:
    case CLIENT_HANDSHAKE:
    case CLIENT_REOPEN:
    case CLIENT_QUIT:
    case CLIENT_CLOSING:
    case CLIENT_STATE_COUNT:
        break;
    }
    return false;
}

/* Nothing is said on this connection any more. */
static bool is_ending(const struct smtp_client *c)
{
    return c->state == CLIENT_CLOSING || c->state == CLIENT_REOPEN;
}

void client_run(struct smtp_client *c)
{
    bool progress;
    bool any = false;

    c->is_quiet = false;
    do {
        progress = client_take_reply(c);
        progress |= send_next(c);
        any |= progress;
    } while (progress && !is_ending(c));
    /* Only whole replies and bytes taken count: a peer that drips gains no time. */
    if (any && !is_ending(c))
        client_arm_deadline(c);
}

/* --- its beginning --------------------------------------------------------------------------- */

static void on_connected(struct smtp_client *c)
{
    c->connect_ms = (int32_t)(client_now_ms(c) - c->connect_began_ms);
    client_enter(c, CLIENT_GREETING);
    pipeline_push(&c->pipeline, COMMAND_GREETING, 0, 0);
    client_arm_deadline(c);
}

static void client_wake(struct conn *conn, enum conn_wake reason);

static void client_connect(struct smtp_client *c)
{
    struct conn_settings settings = {.output_max = OUTPUT_MAX};

    smtp_reply_reader_init(&c->reader);
    c->is_early_reply = false;
    metric_inc(METRIC_DELIVERY_CONNECTS);
    c->connect_began_ms = client_now_ms(c);
    conn_connect(&c->conn, c->carrier.engine, &c->carrier.address,
                 source_address(carrier_source(&c->carrier), &c->carrier.address), client_wake,
                 &settings);
    conn_deadline(&c->conn, c->answer_s * 1000LL);
}

/* Anew, and without a word of what was. */
static void reopen(struct smtp_client *c)
{
    pipeline_clear(&c->pipeline);
    c->extensions = (struct smtp_extensions){0};
    c->is_tls_begun = false;
    client_enter(c, CLIENT_CONNECT);
    client_connect(c);
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
        if (!is_ending(c))
            client_lost(c, 0);
        return;
    case CONN_TIMEOUT:
        on_timeout(c);
        return;
    case CONN_ERROR:
        if (c->state != CLIENT_CONNECT)
            client_run(c);
        if (!is_ending(c))
            client_lost(c, conn->error);
        return;
    case CONN_SECURED:
        client_secured(c);
        return;
    case CONN_CLOSED:
        if (c->state == CLIENT_REOPEN) {
            reopen(c);
            return;
        }
        c->is_closed = true;
        client_check_free(c);
        return;
    case CONN_DETACHED: /* never asked for */
        check(false);
        return;
    }
}

/* --- as a carrier ----------------------------------------------------------------------------- */

static struct smtp_client *client_of(struct carrier *carrier)
{
    return container_of(carrier, struct smtp_client, carrier);
}

static bool client_open(void *context, const struct carrier_opening *opening)
{
    struct smtp_clients *clients = context;
    struct smtp_client *c = slab_alloc(&clients->slab);

    if (c == NULL)
        return false;
    carrier_init(&c->carrier, opening);
    c->clients = clients;
    c->dns_ms = -1;
    c->tls_ms = -1;
    c->answer_s = (uint16_t)MIN(opening->answer_s, (unsigned)UINT16_MAX);
    arena_init(&c->arena, ARENA_MAX);
    client_tls_begin(c);
    metric_inc(METRIC_CLIENT_CONNECT);
    client_connect(c);
    return true;
}

static void client_look_for_mail(struct carrier *carrier)
{
    struct smtp_client *c = client_of(carrier);

    check(c->state == CLIENT_READY);
    check(!carrier_is_idle(carrier));
    client_run(c);
}

static void client_leave(struct carrier *carrier)
{
    struct smtp_client *c = client_of(carrier);

    if (c->state == CLIENT_READY)
        client_quit(c);
    else if (!c->has_greeted)
        client_abort(c);
    /* TRANSACTION: next_message() sees that the program stops, or that its source leaves. */
}

static void client_break_off(struct carrier *carrier)
{
    client_abort(client_of(carrier));
}

struct smtp_clients *smtp_clients_create(void)
{
    struct smtp_clients *clients = calloc(1, sizeof(*clients));

    check(clients != NULL);
    clients->kind = (struct carrier_kind){
        .context = clients,
        .open = client_open,
        .wake = client_look_for_mail,
        .leave = client_leave,
        .abort = client_break_off,
    };
    slab_init(&clients->slab, sizeof(struct smtp_client), CLIENTS_MAX);
    buf_init(&clients->scratch, SCRATCH_MAX);
    clients->memory = tls_memory_create();
    return clients;
}

void smtp_clients_free(struct smtp_clients **clients)
{
    struct smtp_clients *freed = *clients;

    *clients = NULL;
    check(freed->slab.count == 0);
    buf_free(&freed->scratch);
    tls_memory_free(&freed->memory);
    tls_context_release(&freed->tls);
    slab_free_all(&freed->slab);
    free(freed);
}

void smtp_clients_speak_tls(struct smtp_clients *clients, struct tls_context *context)
{
    struct tls_context *old = clients->tls;

    if (context == old)
        return;
    clients->tls = context != NULL ? tls_context_keep(context) : NULL;
    tls_memory_forget_sessions(clients->memory);
    tls_context_release(&old);
}

void smtp_clients_return_by(struct smtp_clients *clients, smtp_return_path_fn *path, void *context)
{
    clients->return_path = path;
    clients->return_context = context;
}

const struct carrier_kind *smtp_clients_kind(const struct smtp_clients *clients)
{
    return &clients->kind;
}
