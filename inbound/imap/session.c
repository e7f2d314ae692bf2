/* session.c - the states of a session and what ends one; the drawing is in session.h. */
#include "inbound/imap/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "inbound/imap/idle.h"
#include "inbound/imap/notify.h"
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
    [IMAP_GREET] = {"greet", STRANGER_S, greet_step,
                    TO(IMAP_HANDSHAKE) | TO(IMAP_COMMAND) | TO(IMAP_CLOSING), false,
                    METRIC_IMAP_GREET},
    [IMAP_HANDSHAKE] = {"handshake", 60, imap_handshake_step,
                        TO(IMAP_GREET) | TO(IMAP_COMMAND) | TO(IMAP_CLOSING), false,
                        METRIC_IMAP_HANDSHAKE},
    [IMAP_COMMAND] = {"command", STRANGER_S, command_step,
                      TO(IMAP_HANDSHAKE) | TO(IMAP_AUTH) | TO(IMAP_DELAY) | TO(IMAP_WORK) |
                          TO(IMAP_IDLE) | TO(IMAP_CLOSING),
                      true, METRIC_IMAP_COMMAND},
    [IMAP_AUTH] = {"auth", STRANGER_S, imap_auth_step,
                   TO(IMAP_COMMAND) | TO(IMAP_DELAY) | TO(IMAP_CLOSING), true, METRIC_IMAP_AUTH},
    [IMAP_DELAY] = {"delay", 0, delay_step, TO(IMAP_COMMAND) | TO(IMAP_CLOSING), false,
                    METRIC_IMAP_DELAY},
    [IMAP_WORK] = {"work", 300, imap_work_step,
                   TO(IMAP_COMMAND) | TO(IMAP_UPLOAD) | TO(IMAP_IDLE) | TO(IMAP_CLOSING), false,
                   METRIC_IMAP_WORK},
    [IMAP_UPLOAD] = {"upload", 300, imap_upload_step,
                     TO(IMAP_WORK) | TO(IMAP_COMMAND) | TO(IMAP_CLOSING), false,
                     METRIC_IMAP_UPLOAD},
    [IMAP_IDLE] = {"idle", 0, imap_idle_step, TO(IMAP_WORK) | TO(IMAP_COMMAND) | TO(IMAP_CLOSING),
                   true, METRIC_IMAP_IDLE},
    [IMAP_CLOSING] = {"closing", 0, NULL, 0, false, METRIC_IMAP_CLOSING},
};

static const struct session_protocol protocol = {
    .states = states,
    .state_count = IMAP_STATE_COUNT,
    .closing = IMAP_CLOSING,
    .steps_max = STEPS_MAX,
    .deadline_ms = deadline_ms,
    .timed_out = on_timeout,
    .leave = on_leave,
    .ended = on_ended,
    .closed = on_closed,
    .open = METRIC_IMAP_SESSIONS,
    .accepted = METRIC_IMAP_ACCEPTED,
};

void imap_session_start(struct imap_session *session, int fd)
{
    static const struct conn_settings stranger = {
        .input_max = STRANGER_INPUT_MAX,
        .output_max = STRANGER_OUTPUT_MAX,
        .is_careful = true,
    };

    frame_init(&session->frame, COMMAND_STRANGER_MAX);
    session_start(&session->session, &protocol, session->session.service->engine, fd, &stranger);
    session_run(&session->session);
}

size_t imap_session_held(const struct session *session)
{
    const struct imap_session *imap = container_of(session, struct imap_session, session);

    if (session_is_closing(session) || (imap->work != NULL && imap->work->is_running))
        return 0;
    return conn_memory(&session->conn) + imap->frame.text.capacity +
           (imap->work != NULL ? work_memory(imap->work) : 0);
}

/* --- states ----------------------------------------------------------------------------------- */

static enum step greet_step(struct session *session)
{
    struct imap_session *imap = imap_session_of(session);
    char text[REPLY_MAX / 2];
    struct buf capability;

    if (imap->listener->tls == IMAP_TLS_IMPLICIT && session->conn.layer == NULL)
        return imap_begin_tls(imap);
    buf_init(&capability, sizeof(text) - 1);
    imap_capability(imap, &capability);
    snprintf(text, sizeof(text), "%.*s", BYTES_ARG(buf_bytes(&capability)));
    buf_free(&capability);
    session_enter(session, IMAP_COMMAND);
    return imap_say(imap, "* OK [%s] %s ringpost\r\n", text, imap_settings_of(imap)->hostname);
}

