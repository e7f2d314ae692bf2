/* segment_reader.c - reads segment files from outside their shard. */
#include "queue/segment_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "queue/disk.h"

struct each {
    void (*visit)(void *context, uint32_t sequence);
    void *context;
};

static int visit_name(void *context, const char *name)
{
    const struct each *each = context;
    uint32_t sequence;

    if (segment_name_parse(name, &sequence))
        each->visit(each->context, sequence);
    return 0;
}

bool segment_is_blank(int fd)
{
    int64_t size = disk_size(fd);

    if (size < 2 * SPOOL_BLOCK)
        return size >= 0;
    uint8_t *block = disk_buffer(SPOOL_BLOCK);

    check(block != NULL);
    bool result = disk_read(fd, block, SPOOL_BLOCK, SPOOL_BLOCK) == 0 && block[0] == 0 &&
                  memcmp(block, block + 1, SPOOL_BLOCK - 1) == 0;
    free(block);
    return result;
}

int segments_visit(const char *spool, unsigned shard,
                   void (*visit)(void *context, uint32_t sequence), void *context)
{
    struct each each = {visit, context};
    char path[SPOOL_PATH_MAX];

    return shard_path(spool, shard, path) ? disk_list(path, visit_name, &each) : -ENAMETOOLONG;
}

int segment_reader_read(const struct segment_reader *segment, uint32_t from, uint32_t end,
                        uint8_t **blocks_out)
{
    uint32_t first = from / SPOOL_BLOCK * SPOOL_BLOCK;
    uint64_t last = ((uint64_t)end + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK;

    if (last > segment->size)
        return -ENODATA;
    size_t len = (size_t)(last - first);
    uint8_t *blocks = disk_buffer(len);
    if (blocks == NULL)
        return -ENOMEM;
    int error = disk_read(segment->fd, blocks, len, first);
    if (error < 0 && error != -EIO) {
        free(blocks);
        return error;
    }
    for (size_t at = 0; error == -EIO && at < len; at += SPOOL_BLOCK)
        if (disk_read(segment->fd, blocks + at, SPOOL_BLOCK, first + at) < 0)
            memset(blocks + at, 0, SPOOL_BLOCK);
    *blocks_out = blocks;
    return 0;
}

static bool trailer_fits(const struct segment_reader *segment,
                         const struct segment_trailer *trailer)
{
    return trailer->sequence == segment->sequence && trailer->data_end >= SPOOL_BLOCK &&
           trailer->data_end <= trailer->footer_offset &&
           trailer->whole_until <= trailer->data_end && trailer->footer_offset % SPOOL_BLOCK == 0 &&
           trailer->footer_offset < segment->size &&
           trailer->footer_len <= segment->size - trailer->footer_offset;
}

static int read_frame(struct segment_reader *segment)
{
    struct segment_header header;
    uint8_t *block;

    if (segment->size < 2 * SPOOL_BLOCK)
        return -EBADMSG;
    int error = segment_reader_read(segment, 0, SPOOL_BLOCK, &block);
    if (error < 0)
        return error;
    enum segment_header_verdict verdict = segment_header_decode(block, &header);
    free(block);
    if (verdict == SEGMENT_HEADER_NEWER)
        return -ENOTSUP;
    segment->has_header = verdict == SEGMENT_HEADER_GOOD;
    if (segment->has_header) {
        if (header.sequence != segment->sequence)
            return -ENOENT;
        segment->node = header.node;
        segment->format = header.format;
        segment->size = MIN(segment->size, header.size / SPOOL_BLOCK * SPOOL_BLOCK);
    }
    if (segment->size < 2 * SPOOL_BLOCK)
        return -EBADMSG;
    error = segment_reader_read(segment, segment->size - SPOOL_BLOCK, segment->size, &block);
    if (error < 0)
        return error;
    /* A trailer of an earlier life of the file has another salt. */
    segment->has_trailer = segment_trailer_decode(block, &segment->trailer) &&
                           trailer_fits(segment, &segment->trailer) &&
                           (!segment->has_header || segment->trailer.salt == header.salt);
    free(block);
    if (!segment->has_header && !segment->has_trailer)
        return -EBADMSG;
    segment->seed =
        segment_seed(segment->has_header ? header.salt : segment->trailer.salt, segment->sequence);
    return 0;
}

int segment_reader_open(const char *spool, unsigned shard, uint32_t sequence,
                        struct segment_reader *out)
{
    struct segment_reader segment = {.spool = spool, .shard = shard, .sequence = sequence};
    char path[SPOOL_PATH_MAX];

    if (!segment_path(spool, shard, sequence, path))
        return -ENAMETOOLONG;
    segment.fd = disk_open(path, DISK_READ);
    if (segment.fd < 0)
        return segment.fd;
    int64_t size = disk_size(segment.fd);
    int error = size < 0 ? (int)size : 0;
    if (error == 0) {
        segment.size = (uint32_t)(MIN(size, (int64_t)UINT32_MAX) / SPOOL_BLOCK * SPOOL_BLOCK);
        error = read_frame(&segment);
    }
    if (error == -EBADMSG && segment_is_blank(segment.fd))
        error = -ENOENT;
    if (error < 0) {
        disk_close(segment.fd);
        return error;
    }
    *out = segment;
    return 0;
}

void segment_reader_close(struct segment_reader *segment)
{
    disk_close(segment->fd);
    segment->fd = -1;
}

struct cut_search {
    const struct segment_reader *segment;
    uint32_t end;
};

static void look_for_cut(void *context, uint32_t sequence)
{
    struct cut_search *search = context;
    const struct segment_reader *segment = search->segment;
    struct segment_reader later;
    struct record record;
    struct cut cut;
    uint8_t *block;

    if (sequence <= segment->sequence ||
        segment_reader_open(segment->spool, segment->shard, sequence, &later) < 0)
        return;
    uint32_t offset = SPOOL_BLOCK;
    if (segment_reader_read(&later, offset, offset + SPOOL_BLOCK, &block) == 0) {
        struct bytes rest = {block, SPOOL_BLOCK};

        while (record_read(rest, offset, later.seed, &record) == RECORD_GOOD &&
               cut_decode(&record, &cut)) {
            if (cut.sequence == segment->sequence)
                search->end = MIN(search->end, MAX(cut.offset, (uint32_t)SPOOL_BLOCK));
            offset += (uint32_t)record_size(record.payload.len);
            rest = bytes_slice(rest, record_size(record.payload.len), rest.len);
        }
        free(block);
    }
    segment_reader_close(&later);
}

int segment_reader_end(const struct segment_reader *segment, uint32_t *end_out)
{
    struct cut_search search = {segment, segment->size};
    int error = 0;

    if (segment->has_trailer)
        search.end = segment->trailer.data_end;
    else
        error = segments_visit(segment->spool, segment->shard, look_for_cut, &search);
    *end_out = search.end;
    return error;
}
