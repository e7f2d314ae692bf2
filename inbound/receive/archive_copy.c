/* archive_copy.c - what begins as an archive is kept, all else is dropped. */
#include "inbound/receive/archive_copy.h"

void archive_copy_init(struct archive_copy *copy)
{
    *copy = (struct archive_copy){0};
    buf_init(&copy->bytes, SIZE_MAX);
}

static void drop(struct archive_copy *copy, size_t *room)
{
    *room += buf_len(&copy->bytes);
    buf_free(&copy->bytes);
}

static void decide(struct archive_copy *copy, bool has_name, size_t *room)
{
    if (copy->is_known)
        return;
    copy->is_known = true;
    copy->kind = archive_kind(buf_bytes(&copy->bytes));
    if (copy->kind == ARCHIVE_NONE && has_name && buf_len(&copy->bytes) > 0)
        copy->kind = ARCHIVE_OTHER;
    if (copy->kind == ARCHIVE_NONE)
        drop(copy, room);
}

void archive_copy_feed(struct archive_copy *copy, struct bytes run, bool has_name, size_t *room)
{
    if (copy->is_lost || (copy->is_known && copy->kind == ARCHIVE_NONE))
        return;
    if (run.len > *room || !buf_append(&copy->bytes, run)) {
        decide(copy, has_name, room);
        copy->is_lost = copy->kind != ARCHIVE_NONE;
        drop(copy, room);
        return;
    }
    *room -= run.len;
    if (buf_len(&copy->bytes) >= ARCHIVE_START)
        decide(copy, has_name, room);
}

void archive_copy_end(struct archive_copy *copy, bool has_name, size_t *room)
{
    decide(copy, has_name, room);
}

void archive_copy_clear(struct archive_copy *copy, size_t *room)
{
    drop(copy, room);
    archive_copy_init(copy);
}

void archive_copy_free(struct archive_copy *copy)
{
    buf_free(&copy->bytes);
}
