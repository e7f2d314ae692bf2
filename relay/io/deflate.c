/* deflate.c - zlib between a connection's layer of TLS, or its ops, and its owner. */
#include "io/deflate.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/budget.h"
#include "io/conn.h"
#include "io/conn_layer.h"

enum {
    HELD_MAX = 1 << 20, /* the largest input of a connection, and what the kernel may add */
    /* Ours: 64 KiB to compress, instead of 256. Protocol text repeats itself soon. */
    OUT_WINDOW = -13,
    OUT_MEMORY = 6,
    /* The peer's: any window it likes, 40 KiB. */
    IN_WINDOW = -15,
    PIECE = 16 * 1024,
    /* Room for a block that ends, what a flush adds, and the bits before them. */
    FLUSH_MAX = 64,
};

struct zip {
    struct conn_layer layer;
    z_stream in, out;
    bool has_out;    /* else it begins again with the next thing said */
    bool has_end;    /* the peer's last block was read */
    struct buf held; /* of the peer, not inflated yet */
    size_t counted;  /* of held, in the budget */
};

static struct zip *zip_of(struct conn_layer *layer)
{
    return container_of(layer, struct zip, layer);
}

/* --- zlib's memory ---------------------------------------------------------------------------- */

union block {
    size_t size;
    max_align_t alignment;
};

static voidpf allocate(voidpf context, uInt count, uInt size)
{
    size_t sum = sizeof(union block) + (size_t)count * size;
    union block *block = malloc(sum);

    (void)context;
    if (block == NULL)
        return Z_NULL;
    block->size = sum;
    budget_add((int64_t)sum);
    return block + 1;
}

static void give_back(voidpf context, voidpf memory)
{
    union block *block = (union block *)memory - 1;

    (void)context;
    budget_add(-(int64_t)block->size);
    free(block);
}

static void count_held(struct zip *zip)
{
    budget_add((int64_t)zip->held.capacity - (int64_t)zip->counted);
    zip->counted = zip->held.capacity;
}

/* --- the layer below -------------------------------------------------------------------------- */

/* What it has to say is ours to pass on. */
static int take_wire_of_below(struct zip *zip)
{
    struct buf *wire = &zip->layer.below->wire;
    bool fits = buf_append(&zip->layer.wire, buf_bytes(wire));

    buf_free(wire);
    return fits ? 0 : -ENOBUFS;
}

