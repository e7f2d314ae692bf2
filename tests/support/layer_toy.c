/* layer_toy.c - a layer of frames. */
#include "support/layer_toy.h"

#include <errno.h>
#include <stdlib.h>

enum { WIRE_MAX = 1024 * 1024 };

size_t layer_toy_frame(uint8_t tag, struct bytes data, uint8_t *out)
{
    check(data.len <= TOY_DATA_MAX);
    out[0] = tag;
    out[1] = (uint8_t)(data.len >> 8);
    out[2] = (uint8_t)data.len;
    for (size_t i = 0; i < data.len; i++)
        out[TOY_HEAD + i] = data.ptr[i] ^ TOY_KEY;
    return TOY_HEAD + data.len;
}

static int say(struct conn_layer *layer, uint8_t tag, struct bytes data)
{
    uint8_t frame[TOY_HEAD + TOY_DATA_MAX];
    size_t len = layer_toy_frame(tag, data, frame);

    return buf_append(&layer->wire, (struct bytes){frame, len}) ? 0 : -ENOBUFS;
}

static int toy_begin(struct conn_layer *layer)
{
    struct layer_toy *toy = container_of(layer, struct layer_toy, layer);

    return toy->speaks_first ? say(layer, 'H', BYTES_NONE) : 0;
}

static int welcome(struct layer_toy *toy)
{
    if (toy->turns_owed > 0) {
        toy->turns_owed--;
        toy->layer.owes_turn = true;
        return 0;
    }
    toy->is_greeted = false;
    toy->layer.is_secured = true;
    return say(&toy->layer, 'W', BYTES_NONE);
}

static int wrong(struct layer_toy *toy)
{
    (void)say(&toy->layer, 'A', BYTES_NONE);
    return -EPROTO;
}

static int take_data(struct layer_toy *toy, struct bytes data, struct buf *input)
{
    uint8_t plain[TOY_DATA_MAX];

    if (!toy->layer.is_secured || data.len > TOY_DATA_MAX)
        return wrong(toy);
    for (size_t i = 0; i < data.len; i++)
        plain[i] = data.ptr[i] ^ TOY_KEY;
    return buf_append(input, (struct bytes){plain, data.len}) ? 0 : -ENOBUFS;
}

static int take_frame(struct layer_toy *toy, uint8_t tag, struct bytes data, struct buf *input)
{
    switch (tag) {
    case 'H':
        if (toy->speaks_first || toy->layer.is_secured || toy->is_greeted)
            return wrong(toy);
        toy->is_greeted = true;
        return welcome(toy);
    case 'W':
        if (!toy->speaks_first || toy->layer.is_secured)
            return wrong(toy);
        toy->layer.is_secured = true;
        return 0;
    case 'D':
        return take_data(toy, data, input);
    case 'E':
        toy->layer.is_ended = true;
        return 0;
    default:
        return wrong(toy);
    }
}

/* Frames behind an answer that is owed wait for it. */
static int toy_open(struct conn_layer *layer, struct bytes raw, struct buf *input)
{
    struct layer_toy *toy = container_of(layer, struct layer_toy, layer);
    int error = 0;

    check(buf_append(&toy->raw, raw));
    if (toy->is_greeted && raw.len == 0)
        error = welcome(toy);
    while (error == 0 && !toy->is_greeted && !layer->is_ended && buf_len(&toy->raw) >= TOY_HEAD) {
        struct bytes all = buf_bytes(&toy->raw);
        size_t len = (size_t)all.ptr[1] << 8 | all.ptr[2];

        if (all.len < TOY_HEAD + len)
            break;
        error = take_frame(toy, all.ptr[0], bytes_slice(all, TOY_HEAD, len), input);
        buf_consume(&toy->raw, TOY_HEAD + len);
    }
    return error;
}

static int toy_seal(struct conn_layer *layer, struct bytes plain)
{
    int error = 0;

    check(layer->is_secured);
    for (size_t at = 0; at < plain.len && error == 0; at += TOY_DATA_MAX)
        error = say(layer, 'D', bytes_slice(plain, at, TOY_DATA_MAX));
    return error;
}

static void toy_end(struct conn_layer *layer)
{
    check(say(layer, 'E', BYTES_NONE) == 0);
}

static void toy_free(struct conn_layer **layer)
{
    struct layer_toy *toy = container_of(*layer, struct layer_toy, layer);

    *toy->is_freed = true;
    buf_free(&toy->raw);
    buf_free(&toy->layer.wire);
    free(toy);
    *layer = NULL;
}

static const struct conn_layer_ops toy_ops = {toy_begin, toy_open, toy_seal, toy_end, toy_free};

struct conn_layer *layer_toy_create(bool speaks_first, unsigned turns_owed, bool *is_freed)
{
    struct layer_toy *toy = calloc(1, sizeof(*toy));

    check(toy != NULL);
    toy->layer.ops = &toy_ops;
    toy->speaks_first = speaks_first;
    toy->turns_owed = turns_owed;
    toy->is_freed = is_freed;
    *is_freed = false;
    buf_init(&toy->layer.wire, WIRE_MAX);
    buf_init(&toy->raw, WIRE_MAX);
    return &toy->layer;
}
