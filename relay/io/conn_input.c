/* conn_input.c - the receiving half of a connection. */
#include <errno.h>
#include <sys/ioctl.h>

#include "io/conn_layer.h"
#include "io/conn_private.h"

static bool wants_input(const struct conn *conn)
{
    if (conn->eof)
        return false;
    if (conn->state == CONN_DRAINING)
        return true;
    return conn->state == CONN_OPEN && conn->error == 0 && !conn->paused && !conn->receive_stopped;
}

/* What is drained is not kept. Never 0: at input_max the receive is stopped. */
static size_t input_room(const struct conn *conn)
{
    size_t len = conn->state == CONN_DRAINING ? 0 : buf_len(&conn->input);

    return conn->input_max - MIN(len, (size_t)conn->input_max - 1);
}

void conn_start_receive(struct conn *conn)
{
    if (!wants_input(conn) || conn->receive.in_flight)
        return;
    if (conn->is_careful)
        engine_receive_once(conn->engine, &conn->receive, conn->fd, input_room(conn));
    else
        engine_receive(conn->engine, &conn->receive, conn->fd);
}

void conn_stop_receive(struct conn *conn)
{
    if (!conn->receive.in_flight || conn->receive_cancelled)
        return;
    conn->receive_cancelled = true;
    engine_cancel(conn->engine, &conn->receive);
}

/* What the layer makes of what arrived: input, a handshake that is over, the peer's end. */
static int open_layer(struct conn *conn, struct bytes raw)
{
    struct conn_layer *layer = conn->layer;
    bool was_secured = layer->is_secured;

    layer->input_max = conn->input_max;
    int error = layer->ops->open(layer, raw, &conn->input);

    if (layer->is_secured && !was_secured)
        conn->pending |= PENDING_SECURED;
    if (layer->is_ended || (layer->has_eof_behind && !layer->is_holding))
        conn->eof = true;
    /* Its answer is sent, or what it owes is done, when the turn ends. */
    if (layer->owes_turn || buf_len(&layer->wire) > 0)
        engine_at_turn_end(conn->engine, &conn->turn_end);
    return error;
}

/* 0, or -errno: -ENOBUFS only if the kernel went on receiving after a cancel; see input_max. */
static int take_input(struct conn *conn, struct bytes b)
{
    int error = 0;

    if ((conn->state != CONN_OPEN && conn->state != CONN_DETACHING) || conn->eof)
        return 0;
    if (conn->layer != NULL)
        error = open_layer(conn, b);
    else if (!buf_append(&conn->input, b))
        error = -ENOBUFS;
    conn_count_memory(conn);
    if (buf_len(&conn->input) >= conn->input_max && !conn->receive_stopped) {
        conn->receive_stopped = true;
        conn_stop_receive(conn);
    }
    return error;
}

/* After input was taken: `before` bytes were unread. Each wake may end the connection. */
static void announce_input(struct conn *conn, size_t before, bool had_eof)
{
    if ((conn->pending & PENDING_SECURED) && !conn->paused) {
        conn->pending &= (uint8_t)~PENDING_SECURED;
        conn->wake(conn, CONN_SECURED);
    }
    bool has_more = buf_len(&conn->input) > before || conn->owes_data_wake;

    conn->owes_data_wake = false;
    if (conn->state == CONN_OPEN && has_more)
        conn_announce(conn, PENDING_DATA, CONN_DATA);
    if (conn->state == CONN_OPEN && conn->eof && !had_eof)
        conn_announce(conn, PENDING_EOF, CONN_EOF);
}

static void receive_failed(struct conn *conn, int error, bool by_layer)
{
    if (conn->state == CONN_DETACHING)
        conn->error = error; /* told where it is attached */
    else if (by_layer)
        conn_fail_layer(conn, error);
    else
        conn_fail(conn, error);
}

