/* smtp_server.c - drives one session through its states; the drawing is in smtp_server.h. */
#include "smtpd/server_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/metric.h"

struct state_info {
    const char *name;
    unsigned deadline_s;
    enum step (*step)(struct smtp_server *server);
    unsigned next; /* states that may follow, as bits */
    enum metric gauge;
};

static enum step greet_step(struct smtp_server *server);
static enum step commit_step(struct smtp_server *server);
static enum step closing_step(struct smtp_server *server);

#define TO(state) (1U << (state))

static const struct state_info states[] = {
    [SERVER_GREET] = {"greet", 300, greet_step, TO(SERVER_COMMAND) | TO(SERVER_CLOSING),
                      METRIC_SMTPD_GREET},
    /* RFC 5321 section 4.5.3.2.7 */
    [SERVER_COMMAND] = {"command", 300, command_step, TO(SERVER_CONTENT) | TO(SERVER_CLOSING),
                        METRIC_SMTPD_COMMAND},
    /* RFC 5321 section 4.5.3.2.5, for every block that arrives */
    [SERVER_CONTENT] = {"content", 180, content_step,
                        TO(SERVER_COMMAND) | TO(SERVER_COMMIT) | TO(SERVER_CLOSING),
                        METRIC_SMTPD_CONTENT},
    /* The client waits 10 minutes: RFC 5321 section 4.5.3.2.6. */
    [SERVER_COMMIT] = {"commit", 600, commit_step, TO(SERVER_COMMAND) | TO(SERVER_CLOSING),
                       METRIC_SMTPD_COMMIT},
    [SERVER_CLOSING] = {"closing", 0, closing_step, 0, METRIC_SMTPD_CLOSING},
};

static void server_wake(struct conn *conn, enum conn_wake reason);
static void server_run(struct smtp_server *server);
static void server_over(struct smtp_server *server, void (*end)(struct conn *conn));
static void on_timeout(struct smtp_server *server);
static void on_closed(struct smtp_server *server);
static void arm_deadline(struct smtp_server *server);

void smtp_server_start(struct smtp_server *server, struct engine *engine, int fd,
                       const struct smtp_service *service)
{
    static _Thread_local uint64_t serial;
    static const struct conn_settings known = {.output_max = OUTPUT_MAX};
    static const struct conn_settings stranger = {
        .input_max = STRANGER_INPUT_MAX,
        .output_max = STRANGER_OUTPUT_MAX,
        .is_careful = true,
    };

    check(service->policy != NULL);
    check(service->hostname != NULL);
    server->service = service;
    server->serial = ++serial;
    server->state = SERVER_GREET;
    if (service->references != NULL)
        ++*service->references;
    metric_inc(METRIC_SESSIONS);
    metric_inc(METRIC_SESSIONS_ACCEPTED);
    metric_inc(states[SERVER_GREET].gauge);
    conn_accept(&server->conn, engine, fd, server_wake, server->is_stranger ? &stranger : &known);
    address_format(&server->conn.peer, server->peer);
    log_debug("session=%u.%" PRIu64 " client=%s service=%s", engine_index(engine), server->serial,
              server->peer, LOG_STRING(service->name));
    server_run(server);
}

void smtp_server_stop(struct smtp_server *server)
{
    server->is_stopping = true;
    if (server->state == SERVER_COMMAND)
        server_run(server);
}

void smtp_server_abort(struct smtp_server *server)
{
    server_over(server, conn_close);
}

void smtp_server_shed(struct smtp_server *server)
{
    bool reads_replies = conn_output_len(&server->conn) == 0;

    (void)server_leave(server, "4.3.0", "Out of memory, closing");
    server_over(server, reads_replies ? conn_finish : conn_close);
}

size_t smtp_server_memory(const struct smtp_server *server)
{
    return conn_memory(&server->conn);
}

void smtp_server_resume(struct smtp_server *server)
{
    if (server->state == SERVER_CONTENT)
        server_run(server);
}

void smtp_server_accepted(struct smtp_server *server, struct verdict verdict, const char *id)
{
    enum step next;
    char text[64];

    check(server->state == SERVER_COMMIT);
    if (verdict.code == 0) {
        snprintf(text, sizeof(text), "Ok: queued as %s", id);
        server->error_count = 0; /* who gets mail through is no prober */
        server->idle_count = 0;
        next = server_reply(server, 250, "2.0.0", text);
    } else {
        server_note(server, SMTP_DATA, &verdict, BYTES_NONE, BYTES_NONE);
        next = server_say(server, verdict);
    }
    server_reset(server);
    server_enter(server, SERVER_COMMAND);
    arm_deadline(server); /* the commit's is longer */
    if (next == STEP_CLOSE)
        server_over(server, conn_finish);
    server_run(server);
}

