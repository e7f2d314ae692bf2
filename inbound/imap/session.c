/* session.c - the states of a session (session.h), and a command's way into its frame. */
#include "inbound/imap/session.h"

#include <stdio.h>

#include "inbound/access/tls.h"
#include "inbound/access/work.h"
#include "inbound/imap/idle.h"
#include "inbound/imap/notify.h"

static enum step command_step(struct session *session);

#define TO(state) (1U << (state))

static const struct session_state states[] = {
    [ACCESS_GREET] = {"greet", ACCESS_STRANGER_S, access_greet_step,
                      TO(ACCESS_HANDSHAKE) | TO(ACCESS_COMMAND) | TO(ACCESS_CLOSING), false,
                      METRIC_IMAP_GREET},
    [ACCESS_HANDSHAKE] = {"handshake", ACCESS_HANDSHAKE_S, access_handshake_step,
                          TO(ACCESS_GREET) | TO(ACCESS_COMMAND) | TO(ACCESS_CLOSING), false,
                          METRIC_IMAP_HANDSHAKE},
    [ACCESS_COMMAND] = {"command", ACCESS_STRANGER_S, command_step,
                        TO(ACCESS_HANDSHAKE) | TO(ACCESS_AUTH) | TO(ACCESS_DELAY) |
                            TO(ACCESS_WORK) | TO(IMAP_IDLE) | TO(ACCESS_CLOSING),
                        true, METRIC_IMAP_COMMAND},
    [ACCESS_AUTH] = {"auth", ACCESS_STRANGER_S, imap_auth_step,
                     TO(ACCESS_COMMAND) | TO(ACCESS_DELAY) | TO(ACCESS_CLOSING), true,
                     METRIC_IMAP_AUTH},
    [ACCESS_DELAY] = {"delay", 0, access_delay_step, TO(ACCESS_COMMAND) | TO(ACCESS_CLOSING), false,
                      METRIC_IMAP_DELAY},
    [ACCESS_WORK] = {"work", ACCESS_WORK_S, access_work_step,
                     TO(ACCESS_COMMAND) | TO(IMAP_UPLOAD) | TO(IMAP_IDLE) | TO(ACCESS_CLOSING),
                     false, METRIC_IMAP_WORK},
    [ACCESS_CLOSING] = {"closing", 0, NULL, 0, false, METRIC_IMAP_CLOSING},
    [IMAP_UPLOAD] = {"upload", ACCESS_WORK_S, imap_upload_step,
                     TO(ACCESS_WORK) | TO(ACCESS_COMMAND) | TO(ACCESS_CLOSING), false,
                     METRIC_IMAP_UPLOAD},
    [IMAP_IDLE] = {"idle", 0, imap_idle_step,
                   TO(ACCESS_WORK) | TO(ACCESS_COMMAND) | TO(ACCESS_CLOSING), true,
                   METRIC_IMAP_IDLE},
};

const struct session_protocol imap_protocol = {
    .states = states,
    .state_count = IMAP_STATE_COUNT,
    .closing = ACCESS_CLOSING,
    .steps_max = ACCESS_STEPS_MAX,
    .deadline_ms = access_deadline_ms,
    .timed_out = access_timed_out,
    .leave = access_leave_for,
    .ended = access_ended,
    .closed = access_closed,
    .open = METRIC_IMAP_SESSIONS,
    .accepted = METRIC_IMAP_ACCEPTED,
};

/* The tag of what has arrived, as far as it has one. */
static void find_tag(struct imap_session *session)
{
    struct bytes text = buf_bytes(&session->frame.text), tag;

    if (session->is_uploading) /* a line that goes on has none */
        return;
    session->tag[0] = '\0';
    if (imap_take_tag(&text, &tag) && text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\r'))
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
    enum step left;

    if (conn_output_room(conn) < 2 * ACCESS_REPLY_MAX)
        return STEP_WAIT;
    if (input.len == 0 && conn->eof)
        return STEP_CLOSE;
    if (input.len == 0 && frame_is_empty(&imap->frame) && !imap->is_uploading &&
        notify_has_news(imap_work_of(imap)))
        return imap_may_go_on(imap, &left) ? notify_tell(imap, imap_next_command, false) : left;
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