/* The receive goes on when half of the room is free, and nothing that was received waits. */
static void resume_receive(struct conn *conn)
{
    if (!conn->receive_stopped || buf_len(&conn->input) >= conn->input_max / 2)
        return;
    if (conn->layer != NULL && conn->layer->is_holding) {
        engine_at_turn_end(conn->engine, &conn->turn_end);
        return;
    }
    conn->receive_stopped = false;
    conn_start_receive(conn);
}

static bool has_more_in_layer(const struct conn *conn)
{
    const struct conn_layer *layer = conn->layer;

    return layer != NULL && (layer->owes_turn || (layer->is_holding && !conn->paused &&
                                                  buf_len(&conn->input) < conn->input_max / 2));
}

void conn_go_on_layered(struct conn *conn)
{
    size_t before = buf_len(&conn->input);
    bool had_eof = conn->eof;

    if (!has_more_in_layer(conn) || conn->state != CONN_OPEN || conn->eof)
        return;
    conn->layer->owes_turn = false;
    int error = open_layer(conn, BYTES_NONE);

    conn_count_memory(conn);
    resume_receive(conn);
    if (error != 0)
        conn_fail_layer(conn, error);
    else
        announce_input(conn, before, had_eof);
}

void conn_receive_done(struct op *op, int result, uint32_t flags)
{
    struct conn *conn = container_of(op, struct conn, receive);
    size_t before = buf_len(&conn->input);
    bool had_eof = conn->eof;
    int error = 0;

    if (flags & ENGINE_BUFFER) {
        error = take_input(conn, engine_buffer(conn->engine, op, result));
        engine_buffer_return(conn->engine, op);
    }
    bool by_layer = error != 0 && conn->layer != NULL;

    if (!(flags & ENGINE_MORE))
        conn->receive_cancelled = false;
    if (conn->state == CONN_CLOSING) {
        engine_at_turn_end(conn->engine, &conn->turn_end);
        return;
    }
    if (result == 0 && conn->layer != NULL && conn->layer->is_holding)
        conn->layer->has_eof_behind = true;
    else if (result == 0)
        conn->eof = true;
    else if (error == 0 && result < 0 && result != -ENOBUFS && result != -ECANCELED)
        error = result;
    if (error != 0)
        receive_failed(conn, error, by_layer);
    /* Data without MORE ends the op too: the completion queue was full. -ENOBUFS: by the time the
     * new receive is submitted, this turn has given all buffers back. */
    conn_start_receive(conn);
    if (conn->state == CONN_DETACHING)
        engine_at_turn_end(conn->engine, &conn->turn_end);
    else if (conn->state == CONN_DRAINING && result == 0 && conn_output_len(conn) == 0)
        conn_close(conn);
    else if (conn->state == CONN_OPEN && error == 0)
        announce_input(conn, before, had_eof);
}

struct bytes conn_input(const struct conn *conn)
{
    return buf_bytes(&conn->input);
}

bool conn_has_unread(const struct conn *conn)
{
    int len = 0;

    if (conn->fd < 0)
        return false;
    enum engine_unread unread = engine_unread(conn->engine, &conn->receive);

    if (unread == ENGINE_UNREAD_ASK)
        return ioctl(conn->fd, FIONREAD, &len) == 0 && len > 0;
    return unread == ENGINE_UNREAD_HERE;
}

bool conn_waits_for_unread(struct conn *conn)
{
    if (conn->state != CONN_OPEN || conn->eof || conn->error != 0 || !conn_has_unread(conn))
        return false;
    conn->owes_data_wake = true;
    return true;
}

void conn_consume(struct conn *conn, size_t len)
{
    buf_consume(&conn->input, len);
    if (buf_len(&conn->input) == 0)
        buf_free(&conn->input); /* who waits for a command holds nothing */
    conn_count_memory(conn);
    resume_receive(conn);
}

void conn_pause(struct conn *conn)
{
    conn->paused = true;
    if (conn->state == CONN_OPEN)
        conn_stop_receive(conn);
}

void conn_resume(struct conn *conn)
{
    conn->paused = false;
    conn_start_receive(conn);
    if (conn->pending != 0 || has_more_in_layer(conn))
        engine_at_turn_end(conn->engine, &conn->turn_end);
}
