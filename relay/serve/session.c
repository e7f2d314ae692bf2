/* session.c - drives sessions through their states; the drawing is in session.h. */
#include "serve/session.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"

enum later {
    LATER_NOT,
    LATER_THIS_TURN, /* its end is not what was meant: wait for that of the next one */
    LATER_NEXT_TURN,
};

static void run(struct session *session, enum later later);
static void later_fired(struct turn_end *turn_end);
static void on_wake(struct conn *conn, enum conn_wake reason);

static const struct session_state *state_of(const struct session *session)
{
    return &session->protocol->states[session->state];
}

void session_start(struct session *session, const struct session_protocol *protocol,
                   struct engine *engine, int fd, const struct conn_settings *settings)
{
    static _Thread_local uint64_t serial;

    check(protocol->steps_max > 0);
    check(protocol->closing < protocol->state_count);
    session->protocol = protocol;
    session->serial = ++serial;
    session->connected_ms = engine_wall_ms(engine);
    session->state = 0;
    turn_end_init(&session->later_end, later_fired);
    metric_inc(protocol->open);
    metric_inc(protocol->accepted);
    metric_inc(protocol->states[0].gauge);
    conn_accept(&session->conn, engine, fd, on_wake, settings);
    address_format(&session->conn.peer, session->peer);
    session_arm(session);
}

bool session_is_closing(const struct session *session)
{
    return session->state == session->protocol->closing;
}

const char *session_state_name(const struct session *session)
{
    return state_of(session)->name;
}

void session_name(const struct session *session, char out[static SESSION_NAME_MAX])
{
    snprintf(out, SESSION_NAME_MAX, "%u.%" PRIu64, engine_index(session->conn.engine),
             session->serial);
}

void session_enter(struct session *session, unsigned state)
{
    const struct session_state *from = state_of(session);
    const struct session_state *to = &session->protocol->states[state];

    check(state < session->protocol->state_count);
    check((from->next & (1U << state)) != 0);
    metric_dec(from->gauge);
    metric_inc(to->gauge);
    log_debug("session=%u.%" PRIu64 " from=%s to=%s", engine_index(session->conn.engine),
              session->serial, from->name, to->name);
    session->state = (uint8_t)state;
}

void session_arm(struct session *session)
{
    const struct session_protocol *protocol = session->protocol;
    int64_t after_ms = protocol->deadline_ms != NULL
                           ? protocol->deadline_ms(session)
                           : (int64_t)state_of(session)->deadline_s * 1000;

    conn_deadline(&session->conn, MAX(after_ms, (int64_t)1));
}

/* --- steps ------------------------------------------------------------------------------------ */

static enum step take_step(struct session *session)
{
    const struct session_state *state = state_of(session);

    if (session_is_closing(session))
        return STEP_WAIT;
    if (session->is_stopping && state->is_boundary) {
        session->protocol->leave(session, LEAVE_STOP);
        return STEP_CLOSE;
    }
    return state->step(session);
}

void session_run(struct session *session)
{
    if (!session->is_running && session->later == LATER_NOT)
        run(session, LATER_THIS_TURN);
}

/* later: when what is left over goes on. */
static void run(struct session *session, enum later later)
{
    unsigned left = session->protocol->steps_max;
    bool has_progress = false;
    enum step next;

    session->is_running = true;
    do {
        next = take_step(session);
        has_progress |= next == STEP_AGAIN;
    } while (next == STEP_AGAIN && --left > 0);
    session->is_running = false;
    if (next == STEP_CLOSE) {
        session_finish(session);
        return;
    }
    if (session_is_closing(session))
        return;
    /* Half a line is no progress: who sends a byte a minute has no more time than others. */
    if (has_progress)
        session_arm(session);
    if (next == STEP_WAIT)
        return;
    session->later = (uint8_t)later;
    engine_at_turn_end(session->conn.engine, &session->later_end);
}

static void later_fired(struct turn_end *turn_end)
{
    struct session *session = container_of(turn_end, struct session, later_end);

    if (session->later == LATER_THIS_TURN) {
        session->later = LATER_NEXT_TURN;
        engine_at_turn_end(session->conn.engine, &session->later_end);
        return;
    }
    session->later = LATER_NOT;
    run(session, LATER_NEXT_TURN);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void give_up(struct session *session)
{
    if (session_is_closing(session))
        return;
    session->later = LATER_NOT;
    engine_turn_end_cancel(session->conn.engine, &session->later_end);
    session->protocol->ended(session);
    session_enter(session, session->protocol->closing);
}

void session_finish(struct session *session)
{
    give_up(session);
    conn_finish(&session->conn);
}

void session_abort(struct session *session)
{
    give_up(session);
    conn_close(&session->conn);
}

void session_stop(struct session *session)
{
    session->is_stopping = true;
    if (state_of(session)->is_boundary)
        session_run(session);
}

void session_shed(struct session *session)
{
    bool reads_replies = conn_output_len(&session->conn) == 0;

    if (!session_is_closing(session))
        session->protocol->leave(session, LEAVE_MEMORY);
    if (reads_replies)
        session_finish(session);
    else
        session_abort(session);
}

static void on_closed(struct session *session)
{
    const struct session_protocol *protocol = session->protocol;

    give_up(session);
    metric_dec(state_of(session)->gauge);
    metric_dec(protocol->open);
    protocol->closed(session);
    if (session->gone != NULL)
        session->gone(session);
}

static void on_timeout(struct session *session)
{
    if (session->protocol->timed_out(session) == STEP_CLOSE) {
        session_finish(session);
        return;
    }
    session_arm(session);
    session_run(session);
}

static void on_wake(struct conn *conn, enum conn_wake reason)
{
    struct session *session = container_of(conn, struct session, conn);

    switch (reason) {
    case CONN_DATA:
    case CONN_DRAINED:
    case CONN_SECURED:
    case CONN_EOF: /* steps look at conn.eof where they would wait for more */
        session_run(session);
        break;
    case CONN_TIMEOUT:
        on_timeout(session);
        break;
    case CONN_ERROR: /* it closes by itself, once the peer was told what there is to tell */
        give_up(session);
        break;
    case CONN_CLOSED:
        on_closed(session);
        break;
    case CONN_CONNECTED: /* servers do not connect, nor ask for the other */
    case CONN_DETACHED:
        check(false);
        break;
    }
}
