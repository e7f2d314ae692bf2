/*
 * publisher_bell.h - what the publisher's thread waits for: a push, time, the end.
 *
 * Whoever pushes wakes it only while it has nothing to do. A stop has a deadline: what is not
 * written by then is left to the next start.
 *
 * Private to the publisher. Thread: bell_ring() and bell_end() any, the others the publisher's.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bell {
    pthread_mutex_t lock; /* of wake */
    pthread_cond_t wake;
    _Atomic bool is_awaited; /* a push has to wake the thread */
    _Atomic bool is_stopping;
    int64_t give_up_ms; /* monotonic; set before is_stopping */
};

void bell_init(struct bell *bell);
void bell_free(struct bell *bell);

/* Something was pushed, after which this is called. */
void bell_ring_if_awaited(struct bell *bell);
/* Ends the wait that is going on, whatever for. */
void bell_ring(struct bell *bell);
/* The thread is to end, at give_up_ms at the latest. */
void bell_end(struct bell *bell, int64_t give_up_ms);

/* Until a push, an end or `ms`. has_work() is asked once, between the moment from which pushes wake
 * and the wait: then it does not wait. */
void bell_wait(struct bell *bell, int64_t ms, bool has_work(void *context), void *context);
/* After a failure, or to gather pushes. An end cuts it short only once, but it never lasts longer
 * than the time to stop. */
void bell_pause(struct bell *bell, int64_t ms);
/* To be ended, and the time for it over. */
bool bell_is_over(const struct bell *bell);