static int open_below(struct zip *zip, struct bytes raw)
{
    struct conn_layer *below = zip->layer.below;

    if (below == NULL)
        return buf_append(&zip->held, raw) ? 0 : -ENOBUFS;
    if (below->is_ended)
        return 0;
    below->engine = zip->layer.engine;
    below->owes_turn = false;
    int error = below->ops->open(below, raw, &zip->held);

    zip->layer.owes_turn = below->owes_turn;
    int full = take_wire_of_below(zip);

    return error != 0 ? error : full;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* One piece, where there is room for one. False: all is done that can be now. */
static bool inflate_piece(struct zip *zip, struct buf *input, int *error_out)
{
    struct bytes held = buf_bytes(&zip->held);
    size_t len = buf_len(input);
    size_t room = zip->layer.input_max - MIN(len, zip->layer.input_max);
    uint8_t *to = room > 0 ? buf_reserve(input, MIN(room, (size_t)PIECE)) : NULL;

    if (to == NULL)
        return false;
    zip->in.next_in = (Bytef *)(uintptr_t)held.ptr;
    zip->in.avail_in = (uInt)held.len;
    zip->in.next_out = to;
    zip->in.avail_out = (uInt)MIN(room, (size_t)PIECE);
    int result = inflate(&zip->in, Z_SYNC_FLUSH);

    buf_consume(&zip->held, held.len - zip->in.avail_in);
    buf_extend(input, MIN(room, (size_t)PIECE) - zip->in.avail_out);
    if (result == Z_STREAM_END)
        zip->has_end = true;
    else if (result == Z_MEM_ERROR)
        *error_out = -ENOMEM;
    else if (result != Z_OK && result != Z_BUF_ERROR)
        *error_out = -EPROTO;
    /* Room that is left means that zlib has nothing more to say of what it has. */
    return *error_out == 0 && !zip->has_end && zip->in.avail_out == 0;
}

static int deflate_open(struct conn_layer *layer, struct bytes raw, struct buf *input)
{
    struct zip *zip = zip_of(layer);
    int error = open_below(zip, raw);

    while (error == 0 && !zip->has_end && inflate_piece(zip, input, &error))
        ;
    /* Without room zlib may have more to say though it took every byte. */
    layer->is_holding = error == 0 && !zip->has_end && buf_len(input) >= layer->input_max;
    if (buf_len(&zip->held) == 0 || zip->has_end)
        buf_free(&zip->held);
    count_held(zip);
    if (zip->has_end || (layer->below != NULL && layer->below->is_ended && !layer->is_holding))
        layer->is_ended = true;
    return error;
}

/* --- writing ---------------------------------------------------------------------------------- */

static bool begin_out(struct zip *zip)
{
    zip->out = (z_stream){.zalloc = allocate, .zfree = give_back};
    zip->has_out = deflateInit2(&zip->out, Z_BEST_SPEED, Z_DEFLATED, OUT_WINDOW, OUT_MEMORY,
                                Z_DEFAULT_STRATEGY) == Z_OK;
    return zip->has_out;
}

static int compress_all(struct zip *zip, struct bytes plain, struct buf *out)
{
    int result;

    zip->out.next_in = (Bytef *)(uintptr_t)plain.ptr;
    zip->out.avail_in = (uInt)plain.len;
    do {
        size_t len = MIN(zip->out.avail_in / 2 + FLUSH_MAX, (size_t)PIECE);
        uint8_t *to = buf_reserve(out, len);

        if (to == NULL)
            return -ENOBUFS;
        zip->out.next_out = to;
        zip->out.avail_out = (uInt)len;
        result = deflate(&zip->out, Z_SYNC_FLUSH);
        buf_extend(out, len - zip->out.avail_out);
    } while (result == Z_OK && zip->out.avail_out == 0);
    check(result == Z_OK || result == Z_BUF_ERROR);
    check(zip->out.avail_in == 0);
    return 0;
}

static int deflate_seal(struct conn_layer *layer, struct bytes plain)
{
    struct zip *zip = zip_of(layer);
    struct conn_layer *below = layer->below;
    struct buf compressed;

    if (!zip->has_out && !begin_out(zip))
        return -ENOMEM;
    if (below == NULL)
        return compress_all(zip, plain, &layer->wire);
    buf_init(&compressed, CONN_LAYER_WIRE_MAX);
    int error = compress_all(zip, plain, &compressed);

    below->engine = layer->engine;
    if (error == 0)
        error = below->ops->seal(below, buf_bytes(&compressed));
    buf_free(&compressed);
    int full = take_wire_of_below(zip);

    return error != 0 ? error : full;
}

static int deflate_begin(struct conn_layer *layer)
{
    (void)layer;
    return 0;
}

static void deflate_end(struct conn_layer *layer)
{
    if (layer->below == NULL)
        return;
    layer->below->ops->end(layer->below);
    (void)take_wire_of_below(zip_of(layer));
}

/* --- its life --------------------------------------------------------------------------------- */

static void end_out(struct zip *zip)
{
    if (zip->has_out)
        (void)deflateEnd(&zip->out);
    zip->has_out = false;
}

static void deflate_free(struct conn_layer **layer)
{
    struct zip *zip = zip_of(*layer);

    *layer = NULL;
    if (zip->layer.below != NULL)
        zip->layer.below->ops->free(&zip->layer.below);
    (void)inflateEnd(&zip->in);
    end_out(zip);
    buf_free(&zip->held);
    count_held(zip);
    buf_free(&zip->layer.wire);
    free(zip);
}

static const struct conn_layer_ops deflate_ops = {
    .begin = deflate_begin,
    .open = deflate_open,
    .seal = deflate_seal,
    .end = deflate_end,
    .free = deflate_free,
};

struct conn_layer *deflate_layer(void)
{
    struct zip *zip = calloc(1, sizeof(*zip));

    check(zip != NULL);
    zip->layer.ops = &deflate_ops;
    zip->layer.is_secured = true; /* there is nothing to agree on */
    buf_init(&zip->layer.wire, CONN_LAYER_WIRE_MAX);
    buf_init(&zip->held, HELD_MAX);
    zip->in = (z_stream){.zalloc = allocate, .zfree = give_back};
    if (inflateInit2(&zip->in, IN_WINDOW) == Z_OK)
        return &zip->layer;
    free(zip);
    return NULL;
}

void deflate_layer_free(struct conn_layer **layer)
{
    if (*layer != NULL)
        deflate_free(layer);
}

bool conn_is_deflated(const struct conn *conn)
{
    return conn->layer != NULL && conn->layer->ops == &deflate_ops;
}

void deflate_rest(struct conn *conn)
{
    /* Each flush ended on a whole byte and was no last block, so another stream can go on there. */
    if (conn_is_deflated(conn))
        end_out(zip_of(conn->layer));
}
