/*
 * server_auth.c - AUTH (RFC 4954): lines and replies around an exchange of auth/sasl.
 *
 * The lines of an exchange and what they decode to are secrets. They are in the connection's input
 * and in the login, which is wiped; no log and no event has a word of them.
 */
#include "smtpd/server_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/budget.h"

struct server_login {
    struct sasl sasl;
    struct sasl_keys keys;
    bool has_keys;
};

static enum step go_on(struct smtp_server *server, enum sasl_step step);
static enum step answered(struct smtp_server *server, struct verdict verdict);
static enum step respond(struct smtp_server *server, struct bytes text);
static enum step challenge(struct smtp_server *server);
static enum step ask(struct smtp_server *server);
static enum step succeed(struct smtp_server *server);
static enum step fail(struct smtp_server *server);
static enum step end(struct smtp_server *server, struct verdict verdict);

unsigned server_mechanisms(const struct smtp_server *server, struct verdict *why_out)
{
    const struct smtp_service *service = server->service;
    struct verdict why = VERDICT(502, "5.5.1", "This command is not offered here", "not-offered");
    unsigned mechanisms = 0;

    if (service->policy->mechanisms != NULL)
        mechanisms = service->policy->mechanisms(service->context, server, &why);
    if (why_out != NULL)
        *why_out = why;
    return mechanisms;
}

void server_forget_login(struct smtp_server *server)
{
    struct server_login *login = server->login;

    if (login == NULL)
        return;
    server->login = NULL;
    sasl_end(&login->sasl);
    free(login);
    budget_add(-(int64_t)sizeof(*login));
}

void smtp_server_keys(struct smtp_server *server, const struct sasl_keys *keys)
{
    check(server->login != NULL);
    server->login->keys = *keys;
    server->login->has_keys = true;
}

/* What stands against a login before it begins. */
static struct verdict judge(const struct smtp_server *server, struct bytes name,
                            enum sasl_mechanism *mechanism_out)
{
    struct verdict why;
    unsigned mechanisms = server_mechanisms(server, &why);

    if (server->is_authenticated)
        return VERDICT(503, "5.5.1", "You are logged in already", "sequence");
    if (mechanisms == 0)
        return why;
    if (!server->is_esmtp)
        return VERDICT(503, "5.5.1", "Say EHLO first", "sequence");
    if (name.len == 0)
        return VERDICT(501, "5.5.4", "Syntax is AUTH mechanism [initial-response]", "syntax");
    if (!sasl_mechanism_find(name, mechanism_out) || (mechanisms & (1U << *mechanism_out)) == 0)
        return VERDICT(504, "5.5.4", "This mechanism is not offered here", "not-offered");
    return VERDICT_OK;
}

static struct verdict begin(struct smtp_server *server, enum sasl_mechanism mechanism)
{
    const struct smtp_service *service = server->service;
    struct sasl_settings settings = {0};
    struct verdict verdict = service->policy->login_begin(service->context, server, &settings);

    check(server->login == NULL);
    if (verdict.code != 0)
        return verdict;
    server->login = calloc(1, sizeof(*server->login));
    if (server->login == NULL)
        return VERDICT(454, "4.7.0", "Out of memory for logins, try again later", "limits.memory");
    budget_add((int64_t)sizeof(*server->login));
    sasl_start(&server->login->sasl, mechanism, &settings);
    return VERDICT_OK;
}

enum step handle_auth(struct smtp_server *server, struct bytes argument)
{
    enum sasl_mechanism mechanism = SASL_PLAIN;
    struct bytes initial = argument;
    struct bytes name;
    bool has_initial = bytes_take_until(&initial, ' ', &name);

    if (!has_initial)
        name = argument;
    struct verdict verdict = judge(server, name, &mechanism);
    if (verdict.code == 0)
        verdict = begin(server, mechanism);
    if (verdict.code != 0)
        return server_refuse(server, SMTP_AUTH, verdict);
    if (!has_initial)
        return go_on(server, sasl_prompt(&server->login->sasl));
    if (bytes_equal(initial, BYTES("="))) /* one that is empty: RFC 4954 section 4 */
        return go_on(server, sasl_respond(&server->login->sasl, BYTES_NONE));
    return respond(server, initial);
}

/* The state AUTH: a challenge was sent, this takes the response. */
enum step auth_step(struct session *session)
{
    struct smtp_server *server = server_of(session);
    struct conn *conn = &session->conn;
    struct bytes input = conn_input(conn);
    struct bytes rest = input;
    struct bytes line;
    enum step next;

    if (!server_can_reply(server))
        return STEP_WAIT;
    switch (smtp_line_take(&rest, AUTH_LINE_MAX, &line)) {
    case SMTP_LINE_PARTIAL:
        return conn->eof ? STEP_CLOSE : STEP_WAIT;
    case SMTP_LINE_TOO_LONG:
        server->skips_line = true;
        server->skips_login = true;
        server_forget_login(server);
        session_enter(session, SERVER_COMMAND); /* which skips it */
        return STEP_AGAIN;
    case SMTP_LINE_BARE_LF:
        server_forget_login(server);
        return server_refuse_bare_lf(server);
    case SMTP_LINE_BARE:
    case SMTP_LINE_WHOLE:
        break;
    }
    if (server_talks_early(server, rest.len > 0))
        return server_refuse_early(server);
    if (bytes_equal(line, BYTES("*")))
        next = end(server, VERDICT(501, "5.7.0", "The login was cancelled", "cancelled"));
    else
        next = respond(server, line);
    if (session->state == SERVER_ASKING)
        server->question.line_len = (uint32_t)(input.len - rest.len);
    else
        conn_consume(conn, input.len - rest.len);
    return next;
}

