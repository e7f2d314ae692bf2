/* inspect_walk.c - walks a stopped spool. */
#include "queue/inspect_walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/disk.h"

struct walking {
    const char *spool;
    const struct spool_walk *walk;
    bool has_shard[MESSAGE_ID_SHARDS_MAX];
    int locks[MESSAGE_ID_SHARDS_MAX]; /* -1: none */
    uint32_t *sequences;
    size_t count, capacity;
};

/* --- shards and locks ------------------------------------------------------------------------- */

static int on_shard_name(void *context, const char *name)
{
    struct walking *w = context;
    char shard_name[8];

    for (unsigned shard = 0; shard < MESSAGE_ID_SHARDS_MAX; shard++) {
        (void)snprintf(shard_name, sizeof(shard_name), "%02x", shard);
        w->has_shard[shard] = w->has_shard[shard] || strcmp(name, shard_name) == 0;
    }
    return 0;
}

static int on_lock_name(void *context, const char *name)
{
    bool *has_lock = context;

    *has_lock = *has_lock || strcmp(name, "lock") == 0;
    return 0;
}

/* A shard that was never opened has no lock, and gets none from us. */
static int lock_shard(struct walking *w, unsigned shard)
{
    char path[SPOOL_PATH_MAX];
    char lock_path[SPOOL_PATH_MAX + 8];
    bool has_lock = false;

    if (!shard_path(w->spool, shard, path))
        return -ENAMETOOLONG;
    int error = disk_list(path, on_lock_name, &has_lock);
    if (error < 0 || !has_lock)
        return error;
    (void)snprintf(lock_path, sizeof(lock_path), "%s/lock", path);
    w->locks[shard] = disk_lock(lock_path);
    return MIN(w->locks[shard], 0);
}

/* --- segments --------------------------------------------------------------------------------- */

static void add_sequence(void *context, uint32_t sequence)
{
    struct walking *w = context;

    if (w->count == w->capacity) {
        w->capacity = MAX(2 * w->capacity, (size_t)256);
        w->sequences = realloc(w->sequences, w->capacity * sizeof(*w->sequences));
        check(w->sequences != NULL);
    }
    w->sequences[w->count++] = sequence;
}

static int compare_sequences(const void *a, const void *b)
{
    const uint32_t *first = a;
    const uint32_t *second = b;

    return (*first > *second) - (*first < *second);
}

static int scan_segment(const struct walking *w, const struct segment_reader *segment)
{
    const struct spool_walk *walk = w->walk;
    const struct record_scan scan = {
        .context = walk->context,
        .record = walk->record,
        .damage = walk->damage,
        .torn = walk->torn,
        .whole_until = segment->has_trailer ? segment->trailer.whole_until : 0,
    };
    struct record_scan_result result = {.end = SPOOL_BLOCK};
    uint8_t *blocks = NULL;
    uint32_t end;

    int error = segment_reader_end(segment, &end);
    if (error == 0 && end > SPOOL_BLOCK)
        error = segment_reader_read(segment, SPOOL_BLOCK, end, &blocks);
    if (error < 0)
        return error;
    walk->begin_segment(walk->context, segment);
    if (blocks != NULL)
        error = record_scan((struct bytes){blocks, end - SPOOL_BLOCK}, SPOOL_BLOCK, segment->seed,
                            &scan, &result);
    free(blocks);
    if (error == 0)
        walk->end_segment(walk->context, &result);
    return error;
}

static int walk_segment(struct walking *w, unsigned shard, uint32_t sequence)
{
    struct segment_reader segment;

    int error = segment_reader_open(w->spool, shard, sequence, &segment);
    if (error == -EBADMSG || error == -ENOENT) {
        w->walk->unreadable(w->walk->context, sequence, error == -ENOENT);
        return 0;
    }
    if (error < 0)
        return error;
    error = scan_segment(w, &segment);
    segment_reader_close(&segment);
    return error;
}

static int walk_shard(struct walking *w, unsigned shard)
{
    w->count = 0;
    int error = segments_visit(w->spool, shard, add_sequence, w);
    if (error < 0)
        return error;
    if (w->count > 0)
        qsort(w->sequences, w->count, sizeof(*w->sequences), compare_sequences);
    w->walk->begin_shard(w->walk->context, shard);
    for (size_t i = 0; error == 0 && i < w->count; i++) {
        uint32_t sequence = w->sequences[i];

        if (i > 0 && sequence != w->sequences[i - 1] + 1)
            w->walk->missing(w->walk->context, w->sequences[i - 1] + 1, sequence - 1);
        error = walk_segment(w, shard, sequence);
    }
    w->walk->end_shard(w->walk->context);
    return error;
}

int spool_walk(const char *spool, const struct spool_walk *walk)
{
    struct walking w = {.spool = spool, .walk = walk};

    for (unsigned shard = 0; shard < MESSAGE_ID_SHARDS_MAX; shard++)
        w.locks[shard] = -1;
    int error = disk_list(spool, on_shard_name, &w);
    for (unsigned shard = 0; error == 0 && shard < MESSAGE_ID_SHARDS_MAX; shard++)
        if (w.has_shard[shard])
            error = lock_shard(&w, shard);
    for (unsigned shard = 0; error == 0 && shard < MESSAGE_ID_SHARDS_MAX; shard++)
        if (w.has_shard[shard])
            error = walk_shard(&w, shard);
    for (unsigned shard = 0; shard < MESSAGE_ID_SHARDS_MAX; shard++)
        if (w.locks[shard] >= 0)
            disk_close(w.locks[shard]);
    free(w.sequences);
    return error;
}
