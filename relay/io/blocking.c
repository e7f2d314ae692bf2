/* blocking.c - one thread that does chores in order. */
#include "io/blocking.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct blocking {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    struct letter *first; /* chores, linked by their letters */
    struct letter **last;
    bool is_stopping;
};

/* Waits for a chore; NULL when there is none and never will be. */
static struct chore *next_chore(struct blocking *blocking)
{
    struct letter *letter;

    pthread_mutex_lock(&blocking->mutex);
    while (blocking->first == NULL && !blocking->is_stopping)
        pthread_cond_wait(&blocking->wanted, &blocking->mutex);
    letter = blocking->first;
    if (letter != NULL) {
        blocking->first = letter->next;
        if (blocking->first == NULL)
            blocking->last = &blocking->first;
    }
    pthread_mutex_unlock(&blocking->mutex);
    return letter == NULL ? NULL : container_of(letter, struct chore, letter);
}

static void *run(void *argument)
{
    struct blocking *blocking = argument;
    struct chore *chore;

    while ((chore = next_chore(blocking)) != NULL) {
        struct engine *engine = chore->engine;

        chore->work(chore);
        /* The answer may free the chore. */
        if (engine != NULL)
            engine_post(engine, &chore->letter);
        else
            chore->letter.open(&chore->letter, NULL);
    }
    return NULL;
}

/* Signals are for the main thread: the new one inherits a mask without them. */
static int start_thread(struct blocking *blocking)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&blocking->thread, NULL, run, blocking);

    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        (void)pthread_setname_np(blocking->thread, "blocking");
    return error;
}

struct blocking *blocking_start(void)
{
    struct blocking *blocking = calloc(1, sizeof(*blocking));

    check(blocking != NULL);
    blocking->last = &blocking->first;
    pthread_mutex_init(&blocking->mutex, NULL);
    pthread_cond_init(&blocking->wanted, NULL);
    int error = start_thread(blocking);

    if (error != 0) {
        free(blocking);
        errno = error;
        return NULL;
    }
    return blocking;
}

void blocking_stop(struct blocking **blocking)
{
    struct blocking *b = *blocking;

    if (b == NULL)
        return;
    pthread_mutex_lock(&b->mutex);
    b->is_stopping = true;
    pthread_cond_signal(&b->wanted);
    pthread_mutex_unlock(&b->mutex);
    pthread_join(b->thread, NULL);
    check(b->first == NULL);
    pthread_cond_destroy(&b->wanted);
    pthread_mutex_destroy(&b->mutex);
    free(b);
    *blocking = NULL;
}

void blocking_run(struct blocking *blocking, struct chore *chore)
{
    check(chore->work != NULL);
    check(chore->letter.open != NULL);
    pthread_mutex_lock(&blocking->mutex);
    check(!blocking->is_stopping);
    chore->letter.next = NULL;
    *blocking->last = &chore->letter;
    blocking->last = &chore->letter.next;
    pthread_cond_signal(&blocking->wanted);
    pthread_mutex_unlock(&blocking->mutex);
}
