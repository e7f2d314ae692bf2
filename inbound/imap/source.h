/*
 * source.h - a message's bytes, as they are served: read from its file as far as they are needed.
 *
 * The file is the message, but where lines end in LF alone; then all of it is read and converted.
 * What mime made of a message once is kept in the mailbox's cache: the fields that searches ask
 * for, and of ENVELOPE and BODYSTRUCTURE what was asked for.
 *
 * In slices (work.h): on the engine what is not in memory is -EAGAIN, and can be asked for again on
 * the pool. Private to the folder.
 */
#pragma once

#include "base/buf.h"
#include "inbound/mailbox/mailbox.h"
#include "inbound/mime/mime_message.h"

enum {
    SOURCE_SIZE_MAX = 1 << 30,   /* of a message that is taken into memory */
    SOURCE_QUICK_MAX = 64 << 10, /* likewise, on the engine */
};

struct source {
    struct mailbox *mailbox;
    struct mailbox_message message;
    int fd;        /* -1: not opened */
    bool is_quick; /* the slice is the engine's, which holds the mailbox: the user's to set */
    bool has_size;
    bool is_converted; /* not the file's bytes */
    uint64_t size;     /* as served */
    uint8_t *memory;   /* the beginning, or all of it */
    size_t memory_len;
    struct buf header; /* converted, where not all of it is */
    bool has_mime;
    struct mime_message mime;
    bool has_cache; /* it was looked for */
    struct buf cache;
    struct bytes fields, envelope, structure; /* of the cache; ptr NULL: not there */
    bool has_put;                             /* into the mailbox's cache, in this slice */
};

/* One that is zero, or that another message ended in. */
void source_begin(struct source *source, struct mailbox *mailbox,
                  const struct mailbox_message *message);
/* Was anything looked at but what the index says? */
static inline bool source_was_read(const struct source *source)
{
    return source->has_cache || source->fd >= 0 || source->memory != NULL;
}
/* Gives up everything of the message. */
void source_end(struct source *source);
/* After a slice: what was made for the mailbox's cache in it is written. */
void source_settle(struct source *source);
/* And what the next would have used. */
void source_free(struct source *source);
/* Gives up what takes much memory and can be had again. */
void source_unload(struct source *source);

/* All of these: 0 or -errno; slices live until the next unload. */
must_use int source_size(struct source *source, uint64_t *size_out);
must_use int source_header(struct source *source, struct bytes *header_out);
must_use int source_whole(struct source *source, struct bytes *whole_out);
must_use int source_mime(struct source *source, const struct mime_message **mime_out);
/* Up to `len` bytes from `offset` to the end of `out`. */
must_use int source_copy(struct source *source, uint64_t offset, size_t len, struct buf *out);
must_use int source_envelope(struct source *source, struct bytes *text_out);
must_use int source_structure(struct source *source, struct bytes *text_out);
/* Header fields that are searched and sorted by: the number of the one that `name` is of
 * SOURCE_FIELDS; SOURCE_FIELDS: none of them. */
enum { SOURCE_FIELDS = 9 };
unsigned source_kept_field(struct bytes name);
static inline bool source_keeps_field(struct bytes name)
{
    return source_kept_field(name) < SOURCE_FIELDS;
}
must_use int source_fields(struct source *source, struct bytes *fields_out);