void smtp_server_turn_away(struct engine *engine, int fd, const char *hostname,
                           const char *enhanced, const char *text)
{
    char line[512];
    int len = snprintf(line, sizeof(line), "421 %s %s %s\r\n", enhanced, hostname, text);

    metric_inc(METRIC_SESSIONS_REFUSED);
    /* A fresh socket's buffer is empty: this does not block, and if it fails the client sees a
     * closed connection, which is an answer too. */
    if (len > 0 && (size_t)len < sizeof(line))
        (void)send(fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
    engine_close(engine, fd);
}

const char *smtp_server_state_name(enum smtp_server_state state)
{
    check(state < SERVER_STATE_COUNT);
    return states[state].name;
}

void server_enter(struct smtp_server *server, enum smtp_server_state state)
{
    check(state < SERVER_STATE_COUNT);
    check((states[server->state].next & TO(state)) != 0);
    metric_dec(states[server->state].gauge);
    metric_inc(states[state].gauge);
    log_debug("session=%u.%" PRIu64 " from=%s to=%s", engine_index(server->conn.engine),
              server->serial, states[server->state].name, states[state].name);
    server->state = (uint8_t)state;
}

void server_reset(struct smtp_server *server)
{
    const struct smtp_service *service = server->service;

    if (server->transaction.is_open)
        service->policy->reset(service->context, server);
    server->transaction = (struct smtp_transaction){0};
}

/* Runs steps until one waits. The service may answer from inside a step: the loop is then running
 * already and sees the new state. */
static void server_run(struct smtp_server *server)
{
    bool has_progress = false;
    enum step next;

    if (server->is_running)
        return;
    server->is_running = true;
    do {
        next = states[server->state].step(server);
        has_progress |= next == STEP_AGAIN;
    } while (next == STEP_AGAIN); /* bounded: every step consumes input or changes state */
    server->is_running = false;
    if (next == STEP_CLOSE)
        server_over(server, conn_finish);
    else if (has_progress && server->state != SERVER_CLOSING)
        /* Half a line is no progress: who sends a byte a minute has no more time than others. */
        arm_deadline(server);
}

int64_t server_block_ms(const struct smtp_server *server)
{
    unsigned timeout_s = server->service->content_timeout_s;

    return (int64_t)(timeout_s != 0 ? timeout_s : states[SERVER_CONTENT].deadline_s) * 1000;
}

static void arm_deadline(struct smtp_server *server)
{
    unsigned deadline_s = states[server->state].deadline_s;

    if (server->state == SERVER_COMMAND && server->service->command_timeout_s != 0)
        deadline_s = server->service->command_timeout_s;
    int64_t after_ms =
        server->state == SERVER_CONTENT ? server_block_ms(server) : (int64_t)deadline_s * 1000;
    conn_deadline(&server->conn, MAX(MIN(after_ms, pace_left_ms(server)), (int64_t)1));
}

/* Ends the session with conn_finish (what was written is sent) or conn_close (at once). */
static void server_over(struct smtp_server *server, void (*end)(struct conn *conn))
{
    if (server->state != SERVER_CLOSING) {
        server_reset(server);
        server_enter(server, SERVER_CLOSING);
    }
    end(&server->conn);
}

static void server_wake(struct conn *conn, enum conn_wake reason)
{
    struct smtp_server *server = container_of(conn, struct smtp_server, conn);

    switch (reason) {
    case CONN_DATA:
    case CONN_DRAINED:
    case CONN_EOF: /* steps look at conn.eof where they would wait for more */
        server_run(server);
        break;
    case CONN_TIMEOUT:
        on_timeout(server);
        break;
    case CONN_ERROR:
        server_over(server, conn_close);
        break;
    case CONN_CLOSED:
        on_closed(server);
        break;
    case CONN_CONNECTED: /* servers do not connect, nor ask for the others */
    case CONN_SECURED:
    case CONN_DETACHED:
        check(false);
        break;
    }
}

static void on_timeout(struct smtp_server *server)
{
    metric_inc(METRIC_SMTPD_TIMEOUTS);
    if (server->state == SERVER_COMMIT)
        /* The message may still be accepted: as after a lost 250, the client's next try makes a
         * duplicate, which RFC 5321 section 6.1 prefers to a loss. */
        server_leave(server, "4.3.0", "The spool does not answer, closing");
    else if (pace_left_ms(server) <= 0)
        pace_leave(server);
    else
        server_leave(server, "4.4.2", "Timeout, closing");
    server_over(server, conn_finish);
}

static void on_closed(struct smtp_server *server)
{
    const struct smtp_service *service = server->service;

    if (server->state != SERVER_CLOSING) {
        server_reset(server);
        server_enter(server, SERVER_CLOSING);
    }
    metric_dec(states[SERVER_CLOSING].gauge);
    metric_dec(METRIC_SESSIONS);
    if (service->references != NULL)
        --*service->references;
    service->policy->closed(service->context, server); /* frees the session, perhaps the service */
}

static enum step greet_step(struct smtp_server *server)
{
    const struct smtp_service *service = server->service;
    struct verdict verdict = service->policy->connected(service->context, server);

    if (verdict.code != 0) {
        metric_inc(METRIC_SESSIONS_REFUSED);
        (void)server_refuse(server, SMTP_VERB_UNKNOWN, verdict);
        return STEP_CLOSE;
    }
    if (server->must_wait && conn_has_unread(&server->conn)) {
        metric_inc(METRIC_SESSIONS_REFUSED);
        return server_refuse_early(server);
    }
    server_enter(server, SERVER_COMMAND);
    return server_reply_greeting(server);
}

/* smtp_server_accepted() leads on; that the peer is gone is no reason to: RFC 5321 section 6.1. */
static enum step commit_step(struct smtp_server *server __attribute__((unused)))
{
    return STEP_WAIT;
}

static enum step closing_step(struct smtp_server *server __attribute__((unused)))
{
    return STEP_WAIT;
}
