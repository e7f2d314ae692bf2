/* session.c - the states of a session and what ends one; the drawing is in session.h. */
#include "inbound/pop3/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "inbound/pop3/work.h"
#include "io/tls.h"

enum { STEPS_MAX = 64, STRANGER_S = 180 };

static enum step greet_step(struct session *session);
static enum step command_step(struct session *session);
static enum step delay_step(struct session *session);
static int64_t deadline_ms(const struct session *session);
static enum step on_timeout(struct session *session);
static void on_leave(struct session *session, enum session_leave why);
static void on_ended(struct session *session);
static void on_closed(struct session *session);

#define TO(state) (1U << (state))

static const struct session_state states[] = {
    [POP3_GREET] = {"greet", STRANGER_S, greet_step,
                    TO(POP3_HANDSHAKE) | TO(POP3_COMMAND) | TO(POP3_CLOSING), false,
                    METRIC_POP3_GREET},
    [POP3_HANDSHAKE] = {"handshake", 60, pop3_handshake_step,
                        TO(POP3_GREET) | TO(POP3_COMMAND) | TO(POP3_CLOSING), false,
                        METRIC_POP3_HANDSHAKE},
    [POP3_COMMAND] = {"command", STRANGER_S, command_step,
                      TO(POP3_HANDSHAKE) | TO(POP3_AUTH) | TO(POP3_DELAY) | TO(POP3_WORK) |
                          TO(POP3_CLOSING),
                      true, METRIC_POP3_COMMAND},
    [POP3_AUTH] = {"auth", STRANGER_S, pop3_auth_step,
                   TO(POP3_COMMAND) | TO(POP3_DELAY) | TO(POP3_WORK) | TO(POP3_CLOSING), true,
                   METRIC_POP3_AUTH},
    [POP3_DELAY] = {"delay", 0, delay_step, TO(POP3_COMMAND) | TO(POP3_CLOSING), false,
                    METRIC_POP3_DELAY},
    [POP3_WORK] = {"work", 300, pop3_work_step, TO(POP3_COMMAND) | TO(POP3_CLOSING), false,
                   METRIC_POP3_WORK},
    [POP3_CLOSING] = {"closing", 0, NULL, 0, false, METRIC_POP3_CLOSING},
};

static const struct session_protocol protocol = {
    .states = states,
    .state_count = POP3_STATE_COUNT,
    .closing = POP3_CLOSING,
    .steps_max = STEPS_MAX,
    .deadline_ms = deadline_ms,
    .timed_out = on_timeout,
    .leave = on_leave,
    .ended = on_ended,
    .closed = on_closed,
    .open = METRIC_POP3_SESSIONS,
    .accepted = METRIC_POP3_ACCEPTED,
};

void pop3_session_start(struct pop3_session *session, int fd)
{
    static const struct conn_settings stranger = {
        .input_max = POP3_INPUT_MAX,
        .output_max = POP3_STRANGER_OUTPUT_MAX,
        .is_careful = true,
    };

    session_start(&session->session, &protocol, session->session.service->engine, fd, &stranger);
    session_run(&session->session);
}

size_t pop3_session_held(const struct session *session)
{
    const struct pop3_session *pop3 = container_of(session, struct pop3_session, session);

    if (session_is_closing(session) || (pop3->work != NULL && pop3->work->is_running))
        return 0;
    return conn_memory(&session->conn) + (pop3->work != NULL ? pop3_work_memory(pop3->work) : 0);
}

/* --- what is said ----------------------------------------------------------------------------- */

enum step pop3_say(struct pop3_session *session, const char *format, ...)
{
    char line[POP3_REPLY_MAX];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    check(len > 0 && (size_t)len < sizeof(line));
    return conn_write(&session->session.conn, bytes_range(line, (size_t)len)) ? STEP_AGAIN
                                                                              : STEP_CLOSE;
}

enum step pop3_leave(struct pop3_session *session, const char *text)
{
    (void)pop3_say(session, "-ERR %s\r\n", text);
    return STEP_CLOSE;
}

enum step pop3_bad(struct pop3_session *session, const char *text)
{
    metric_inc(METRIC_POP3_BAD);
    if (++session->errors >= pop3_settings_of(session)->errors_max)
        return pop3_leave(session, "Too many commands that are none");
    return pop3_say(session, "-ERR %s\r\n", text);
}

bool pop3_may_log_in(const struct pop3_session *session)
{
    return session->may_log_in_plain || conn_is_under_tls(&session->session.conn);
}

/* --- states ----------------------------------------------------------------------------------- */

