/* sink_host.c - the thread that sinks run on. */
#include "sink/sink_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "sink/sink_private.h"

enum { IDLE_MS = 1000 };

/* --- a round ---------------------------------------------------------------------------------- */

/* False: it is to end, and there is nobody left. */
static bool take_posted(struct sink_host *host)
{
    struct list_node *node;

    pthread_mutex_lock(&host->lock);
    while ((node = list_pop_front(&host->posted)) != NULL) {
        struct sink *sink = SINK_OF(node, posted);

        if (!list_is_linked(&sink->node))
            list_push_back(&host->sinks, &sink->node);
        sink_touch(sink);
    }
    host->is_woken = false;
    bool goes_on = !host->is_stopping || !list_is_empty(&host->sinks);
    pthread_mutex_unlock(&host->lock);
    return goes_on;
}

static void run_rounds(struct sink_host *host)
{
    int64_t now_ms = clock_monotonic_ms();
    struct sink_timer *timer;
    struct list touched;
    struct list_node *node;

    while ((timer = sink_timers_pop(&host->timers, now_ms)) != NULL)
        sink_touch(SINK_OF(timer, timer));
    list_init(&touched);
    list_splice(&touched, &host->ready);
    while ((node = list_pop_front(&touched)) != NULL) {
        struct sink *sink = SINK_OF(node, ready);

        sink_round(sink);
        if (!list_is_linked(&sink->shown))
            list_push_back(&host->shown, &sink->shown);
    }
}

/* Under the lock. What was ordered is done once it is on disk. */
static void show_sink(struct sink *sink)
{
    sink_status_tell(sink);
    if (sink->obeyed != NULL) {
        sink->obeyed->result = sink->save_error;
        sink->obeyed->is_done = true;
        sink->obeyed = NULL;
    }
    if (!sink->has_stopped)
        return;
    list_remove(&sink->node);
    list_remove(&sink->ready);
    list_remove(&sink->unsaved);
    list_remove(&sink->posted);
    sink->has_ended = true; /* from here on it may be freed */
}

static void show(struct sink_host *host)
{
    struct list_node *node;

    pthread_mutex_lock(&host->lock);
    host->head = host->readers.head.place;
    host->head_time_ms = host->readers.head.time_ms;
    while ((node = list_pop_front(&host->shown)) != NULL)
        show_sink(SINK_OF(node, shown));
    pthread_cond_broadcast(&host->done);
    pthread_mutex_unlock(&host->lock);
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void wait_woken(struct sink_host *host, int64_t ms)
{
    const struct timespec until = clock_monotonic_after(ms);

    pthread_mutex_lock(&host->lock);
    while (!host->is_woken && ms > 0 &&
           pthread_cond_timedwait(&host->wake, &host->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&host->lock);
}

/* One that has the thread for itself waits as its kind does. */
static void wait_alone(struct sink_host *host, int64_t ms)
{
    struct list_node *node = list_first(&host->sinks);
    struct sink *sink = node == NULL ? NULL : SINK_OF(node, node);

    if (sink == NULL || !sink->is_begun) {
        wait_woken(host, ms);
    } else if (!sink->is_restarting) {
        sink->kind->work(sink->object, ms);
        sink_touch(sink);
    }
}

static void wait(struct sink_host *host, bool has_more)
{
    int64_t next_ms = MIN(sink_timers_next(&host->timers), sink_save_due_ms(host));
    int64_t now_ms = clock_monotonic_ms(), ms = IDLE_MS;

    if (has_more || !list_is_empty(&host->ready))
        ms = 0;
    else if (next_ms != INT64_MAX)
        ms = MIN(ms, MAX(next_ms - now_ms, (int64_t)1));
    if (host->ground != NULL)
        host->kind->ground->wait(host->ground, ms);
    else
        wait_alone(host, ms);
}

static void *run_thread(void *context)
{
    struct sink_host *host = context;

    while (take_posted(host)) {
        run_rounds(host);
        bool has_more = sink_readers_read(host);
        sink_save_due(host, clock_monotonic_ms());
        show(host);
        wait(host, has_more);
    }
    return NULL;
}

/* --- start and stop --------------------------------------------------------------------------- */

static void init_locks(struct sink_host *host)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&host->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&host->wake, &attributes);
    pthread_cond_init(&host->done, &attributes);
    pthread_condattr_destroy(&attributes);
}

