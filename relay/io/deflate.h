/*
 * deflate.h - compression of a connection (RFC 1951), as a layer that may stand above TLS.
 *
 * conn_stack(conn, deflate_layer()) is the whole of it: what is written from then on is compressed,
 * and what the peer sends has to be. All that was written in a turn is compressed together and
 * flushed, so that the peer can read it at once.
 *
 * A peer may say a thousand bytes with one. No more of it is inflated than the owner has room for
 * (input_max of conn.h); the rest stays as it came, and the receive stops meanwhile. What is no
 * DEFLATE, and what stands behind the peer's last block, is CONN_ERROR and CONN_EOF.
 *
 * Memory of a connection, counted in base/budget.h: DEFLATE_BYTES_MAX, of which the half that
 * compresses goes by deflate_rest() until something is said again.
 *
 * Thread: the engine's that has the connection.
 */
#pragma once

#include "base/bytes.h"

struct conn;
struct conn_layer;

enum { DEFLATE_BYTES_MAX = 128 * 1024 };

/* To be given to conn_stack(). NULL: no memory. */
struct conn_layer *deflate_layer(void);
/* Of one that was not given away. */
void deflate_layer_free(struct conn_layer **layer);

bool conn_is_deflated(const struct conn *conn);
/* Nothing is to be said for a while: gives up what was remembered of what was said. Does nothing
 * where the connection is not compressed. */
void deflate_rest(struct conn *conn);
