/* conn_output.c - the sending half of a connection. */
#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "io/conn_layer.h"
#include "io/conn_private.h"

static bool is_securing(const struct conn *conn)
{
    return conn->layer != NULL && !conn->layer->is_secured;
}

static void exchange(struct buf *a, struct buf *b)
{
    struct buf old = *a;

    *a = *b;
    *b = old;
}

/* What the layer has to say, and sealed what was written. */
static int fill_through_layer(struct conn *conn)
{
    struct conn_layer *layer = conn->layer;
    bool is_owners = false;
    int error = 0;

    if (!layer->has_begun && conn->state == CONN_OPEN) {
        layer->has_begun = true;
        error = layer->ops->begin(layer);
    }
    if (error == 0 && layer->is_secured && buf_len(&conn->filling) > 0) {
        error = layer->ops->seal(layer, buf_bytes(&conn->filling));
        buf_free(&conn->filling);
        is_owners = true;
    }
    size_t wire_max = layer->wire.len_max;

    exchange(&conn->sending, &layer->wire);
    layer->wire.len_max = wire_max;
    if (is_owners)
        conn->own_end = conn->taken + buf_len(&conn->sending);
    conn_count_memory(conn);
    return error;
}

/* Before the handshake only what was written before there was a layer stands in `filling`, and it
 * goes out as it is. */
static bool is_plain(const struct conn *conn)
{
    return conn->layer == NULL || (!conn->layer->has_begun && buf_len(&conn->filling) > 0);
}

void conn_start_send(struct conn *conn)
{
    if (conn->send.in_flight || (conn->state != CONN_OPEN && conn->state != CONN_DRAINING))
        return;
    if (buf_len(&conn->sending) == 0) {
        if (is_plain(conn)) {
            exchange(&conn->sending, &conn->filling);
            if (buf_len(&conn->sending) > 0)
                conn->own_end = conn->taken + buf_len(&conn->sending);
        } else {
            int error = fill_through_layer(conn);

            if (error != 0)
                conn_fail_layer(conn, error);
            if (conn->state == CONN_CLOSING)
                return; /* its owner closed it: a send begun now would not be cancelled any more */
        }
    }
    if (buf_len(&conn->sending) > 0)
        engine_send(conn->engine, &conn->send, conn->fd, buf_bytes(&conn->sending));
}

/* Closing with unread input would reset the connection and could take the last reply away from the
 * peer: say FIN and wait for the peer's. */
void conn_output_drained(struct conn *conn)
{
    struct conn_layer *layer = conn->layer;

    if (layer != NULL && layer->is_secured && !layer->has_said_end && conn->error == 0) {
        layer->has_said_end = true;
        layer->ops->end(layer);
        conn_start_send(conn);
        if (conn->send.in_flight)
            return;
    }
    if (conn->eof) {
        conn_close(conn);
        return;
    }
    if (!conn->fin_sent) {
        conn->fin_sent = true;
        (void)shutdown(conn->fd, SHUT_WR); /* if it fails, the receive fails too */
    }
}

void conn_send_done(struct op *op, int result, uint32_t flags)
{
    struct conn *conn = container_of(op, struct conn, send);
    size_t before = conn_output_len(conn);

    (void)flags;
    if (conn->state == CONN_CLOSING) {
        engine_at_turn_end(conn->engine, &conn->turn_end);
        return;
    }
    if (result > 0) {
        conn->taken += (uint64_t)result;
        buf_consume(&conn->sending, (size_t)result);
    }
    if (conn->state == CONN_DETACHING) {
        if (result <= 0 && result != -ECANCELED)
            conn->error = result < 0 ? result : -EPIPE;
        engine_at_turn_end(conn->engine, &conn->turn_end);
        return;
    }
    /* Cancelled by a detach that conn_finish() overtook: go on. */
    if (result <= 0 && result != -ECANCELED) {
        conn_fail(conn, result < 0 ? result : -EPIPE);
        return;
    }
    conn_start_send(conn);
    size_t left = conn_output_len(conn);

    if (left == 0) {
        buf_free(&conn->sending);
        buf_free(&conn->filling);
        conn_count_memory(conn);
    }
    if (conn->state == CONN_DRAINING) {
        if (left == 0)
            conn_output_drained(conn);
        return;
    }
    if (conn->state != CONN_OPEN || is_securing(conn))
        return;
    if (left == 0 || (before >= conn->output_max / 2 && left < conn->output_max / 2))
        conn->wake(conn, CONN_DRAINED);
}

bool conn_secure(struct conn *conn, struct conn_layer *layer)
{
    check(conn->layer == NULL);
    check(conn->output_max <= CONN_LAYER_OUTPUT_MAX);
    if (!conn_is_open(conn) || conn->state != CONN_OPEN || buf_len(&conn->input) > 0)
        return false;
    conn->layer = layer;
    conn->input.len_max += CONN_LAYER_RECORD_MAX;
    layer->engine = conn->engine;
    engine_at_turn_end(conn->engine, &conn->turn_end);
    return true;
}

