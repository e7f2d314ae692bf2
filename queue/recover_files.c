/* recover_files.c - which files a shard has, whether they are its own, and what is done with those
 * that are none. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "queue/damage.h"
#include "queue/disk.h"
#include "queue/recover.h"
#include "queue/segment_reader.h"

enum { WHY_MAX = 256, HEADER_TRIES = 3 };

/* --- what went wrong ------------------------------------------------------------------------- */

int recover_fail(struct recovering *r, int error, const char *what, uint32_t sequence)
{
    snprintf(r->why, WHY_MAX, "spool/%02x segment %x: %s%s%s", r->shard->number, sequence, what,
             error == -EPROTO ? "" : ": ", error == -EPROTO ? "" : strerror(-error));
    return error;
}

int recover_fail_reading(struct recovering *r, int error, uint32_t sequence)
{
    char text[RECORD_UNKNOWN_TEXT_MAX];

    if (error != -EPROTO || !r->has_unknown)
        return recover_fail(r, error, "cannot be read", sequence);
    record_unknown_text(&r->unknown, text);
    snprintf(r->why, WHY_MAX, "spool/%02x/%016x.seg: %s", r->shard->number, sequence, text);
    return error;
}

/* --- the directory --------------------------------------------------------------------------- */

static int on_name(void *context, const char *name)
{
    struct recovering *r = context;
    uint32_t sequence;

    if (!segment_name_parse(name, &sequence))
        return 0;
    if (r->sequence_count == r->sequence_capacity) {
        size_t capacity = MAX(r->sequence_capacity * 2, (size_t)64);
        uint32_t *grown = realloc(r->sequences, capacity * sizeof(*grown));

        if (grown == NULL)
            return -ENOMEM;
        r->sequences = grown;
        r->sequence_capacity = capacity;
    }
    r->sequences[r->sequence_count++] = sequence;
    return 0;
}

