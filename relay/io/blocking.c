/*
 * blocking.c - a list of chores, and threads that take them from its front.
 *
 * Idle threads lie on a stack: the one that went idle last is woken, whose memory is still in the
 * caches, and under a light load the others are never touched. One that is woken may find that a
 * thread that was busy took the chore; then it lies down again.
 */
#include "io/blocking.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

struct worker {
    struct blocking_pool *pool;
    pthread_t thread;
    sem_t wanted;             /* posted once for each time that it is taken off the stack */
    struct worker *idle_next; /* below it */
};

struct blocking_pool {
    struct blocking_settings settings; /* its name is that of status */
    pthread_mutex_t mutex;             /* of all below */
    struct letter *first;              /* chores, linked by their letters */
    struct letter **last;
    struct worker *idle; /* the one that went idle last */
    struct blocking_status status;
    bool is_stopping;
    unsigned thread_count;
    struct worker workers[];
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

/* With the mutex, given back until the worker is woken. A semaphore, because a condition makes
 * every unlock behind it a call of the kernel. */
static void lie_idle(struct blocking_pool *pool, struct worker *worker)
{
    worker->idle_next = pool->idle;
    pool->idle = worker;
    pthread_mutex_unlock(&pool->mutex);
    while (sem_wait(&worker->wanted) != 0)
        continue; /* EINTR */
    pthread_mutex_lock(&pool->mutex);
}

/* With the mutex: off the stack, to be woken. NULL: all are busy, or on their way. */
static struct worker *take_idle(struct blocking_pool *pool)
{
    struct worker *worker = pool->idle;

    if (worker == NULL)
        return NULL;
    pool->idle = worker->idle_next;
    return worker;
}

/* Waits for a chore; NULL when there is none and never will be. */
static struct chore *next_chore(struct blocking_pool *pool, struct worker *worker)
{
    struct chore *chore = NULL;

    pthread_mutex_lock(&pool->mutex);
    while (pool->first == NULL && !pool->is_stopping)
        lie_idle(pool, worker);
    if (pool->first != NULL)
        chore = take_first(pool);
    pthread_mutex_unlock(&pool->mutex);
    return chore;
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    struct blocking_pool *pool = worker->pool;
    struct chore *chore;

    while ((chore = next_chore(pool, worker)) != NULL) {
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
    struct worker *worker = &pool->workers[number];
    char name[BLOCKING_NAME_MAX + 4]; /* what the kernel keeps of it, with the NUL */
    sigset_t all, before;

    worker->pool = pool;
    sem_init(&worker->wanted, 0, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&worker->thread, NULL, run, worker);

    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        sem_destroy(&worker->wanted);
        return error;
    }
    if (pool->settings.threads == 1)
        snprintf(name, sizeof(name), "%s", pool->status.name);
    else
        snprintf(name, sizeof(name), "%s-%u", pool->status.name, number % 100);
    (void)pthread_setname_np(worker->thread, name);
    pool->thread_count++;
    return 0;
}

struct blocking_pool *blocking_pool_start(const struct blocking_settings *settings)
{
    struct blocking_pool *pool =
        calloc(1, sizeof(*pool) + settings->threads * sizeof(pool->workers[0]));

    check(pool != NULL);
    check(settings->threads > 0);
    check(settings->waiting_max > 0);
    pool->settings = *settings;
    int len = snprintf(pool->status.name, sizeof(pool->status.name), "%s", settings->name);
    check(len > 0 && len <= BLOCKING_NAME_MAX);
    pool->settings.name = pool->status.name;
    pool->last = &pool->first;
    pthread_mutex_init(&pool->mutex, NULL);
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
    struct worker *worker;

    if (p == NULL)
        return;
    pthread_mutex_lock(&p->mutex);
    p->is_stopping = true;
    while ((worker = take_idle(p)) != NULL)
        sem_post(&worker->wanted);
    pthread_mutex_unlock(&p->mutex);
    for (unsigned i = 0; i < p->thread_count; i++)
        pthread_join(p->workers[i].thread, NULL);
    check(p->first == NULL);
    for (unsigned i = 0; i < p->thread_count; i++)
        sem_destroy(&p->workers[i].wanted);
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
    struct worker *worker = NULL;

    if (has_room) {
        chore->asked_us = clock_monotonic_us();
        chore->letter.next = NULL;
        *pool->last = &chore->letter;
        pool->last = &chore->letter.next;
        pool->status.waiting++;
        worker = take_idle(pool);
    } else {
        pool->status.refused++;
    }
    pthread_mutex_unlock(&pool->mutex);
    if (worker != NULL) /* without the mutex, which is the first thing that it takes */
        sem_post(&worker->wanted);
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
