/* publisher_bell.c - a condition with a deadline, and a flag that spares most wake-ups. */
#include "relay/publisher_bell.h"

#include "base/bytes.h"
#include "base/clock.h"

void bell_init(struct bell *bell)
{
    pthread_condattr_t attributes;

    *bell = (struct bell){0};
    pthread_mutex_init(&bell->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&bell->wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

void bell_free(struct bell *bell)
{
    pthread_mutex_destroy(&bell->lock);
    pthread_cond_destroy(&bell->wake);
}

void bell_ring(struct bell *bell)
{
    pthread_mutex_lock(&bell->lock);
    pthread_cond_signal(&bell->wake);
    pthread_mutex_unlock(&bell->lock);
}

void bell_ring_if_awaited(struct bell *bell)
{
    if (atomic_load(&bell->is_awaited))
        bell_ring(bell);
}

void bell_end(struct bell *bell, int64_t give_up_ms)
{
    bell->give_up_ms = give_up_ms;
    atomic_store(&bell->is_stopping, true);
    bell_ring(bell);
}

/* The caller holds the lock. */
static void wait_locked(struct bell *bell, int64_t ms)
{
    const struct timespec until = clock_monotonic_after(ms);

    pthread_cond_timedwait(&bell->wake, &bell->lock, &until);
}

void bell_wait(struct bell *bell, int64_t ms, bool has_work(void *context), void *context)
{
    pthread_mutex_lock(&bell->lock);
    atomic_store(&bell->is_awaited, true);
    /* The look sees what was pushed before it; whoever pushes after it sees is_awaited. */
    if (!has_work(context) && !atomic_load(&bell->is_stopping))
        wait_locked(bell, ms);
    atomic_store(&bell->is_awaited, false);
    pthread_mutex_unlock(&bell->lock);
}

void bell_pause(struct bell *bell, int64_t ms)
{
    pthread_mutex_lock(&bell->lock);
    if (atomic_load(&bell->is_stopping))
        ms = MIN(ms, MAX(bell->give_up_ms - clock_monotonic_ms(), (int64_t)1));
    wait_locked(bell, ms);
    pthread_mutex_unlock(&bell->lock);
}

bool bell_is_over(const struct bell *bell)
{
    return atomic_load(&bell->is_stopping) && clock_monotonic_ms() >= bell->give_up_ms;
}
