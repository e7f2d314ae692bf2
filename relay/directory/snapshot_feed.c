/* snapshot_feed.c - one announcement a reader; what nobody announces is freed. */
#include "directory/snapshot_feed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/list.h"
#include "directory/snapshot_build.h"

enum { USES_MAX = 1024 /* power of two */, CACHE_LINE = 64 };

struct use {
    uint32_t credential;
    int64_t wall_s;
};

struct snapshot_reader {
    struct list_node node; /* under the feed's lock */
    struct snapshot_feed *feed;
    unsigned depth;
    bool is_left; /* freed, but for the notes that nobody took yet; under the feed's lock */
    _Alignas(CACHE_LINE) _Atomic(const struct snapshot *) announced; /* NULL: looks at none */
    /* The reader writes, the maker takes. */
    _Alignas(CACHE_LINE) _Atomic uint32_t written;
    _Alignas(CACHE_LINE) _Atomic uint32_t taken;
    struct use uses[USES_MAX];
};

struct retired {
    struct retired *next;
    const struct snapshot *snapshot;
};

struct snapshot_feed {
    _Atomic(const struct snapshot *) newest;
    pthread_mutex_t lock; /* of the list of readers */
    struct list readers;
    struct retired *retired; /* the maker's */
};

struct snapshot_feed *snapshot_feed_create(void)
{
    struct snapshot_feed *feed = calloc(1, sizeof(*feed));
    struct snapshot_builder *builder = snapshot_build(NULL);

    check(feed != NULL);
    pthread_mutex_init(&feed->lock, NULL);
    list_init(&feed->readers);
    atomic_store(&feed->newest, snapshot_finish(&builder, 0));
    return feed;
}

void snapshot_feed_free(struct snapshot_feed **feed)
{
    struct snapshot_feed *freed = *feed;
    const struct snapshot *newest = atomic_load(&freed->newest);

    *feed = NULL;
    list_for_each(node, &freed->readers) {
        struct snapshot_reader *reader = container_of(node, struct snapshot_reader, node);

        check(reader->is_left);
        list_remove(node);
        free(reader);
    }
    snapshot_reclaim(freed);
    snapshot_free(&newest);
    pthread_mutex_destroy(&freed->lock);
    free(freed);
}

void snapshot_publish(struct snapshot_feed *feed, const struct snapshot *snapshot)
{
    struct retired *retired = calloc(1, sizeof(*retired));

    check(retired != NULL);
    retired->snapshot = atomic_exchange(&feed->newest, snapshot);
    retired->next = feed->retired;
    feed->retired = retired;
    snapshot_reclaim(feed);
}

static bool is_announced(struct snapshot_feed *feed, const struct snapshot *snapshot)
{
    list_for_each(node, &feed->readers) {
        struct snapshot_reader *reader = container_of(node, struct snapshot_reader, node);

        if (atomic_load(&reader->announced) == snapshot)
            return true;
    }
    return false;
}

void snapshot_reclaim(struct snapshot_feed *feed)
{
    pthread_mutex_lock(&feed->lock);
    for (struct retired **at = &feed->retired; *at != NULL;) {
        struct retired *retired = *at;

        if (is_announced(feed, retired->snapshot)) {
            at = &retired->next;
            continue;
        }
        *at = retired->next;
        snapshot_free(&retired->snapshot);
        free(retired);
    }
    pthread_mutex_unlock(&feed->lock);
}

const struct snapshot *snapshot_newest(const struct snapshot_feed *feed)
{
    return atomic_load(&feed->newest);
}

struct snapshot_reader *snapshot_reader_create(struct snapshot_feed *feed)
{
    struct snapshot_reader *reader = aligned_alloc(CACHE_LINE, sizeof(*reader));

    check(reader != NULL);
    reader->feed = feed;
    reader->depth = 0;
    reader->is_left = false;
    list_node_init(&reader->node);
    atomic_init(&reader->announced, NULL);
    atomic_init(&reader->written, 0);
    atomic_init(&reader->taken, 0);
    pthread_mutex_lock(&feed->lock);
    list_push_back(&feed->readers, &reader->node);
    pthread_mutex_unlock(&feed->lock);
    return reader;
}

void snapshot_reader_free(struct snapshot_reader **reader)
{
    struct snapshot_reader *freed = *reader;
    struct snapshot_feed *feed = freed->feed;

    *reader = NULL;
    check(freed->depth == 0);
    pthread_mutex_lock(&feed->lock);
    freed->is_left = true; /* goes with its last note, or with the feed */
    pthread_mutex_unlock(&feed->lock);
}

/* Announced first and then found to be the newest still: a maker that took it away in between
 * looks at announcements after that, and meets ours. Both sides need the one order of seq_cst. */
const struct snapshot *snapshot_begin(struct snapshot_reader *reader)
{
    const struct snapshot *newest;

    if (reader->depth++ > 0)
        return atomic_load_explicit(&reader->announced, memory_order_relaxed);
    do {
        newest = atomic_load(&reader->feed->newest);
        atomic_store(&reader->announced, newest);
    } while (atomic_load(&reader->feed->newest) != newest);
    return newest;
}

void snapshot_end(struct snapshot_reader *reader)
{
    check(reader->depth > 0);
    if (--reader->depth == 0)
        atomic_store_explicit(&reader->announced, NULL, memory_order_release);
}

void snapshot_note_use(struct snapshot_reader *reader,
                       const struct directory_credential *credential, int64_t wall_s)
{
    uint32_t written = atomic_load_explicit(&reader->written, memory_order_relaxed);

    if (written - atomic_load_explicit(&reader->taken, memory_order_acquire) == USES_MAX)
        return;
    reader->uses[written % USES_MAX] = (struct use){credential->id, wall_s};
    atomic_store_explicit(&reader->written, written + 1, memory_order_release);
}

static bool take(struct snapshot_reader *reader, uint32_t *credential_out, int64_t *wall_s_out)
{
    uint32_t taken = atomic_load_explicit(&reader->taken, memory_order_relaxed);

    if (taken == atomic_load_explicit(&reader->written, memory_order_acquire))
        return false;
    *credential_out = reader->uses[taken % USES_MAX].credential;
    *wall_s_out = reader->uses[taken % USES_MAX].wall_s;
    atomic_store_explicit(&reader->taken, taken + 1, memory_order_release);
    return true;
}

bool snapshot_take_use(struct snapshot_feed *feed, uint32_t *credential_out, int64_t *wall_s_out)
{
    bool found = false;

    pthread_mutex_lock(&feed->lock);
    list_for_each(node, &feed->readers) {
        struct snapshot_reader *reader = container_of(node, struct snapshot_reader, node);

        found = take(reader, credential_out, wall_s_out);
        if (found)
            break;
        if (reader->is_left) {
            list_remove(node);
            free(reader);
        }
    }
    pthread_mutex_unlock(&feed->lock);
    return found;
}