/* What was written already is what the layer sends first. False: that is more than it takes. */
static bool seal_without(struct conn *conn, struct conn_layer *layer)
{
    struct conn_layer *below = conn->layer;
    struct buf *written = &conn->filling;

    if (below != NULL) {
        if (buf_len(written) > 0 && below->ops->seal(below, buf_bytes(written)) != 0)
            return false;
        written = &below->wire;
    }
    return buf_append(&layer->wire, buf_bytes(written));
}

bool conn_stack(struct conn *conn, struct conn_layer *layer)
{
    check(layer->is_secured);
    check(conn->output_max <= CONN_LAYER_OUTPUT_MAX);
    if (!conn_is_open(conn) || conn->state != CONN_OPEN || is_securing(conn) ||
        buf_len(&conn->input) > 0)
        return false;
    layer->engine = conn->engine;
    layer->has_begun = true;
    if (!seal_without(conn, layer)) {
        conn_close(conn); /* half of it may be sealed: nothing can follow */
        return false;
    }
    buf_clear(&conn->filling);
    if (conn->layer != NULL)
        buf_free(&conn->layer->wire);
    else
        conn->input.len_max += CONN_LAYER_RECORD_MAX;
    layer->below = conn->layer;
    conn->layer = layer;
    conn->own_end = conn->taken + buf_len(&conn->sending) + buf_len(&layer->wire);
    conn_count_memory(conn);
    engine_at_turn_end(conn->engine, &conn->turn_end);
    return true;
}

size_t conn_output_len(const struct conn *conn)
{
    size_t wire = conn->layer != NULL ? buf_len(&conn->layer->wire) : 0;

    return buf_len(&conn->filling) + buf_len(&conn->sending) + wire;
}

uint64_t conn_output_begun(const struct conn *conn)
{
    return conn->written - buf_len(&conn->filling);
}

/* Of what went over the wire, at most so much has come to the peer's TCP. */
static bool wire_may_have(const struct conn *conn, uint64_t end)
{
    /* What a send in flight has is with the kernel or not: this is the most it may have. */
    uint64_t given = conn->taken + (conn->send.in_flight ? buf_len(&conn->sending) : 0);
    int unconfirmed;

    if (conn->peer.any.sa_family == AF_UNSPEC || ioctl(conn->fd, SIOCOUTQ, &unconfirmed) < 0)
        return true;
    return given >= end + (uint64_t)unconfirmed;
}

bool conn_peer_may_have_all(const struct conn *conn)
{
    return buf_len(&conn->filling) == 0 && wire_may_have(conn, conn->own_end);
}

bool conn_peer_may_have(const struct conn *conn, uint64_t end)
{
    check(end <= conn->written);
    if (end == conn->written)
        return conn_peer_may_have_all(conn);
    if (end > conn_output_begun(conn))
        return false;
    return conn->layer != NULL || wire_may_have(conn, end);
}

size_t conn_output_room(const struct conn *conn)
{
    size_t len = conn_output_len(conn); /* sealed it can be more than was written */

    if (!conn_is_open(conn) || is_securing(conn))
        return 0;
    return conn->output_max - MIN(len, (size_t)conn->output_max);
}

/* What is being filled may have what the kernel does not owe yet. */
static bool prepare_write(struct conn *conn)
{
    if (!conn_is_open(conn) || is_securing(conn))
        return false;
    conn->filling.len_max = buf_len(&conn->filling) + conn_output_room(conn);
    engine_at_turn_end(conn->engine, &conn->turn_end);
    return true;
}

bool conn_write(struct conn *conn, struct bytes b)
{
    if (!prepare_write(conn) || !buf_append(&conn->filling, b))
        return false;
    conn->written += b.len;
    conn_count_memory(conn);
    return true;
}

bool conn_write_buf(struct conn *conn, struct buf *from)
{
    struct buf *filling = &conn->filling;
    size_t len = buf_len(from);

    if (!prepare_write(conn) || len > buf_room(filling))
        return false;
    if (buf_len(filling) > 0) {
        check(buf_append(filling, buf_bytes(from)));
    } else {
        size_t len_max = filling->len_max;

        buf_free(filling);
        *filling = *from;
        filling->len_max = len_max;
        from->ptr = NULL;
    }
    buf_free(from);
    conn->written += len;
    conn_count_memory(conn);
    return true;
}

bool conn_printf(struct conn *conn, const char *format, ...)
{
    va_list args;

    if (!prepare_write(conn))
        return false;
    size_t before = buf_len(&conn->filling);

    va_start(args, format);
    bool fits = buf_vprintf(&conn->filling, format, args);
    va_end(args);
    conn->written += buf_len(&conn->filling) - before;
    conn_count_memory(conn);
    return fits;
}
