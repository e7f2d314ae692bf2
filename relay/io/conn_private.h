/*
 * conn_private.h - between the files of a connection.
 *
 * One object in halves: conn.c opens it, ends it and runs the end of its turn; conn_input.c and
 * conn_output.c are what goes on in between; conn_move.c carries it to another engine.
 *
 * A circle of conn.c, conn_input.c and conn_output.c: what a half meets ends the connection, and
 * its end stops the halves.
 *
 * Thread: the engine's.
 */
#pragma once

#include "io/conn.h"

/* Wakes that the loop owes. */
enum {
    PENDING_DATA = 1 << 0,
    PENDING_EOF = 1 << 1,
    PENDING_ERROR = 1 << 2,
    PENDING_SECURED = 1 << 3,
};

/* conn.c. All but the first two from the loop only: they may wake the owner. */
void conn_init(struct conn *conn, struct engine *engine, conn_wake_fn *wake,
               const struct conn_settings *settings);
/* After whatever may have changed the size of a buffer. */
void conn_count_memory(struct conn *conn);
/* A reason to wake the owner: later if it paused. */
void conn_announce(struct conn *conn, uint8_t pending, enum conn_wake reason);
/* Tells the owner and closes. */
void conn_fail(struct conn *conn, int error);
/* The layer has no use for what the peer sent, or cannot go on: the owner is told, and the peer
 * what the layer has to say of it. */
void conn_fail_layer(struct conn *conn, int error);

/* conn_input.c */
/* If input is wanted and no receive is in flight: one being cancelled is started again by its own
 * last completion. */
void conn_start_receive(struct conn *conn);
void conn_stop_receive(struct conn *conn);
op_done conn_receive_done;
/* The layer goes on with what it owes. From the loop only. */
void conn_go_on_layered(struct conn *conn);

/* conn_output.c */
/* Starts the only send, if there is something and none is under way. From the loop only. */
void conn_start_send(struct conn *conn);
op_done conn_send_done;
/* DRAINING, and nothing is left to send. */
void conn_output_drained(struct conn *conn);
