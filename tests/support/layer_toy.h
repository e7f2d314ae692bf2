/*
 * layer_toy.h - a layer that is no cipher: frames of a tag, two bytes of length and as many bytes
 * turned around by a key. Enough of TLS's habits to show that a connection bears them.
 *
 *   who speaks first: 'H'ello   the other: 'W'elcome   then 'D'ata, 'E'nd, and 'A'lert of an error
 *
 * The handshake may owe turns, as one that costs time does.
 */
#pragma once

#include "io/conn_layer.h"

enum {
    TOY_DATA_MAX = 1000, /* of a frame */
    TOY_HEAD = 3,
    TOY_KEY = 0x5a,
};

struct layer_toy {
    struct conn_layer layer;
    bool speaks_first;
    unsigned turns_owed; /* by the answer to 'H' */
    struct buf raw;      /* of a frame that is not whole */
    bool is_greeted;     /* 'H' came, the answer is owed */
    bool *is_freed;
};

/* To be given to conn_secure(); *is_freed becomes true when it is freed. */
struct conn_layer *layer_toy_create(bool speaks_first, unsigned turns_owed, bool *is_freed);
/* A frame as a peer without a connection of ours would send it. */
size_t layer_toy_frame(uint8_t tag, struct bytes data, uint8_t *out);