enum step login_line_too_long(struct smtp_server *server)
{
    server->skips_login = false;
    return server_refuse(server, SMTP_AUTH,
                         VERDICT(500, "5.5.6", "A line of a login is too long", "command-length"));
}

static enum step respond(struct smtp_server *server, struct bytes text)
{
    struct buf response;

    buf_init(&response, AUTH_LINE_MAX);
    bool is_base64 = base64_read(text, &response);
    enum step next = is_base64
                         ? go_on(server, sasl_respond(&server->login->sasl, buf_bytes(&response)))
                         : end(server, VERDICT(501, "5.5.2", "That is no base64", "syntax"));
    if (response.ptr != NULL)
        explicit_bzero(response.ptr, response.capacity);
    buf_free(&response);
    return next;
}

static enum step go_on(struct smtp_server *server, enum sasl_step step)
{
    switch (step) {
    case SASL_CHALLENGE:
        return challenge(server);
    case SASL_ASKS_SECRET:
    case SASL_ASKS_KEYS:
        return ask(server);
    case SASL_DONE:
        return succeed(server);
    case SASL_REFUSED:
        return fail(server);
    case SASL_MALFORMED:
        break;
    }
    return end(server, VERDICT(501, "5.5.2", "That is no message of this mechanism", "syntax"));
}

static enum step challenge(struct smtp_server *server)
{
    char line[REPLY_ROOM];
    struct buf text;

    buf_init(&text, sizeof(line) - sizeof("334 \r\n"));
    bool fits = base64_write(sasl_challenge(&server->login->sasl), &text);
    check(fits); /* SASL_CHALLENGE_MAX */
    if (server->session.state != SERVER_AUTH)
        session_enter(&server->session, SERVER_AUTH);
    bool is_written =
        conn_printf(&server->session.conn, "334 %.*s\r\n", BYTES_ARG(buf_bytes(&text)));
    buf_free(&text);
    return is_written ? STEP_AGAIN : STEP_CLOSE;
}

static struct smtp_login login_of(const struct smtp_server *server)
{
    const struct sasl *sasl = &server->login->sasl;

    return (struct smtp_login){sasl->mechanism, sasl_user(sasl), sasl_secret(sasl)};
}

static enum step ask(struct smtp_server *server)
{
    const struct smtp_service *service = server->service;
    struct smtp_login login = login_of(server);
    struct verdict verdict = service->policy->login(service->context, server, &login);

    if (verdict.code == VERDICT_CODE_LATER && server_waits(server, ASKS_LOGIN, &verdict))
        return STEP_WAIT;
    return answered(server, verdict);
}

static enum step answered(struct smtp_server *server, struct verdict verdict)
{
    struct server_login *login = server->login;

    if (verdict.code != 0 && verdict.code != 535)
        return end(server, verdict);
    if (sasl_secret(&login->sasl).ptr == NULL)
        return go_on(server,
                     verdict.code == 0
                         ? sasl_answer_keys(&login->sasl, login->has_keys ? &login->keys : NULL)
                         : sasl_answer_keys(&login->sasl, NULL));
    return go_on(server, sasl_answer_secret(&login->sasl, verdict.code == 0));
}

enum step login_answered(struct smtp_server *server, const struct smtp_question *asked,
                         struct verdict verdict)
{
    struct conn *conn = &server->session.conn;

    conn_consume(conn, asked->line_len);
    session_enter(&server->session, SERVER_COMMAND);
    if (server_talks_early(server, conn_input(conn).len > 0))
        return server_refuse_early(server);
    return asked->kind == ASKS_LOGIN_FAILED ? end(server, verdict) : answered(server, verdict);
}

static enum step succeed(struct smtp_server *server)
{
    static const struct conn_settings known = {.output_max = OUTPUT_MAX};
    const struct smtp_service *service = server->service;
    struct smtp_login login = login_of(server);
    struct verdict verdict = service->policy->login_done(service->context, server, &login);

    if (verdict.code != 0)
        return end(server, verdict);
    server->is_authenticated = true;
    server->idle_count = 0;
    if (server->is_stranger)
        conn_trust(&server->session.conn, &known);
    server->is_stranger = false;
    server_forget_login(server);
    if (server->session.state == SERVER_AUTH)
        session_enter(&server->session, SERVER_COMMAND);
    return server_reply(server, 235, "2.7.0", "You are logged in");
}

static enum step fail(struct smtp_server *server)
{
    const struct smtp_service *service = server->service;
    struct smtp_login login = login_of(server);
    struct verdict verdict = service->policy->login_failed(service->context, server, &login);

    if (verdict.code == VERDICT_CODE_LATER && server_waits(server, ASKS_LOGIN_FAILED, &verdict))
        return STEP_WAIT;
    return end(server, verdict);
}

/* The login is over, and this is what is said of it. */
static enum step end(struct smtp_server *server, struct verdict verdict)
{
    check(verdict.code >= 400);
    server_forget_login(server);
    if (server->session.state == SERVER_AUTH)
        session_enter(&server->session, SERVER_COMMAND);
    return server_refuse(server, SMTP_AUTH, verdict);
}
