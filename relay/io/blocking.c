/* blocking.c - a list of chores, and threads that take them from its front. */
#include "io/blocking.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

struct blocking_pool {
    struct blocking_settings settings; /* its name is that of status */
    pthread_mutex_t mutex;             /* of all below */
    pthread_cond_t wanted;
    struct letter *first; /* chores, linked by their letters */
    struct letter **last;
    struct blocking_status status;
    bool is_stopping;
    unsigned thread_count;
    pthread_t threads[];
};

/* With the mutex. */
static struct chore *take_first(struct blocking_pool *pool)
{
    struct letter *letter = pool->first;
    struct chore *chore = container_of(letter, struct chore, letter);
    int64_t wait_us = clock_monotonic_us() - chore->asked_us;

    pool->first = letter->next;
    if (pool->first == NULL)
        pool->last = &pool->first;
    pool->status.waiting--;
    pool->status.running++;
    pool->status.wait_us_max = MAX(pool->status.wait_us_max, wait_us);
    return chore;
}

/* Waits for a chore; NULL when there is none and never will be. */
static struct chore *next_chore(struct blocking_pool *pool)
{
    struct chore *chore = NULL;

    pthread_mutex_lock(&pool->mutex);
    while (pool->first == NULL && !pool->is_stopping)
        pthread_cond_wait(&pool->wanted, &pool->mutex);
    if (pool->first != NULL)
        chore = take_first(pool);
    pthread_mutex_unlock(&pool->mutex);
    return chore;
}

static void *run(void *argument)
{
    struct blocking_pool *pool = argument;
    struct chore *chore;

    while ((chore = next_chore(pool)) != NULL) {
        struct engine *engine = chore->engine;

        chore->work(chore);
        /* Before the answer: who has it finds the chore counted as done. */
        pthread_mutex_lock(&pool->mutex);
        pool->status.running--;
        pool->status.done++;
        pthread_mutex_unlock(&pool->mutex);
        /* The answer may free the chore. */
        if (engine != NULL)
            engine_post(engine, &chore->letter);
        else
            chore->letter.open(&chore->letter, NULL);
    }
    return NULL;
}

/* Signals are for the main thread: the new one inherits a mask without them. */
static int start_thread(struct blocking_pool *pool)
{
    unsigned number = pool->thread_count;
    char name[BLOCKING_NAME_MAX + 4]; /* what the kernel keeps of it, with the NUL */
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&pool->threads[number], NULL, run, pool);

    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return error;
    if (pool->settings.threads == 1)
        snprintf(name, sizeof(name), "%s", pool->status.name);
    else
        snprintf(name, sizeof(name), "%s-%u", pool->status.name, number % 100);
    (void)pthread_setname_np(pool->threads[number], name);
    pool->thread_count++;
    return 0;
}

struct blocking_pool *blocking_pool_start(const struct blocking_settings *settings)
{
    struct blocking_pool *pool =
        calloc(1, sizeof(*pool) + settings->threads * sizeof(pool->threads[0]));

    check(pool != NULL);
    check(settings->threads > 0);
    check(settings->waiting_max > 0);
    pool->settings = *settings;
    int len = snprintf(pool->status.name, sizeof(pool->status.name), "%s", settings->name);
    check(len > 0 && len <= BLOCKING_NAME_MAX);
    pool->settings.name = pool->status.name;
    pool->last = &pool->first;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wanted, NULL);
    while (pool->thread_count < settings->threads) {
        int error = start_thread(pool);

        if (error != 0) {
            blocking_pool_stop(&pool);
            errno = error;
            return NULL;
        }
    }
    return pool;
}

void blocking_pool_stop(struct blocking_pool **pool)
{
    struct blocking_pool *p = *pool;

    if (p == NULL)
        return;
    pthread_mutex_lock(&p->mutex);
    p->is_stopping = true;
    pthread_cond_broadcast(&p->wanted);
    pthread_mutex_unlock(&p->mutex);
    for (unsigned i = 0; i < p->thread_count; i++)
        pthread_join(p->threads[i], NULL);
    check(p->first == NULL);
    pthread_cond_destroy(&p->wanted);
    pthread_mutex_destroy(&p->mutex);
    free(p);
    *pool = NULL;
}

bool blocking_run(struct blocking_pool *pool, struct chore *chore)
{
    check(chore->work != NULL);
    check(chore->letter.open != NULL);
    pthread_mutex_lock(&pool->mutex);
    check(!pool->is_stopping);
    bool has_room = pool->status.waiting < pool->settings.waiting_max;

    if (has_room) {
        chore->asked_us = clock_monotonic_us();
        chore->letter.next = NULL;
        *pool->last = &chore->letter;
        pool->last = &chore->letter.next;
        pool->status.waiting++;
        pthread_cond_signal(&pool->wanted);
    } else {
        pool->status.refused++;
    }
    pthread_mutex_unlock(&pool->mutex);
    return has_room;
}

void blocking_pool_status(struct blocking_pool *pool, struct blocking_status *out)
{
    pthread_mutex_lock(&pool->mutex);
    *out = pool->status;
    if (pool->first != NULL) { /* the first has waited longest */
        const struct chore *chore = container_of(pool->first, struct chore, letter);

        out->wait_us_max = MAX(out->wait_us_max, clock_monotonic_us() - chore->asked_us);
    }
    pthread_mutex_unlock(&pool->mutex);
}
