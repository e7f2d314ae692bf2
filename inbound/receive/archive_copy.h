/*
 * archive_copy.h - a part's bytes, kept while they may be those of an archive that is read when the
 * message is whole. Private to the folder.
 */
#pragma once

#include "base/buf.h"
#include "inbound/archives/archive_kind.h"

struct archive_copy {
    struct buf bytes;
    enum archive_kind kind;
    bool is_known; /* the kind; where it is none, nothing is kept */
    bool is_lost;  /* larger than there was room for */
};

void archive_copy_init(struct archive_copy *copy);
/* `has_name`: it is an archive by its name, whatever it begins with. *room: bytes that may be kept
 * of all that share it. */
void archive_copy_feed(struct archive_copy *copy, struct bytes run, bool has_name, size_t *room);
void archive_copy_end(struct archive_copy *copy, bool has_name, size_t *room);
void archive_copy_clear(struct archive_copy *copy, size_t *room);
void archive_copy_free(struct archive_copy *copy);
