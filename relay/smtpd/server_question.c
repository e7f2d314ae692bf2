/*
 * server_question.c - questions that the service answers later: the state ASKING.
 *
 * The line that a question is about stays at the front of the connection's input until the answer,
 * which reads it again: nothing of it is copied, and what was pipelined behind it waits unread.
 */
#include "smtpd/server_parts.h"

#include "base/metric.h"
#include "base/text_format.h"

static struct verdict later(struct smtp_server *server, int64_t timeout_ms, struct verdict overdue)
{
    /* One row for all sessions of the engine: no token is that of an earlier user of the memory. */
    static _Thread_local uint64_t tokens;

    check(server->question.token == 0);
    check(timeout_ms > 0);
    server->question = (struct smtp_question){
        .token = ++tokens,
        .is_inside = true,
        .due_ms = engine_now_ms(server->session.conn.engine) + timeout_ms,
        .verdict = overdue,
    };
    return (struct verdict){.code = VERDICT_CODE_LATER};
}

struct verdict smtp_server_later(struct smtp_server *server, int64_t timeout_ms,
                                 struct verdict overdue, uint64_t *token_out)
{
    check(overdue.code >= 400);
    struct verdict verdict = later(server, timeout_ms, overdue);

    *token_out = server->question.token;
    return verdict;
}

struct verdict smtp_server_delayed(struct smtp_server *server, int64_t delay_ms,
                                   struct verdict verdict)
{
    struct verdict is_later = later(server, delay_ms, verdict);

    server->question.is_delay = true;
    return is_later;
}

bool server_waits(struct smtp_server *server, enum smtp_question_kind kind, struct verdict *verdict)
{
    struct smtp_question *question = &server->question;

    if (session_is_closing(&server->session))
        return true; /* ended from inside the call that asked */
    question->is_inside = false;
    if (question->is_answered) {
        *verdict = question->verdict;
        *question = (struct smtp_question){0};
        return false;
    }
    check(question->token != 0);
    question->kind = (uint8_t)kind;
    session_enter(&server->session, SERVER_ASKING);
    session_arm(&server->session);
    return true;
}

static enum step go_on(struct smtp_server *server, const struct smtp_question *asked,
                       struct verdict verdict)
{
    switch ((enum smtp_question_kind)asked->kind) {
    case ASKS_CONNECTED:
        return connected_answered(server, verdict);
    case ASKS_LOGIN:
    case ASKS_LOGIN_FAILED:
        return login_answered(server, asked, verdict);
    case ASKS_MAIL:
    case ASKS_RCPT:
    case ASKS_CONTENT_BEGIN:
        return command_answered(server, asked->line_len, verdict);
    case ASKS_CONTENT_END:
        return content_answered(server, verdict);
    }
    check(false);
    return STEP_CLOSE;
}

bool smtp_server_answer(struct smtp_server *server, uint64_t token, struct verdict verdict)
{
    struct smtp_question asked = server->question;

    if (token == 0 || token != asked.token)
        return false;
    check(verdict.code != VERDICT_CODE_LATER);
    if (asked.is_inside) {
        server->question.token = 0;
        server->question.is_answered = true;
        server->question.verdict = verdict;
        return true;
    }
    check(server->session.state == SERVER_ASKING);
    server->question = (struct smtp_question){0};
    if (go_on(server, &asked, verdict) == STEP_CLOSE) {
        session_finish(&server->session);
        return true;
    }
    session_arm(&server->session); /* the client's time begins now */
    session_run(&server->session);
    return true;
}

bool smtp_server_accepted(struct smtp_server *server, uint64_t token, const char *id)
{
    char text[64];

    check(!server->question.is_inside);
    (void)text_put(text, sizeof(text), "Ok: queued as %s", id);
    return smtp_server_answer(server, token, (struct verdict){250, "2.0.0", text, NULL, false});
}

void server_cancel(struct smtp_server *server)
{
    const struct smtp_service *service = server->service;
    bool is_open = server->question.token != 0;

    server->question = (struct smtp_question){0};
    if (is_open && service->policy->cancel != NULL)
        service->policy->cancel(service->context, server);
}

enum step server_overdue(struct smtp_server *server)
{
    struct smtp_question asked = server->question;

    server_cancel(server);
    return go_on(server, &asked, asked.verdict);
}

/* A client that sent its end, and nothing behind what is asked, waits for no answer that could
 * matter; but that of a content is given to whoever may be there: RFC 5321 section 6.1. */
enum step asking_step(struct session *session)
{
    const struct smtp_question *question = &server_of(session)->question;

    if (!session->conn.eof || question->kind == ASKS_CONTENT_END)
        return STEP_WAIT;
    return conn_input(&session->conn).len > question->line_len ? STEP_WAIT : STEP_CLOSE;
}
