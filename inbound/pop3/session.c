/* session.c - the states of a session, and a command's way out of the input. */
#include "inbound/pop3/session.h"

#include <string.h>

#include "inbound/access/tls.h"
#include "inbound/access/work.h"

static enum step command_step(struct session *session);

#define TO(state) (1U << (state))

static const struct session_state states[] = {
    [ACCESS_GREET] = {"greet", ACCESS_STRANGER_S, access_greet_step,
                      TO(ACCESS_HANDSHAKE) | TO(ACCESS_COMMAND) | TO(ACCESS_CLOSING), false,
                      METRIC_POP3_GREET},
    [ACCESS_HANDSHAKE] = {"handshake", ACCESS_HANDSHAKE_S, access_handshake_step,
                          TO(ACCESS_GREET) | TO(ACCESS_COMMAND) | TO(ACCESS_CLOSING), false,
                          METRIC_POP3_HANDSHAKE},
    [ACCESS_COMMAND] = {"command", ACCESS_STRANGER_S, command_step,
                        TO(ACCESS_HANDSHAKE) | TO(ACCESS_AUTH) | TO(ACCESS_DELAY) |
                            TO(ACCESS_WORK) | TO(ACCESS_CLOSING),
                        true, METRIC_POP3_COMMAND},
    [ACCESS_AUTH] = {"auth", ACCESS_STRANGER_S, pop3_auth_step,
                     TO(ACCESS_COMMAND) | TO(ACCESS_DELAY) | TO(ACCESS_WORK) | TO(ACCESS_CLOSING),
                     true, METRIC_POP3_AUTH},
    [ACCESS_DELAY] = {"delay", 0, access_delay_step, TO(ACCESS_COMMAND) | TO(ACCESS_CLOSING), false,
                      METRIC_POP3_DELAY},
    [ACCESS_WORK] = {"work", ACCESS_WORK_S, access_work_step,
                     TO(ACCESS_COMMAND) | TO(ACCESS_CLOSING), false, METRIC_POP3_WORK},
    [ACCESS_CLOSING] = {"closing", 0, NULL, 0, false, METRIC_POP3_CLOSING},
};

const struct session_protocol pop3_protocol = {
    .states = states,
    .state_count = ACCESS_STATE_COUNT,
    .closing = ACCESS_CLOSING,
    .steps_max = ACCESS_STEPS_MAX,
    .deadline_ms = access_deadline_ms,
    .timed_out = access_timed_out,
    .leave = access_leave_for,
    .ended = access_ended,
    .closed = access_closed,
    .open = METRIC_POP3_SESSIONS,
    .accepted = METRIC_POP3_ACCEPTED,
};

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