static int compare_sequences(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

/* What is made here must not go with the power, or all that is synced in it goes too. */
static int make_directories(const struct shard *shard, const char *path)
{
    char parent[SPOOL_PATH_MAX];
    int error = disk_make_directory(shard->spool);

    memcpy(parent, shard->spool, sizeof(parent));
    char *slash = strrchr(parent, '/');
    if (slash == NULL)
        memcpy(parent, ".", sizeof("."));
    else
        slash[slash == parent] = '\0';
    if (error == 0)
        error = disk_make_directory(path);
    if (error == 0)
        error = disk_sync_directory(shard->spool);
    if (error == 0)
        error = disk_sync_directory(parent);
    return error;
}

int recover_open_directory(struct recovering *r)
{
    struct shard *shard = r->shard;
    char path[SPOOL_PATH_MAX];
    char lock_path[SPOOL_PATH_MAX + 8];

    if (!shard_path(shard->spool, shard->number, path))
        return -ENAMETOOLONG;
    int error = make_directories(shard, path);
    if (error < 0) {
        snprintf(r->why, WHY_MAX, "cannot make %.160s: %.60s", path, strerror(-error));
        return error;
    }
    snprintf(lock_path, sizeof(lock_path), "%s/lock", path);
    shard->lock_fd = disk_lock(lock_path);
    if (shard->lock_fd < 0)
        snprintf(r->why, WHY_MAX, "%.160s: %s", lock_path,
                 shard->lock_fd == -EBUSY ? "another ringpost has this spool open"
                                          : strerror(-shard->lock_fd));
    error = MIN(shard->lock_fd, 0);
    if (error == 0)
        error = disk_list(path, on_name, r);
    if (error < 0 && shard->lock_fd >= 0)
        snprintf(r->why, WHY_MAX, "cannot list %.160s: %.60s", path, strerror(-error));
    if (error == 0 && r->sequence_count > 0)
        qsort(r->sequences, r->sequence_count, sizeof(*r->sequences), compare_sequences);
    return error;
}

/* --- a file ---------------------------------------------------------------------------------- */

static int remove_file(struct recovering *r, uint32_t sequence)
{
    int error = segment_remove(r->shard->spool, r->shard->number, sequence);

    return error < 0 ? recover_fail(r, error, "is half made and cannot be removed", sequence) : 0;
}

/* A file that was being made goes; another one held mail. */
static int drop_headless(struct recovering *r, int fd, uint32_t sequence)
{
    struct shard *shard = r->shard;
    char from[SPOOL_PATH_MAX];
    char to[SPOOL_PATH_MAX];
    char shard_directory[SPOOL_PATH_MAX];
    char directory[SPOOL_PATH_MAX];

    if (segment_is_blank(fd))
        return remove_file(r, sequence);
    r->result->damaged_records++;
    if (!segment_path(shard->spool, shard->number, sequence, from) ||
        !shard_path(shard->spool, shard->number, shard_directory) ||
        snprintf(directory, sizeof(directory), "%s/damaged", shard->spool) >=
            (int)sizeof(directory))
        return -ENAMETOOLONG;
    int error = disk_make_directory(directory);
    int len = snprintf(to, sizeof(to), "%s/damaged/%02x-%016x.seg", shard->spool, shard->number,
                       sequence);
    if (error == 0)
        error = len < (int)sizeof(to) ? disk_rename(from, to) : -ENAMETOOLONG;
    if (error == 0)
        error = disk_sync_directory(directory);
    if (error == 0) /* behind the other: should only one be durable, it is there twice, not gone */
        error = disk_sync_directory(shard_directory);
    if (error < 0)
        return recover_fail(r, error, "has no header and cannot be moved aside", sequence);
    log_error("spool=%02x segment=%x what=\"header damaged, moved aside\" to=%s", shard->number,
              sequence, LOG_STRING(to));
    damage_found(shard, &(struct damage_spot){.kind = DAMAGE_SEGMENT, .sequence = sequence});
    return 0;
}

/* Reads the header; where it is damaged, the trailer knows the salt as well. */
static enum segment_header_verdict read_header(struct recovering *r, int fd, uint32_t sequence,
                                               int64_t size, struct segment_header *header)
{
    struct segment_trailer trailer;
    enum segment_header_verdict verdict = SEGMENT_HEADER_BAD;

    /* Mail is set aside without it: once is not enough to believe an error. */
    for (unsigned i = 0; size >= SPOOL_BLOCK && i < HEADER_TRIES; i++) {
        if (disk_read(fd, r->block, SPOOL_BLOCK, 0) < 0)
            continue;
        verdict = segment_header_decode(r->block, header);
        break;
    }
    if (verdict != SEGMENT_HEADER_BAD || size < 3 * SPOOL_BLOCK || size > UINT32_MAX)
        return verdict;
    if (disk_read(fd, r->block, SPOOL_BLOCK, (uint64_t)size - SPOOL_BLOCK) < 0 ||
        !segment_trailer_decode(r->block, &trailer) || trailer.sequence != sequence)
        return verdict;
    log_warn("spool=%02x segment=%x what=\"header damaged, trailer used\"", r->shard->number,
             sequence);
    *header = (struct segment_header){
        .format = SPOOL_FORMAT,
        .node = event_node(),
        .shard = (uint16_t)r->shard->number,
        .sequence = sequence,
        .size = (uint32_t)size,
        .salt = trailer.salt,
    };
    return SEGMENT_HEADER_GOOD;
}

int recover_open_segment(struct recovering *r, uint32_t sequence, struct segment **segment_out)
{
    struct shard *shard = r->shard;
    struct segment_header header = {0};
    char path[SPOOL_PATH_MAX];

    *segment_out = NULL;
    if (!segment_path(shard->spool, shard->number, sequence, path))
        return -ENAMETOOLONG;
    int fd = disk_open(path, DISK_READ_WRITE);
    if (fd < 0)
        return recover_fail(r, fd, "cannot be opened", sequence);
    int64_t size = disk_size(fd);
    if (size < 0) { /* too short is what a half-made file is, and that one is removed */
        disk_close(fd);
        return recover_fail(r, (int)size, "does not tell its size", sequence);
    }
    size = size / SPOOL_BLOCK * SPOOL_BLOCK;
    enum segment_header_verdict verdict = read_header(r, fd, sequence, size, &header);
    int error = 0;
    if (verdict == SEGMENT_HEADER_NEWER)
        error = recover_fail(r, -EPROTO, "written by a newer version of ringpost", sequence);
    else if (verdict == SEGMENT_HEADER_BAD || size < 3 * SPOOL_BLOCK ||
             header.size < 3 * SPOOL_BLOCK)
        error = drop_headless(r, fd, sequence);
    else if (header.node != event_node())
        error = recover_fail(r, -EPROTO, "belongs to another node (see state_dir/node)", sequence);
    else if (header.shard != shard->number)
        error = recover_fail(r, -EPROTO, "belongs to another shard", sequence);
    else if (header.sequence != sequence) { /* a crash between its new header and its new name */
        /* Perhaps the only file: numbers go on all the same, or event ids would come twice. */
        r->sequence_min = MAX(r->sequence_min, header.sequence);
        shard->serial_last = MAX(shard->serial_last, header.serial_max);
        error = remove_file(r, sequence);
    } else {
        header.size = (uint32_t)(MIN((int64_t)header.size, size) / SPOOL_BLOCK * SPOOL_BLOCK);
        *segment_out = segment_new(shard, &header, fd);
        check(*segment_out != NULL);
        shard->serial_last = MAX(shard->serial_last, header.serial_max);
        return 0;
    }
    disk_close(fd);
    return error;
}