/* The tag of what has arrived, as far as it has one. */
static void find_tag(struct imap_session *session)
{
    struct bytes text = buf_bytes(&session->frame.text), tag;

    if (session->is_uploading) /* a line that goes on has none */
        return;
    session->tag[0] = '\0';
    if (imap_take_tag(&text, &tag) && text.len > 0 && text.ptr[0] == ' ')
        snprintf(session->tag, sizeof(session->tag), "%.*s", BYTES_ARG(tag));
}

/* Where the next command begins is not known. */
static enum step give_up(struct imap_session *session, const char *text)
{
    find_tag(session);
    if (imap_bad(session, text) == STEP_CLOSE)
        return STEP_CLOSE;
    return imap_leave(session, "[CLIENTBUG] The end of the command is not known");
}

static enum step command_step(struct session *session)
{
    struct imap_session *imap = imap_session_of(session);
    struct conn *conn = &session->conn;
    struct bytes input = conn_input(conn), rest = input;
    enum frame_step step;

    if (conn_output_room(conn) < 2 * REPLY_MAX)
        return STEP_WAIT;
    if (input.len == 0 && conn->eof)
        return STEP_CLOSE;
    if (input.len == 0 && frame_is_empty(&imap->frame) && !imap->is_uploading &&
        notify_has_news(imap->work))
        return notify_tell(imap, imap_next_command, false);
    if (input.len == 0)
        return STEP_WAIT;
    step = frame_feed(&imap->frame, &rest);
    conn_consume(conn, input.len - rest.len);
    switch (step) {
    case FRAME_MORE:
        return conn->eof ? STEP_CLOSE : STEP_WAIT;
    case FRAME_LITERAL:
        find_tag(imap);
        return imap_on_literal(imap);
    case FRAME_WHOLE:
        find_tag(imap);
        return imap_run_command(imap);
    case FRAME_TOO_LONG:
        return give_up(imap, "[TOOBIG] The command is too long");
    case FRAME_BROKEN:
        break;
    }
    return give_up(imap, "[CLIENTBUG] A line has NUL, or CR or LF without the other");
}

/* The deadline is what it waits for. */
static enum step delay_step(struct session *session)
{
    return session->conn.eof ? STEP_CLOSE : STEP_WAIT;
}

static int64_t deadline_ms(const struct session *session)
{
    const struct imap_session *imap = container_of(session, struct imap_session, session);
    int64_t idle_ms = (int64_t)imap_settings_of(imap)->idle_timeout_s * 1000;

    if (session->state == IMAP_DELAY)
        return imap->delay_ms;
    if (session->state == IMAP_IDLE || (session->state == IMAP_COMMAND && imap->work != NULL))
        return idle_ms;
    return (int64_t)states[session->state].deadline_s * 1000;
}

static enum step on_timeout(struct session *session)
{
    struct imap_session *imap = imap_session_of(session);

    switch ((enum imap_state)session->state) {
    case IMAP_DELAY:
        if (imap->is_last_failure) {
            (void)imap_answer(imap, "NO [AUTHENTICATIONFAILED] Authentication failed");
            return imap_leave(imap, "Too many failed logins");
        }
        if (imap_answer(imap, "NO [AUTHENTICATIONFAILED] Authentication failed") == STEP_CLOSE)
            return STEP_CLOSE;
        return imap_next_command(imap);
    case IMAP_WORK:
        if (imap->work->is_running) /* it is us who are slow */
            return STEP_WAIT;
        return STEP_CLOSE;
    case IMAP_HANDSHAKE:
    case IMAP_UPLOAD:
    case IMAP_GREET:
        return STEP_CLOSE;
    case IMAP_COMMAND:
    case IMAP_AUTH:
    case IMAP_IDLE:
    case IMAP_CLOSING:
    case IMAP_STATE_COUNT:
        break;
    }
    metric_inc(METRIC_IMAP_TIMEOUTS);
    return imap_leave(imap, "Autologout, nothing was said for too long");
}

static void on_leave(struct session *session, enum session_leave why)
{
    struct imap_session *imap = imap_session_of(session);

    if (!states[session->state].is_boundary)
        return; /* a line may be half said */
    switch (why) {
    case LEAVE_STOP:
        (void)imap_leave(imap, "[UNAVAILABLE] Shutting down");
        break;
    case LEAVE_MEMORY:
        (void)imap_leave(imap, "[UNAVAILABLE] Out of memory");
        break;
    }
}

static void on_ended(struct session *session)
{
    struct imap_session *imap = imap_session_of(session);

    imap_tell_tls_failure(imap);
    imap_forget_login(imap);
    frame_free(&imap->frame);
    if (imap->work != NULL)
        work_abandon(&imap->work);
}

static void on_closed(struct session *session)
{
    (void)session;
}
