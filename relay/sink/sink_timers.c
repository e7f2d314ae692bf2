/* sink_timers.c - a binary heap, the earliest on top. */
#include "sink/sink_timers.h"

#include <stdlib.h>

#include "base/bytes.h"

enum { CAPACITY_MIN = 16 };

void sink_timers_free(struct sink_timers *timers)
{
    free(timers->heap);
    *timers = (struct sink_timers){0};
}

static void put(struct sink_timers *timers, size_t at, struct sink_timer *timer)
{
    timers->heap[at - 1] = timer;
    timer->at = at;
}

static struct sink_timer *get(const struct sink_timers *timers, size_t at)
{
    return timers->heap[at - 1];
}

static void rise(struct sink_timers *timers, struct sink_timer *timer)
{
    size_t at = timer->at;

    for (; at > 1 && get(timers, at / 2)->due_ms > timer->due_ms; at /= 2)
        put(timers, at, get(timers, at / 2));
    put(timers, at, timer);
}

static void sink(struct sink_timers *timers, struct sink_timer *timer)
{
    size_t at = timer->at;

    for (size_t below = 2 * at; below <= timers->count; below = 2 * at) {
        if (below < timers->count && get(timers, below + 1)->due_ms < get(timers, below)->due_ms)
            below++;
        if (get(timers, below)->due_ms >= timer->due_ms)
            break;
        put(timers, at, get(timers, below));
        at = below;
    }
    put(timers, at, timer);
}

static void take_off(struct sink_timers *timers, struct sink_timer *timer)
{
    struct sink_timer *last = get(timers, timers->count--);
    size_t at = timer->at;

    timer->at = 0;
    if (last == timer)
        return;
    put(timers, at, last);
    rise(timers, last);
    sink(timers, last);
}

static void add(struct sink_timers *timers, struct sink_timer *timer)
{
    if (timers->count == timers->capacity) {
        timers->capacity = MAX(2 * timers->capacity, (size_t)CAPACITY_MIN);
        timers->heap = reallocarray(timers->heap, timers->capacity, sizeof(*timers->heap));
        check(timers->heap != NULL);
    }
    put(timers, ++timers->count, timer);
    rise(timers, timer);
}

void sink_timer_set(struct sink_timers *timers, struct sink_timer *timer, int64_t due_ms)
{
    if (timer->at != 0 && timer->due_ms == due_ms)
        return;
    if (timer->at != 0)
        take_off(timers, timer);
    timer->due_ms = due_ms;
    if (due_ms != INT64_MAX)
        add(timers, timer);
}

struct sink_timer *sink_timers_pop(struct sink_timers *timers, int64_t now_ms)
{
    if (sink_timers_next(timers) > now_ms)
        return NULL;
    struct sink_timer *first = get(timers, 1);
    take_off(timers, first);
    return first;
}

int64_t sink_timers_next(const struct sink_timers *timers)
{
    return timers->count == 0 ? INT64_MAX : get(timers, 1)->due_ms;
}
