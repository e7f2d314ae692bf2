/* event_bounds.c - a place for each side, under one lock. */
#include "event/event_bounds.h"

int event_place_compare(struct event_place a, struct event_place b)
{
    if (a.number != b.number)
        return a.number < b.number ? -1 : 1;
    return a.offset == b.offset ? 0 : a.offset < b.offset ? -1 : 1;
}

void event_bounds_init(struct event_bounds *bounds)
{
    *bounds = (struct event_bounds){.keep_from = 0};
    pthread_mutex_init(&bounds->lock, NULL);
    pthread_mutex_init(&bounds->telling, NULL);
}

void event_bounds_free(struct event_bounds *bounds)
{
    pthread_mutex_destroy(&bounds->lock);
    pthread_mutex_destroy(&bounds->telling);
}

void event_bounds_listen(struct event_bounds *bounds, void (*moved)(void *context), void *context)
{
    pthread_mutex_lock(&bounds->telling);
    bounds->moved = moved;
    bounds->context = context;
    pthread_mutex_unlock(&bounds->telling);
}

void event_bounds_commit(struct event_bounds *bounds, struct event_place committed)
{
    /* So that nobody is called once it stopped listening. Who is called takes locks under which
     * others ask for the places: those have a lock of their own. */
    pthread_mutex_lock(&bounds->telling);
    pthread_mutex_lock(&bounds->lock);
    bool has_moved = event_place_compare(bounds->committed, committed) != 0;
    bounds->committed = committed;
    pthread_mutex_unlock(&bounds->lock);
    if (has_moved && bounds->moved != NULL)
        bounds->moved(bounds->context);
    pthread_mutex_unlock(&bounds->telling);
}

struct event_place event_bounds_committed(struct event_bounds *bounds)
{
    pthread_mutex_lock(&bounds->lock);
    struct event_place committed = bounds->committed;
    pthread_mutex_unlock(&bounds->lock);
    return committed;
}

void event_bounds_keep(struct event_bounds *bounds, uint64_t keep_from)
{
    pthread_mutex_lock(&bounds->lock);
    bounds->keep_from = keep_from;
    pthread_mutex_unlock(&bounds->lock);
}

uint64_t event_bounds_kept(struct event_bounds *bounds)
{
    pthread_mutex_lock(&bounds->lock);
    uint64_t keep_from = bounds->keep_from;
    pthread_mutex_unlock(&bounds->lock);
    return keep_from;
}
