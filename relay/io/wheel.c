/* wheel.c - the timer wheel. */
#include "io/wheel.h"

enum { DIGIT_BITS = 6, TIME_BITS = WHEEL_LEVELS * DIGIT_BITS };
enum { LOOKED_AT_MAX = 4 }; /* each time that an engine is about to sleep */

static const int64_t time_max = ((int64_t)1 << TIME_BITS) - 1;

void wheel_init(struct wheel *wheel, int64_t now_ms)
{
    check(now_ms >= 0);
    check(now_ms < time_max);
    wheel->elapsed_ms = now_ms;
    list_init(&wheel->due);
    list_init(&wheel->cascading);
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
}

static void place(struct wheel *wheel, struct timeout *timeout)
{
    if (timeout->at_ms <= wheel->elapsed_ms) {
        list_push_back(&wheel->due, &timeout->node);
        return;
    }
    uint64_t difference = (uint64_t)timeout->at_ms ^ (uint64_t)wheel->elapsed_ms;
    unsigned level = (63 - (unsigned)__builtin_clzll(difference)) / DIGIT_BITS;
    unsigned slot = (unsigned)(timeout->at_ms >> (level * DIGIT_BITS)) % WHEEL_SLOTS;

    list_push_back(&wheel->slots[level][slot], &timeout->node);
    wheel->occupied[level] |= (uint64_t)1 << slot;
}

void wheel_arm(struct wheel *wheel, struct timeout *timeout, int64_t at_ms)
{
    check(timeout->fire != NULL);
    list_remove(&timeout->node);
    timeout->at_ms = MIN(at_ms, time_max);
    place(wheel, timeout);
}

void wheel_disarm(struct timeout *timeout)
{
    list_remove(&timeout->node);
}

/* The first slot in time that holds something. A finer level is always before a coarser one: it
 * shares the coarser digit with the wheel's own time. */
static bool find_slot(struct wheel *wheel, unsigned *level_out, unsigned *slot_out,
                      int64_t *start_ms_out)
{
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        while (wheel->occupied[level] != 0) {
            unsigned slot = (unsigned)__builtin_ctzll(wheel->occupied[level]);
            unsigned shift = level * DIGIT_BITS;
            int64_t above = wheel->elapsed_ms >> (shift + DIGIT_BITS);

            if (list_is_empty(&wheel->slots[level][slot])) {
                wheel->occupied[level] &= ~((uint64_t)1 << slot);
                continue;
            }
            *level_out = level;
            *slot_out = slot;
            *start_ms_out = ((above << DIGIT_BITS) + slot) << shift;
            return true;
        }
    }
    return false;
}

/* Moves the wheel's time to the next slot in use, at most to now_ms. False when it is there. */
static bool step(struct wheel *wheel, int64_t now_ms)
{
    unsigned level, slot;
    int64_t start_ms;

    if (!find_slot(wheel, &level, &slot, &start_ms) || start_ms > now_ms) {
        wheel->elapsed_ms = MAX(wheel->elapsed_ms, now_ms);
        return false;
    }
    check(start_ms > wheel->elapsed_ms);
    wheel->elapsed_ms = start_ms;
    wheel->occupied[level] &= ~((uint64_t)1 << slot);
    list_splice(level == 0 ? &wheel->due : &wheel->cascading, &wheel->slots[level][slot]);
    return true;
}

struct timeout *wheel_take(struct wheel *wheel, int64_t now_ms, unsigned *work_left)
{
    check(now_ms < time_max);
    while (*work_left > 0) {
        struct list_node *node = list_pop_front(&wheel->due);

        if (node != NULL) {
            --*work_left;
            return container_of(node, struct timeout, node);
        }
        /* A coarse slot may hold a hundred thousand deadlines: they move within the bound, and the
         * wheel's time stands still until all of them have. */
        node = list_pop_front(&wheel->cascading);
        if (node != NULL) {
            --*work_left;
            place(wheel, container_of(node, struct timeout, node));
        } else if (!step(wheel, now_ms)) {
            return NULL;
        }
    }
    return NULL;
}

/* Of a coarse slot with few, the first of them: its start only moves them down, and a wake-up for
 * that costs more than the look. */
static int64_t first_of(const struct list *slot, int64_t start_ms)
{
    int64_t first_ms = INT64_MAX;
    unsigned left = LOOKED_AT_MAX;

    list_for_each(node, slot) {
        if (left-- == 0)
            return start_ms;
        first_ms = MIN(first_ms, container_of(node, struct timeout, node)->at_ms);
    }
    return first_ms;
}

int64_t wheel_next_ms(struct wheel *wheel)
{
    unsigned level, slot;
    int64_t start_ms;

    if (!list_is_empty(&wheel->due) || !list_is_empty(&wheel->cascading))
        return wheel->elapsed_ms;
    if (!find_slot(wheel, &level, &slot, &start_ms))
        return INT64_MAX;
    return level == 0 ? start_ms : first_of(&wheel->slots[level][slot], start_ms);
}
