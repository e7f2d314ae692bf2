/* space_watch.c - statvfs(), some times a second. */
#include "relay/space_watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/log.h"

/* Mail may come at some hundred MB a second: what is taken between two looks must be well below any
 * sensible mark, the more so near it. A look costs some microseconds, and far more where it is the
 * only thing that wakes a processor. */
enum { FAR_EVERY_MS = 1000, EVERY_MS = 200, NEAR_EVERY_MS = 20 };
/* Above the mark. */
#define FAR_BYTES (UINT64_C(8) << 30)
#define NEAR_BYTES (UINT64_C(512) << 20)

struct space_watch {
    char *spool, *events; /* directories */
    struct space *space;
    uint64_t again;
    pthread_t thread;
    pthread_mutex_t lock; /* of the rest */
    pthread_cond_t wake;
    struct space_state state;
    bool is_stopping;
    bool is_changed; /* the mark: do not wait for the next look */
};

/* What an ordinary user may still take, of this directory: a quota of a project may be less than
 * what its file system has; where this cannot be read, all of it is as good as gone. */
static uint64_t free_bytes(const char *path, uint64_t *size_out)
{
    struct statvfs status;

    if (statvfs(path, &status) < 0) {
        log_limited(LOG_LEVEL_ERROR, "path=%s error=\"%s\" what=\"free space cannot be read\"",
                    LOG_STRING(path), strerror(errno));
        *size_out = 0;
        return 0;
    }
    *size_out = (uint64_t)status.f_blocks * status.f_frsize;
    return (uint64_t)status.f_bavail * status.f_frsize;
}

static void tell(const struct space_state *state, uint64_t size_min)
{
    unsigned long long spool = state->spool_free_bytes, events = state->events_free_bytes;
    unsigned long long mark = state->min_free_bytes;

    if (!state->is_low)
        log_info("spool_free=%llu events_free=%llu min_free=%llu what=\"space again: new mail is "
                 "taken\"",
                 spool, events, mark);
    else
        log_warn("spool_free=%llu events_free=%llu min_free=%llu what=\"less is free than "
                 "spool.min_free: new mail is answered 452, delivery goes on%s\"",
                 spool, events, mark,
                 size_min < mark ? "; the file system is smaller than that, so it will stay so"
                                 : "");
}

/* Without the lock: a disk that hangs must not hold up who asks. */
static void look(struct space_watch *watch)
{
    uint64_t spool_size, events_size;
    uint64_t spool = free_bytes(watch->spool, &spool_size);
    uint64_t events = free_bytes(watch->events, &events_size);

    pthread_mutex_lock(&watch->lock);
    struct space_state *state = &watch->state;
    bool was_low = state->is_low;
    state->spool_free_bytes = spool;
    state->events_free_bytes = events;
    uint64_t mark = state->min_free_bytes;
    if (was_low && mark > 0)
        mark += watch->again;
    state->is_low = MIN(spool, events) < mark;
    atomic_store(&watch->space->is_low, state->is_low);
    struct space_state told = *state;
    pthread_mutex_unlock(&watch->lock);
    if (told.is_low != was_low)
        tell(&told, MIN(spool_size, events_size));
}

/* Under the lock. */
static long until_next_ms(const struct space_watch *watch)
{
    const struct space_state *state = &watch->state;
    uint64_t least = MIN(state->spool_free_bytes, state->events_free_bytes);

    if (least < state->min_free_bytes + NEAR_BYTES)
        return NEAR_EVERY_MS;
    return least < state->min_free_bytes + FAR_BYTES ? EVERY_MS : FAR_EVERY_MS;
}

static void *run_thread(void *context)
{
    struct space_watch *watch = context;
    struct timespec until;

    pthread_mutex_lock(&watch->lock);
    while (!watch->is_stopping) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += until_next_ms(watch) * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        while (!watch->is_stopping && !watch->is_changed &&
               pthread_cond_timedwait(&watch->wake, &watch->lock, &until) == 0)
            ;
        watch->is_changed = false;
        if (watch->is_stopping)
            break;
        pthread_mutex_unlock(&watch->lock);
        look(watch);
        pthread_mutex_lock(&watch->lock);
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

static void watch_free(struct space_watch *watch)
{
    pthread_mutex_destroy(&watch->lock);
    pthread_cond_destroy(&watch->wake);
    free(watch->spool);
    free(watch->events);
    free(watch);
}

struct space_watch *space_watch_start(const char *spool, const char *events, uint64_t min_free,
                                      uint64_t again, struct space *space)
{
    struct space_watch *watch = calloc(1, sizeof(*watch));
    pthread_condattr_t attributes;

    check(watch != NULL);
    watch->spool = strdup(spool);
    watch->events = strdup(events);
    check(watch->spool != NULL && watch->events != NULL);
    watch->space = space;
    watch->again = again;
    watch->state.min_free_bytes = min_free;
    pthread_mutex_init(&watch->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    look(watch);
    int error = pthread_create(&watch->thread, NULL, run_thread, watch);
    if (error != 0) {
        watch_free(watch);
        errno = error;
        return NULL;
    }
    (void)pthread_setname_np(watch->thread, "space");
    return watch;
}

void space_watch_set(struct space_watch *watch, uint64_t min_free)
{
    pthread_mutex_lock(&watch->lock);
    watch->state.min_free_bytes = min_free;
    watch->is_changed = true;
    pthread_cond_signal(&watch->wake);
    pthread_mutex_unlock(&watch->lock);
}

void space_watch_state(struct space_watch *watch, struct space_state *out)
{
    pthread_mutex_lock(&watch->lock);
    *out = watch->state;
    pthread_mutex_unlock(&watch->lock);
}

void space_watch_stop(struct space_watch **watch)
{
    struct space_watch *stopped = *watch;

    *watch = NULL;
    pthread_mutex_lock(&stopped->lock);
    stopped->is_stopping = true;
    pthread_cond_signal(&stopped->wake);
    pthread_mutex_unlock(&stopped->lock);
    pthread_join(stopped->thread, NULL);
    watch_free(stopped);
}
