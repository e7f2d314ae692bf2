/* smtp_server.c - the states of a session and what ends one; the drawing is in smtp_server.h. */
#include "smtpd/server_parts.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "serve/service.h"

static enum step greet_step(struct session *session);

#define TO(state) (1U << (state))

static const struct session_state states[] = {
    [SERVER_GREET] = {"greet", 300, greet_step,
                      TO(SERVER_HANDSHAKE) | TO(SERVER_COMMAND) | TO(SERVER_ASKING) |
                          TO(SERVER_CLOSING),
                      false, METRIC_SMTPD_GREET},
    /* All of it: who drips bytes gets no more. Ours waits for its turn when many come at once. */
    [SERVER_HANDSHAKE] = {"handshake", 60, handshake_step,
                          TO(SERVER_GREET) | TO(SERVER_COMMAND) | TO(SERVER_CLOSING), false,
                          METRIC_SMTPD_HANDSHAKE},
    /* RFC 5321 section 4.5.3.2.7; what a stop says there: section 3.8 */
    [SERVER_COMMAND] = {"command", 300, command_step,
                        TO(SERVER_HANDSHAKE) | TO(SERVER_AUTH) | TO(SERVER_CONTENT) |
                            TO(SERVER_ASKING) | TO(SERVER_CLOSING),
                        true, METRIC_SMTPD_COMMAND},
    [SERVER_AUTH] = {"auth", 300, auth_step,
                     TO(SERVER_COMMAND) | TO(SERVER_ASKING) | TO(SERVER_CLOSING), true,
                     METRIC_SMTPD_AUTH},
    /* RFC 5321 section 4.5.3.2.5, for every block that arrives */
    [SERVER_CONTENT] = {"content", 180, content_step,
                        TO(SERVER_COMMAND) | TO(SERVER_ASKING) | TO(SERVER_CLOSING), false,
                        METRIC_SMTPD_CONTENT},
    /* The question brings its deadline. */
    [SERVER_ASKING] = {"asking", 0, asking_step, TO(SERVER_COMMAND) | TO(SERVER_CLOSING), false,
                       METRIC_SMTPD_ASKING},
    [SERVER_CLOSING] = {"closing", 0, NULL, 0, false, METRIC_SMTPD_CLOSING},
};

static int64_t deadline_ms(const struct session *session);
static enum step on_timeout(struct session *session);
static void on_leave(struct session *session, enum session_leave why);
static void on_ended(struct session *session);
static void on_closed(struct session *session);

static const struct session_protocol protocol = {
    .states = states,
    .state_count = SERVER_STATE_COUNT,
    .closing = SERVER_CLOSING,
    .steps_max = STEPS_MAX,
    .deadline_ms = deadline_ms,
    .timed_out = on_timeout,
    .leave = on_leave,
    .ended = on_ended,
    .closed = on_closed,
    .open = METRIC_SESSIONS,
    .accepted = METRIC_SESSIONS_ACCEPTED,
};

void smtp_server_start(struct smtp_server *server, struct engine *engine, int fd,
                       const struct smtp_service *service)
{
    static const struct conn_settings known = {.output_max = OUTPUT_MAX};
    static const struct conn_settings stranger = {
        .input_max = STRANGER_INPUT_MAX,
        .output_max = STRANGER_OUTPUT_MAX,
        .is_careful = true,
    };

    check(service->policy != NULL);
    check(service->hostname != NULL);
    server->service = service;
    session_start(&server->session, &protocol, engine, fd,
                  server->is_stranger ? &stranger : &known);
    log_debug("session=%u.%" PRIu64 " client=%s service=%s", engine_index(engine),
              server->session.serial, server->session.peer, LOG_STRING(service->name));
    session_run(&server->session);
}

bool smtp_server_can_be_shed(const struct smtp_server *server)
{
    switch ((enum smtp_server_state)server->session.state) {
    case SERVER_ASKING:
        return server->question.kind != ASKS_CONTENT_END;
    case SERVER_CLOSING:
        return false;
    case SERVER_GREET:
    case SERVER_HANDSHAKE:
    case SERVER_COMMAND:
    case SERVER_AUTH:
    case SERVER_CONTENT:
    case SERVER_STATE_COUNT:
        break;
    }
    return true;
}

size_t smtp_server_memory(const struct smtp_server *server)
{
    return conn_memory(&server->session.conn);
}

void smtp_server_resume(struct smtp_server *server)
{
    if (server->session.state == SERVER_CONTENT)
        session_run(&server->session);
}

void smtp_server_turn_away(struct service *service, const struct smtp_service *smtp, int fd,
                           const struct address *client, enum service_answer answer,
                           enum smtp_tls tls)
{
    const struct service_refusal *refusal = service_refusal_of(answer);
    const char *enhanced = answer == SERVICE_HAS_TOO_MANY_OF_CLIENT ? "4.7.0" : "4.3.2";
    char peer[ADDRESS_TEXT_MAX], rule[64], line[512];

