/* session.c - what begins and ends a session, and its states that are no protocol's own. */
#include "inbound/access/session.h"

#include <stdio.h>

#include "inbound/access/login.h"
#include "inbound/access/tls.h"
#include "inbound/access/work.h"

void access_session_start(struct access_session *session, int fd)
{
    static const struct conn_settings stranger = {
        .input_max = ACCESS_INPUT_MAX,
        .output_max = ACCESS_STRANGER_OUTPUT_MAX,
        .is_careful = true,
    };
    const struct access_kind *kind = access_kind_of(session);

    if (kind->begin != NULL)
        kind->begin(session);
    session_start(&session->session, kind->protocol, session->session.service->engine, fd,
                  &stranger);
    session_run(&session->session);
}

size_t access_session_held(const struct session *session)
{
    const struct access_session *held = container_of(session, struct access_session, session);
    const struct access_kind *kind = access_kind_of(held);
    const struct access_work *work = held->work;

    if (session_is_closing(session) || (work != NULL && work->is_running))
        return 0;
    return conn_memory(&session->conn) + (kind->held != NULL ? kind->held(held) : 0) +
           (work != NULL ? kind->work_size + work->out.capacity : 0);
}

/* --- states ----------------------------------------------------------------------------------- */

enum step access_greet_step(struct session *session)
{
    struct access_session *access = access_session_of(session);

    if (access->listener->tls == ACCESS_TLS_IMPLICIT && session->conn.layer == NULL)
        return access_begin_tls(access);
    session_enter(session, ACCESS_COMMAND);
    return access_kind_of(access)->greet(access);
}

/* The deadline is what it waits for. */
enum step access_delay_step(struct session *session)
{
    return session->conn.eof ? STEP_CLOSE : STEP_WAIT;
}

/* Who logged in waits for its next command, or for news. */
static bool may_be_silent(const struct access_session *access)
{
    return access->work != NULL &&
           (access_kind_of(access)->idle_states & 1U << access->session.state) != 0;
}

/* How long it may still be; 0: no longer. */
static int64_t silence_left_ms(const struct access_session *access)
{
    int64_t end_ms =
        access->silent_from_ms + (int64_t)access_settings_of(access)->idle_timeout_s * 1000;

    return MAX(end_ms - engine_now_ms(access->session.conn.engine), (int64_t)0);
}

int64_t access_deadline_ms(const struct session *session)
{
    const struct access_session *access = container_of(session, struct access_session, session);

    if (session->state == ACCESS_DELAY)
        return access->delay_ms;
    if (may_be_silent(access))
        return MIN(silence_left_ms(access), (int64_t)ACCESS_LOOK_S * 1000);
    return (int64_t)session->protocol->states[session->state].deadline_s * 1000;
}

static enum step tell_wrong_login(struct access_session *session)
{
    const struct access_kind *kind = access_kind_of(session);
    const struct access_end *end = &kind->words.last_failure;

    if (session->is_last_failure) {
        if (end->answer != NULL)
            (void)kind->answer(session, end->answer);
        return access_leave(session, end->leave);
    }
    if (kind->answer(session, kind->words.wrong_login) == STEP_CLOSE)
        return STEP_CLOSE;
    return kind->next_command(session);
}

enum step access_timed_out(struct session *session)
{
    struct access_session *access = access_session_of(session);
    const struct access_kind *kind = access_kind_of(access);

    if (session->state == ACCESS_DELAY)
        return tell_wrong_login(access);
    if (session->state == ACCESS_WORK && access->work->is_running)
        return STEP_WAIT;
    if (!session->protocol->states[session->state].is_boundary)
        return STEP_CLOSE;
    if (may_be_silent(access)) {
        if (!access_login_still_good(access))
            return access_leave(access, kind->words.expired);
        if (silence_left_ms(access) > 0)
            return STEP_WAIT;
    }
    metric_inc(kind->timeouts);
    return access_leave(access, kind->words.timeout);
}

void access_leave_for(struct session *session, enum session_leave why)
{
    struct access_session *access = access_session_of(session);
    char text[96];

    if (!session->protocol->states[session->state].is_boundary)
        return; /* a line may be half said */
    snprintf(text, sizeof(text), "%s %s", access_kind_of(access)->words.unavailable,
             why == LEAVE_STOP ? "Shutting down" : "Out of memory");
    (void)access_leave(access, text);
}

void access_ended(struct session *session)
{
    struct access_session *access = access_session_of(session);
    const struct access_kind *kind = access_kind_of(access);

    access_tell_tls_failure(access);
    access_forget_login(access);
    if (kind->ended != NULL)
        kind->ended(access);
    if (access->work != NULL)
        access_work_abandon(&access->work);
}

void access_closed(struct session *session)
{
    (void)session;
}
