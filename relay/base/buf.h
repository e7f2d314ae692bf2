/*
 * buf.h - a growing byte buffer with a mandatory cap.
 *
 * Bytes are appended at the end and consumed at the front. No buffer without a maximum exists: an
 * append that would pass it changes nothing and returns false, and the caller answers with a
 * reply, a deferral or back-pressure. Pointers into the buffer die with the next append or consume.
 */
#pragma once

#include <stdarg.h>

#include "base/bytes.h"

struct buf {
    uint8_t *ptr;    /* allocation, NULL while nothing was appended */
    size_t start;    /* first live byte */
    size_t end;      /* one past the last live byte */
    size_t capacity; /* of the allocation */
    size_t len_max;  /* cap on live bytes */
};

void buf_init(struct buf *buf, size_t len_max);
void buf_free(struct buf *buf); /* gives the memory back; the buffer can be used again */

/* The live bytes. */
static inline struct bytes buf_bytes(const struct buf *buf)
{
    if (buf->ptr == NULL)
        return BYTES_NONE;
    return (struct bytes){buf->ptr + buf->start, buf->end - buf->start};
}

static inline size_t buf_len(const struct buf *buf)
{
    return buf->end - buf->start;
}

/* Live bytes that still fit under the cap. */
static inline size_t buf_room(const struct buf *buf)
{
    return buf->len_max - buf_len(buf);
}

must_use bool buf_append(struct buf *buf, struct bytes b);
must_use bool buf_append_byte(struct buf *buf, uint8_t byte);
must_use bool buf_printf(struct buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
must_use bool buf_vprintf(struct buf *buf, const char *format, va_list args);
/* Room for `len` bytes to be written in place; then buf_extend(len written). NULL past the cap. */
must_use uint8_t *buf_reserve(struct buf *buf, size_t len);
void buf_extend(struct buf *buf, size_t len);

void buf_consume(struct buf *buf, size_t len);  /* from the front; len <= buf_len */
void buf_truncate(struct buf *buf, size_t len); /* keeps the first len bytes */
void buf_clear(struct buf *buf);                /* no live bytes; keeps the allocation */