    snprintf(rule, sizeof(rule), "%s%s%s", refusal->setting == NULL ? "" : smtp->section,
             refusal->setting == NULL ? "" : ".",
             refusal->setting == NULL ? "shutdown" : refusal->setting);
    address_format(client, peer);
    log_limited(LOG_LEVEL_WARN, "client=%s refused=\"421 %s %s %s\" rule=%s sessions=%u", peer,
                enhanced, refusal->verb, refusal->what, rule, service->session_count);
    metric_inc(METRIC_SESSIONS_REFUSED);
    int len = tls == SMTP_TLS_IMPLICIT
                  ? 0
                  : snprintf(line, sizeof(line), "421 %s %s %s %s\r\n", enhanced, smtp->hostname,
                             refusal->verb, refusal->what);

    service_turn_away(service, fd,
                      bytes_range(line, len < 0 ? 0 : MIN((size_t)len, sizeof(line) - 1)));
}

const char *smtp_server_state_name(enum smtp_server_state state)
{
    check(state < SERVER_STATE_COUNT);
    return states[state].name;
}

void server_reset(struct smtp_server *server)
{
    const struct smtp_service *service = server->service;

    if (server->transaction.is_open)
        service->policy->reset(service->context, server);
    server->transaction = (struct smtp_transaction){0};
}

int64_t server_block_ms(const struct smtp_server *server)
{
    unsigned timeout_s = server->service->limits.content_timeout_s;

    return (int64_t)(timeout_s != 0 ? timeout_s : states[SERVER_CONTENT].deadline_s) * 1000;
}

static int64_t deadline_ms(const struct session *session)
{
    const struct smtp_server *server = container_of(session, struct smtp_server, session);
    unsigned deadline_s = states[session->state].deadline_s;

    if (session->state == SERVER_ASKING)
        return server->question.due_ms - engine_now_ms(session->conn.engine);
    if ((session->state == SERVER_COMMAND || session->state == SERVER_AUTH) &&
        server->service->limits.command_timeout_s != 0)
        deadline_s = server->service->limits.command_timeout_s;
    int64_t after_ms =
        session->state == SERVER_CONTENT ? server_block_ms(server) : (int64_t)deadline_s * 1000;
    return MIN(after_ms, pace_left_ms(server));
}

static enum step on_timeout(struct session *session)
{
    struct smtp_server *server = server_of(session);

    if (session->state == SERVER_ASKING &&
        (server->question.kind == ASKS_LOGIN_FAILED || server->question.is_delay))
        return server_overdue(server); /* as it was meant to */
    metric_inc(METRIC_SMTPD_TIMEOUTS);
    if (session->state == SERVER_ASKING)
        return server_overdue(server);
    if (pace_left_ms(server) <= 0)
        return pace_leave(server);
    if (session->state == SERVER_HANDSHAKE)
        return STEP_CLOSE; /* told with the failure; there is no way to say it to the client */
    return server_leave(server, "4.4.2", "Timeout, closing",
                        session->state == SERVER_CONTENT ? "limits.content_timeout"
                                                         : "limits.command_timeout");
}

static void on_leave(struct session *session, enum session_leave why)
{
    struct smtp_server *server = server_of(session);

    switch (why) {
    case LEAVE_STOP:
        (void)server_leave(server, "4.3.2", "Service is shutting down, closing", "shutdown");
        break;
    case LEAVE_MEMORY:
        (void)server_leave(server, "4.3.0", "Out of memory, closing", "limits.memory");
        break;
    }
}

static void on_ended(struct session *session)
{
    server_tell_tls_failure(server_of(session));
    server_cancel(server_of(session));
    server_forget_login(server_of(session));
    server_reset(server_of(session));
}

static void on_closed(struct session *session)
{
    struct smtp_server *server = server_of(session);
    const struct smtp_policy *policy = server->service->policy;

    if (policy->closed != NULL)
        policy->closed(server->service->context, server);
}

static enum step greet_step(struct session *session)
{
    struct smtp_server *server = server_of(session);
    const struct smtp_service *service = server->service;

    if (server->has_preamble) {
        enum step next = service->policy->preamble(service->context, server);

        if (next != STEP_AGAIN)
            return next;
        server->has_preamble = false;
    }
    if (server->tls == SMTP_TLS_IMPLICIT && session->conn.layer == NULL)
        return server_begin_tls(server);
    struct verdict verdict = service->policy->connected(service->context, server);

    if (verdict.code == VERDICT_CODE_LATER && server_waits(server, ASKS_CONNECTED, &verdict))
        return STEP_WAIT;
    return connected_answered(server, verdict);
}

enum step connected_answered(struct smtp_server *server, struct verdict verdict)
{
    struct conn *conn = &server->session.conn;

    if (verdict.code != 0) {
        metric_inc(METRIC_SESSIONS_REFUSED);
        (void)server_refuse(server, SMTP_VERB_UNKNOWN, verdict);
        return STEP_CLOSE;
    }
    /* Either it came while the service was asked, or it is not even read. */
    if (server->is_stranger && (conn_input(conn).len > 0 || conn_has_unread(conn))) {
        metric_inc(METRIC_SESSIONS_REFUSED);
        return server_refuse_early(server);
    }
    session_enter(&server->session, SERVER_COMMAND);
    return server_reply_greeting(server);
}