static enum step greet_step(struct session *session)
{
    struct pop3_session *pop3 = pop3_session_of(session);

    if (pop3->listener->tls == POP3_TLS_IMPLICIT && session->conn.layer == NULL)
        return pop3_begin_tls(pop3);
    session_enter(session, POP3_COMMAND);
    return pop3_say(pop3, "+OK %s ringpost\r\n", pop3_settings_of(pop3)->hostname);
}

enum step pop3_next_command(struct pop3_session *session)
{
    if (session->session.state != POP3_COMMAND)
        session_enter(&session->session, POP3_COMMAND);
    return STEP_AGAIN;
}

enum step pop3_next_line(struct pop3_session *session, size_t max, struct bytes *line_out,
                         size_t *len_out)
{
    struct conn *conn = &session->session.conn;
    struct bytes input = conn_input(conn);
    size_t end = bytes_find(input, '\n', 0);

    if (conn_output_room(conn) < 2 * POP3_REPLY_MAX)
        return STEP_WAIT;
    if (MIN(end, input.len) + 1 > max) /* where the next command begins is not known */
        return pop3_leave(session, "The line is too long");
    if (end == input.len)
        return conn->eof ? STEP_CLOSE : STEP_WAIT;
    *line_out = bytes_slice(input, 0, end);
    *len_out = end + 1;
    if (line_out->len > 0 && line_out->ptr[line_out->len - 1] == '\r')
        line_out->len--;
    return STEP_AGAIN;
}

static enum step command_step(struct session *session)
{
    struct pop3_session *pop3 = pop3_session_of(session);
    uint8_t room[POP3_LINE_MAX];
    struct bytes line;
    size_t len;
    enum step step = pop3_next_line(pop3, POP3_LINE_MAX, &line, &len);

    if (step != STEP_AGAIN)
        return step;
    if (line.len > 0)
        memcpy(room, line.ptr, line.len); /* the input may move: STLS looks what is behind it */
    line = bytes_range(room, line.len);
    conn_consume(&session->conn, len);
    step = pop3_run_command(pop3, line);
    explicit_bzero(room, sizeof(room)); /* it may have been PASS */
    return step;
}

/* The deadline is what it waits for. */
static enum step delay_step(struct session *session)
{
    return session->conn.eof ? STEP_CLOSE : STEP_WAIT;
}

static int64_t deadline_ms(const struct session *session)
{
    const struct pop3_session *pop3 = container_of(session, struct pop3_session, session);

    if (session->state == POP3_DELAY)
        return pop3->delay_ms;
    if (session->state == POP3_COMMAND && pop3->work != NULL)
        return (int64_t)pop3_settings_of(pop3)->idle_timeout_s * 1000;
    return (int64_t)states[session->state].deadline_s * 1000;
}

static enum step on_timeout(struct session *session)
{
    struct pop3_session *pop3 = pop3_session_of(session);

    switch ((enum pop3_state)session->state) {
    case POP3_DELAY:
        if (pop3->is_last_failure)
            return pop3_leave(pop3, "[AUTH] Authentication failed, too often");
        if (pop3_say(pop3, "-ERR [AUTH] Authentication failed\r\n") == STEP_CLOSE)
            return STEP_CLOSE;
        return pop3_next_command(pop3);
    case POP3_WORK:
        if (pop3->work->is_running) /* it is us who are slow */
            return STEP_WAIT;
        return STEP_CLOSE;
    case POP3_HANDSHAKE:
    case POP3_GREET:
        return STEP_CLOSE;
    case POP3_COMMAND:
    case POP3_AUTH:
    case POP3_CLOSING:
    case POP3_STATE_COUNT:
        break;
    }
    metric_inc(METRIC_POP3_TIMEOUTS);
    return pop3_leave(pop3, "Nothing was said for too long");
}

static void on_leave(struct session *session, enum session_leave why)
{
    struct pop3_session *pop3 = pop3_session_of(session);

    if (!states[session->state].is_boundary)
        return; /* a line may be half said */
    switch (why) {
    case LEAVE_STOP:
        (void)pop3_leave(pop3, "[SYS/TEMP] Shutting down");
        break;
    case LEAVE_MEMORY:
        (void)pop3_leave(pop3, "[SYS/TEMP] Out of memory");
        break;
    }
}

static void on_ended(struct session *session)
{
    struct pop3_session *pop3 = pop3_session_of(session);

    pop3_tell_tls_failure(pop3);
    pop3_forget_login(pop3);
    if (pop3->work != NULL)
        pop3_work_abandon(&pop3->work);
}

static void on_closed(struct session *session)
{
    (void)session;
}
