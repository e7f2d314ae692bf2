/* inbox.c - letters from any thread to one engine. */
#include "io/inbox.h"

#include <sched.h>

void inbox_init(struct inbox *inbox)
{
    atomic_init(&inbox->posted, NULL);
    atomic_init(&inbox->is_asleep, false);
    atomic_init(&inbox->is_stopped, false);
    atomic_init(&inbox->visitors, 0);
    inbox->taken = NULL;
}

void inbox_destroy(struct inbox *inbox)
{
    while (atomic_load(&inbox->visitors) != 0)
        sched_yield();
}

void inbox_enter(struct inbox *inbox)
{
    atomic_fetch_add_explicit(&inbox->visitors, 1, memory_order_relaxed);
}

/* The visitor's last access to the engine. */
void inbox_leave(struct inbox *inbox)
{
    atomic_fetch_sub_explicit(&inbox->visitors, 1, memory_order_release);
}

/* The exchange makes one of many posters ring. */
static bool must_ring(struct inbox *inbox)
{
    return atomic_load(&inbox->is_asleep) && atomic_exchange(&inbox->is_asleep, false);
}

bool inbox_post(struct inbox *inbox, struct letter *letter)
{
    check(letter->open != NULL);
    struct letter *newest = atomic_load_explicit(&inbox->posted, memory_order_relaxed);

    do {
        letter->next = newest;
    } while (!atomic_compare_exchange_weak(&inbox->posted, &newest, letter));
    return must_ring(inbox);
}

bool inbox_stop(struct inbox *inbox)
{
    atomic_store(&inbox->is_stopped, true);
    return must_ring(inbox);
}

struct letter *inbox_take(struct inbox *inbox)
{
    if (inbox->taken == NULL) {
        /* A plain load first: an exchange on an empty inbox would take the line from its posters
         * every turn. */
        if (atomic_load_explicit(&inbox->posted, memory_order_relaxed) == NULL)
            return NULL;
        struct letter *newest = atomic_exchange(&inbox->posted, NULL);

        while (newest != NULL) {
            struct letter *older = newest->next;

            newest->next = inbox->taken;
            inbox->taken = newest;
            newest = older;
        }
    }
    struct letter *letter = inbox->taken;

    inbox->taken = letter->next;
    letter->next = NULL;
    return letter;
}

bool inbox_fall_asleep(struct inbox *inbox)
{
    if (inbox->taken != NULL)
        return false;
    atomic_store(&inbox->is_asleep, true);
    if (atomic_load(&inbox->posted) == NULL && !atomic_load(&inbox->is_stopped))
        return true;
    inbox_wake_up(inbox);
    return false;
}

void inbox_wake_up(struct inbox *inbox)
{
    atomic_store_explicit(&inbox->is_asleep, false, memory_order_relaxed);
}

bool inbox_was_stopped(struct inbox *inbox)
{
    return atomic_load_explicit(&inbox->is_stopped, memory_order_relaxed) &&
           atomic_exchange(&inbox->is_stopped, false);
}
