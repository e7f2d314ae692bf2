/* conn_move.c - a connection on its way from one engine to another. */
#include <errno.h>
#include <unistd.h>

#include "base/budget.h"
#include "io/conn_layer.h"
#include "io/conn_private.h"

void conn_take(struct conn *conn, struct conn_parcel *parcel_out)
{
    check(conn->state == CONN_OVER);
    check(conn->fd >= 0);
    *parcel_out = (struct conn_parcel){
        .fd = conn->fd,
        .error = conn->error,
        .eof = conn->eof,
        .is_secured_untold = (conn->pending & PENDING_SECURED) != 0,
        .counted = conn->counted,
        .written = conn->written,
        .taken = conn->taken,
        .own_end = conn->own_end,
        .input = conn->input,
        .filling = conn->filling,
        .sending = conn->sending,
        .layer = conn->layer,
        .peer = conn->peer,
        .local = conn->local,
    };
    conn->fd = -1;
    conn->counted = 0;
    conn->layer = NULL;
    conn->input = (struct buf){0};
    conn->filling = (struct buf){0};
    conn->sending = (struct buf){0};
}

/* The buffer, with the cap of where it is now: what is in it came in under another. */
static struct buf adopt(struct buf buf, size_t len_max)
{
    buf.len_max = MAX(len_max, buf_len(&buf));
    return buf;
}

void conn_attach(struct conn *conn, struct engine *engine, struct conn_parcel *parcel,
                 conn_wake_fn *wake, const struct conn_settings *settings)
{
    check(parcel->fd >= 0);
    conn_init(conn, engine, wake, settings);
    conn->fd = parcel->fd;
    conn->state = CONN_OPEN;
    conn->error = parcel->error;
    conn->eof = parcel->eof;
    conn->counted = parcel->counted;
    conn->written = parcel->written;
    conn->taken = parcel->taken;
    conn->own_end = parcel->own_end;
    conn->input = adopt(parcel->input, conn->input.len_max);
    conn->filling = adopt(parcel->filling, conn->output_max);
    conn->sending = adopt(parcel->sending, conn->output_max);
    conn->layer = parcel->layer;
    conn->peer = parcel->peer;
    conn->local = parcel->local;
    if (conn->layer != NULL) {
        conn->layer->engine = engine;
        conn->input.len_max += CONN_LAYER_RECORD_MAX;
    }
    if (conn->error != 0)
        conn->pending |= PENDING_ERROR;
    if (parcel->is_secured_untold)
        conn->pending |= PENDING_SECURED;
    if (buf_len(&conn->input) > 0)
        conn->pending |= PENDING_DATA;
    if (conn->eof)
        conn->pending |= PENDING_EOF;
    conn->receive_stopped = buf_len(&conn->input) >= conn->input_max;
    conn_start_receive(conn);
    engine_at_turn_end(engine, &conn->turn_end);
    *parcel = (struct conn_parcel){.fd = -1};
}

void conn_parcel_discard(struct conn_parcel *parcel)
{
    if (parcel->fd < 0)
        return;
    close(parcel->fd);
    buf_free(&parcel->input);
    buf_free(&parcel->filling);
    buf_free(&parcel->sending);
    if (parcel->layer != NULL)
        parcel->layer->ops->free(&parcel->layer);
    budget_add(-(int64_t)parcel->counted);
    *parcel = (struct conn_parcel){.fd = -1};
}
