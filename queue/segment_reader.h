/*
 * segment_reader.h - a segment file read by others than its shard: sinks that catch up, and tools.
 *
 * Whoever writes may be appending to it, or may recycle the file meanwhile: what is read then does
 * not validate. Private to queue/. Any thread; blocks.
 */
#pragma once

#include "queue/record.h"

struct segment_reader {
    const char *spool; /* the caller's */
    unsigned shard;
    int fd;
    uint32_t sequence;
    uint32_t size;   /* whole blocks */
    uint16_t node;   /* that wrote it, with has_header */
    uint32_t format; /* the same */
    uint64_t seed;
    bool has_header;
    bool has_trailer; /* closed; trailer is set */
    struct segment_trailer trailer;
};

/* Whether a file without a header was being made, with nothing behind it. Another one held
 * mail. */
must_use bool segment_is_blank(int fd);
/* Calls visit for every segment file of the shard, in no order. */
must_use int segments_visit(const char *spool, unsigned shard,
                            void (*visit)(void *context, uint32_t sequence), void *context);
/* 0; -EBADMSG: neither header nor trailer tell how to read it; -ENOTSUP: a later format; -ENOENT:
 * it is no segment yet: there is none, the file is still being made, or it was about to become
 * another segment, which a crash may leave; -errno. */
must_use int segment_reader_open(const char *spool, unsigned shard, uint32_t sequence,
                                 struct segment_reader *out);
void segment_reader_close(struct segment_reader *segment);
/* Where the records end, as far as anything says so: the trailer, a CUT at the front of a later
 * segment, or the end of the file. */
must_use int segment_reader_end(const struct segment_reader *segment, uint32_t *end_out);
/* The blocks that hold [from, end), for free(); byte `from` stands at from % SPOOL_BLOCK of them. A
 * block that the disk cannot read is zeros: damage, not the end of everything. */
must_use int segment_reader_read(const struct segment_reader *segment, uint32_t from, uint32_t end,
                                 uint8_t **blocks_out);