static int open_directory(struct sink_host *host)
{
    int fd = open(host->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (mkdirat(fd, "sinks", 0750) < 0 && errno != EEXIST) {
        int error = -errno;
        close(fd);
        return error;
    }
    host->directory_fd = openat(fd, "sinks", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = host->directory_fd < 0 ? -errno : 0;
    close(fd);
    return error;
}

static void host_free(struct sink_host **host)
{
    struct sink_host *h = *host;

    if (h->ground != NULL)
        h->kind->ground->close(&h->ground);
    sink_readers_free(&h->readers);
    sink_timers_free(&h->timers);
    buf_free(&h->gap_line);
    if (h->directory_fd >= 0)
        close(h->directory_fd);
    pthread_cond_destroy(&h->wake);
    pthread_cond_destroy(&h->done);
    pthread_mutex_destroy(&h->lock);
    free(h->directory);
    free(h);
    *host = NULL;
}

struct sink_host *sink_host_start(const struct sink_kind *kind, const char *directory,
                                  struct event_bounds *bounds, char *why, size_t why_len)
{
    struct sink_host *host = calloc(1, sizeof(*host));

    check(host != NULL);
    host->kind = kind;
    host->bounds = bounds;
    host->directory_fd = -1;
    host->directory = strdup(directory);
    check(host->directory != NULL);
    init_locks(host);
    list_init(&host->posted);
    list_init(&host->sinks);
    list_init(&host->ready);
    list_init(&host->shown);
    list_init(&host->unsaved);
    list_init(&host->urgent);
    buf_init(&host->gap_line, EVENT_GAP_JSON_MAX);
    host->head = event_bounds_committed(bounds);
    sink_readers_init(&host->readers, host->head);
    int error = open_directory(host);
    if (error == 0 && kind->ground != NULL)
        host->ground = kind->ground->open();
    if (error == 0)
        error = -pthread_create(&host->thread, NULL, run_thread, host);
    if (error < 0) {
        snprintf(why, why_len, "no thread for the sinks of kind %s: %s", kind->name,
                 strerror(-error));
        host_free(&host);
        return NULL;
    }
    (void)pthread_setname_np(host->thread, kind->ground != NULL ? kind->name : "sink");
    return host;
}

/* Under the lock. */
static void wake(struct sink_host *host)
{
    struct list_node *node = list_first(&host->sinks);
    struct sink *sink = node == NULL ? NULL : SINK_OF(node, node);

    host->is_woken = true;
    if (host->ground != NULL)
        host->kind->ground->wake(host->ground);
    else if (sink != NULL && sink->is_begun)
        sink->kind->wake(sink->object);
    pthread_cond_signal(&host->wake);
}

void sink_host_wake(struct sink_host *host)
{
    pthread_mutex_lock(&host->lock);
    wake(host);
    pthread_mutex_unlock(&host->lock);
}

void sink_host_post(struct sink *sink)
{
    if (!list_is_linked(&sink->posted) && !sink->has_ended)
        list_push_back(&sink->host->posted, &sink->posted);
    wake(sink->host);
}

void sink_host_hurry(struct sink_host *host)
{
    atomic_store(&host->is_hurried, true);
}

void sink_host_stop(struct sink_host **host)
{
    pthread_mutex_lock(&(*host)->lock);
    (*host)->is_stopping = true;
    wake(*host);
    pthread_mutex_unlock(&(*host)->lock);
    pthread_join((*host)->thread, NULL);
    host_free(host);
}
