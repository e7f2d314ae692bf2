/* segment.c - segment objects and their files. */
#include "queue/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "queue/disk.h"

bool ids_add(struct ids *ids, uint64_t value)
{
    if (ids->count == ids->capacity) {
        size_t capacity = MAX(ids->capacity * 2, (size_t)64);
        uint64_t *grown = realloc(ids->values, capacity * sizeof(*grown));

        if (grown == NULL)
            return false;
        ids->values = grown;
        ids->capacity = capacity;
    }
    ids->values[ids->count++] = value;
    return true;
}

void ids_free(struct ids *ids)
{
    free(ids->values);
    *ids = (struct ids){0};
}

struct segment *segment_new(struct shard *shard, const struct segment_header *header, int fd)
{
    struct segment *segment = calloc(1, sizeof(*segment));

    if (segment == NULL)
        return NULL;
    *segment = (struct segment){
        .shard = shard,
        .sequence = header->sequence,
        .size = header->size,
        .format = header->format,
        .salt = header->salt,
        .fd = fd,
        .data_end = SPOOL_BLOCK,
    };
    return segment;
}

void segment_forget_index(struct segment *segment)
{
    ids_free(&segment->accepted);
    free(segment->outcomes);
    segment->outcomes = NULL;
    segment->outcome_count = 0;
    segment->outcome_capacity = 0;
}

void segment_add_outcome(struct segment *segment, const struct outcome_entry *entry)
{
    if (segment->outcome_count == segment->outcome_capacity) {
        size_t capacity = MAX(segment->outcome_capacity * 2, (size_t)64);
        struct outcome_entry *grown = realloc(segment->outcomes, capacity * sizeof(*grown));

        check(grown != NULL);
        segment->outcomes = grown;
        segment->outcome_capacity = capacity;
    }
    segment->outcomes[segment->outcome_count++] = *entry;
}

static void destroy(struct segment *segment)
{
    if (segment->fd >= 0)
        disk_close(segment->fd);
    segment_forget_index(segment);
    ids_free(&segment->far);
    free(segment);
}

void segment_free(struct segment **segment)
{
    struct segment *freed = *segment;

    *segment = NULL;
    if (freed == NULL)
        return;
    freed->shard = NULL;
    if (freed->pins == 0)
        destroy(freed);
}

void segment_pin(struct segment *segment)
{
    segment->pins++;
}

void segment_unpin(struct segment *segment)
{
    check(segment->pins > 0);
    if (--segment->pins == 0 && segment->shard == NULL)
        destroy(segment);
}

/* --- files ----------------------------------------------------------------------------------- */

enum { FILL_LEN = 1024 * 1024 };

/* The header goes in last: a file that a crash left half-made has none. */
static int fill(int fd, const struct segment_header *header)
{
    uint8_t *zeros = disk_buffer(FILL_LEN);
    int error = 0;

    if (zeros == NULL)
        return -ENOMEM;
    memset(zeros, 0, FILL_LEN);
    for (uint64_t at = SPOOL_BLOCK; error == 0 && at < header->size; at += FILL_LEN)
        error = disk_write(fd, zeros, MIN((uint64_t)FILL_LEN, header->size - at), at);
    if (error == 0) {
        segment_header_encode(header, zeros);
        error = disk_write(fd, zeros, SPOOL_BLOCK, 0);
    }
    if (error == 0)
        error = disk_sync(fd);
    free(zeros);
    return error;
}

int segment_make(const char *spool, const struct segment_header *header)
{
    char path[SPOOL_PATH_MAX];
    char directory[SPOOL_PATH_MAX];

    if (!segment_path(spool, header->shard, header->sequence, path) ||
        !shard_path(spool, header->shard, directory))
        return -ENAMETOOLONG;
    int fd = disk_open(path, DISK_CREATE);
    if (fd == -EEXIST && disk_unlink(path) == 0) /* a crash left it behind */
        fd = disk_open(path, DISK_CREATE);
    if (fd < 0)
        return fd;
    int error = fill(fd, header);
    if (error == 0)
        error = disk_sync_directory(directory);
    if (error == 0)
        return fd;
    disk_close(fd);
    if (disk_unlink(path) < 0)
        return error; /* the next try finds it in the way and removes it */
    return error;
}

int segment_recycle(const char *spool, int fd, uint32_t old_sequence,
                    const struct segment_header *header)
{
    char from[SPOOL_PATH_MAX];
    char to[SPOOL_PATH_MAX];
    char directory[SPOOL_PATH_MAX];

    if (!segment_path(spool, header->shard, old_sequence, from) ||
        !segment_path(spool, header->shard, header->sequence, to) ||
        !shard_path(spool, header->shard, directory))
        return -ENAMETOOLONG;
    uint8_t *block = disk_buffer(SPOOL_BLOCK);
    if (block == NULL)
        return -ENOMEM;
    segment_header_encode(header, block);
    /* The old life ends with this sync, before that of the next newer segment may: an accept must
     * never outlive the outcomes behind it. */
    int error = disk_write(fd, block, SPOOL_BLOCK, 0);
    free(block);
    if (error == 0)
        error = disk_sync(fd);
    if (error == 0)
        error = disk_rename(from, to);
    if (error == 0)
        error = disk_sync_directory(directory);
    return error;
}

int segment_remove(const char *spool, unsigned shard, uint32_t sequence)
{
    char path[SPOOL_PATH_MAX];
    char directory[SPOOL_PATH_MAX];

    if (!segment_path(spool, shard, sequence, path) || !shard_path(spool, shard, directory))
        return -ENAMETOOLONG;
    int error = disk_unlink(path);
    if (error == 0 || error == -ENOENT)
        error = disk_sync_directory(directory);
    return error;
}
