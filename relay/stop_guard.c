/* stop_guard.c - a thread that does nothing but wait. */
#include "relay/stop_guard.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

struct stop_guard {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct timespec until;
    int code;
    bool is_cancelled;
};

static void *run_thread(void *context)
{
    struct stop_guard *guard = context;
    int error = 0;

    pthread_mutex_lock(&guard->lock);
    while (!guard->is_cancelled && error == 0)
        error = pthread_cond_timedwait(&guard->wake, &guard->lock, &guard->until);
    bool is_over = !guard->is_cancelled;
    pthread_mutex_unlock(&guard->lock);
    if (!is_over)
        return NULL;
    log_error("what=\"the disk does not answer: ending without it; what was not written is tried "
              "again after the next start\"");
    _exit(guard->code);
}

struct stop_guard *stop_guard_start(int64_t deadline_ms, int code)
{
    struct stop_guard *guard = calloc(1, sizeof(*guard));
    pthread_condattr_t attributes;

    check(guard != NULL);
    guard->code = code;
    guard->until =
        (struct timespec){.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
    pthread_mutex_init(&guard->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&guard->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&guard->thread, NULL, run_thread, guard) != 0) {
        free(guard); /* then the stop has to end by itself */
        return NULL;
    }
    (void)pthread_setname_np(guard->thread, "stop-guard");
    return guard;
}

void stop_guard_cancel(struct stop_guard **guard)
{
    struct stop_guard *g = *guard;

    *guard = NULL;
    if (g == NULL)
        return;
    pthread_mutex_lock(&g->lock);
    g->is_cancelled = true;
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->wake);
    free(g);
}
