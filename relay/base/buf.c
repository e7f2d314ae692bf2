/* buf.c - growing bytes with a cap. */
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_format.h"

enum { CAPACITY_MIN = 192 - 1 }; /* with the NUL a size that malloc() has, as its doubles are */

void buf_init(struct buf *buf, size_t len_max)
{
    *buf = (struct buf){.len_max = len_max};
}

void buf_free(struct buf *buf)
{
    free(buf->ptr);
    buf_init(buf, buf->len_max);
}

static void move_to_front(struct buf *buf)
{
    size_t len = buf_len(buf);

    memmove(buf->ptr, buf->ptr + buf->start, len);
    buf->start = 0;
    buf->end = len;
}

static void grow(struct buf *buf, size_t len_needed)
{
    size_t capacity = MAX(MAX(buf->capacity * 2, len_needed), (size_t)CAPACITY_MIN);

    /* Never more than the cap: len_needed fits under it. */
    capacity = MIN(capacity, buf->len_max);
    /* One byte beyond the capacity takes the NUL that printf insists on (text_format.h). */
    uint8_t *ptr = malloc(capacity + 1);

    check(ptr != NULL);
    if (buf->ptr != NULL)
        memcpy(ptr, buf->ptr + buf->start, buf_len(buf));
    free(buf->ptr);
    buf->end = buf_len(buf);
    buf->start = 0;
    buf->ptr = ptr;
    buf->capacity = capacity;
}

uint8_t *buf_reserve(struct buf *buf, size_t len)
{
    check(buf->start <= buf->end);
    check(buf->end <= buf->capacity);
    if (len > buf_room(buf))
        return NULL;
    if (buf->ptr == NULL || len > buf->capacity - buf->end) {
        size_t len_needed = buf_len(buf) + len;
        /* Moving pays only when it frees a good part: else every append would move everything. */
        bool worth_moving = buf->start >= buf->capacity / 2 || buf->capacity == buf->len_max;

        if (buf->ptr != NULL && len_needed <= buf->capacity && worth_moving)
            move_to_front(buf);
        else
            grow(buf, len_needed);
    }
    return buf->ptr + buf->end;
}

void buf_extend(struct buf *buf, size_t len)
{
    check(len <= buf->capacity - buf->end);
    check(len <= buf_room(buf));
    buf->end += len;
}

bool buf_append(struct buf *buf, struct bytes b)
{
    /* Mostly a few bytes for which there is room: a call would cost more than they do. */
    bool has_room = buf->ptr != NULL && b.len <= buf->capacity - buf->end && b.len <= buf_room(buf);
    uint8_t *into = has_room ? buf->ptr + buf->end : buf_reserve(buf, b.len);

    if (into == NULL)
        return false;
    if (b.len > 0)
        memcpy(into, b.ptr, b.len);
    check(b.len <= buf->capacity - buf->end);
    buf->end += b.len;
    return true;
}

bool buf_append_byte(struct buf *buf, uint8_t byte)
{
    return buf_append(buf, (struct bytes){&byte, 1});
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    bool fits = buf_vprintf(buf, format, args);
    va_end(args);
    return fits;
}

bool buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    va_list again;

    /* Most lines fit into what is allocated already or at first, and are formatted only once. */
    if (buf->ptr == NULL && buf_reserve(buf, MIN(buf_room(buf), (size_t)CAPACITY_MIN)) == NULL)
        return false;
    va_copy(again, args);
    size_t spare = MIN(buf->capacity - buf->end, buf_room(buf));
    char *into = (char *)buf->ptr + buf->end;
    size_t len = text_format(into, spare + 1, format, args);
    bool fits = true;

    if (len > spare) {
        into = (char *)buf_reserve(buf, len);
        fits = into != NULL;
        if (fits)
            (void)text_format(into, len + 1, format, again);
    }
    va_end(again);
    if (fits)
        buf_extend(buf, len);
    return fits;
}

void buf_consume(struct buf *buf, size_t len)
{
    check(len <= buf_len(buf));
    buf->start += len;
    if (buf->start == buf->end)
        buf_clear(buf);
}

void buf_truncate(struct buf *buf, size_t len)
{
    check(len <= buf_len(buf));
    buf->end = buf->start + len;
}

void buf_clear(struct buf *buf)
{
    buf->start = 0;
    buf->end = 0;
}
