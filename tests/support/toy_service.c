/* toy_service.c - see toy_service.h. */
#include "support/toy_service.h"

static struct toy_session *toy_of(struct session *session)
{
    return container_of(session, struct toy_session, session);
}

static struct toy_service *service_of(const struct session *session)
{
    return container_of(session->service, struct toy_service, service);
}

static void toy_say(struct session *session, char c)
{
    check(conn_write(&session->conn, bytes_range((const uint8_t *)&c, 1)));
}

static enum step toy_command(struct session *session)
{
    struct toy_session *toy = toy_of(session);
    struct bytes input = conn_input(&session->conn);

    toy->steps++;
    if (input.len == 0)
        return session->conn.eof ? STEP_CLOSE : STEP_WAIT;
    char c = (char)input.ptr[0];
    conn_consume(&session->conn, 1);
    switch (c) {
    case 'w':
        toy->work_left = service_of(session)->work_turns;
        session_enter(session, TOY_WORK);
        return STEP_AGAIN;
    case 'q':
        toy_say(session, c);
        return STEP_CLOSE;
    default:
        toy_say(session, c);
        return STEP_AGAIN;
    }
}

static enum step toy_work(struct session *session)
{
    struct toy_session *toy = toy_of(session);

    toy->steps++;
    if (toy->work_left > 0) {
        toy->work_left--;
        return STEP_LATER;
    }
    toy_say(session, 'w');
    session_enter(session, TOY_COMMAND);
    return STEP_AGAIN;
}

static enum step toy_timed_out(struct session *session)
{
    if (service_of(session)->ends_are_refused)
        return STEP_AGAIN;
    toy_say(session, 'T');
    return STEP_CLOSE;
}

static void toy_leave(struct session *session, enum session_leave why)
{
    if (conn_output_room(&session->conn) > 0)
        toy_say(session, why == LEAVE_STOP ? 'S' : 'M');
}

static void toy_ended(struct session *session)
{
    service_of(session)->ended_count++;
}

static void toy_closed(struct session *session)
{
    check(session_is_closing(session));
    service_of(session)->closed_count++;
}

static const struct session_state toy_states[] = {
    [TOY_COMMAND] = {"command", TOY_DEADLINE_S, toy_command, 1U << TOY_WORK | 1U << TOY_CLOSING,
                     true, METRIC_SMTPD_COMMAND},
    [TOY_WORK] = {"work", TOY_DEADLINE_S, toy_work, 1U << TOY_COMMAND | 1U << TOY_CLOSING, false,
                  METRIC_SMTPD_CONTENT},
    [TOY_CLOSING] = {"closing", 0, NULL, 0, false, METRIC_SMTPD_CLOSING},
};

static const struct session_protocol toy_protocol = {
    .states = toy_states,
    .state_count = TOY_STATE_COUNT,
    .closing = TOY_CLOSING,
    .steps_max = TOY_STEPS_MAX,
    .timed_out = toy_timed_out,
    .leave = toy_leave,
    .ended = toy_ended,
    .closed = toy_closed,
    .open = METRIC_SESSIONS,
    .accepted = METRIC_SESSIONS_ACCEPTED,
};

static size_t toy_held(const struct session *session)
{
    return session_is_closing(session) ? 0
                                       : container_of(session, struct toy_session, session)->held;
}

static bool toy_is_idle(const struct service *service)
{
    return !container_of(service, struct toy_service, service)->is_busy;
}

static const struct service_kind toy_kind = {
    .session_size = sizeof(struct toy_session),
    .pressure = {.held = toy_held, .shed = session_shed},
    .is_idle = toy_is_idle,
};

static void toy_unused(struct generation *generation)
{
    container_of(generation, struct toy_generation, generation)->unused_count++;
}

void toy_init(struct toy_service *toy, struct engine *engine, _Atomic int *load,
              const struct service_limits *limits)
{
    *toy = (struct toy_service){.work_turns = 1000};
    generation_init(&toy->generations[0].generation, toy_unused);
    generation_init(&toy->generations[1].generation, toy_unused);
    service_init(&toy->service, engine, &toy_kind, load);
    service_configure(&toy->service, limits, &toy->generations[0].generation);
}

struct toy_session *toy_accept(struct toy_service *toy, int fd, const struct address *client)
{
    struct session *session;

    if (service_admit(&toy->service, client, &session) != SERVICE_ADMITS) {
        service_turn_away(&toy->service, fd, BYTES("F"));
        return NULL;
    }
    session_start(session, &toy_protocol, toy->service.engine, fd, NULL);
    session_run(session);
    return toy_of(session);
}

static void toy_stopped(void *context)
{
    ((struct toy_service *)context)->stopped_count++;
}

void toy_stop(struct toy_service *toy, int64_t after_ms)
{
    service_stop(&toy->service, engine_now_ms(toy->service.engine) + after_ms, toy_stopped, toy);
}
