/*
 * queue_age.h - how old the oldest unfinished recipient is, by what it waits for.
 *
 * It is a look and not a heap: a second's slice takes two milliseconds at most, and a round over
 * all of an engine's messages is told once it is over. With 100,000 messages or fewer that is about
 * a second ago. While a round goes on the oldest of the last one count, finished or not.
 *
 * Thread: the worker's.
 */
#pragma once

#include "delivery/line/delivery.h"
#include "io/engine.h"

struct worker;

struct queue_oldest {
    int64_t accepted_ms; /* monotonic; 0: there is none */
    struct message_id id;
};

struct queue_age {
    struct worker *worker;
    struct timeout tick;
    unsigned shard; /* of the worker's, being looked through */
    uint64_t cursor;
    int64_t now_ms;                               /* of the slice */
    struct queue_oldest round[PENDING_WAITS_MAX]; /* of this one */
    struct queue_oldest told[PENDING_WAITS_MAX];  /* of the last */
};

void queue_age_start(struct queue_age *age, struct worker *worker);
void queue_age_stop(struct queue_age *age);
