/*
 * conn_layer.h - what may stand between a connection's ops and its owner, as TLS does.
 *
 * A layer makes what the owner reads out of what came from the peer, and what is sent out of what
 * the owner wrote. conn.c drives it; the owner goes on with conn_input() and conn_write().
 *
 *   conn_secure() --> WAITING --plain output sent--> begin() --> handshake --is_secured--> SECURED
 *                                                                  the peer ends it: is_ended <--'
 *
 * Reading takes every byte at once, so that provided buffers go back to the ring. What was written
 * stays as it is until the turn ends and is sealed then, in as few records as possible. What the
 * layer has to say by itself (handshake, alerts, keys) stands in `wire` and goes out before
 * anything that is sealed after it.
 *
 * Layers stand on each other (conn_stack()). conn.c knows the uppermost; each drives the one below
 * it, passes on what that has in `wire`, and frees it.
 *
 * Thread: the engine's that has the connection; a layer moves along with it.
 */
#pragma once

#include "base/buf.h"

struct conn_layer;
struct engine;

/* Of what came from the peer a layer may keep back until a record is whole: one TLS record (RFC
 * 8446 section 5.1). By so much the input may pass the connection's input_max. */
enum { CONN_LAYER_RECORD_MAX = 16 * 1024 };

/* The largest output_max of a connection that has a layer; and of `wire`: that much, sealed, beside
 * what the layer says by itself. */
enum { CONN_LAYER_OUTPUT_MAX = 384 * 1024, CONN_LAYER_WIRE_MAX = 512 * 1024 };

/* Those that return an int: 0, or -errno, which ends the connection once `wire` is sent. */
struct conn_layer_ops {
    /* Nothing plain is left to be sent: who speaks first may do so. Called once. */
    int (*begin)(struct conn_layer *layer);
    /* Takes all of `raw` and appends what it says to `input`. `raw` is empty where the layer owed a
     * turn. */
    int (*open)(struct conn_layer *layer, struct bytes raw, struct buf *input);
    /* Appends all of `plain`, sealed, to `wire`. Called when it is secured only. */
    int (*seal)(struct conn_layer *layer, struct bytes plain);
    /* Nothing will be written any more: says so to the peer. Called once, when it is secured. */
    void (*end)(struct conn_layer *layer);
    void (*free)(struct conn_layer **layer); /* clears it */
};

struct conn_layer {
    const struct conn_layer_ops *ops;
    struct conn_layer *below; /* NULL: what stands in `wire` is what is sent */
    struct engine *engine;    /* that has the connection now; set by conn.c */
    size_t input_max;         /* the connection's; set by conn.c */
    struct buf wire; /* the layer appends, conn.c takes; its memory is the layer's to count */
    bool is_secured; /* the handshake is over */
    bool is_ended;   /* the peer writes no more; what follows is dropped */
    bool owes_turn;  /* more to do than this turn has time for: open() again, in the next */
    /* `input` had input_max bytes before all was said: open() again when it has room. Only for
     * whoever can keep back what was sent; it never fills `input` above that. */
    bool is_holding;
    bool has_begun, has_said_end; /* conn.c's */
    bool has_eof_behind;          /* conn.c's: the peer's end came while the layer held something */
};
