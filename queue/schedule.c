/* schedule.c - the wheel of due times. */
#include "queue/schedule.h"

#include <stdlib.h>

enum {
    TICKS_PER_S = 16,
    LEVELS = 4,
    SLOT_BITS = 8,
    SLOTS = 1 << SLOT_BITS,
    WORD_BITS = 64,
    WHEEL_BITS = LEVELS * SLOT_BITS,
};
static const uint64_t WHEEL_MASK = ((uint64_t)1 << WHEEL_BITS) - 1;

/* A level's slots are positions in absolute time: slot i of level n holds what is due in the ticks
 * whose byte n is i and whose higher bytes are those of `tick`. So a pending stands on the level of
 * the highest byte in which its tick differs from `tick`, a slot is never used for two rounds at
 * once, and everything in one slot of a higher level moves down when `tick` reaches its start. */
struct level {
    uint64_t used[SLOTS / WORD_BITS]; /* a bit a slot: it is not empty */
    struct list slots[SLOTS];
};

struct schedule {
    uint64_t tick; /* the first that was not handed out yet */
    uint64_t next; /* no slot needs work before this tick */
    size_t count;
    struct list due;
    struct list new;    /* due for the first time */
    bool is_new_next;   /* of the two */
    struct list moving; /* out of a slot of a higher level, to be placed again */
    struct list far;    /* beyond the wheel */
    struct level levels[LEVELS];
};

static uint64_t next_work(const struct schedule *schedule);
static void place(struct schedule *schedule, struct pending *pending, uint64_t tick);
static bool advance(struct schedule *schedule, uint64_t now);

static uint64_t tick_at_or_after(int64_t ms)
{
    if (ms <= 0)
        return 0;
    /* In two steps: times 16 of a due time near INT64_MAX ("never") would overflow. */
    uint64_t seconds = (uint64_t)ms / 1000;
    return seconds * TICKS_PER_S + ((uint64_t)ms % 1000 * TICKS_PER_S + 999) / 1000;
}

static uint64_t tick_before(int64_t ms)
{
    check(ms >= 0);
    return (uint64_t)ms / 1000 * TICKS_PER_S + (uint64_t)ms % 1000 * TICKS_PER_S / 1000;
}

struct schedule *schedule_create(int64_t now_ms)
{
    struct schedule *schedule = calloc(1, sizeof(*schedule));

    check(schedule != NULL);
    schedule->tick = tick_before(now_ms);
    schedule->next = UINT64_MAX;
    list_init(&schedule->due);
    list_init(&schedule->new);
    list_init(&schedule->moving);
    list_init(&schedule->far);
    for (size_t level = 0; level < LEVELS; level++)
        for (size_t slot = 0; slot < SLOTS; slot++)
            list_init(&schedule->levels[level].slots[slot]);
    return schedule;
}

void schedule_free(struct schedule **schedule)
{
    free(*schedule);
    *schedule = NULL;
}

void schedule_add(struct schedule *schedule, struct pending *pending, int64_t due_ms)
{
    int64_t due_s = due_ms <= 0 ? 0 : (due_ms - 1) / 1000 + 1;

    check(!list_is_linked(&pending->link));
    pending->due_s = (uint32_t)MIN(due_s, (int64_t)UINT32_MAX);
    place(schedule, pending, MIN(tick_at_or_after(due_ms), (uint64_t)pending->due_s * TICKS_PER_S));
    schedule->count++;
}

void schedule_add_new(struct schedule *schedule, struct pending *pending)
{
    check(!list_is_linked(&pending->link));
    pending->due_s = 0;
    list_push_back(&schedule->new, &pending->link);
    schedule->count++;
}

/* The last node of a slot points to the slot's head, whose address names level and slot: the bit
 * can be cleared without a search. */
static void mark_emptied(struct schedule *schedule, const struct list_node *head)
{
    uintptr_t at = (uintptr_t)head;
    uintptr_t first = (uintptr_t)schedule->levels;

    if (at < first || at >= first + sizeof(schedule->levels))
        return; /* due, new, moving or far */
    struct level *level = &schedule->levels[(at - first) / sizeof(struct level)];
    size_t slot = (at - (uintptr_t)level->slots) / sizeof(level->slots[0]);
    level->used[slot / WORD_BITS] &= ~((uint64_t)1 << slot % WORD_BITS);
}

void schedule_remove(struct schedule *schedule, struct pending *pending)
{
    struct list_node *node = &pending->link;

    check(list_is_linked(node));
    check(schedule->count > 0);
    if (node->next == node->prev)
        mark_emptied(schedule, node->next);
    list_remove(node);
    schedule->count--;
}

static struct list_node *pop_in_turn(struct schedule *schedule)
{
    bool takes_new =
        !list_is_empty(&schedule->new) && (schedule->is_new_next || list_is_empty(&schedule->due));

    schedule->is_new_next = !takes_new;
    return list_pop_front(takes_new ? &schedule->new : &schedule->due);
}

struct pending *schedule_pop(struct schedule *schedule, int64_t now_ms)
{
    uint64_t now = tick_before(now_ms);

    if (list_is_empty(&schedule->due))
        (void)advance(schedule, now); /* what it found stands in `due` */
    struct list_node *node = pop_in_turn(schedule);
    if (node == NULL)
        return NULL;
    schedule->count--;
    return container_of(node, struct pending, link);
}

int64_t schedule_next_ms(const struct schedule *schedule)
{
    if (schedule->count == 0)
        return INT64_MAX;
    if (!list_is_empty(&schedule->due) || !list_is_empty(&schedule->new) ||
        !list_is_empty(&schedule->moving))
        return 0;
    uint64_t tick = next_work(schedule);
    return (int64_t)(tick / TICKS_PER_S * 1000 +
                     (tick % TICKS_PER_S * 1000 + TICKS_PER_S - 1) / TICKS_PER_S);
}

size_t schedule_count(const struct schedule *schedule)
{
    return schedule->count;
}

static void place(struct schedule *schedule, struct pending *pending, uint64_t tick)
{
    uint64_t start;

    if (tick < schedule->tick) {
        list_push_back(&schedule->due, &pending->link);
        return;
    }
    uint64_t differs = tick ^ schedule->tick;
    if (differs > WHEEL_MASK) {
        list_push_back(&schedule->far, &pending->link);
        start = (schedule->tick | WHEEL_MASK) + 1;
    } else {
        size_t level = differs == 0 ? 0 : (size_t)(63 - __builtin_clzll(differs)) / SLOT_BITS;
        size_t slot = tick >> (level * SLOT_BITS) & (SLOTS - 1);

        list_push_back(&schedule->levels[level].slots[slot], &pending->link);
        schedule->levels[level].used[slot / WORD_BITS] |= (uint64_t)1 << slot % WORD_BITS;
        start = tick >> (level * SLOT_BITS) << (level * SLOT_BITS);
    }
    schedule->next = MIN(schedule->next, start);
}

/* The first used slot of a level at or behind `from`; SLOTS when there is none. */
static size_t first_used(const struct level *level, size_t from)
{
    size_t word = from / WORD_BITS;
    uint64_t bits = level->used[word] & (UINT64_MAX << from % WORD_BITS);

    while (bits == 0) {
        if (++word == SLOTS / WORD_BITS)
            return SLOTS;
        bits = level->used[word];
    }
    return word * WORD_BITS + (size_t)__builtin_ctzll(bits);
}

/* The tick at which the next non-empty slot has to be handed out or moved down. */
static uint64_t next_work(const struct schedule *schedule)
{
    uint64_t next = UINT64_MAX;

    for (unsigned level = 0; level < LEVELS; level++) {
        unsigned shift = level * SLOT_BITS;
        size_t slot = first_used(&schedule->levels[level], schedule->tick >> shift & (SLOTS - 1));

        if (slot < SLOTS) {
            uint64_t round = schedule->tick >> shift >> SLOT_BITS << SLOT_BITS;
            next = MIN(next, (round | slot) << shift);
        }
    }
    if (!list_is_empty(&schedule->far))
        next = MIN(next, (schedule->tick | WHEEL_MASK) + 1);
    return next;
}

/* Empties what starts at schedule->tick: far slots into `moving`, the tick's own slot into `due`,
 * one at a time, because what was moved may belong into the tick's own slot. */
static void start_tick(struct schedule *schedule)
{
    uint64_t tick = schedule->tick;

    if ((tick & WHEEL_MASK) == 0 && !list_is_empty(&schedule->far)) {
        list_splice(&schedule->moving, &schedule->far);
        return;
    }
    for (unsigned level = LEVELS; level-- > 0;) {
        unsigned shift = level * SLOT_BITS;
        size_t slot = tick >> shift & (SLOTS - 1);
        struct list *list = &schedule->levels[level].slots[slot];

        if ((tick & (((uint64_t)1 << shift) - 1)) != 0 || list_is_empty(list))
            continue;
        schedule->levels[level].used[slot / WORD_BITS] &= ~((uint64_t)1 << slot % WORD_BITS);
        list_splice(level == 0 ? &schedule->due : &schedule->moving, list);
        return;
    }
}

/* Works up to tick `now`; true as soon as something is due. Slots without pendings cost nothing,
 * however long the time since the last call. */
static bool advance(struct schedule *schedule, uint64_t now)
{
    size_t moves = 0;

    if (list_is_empty(&schedule->moving) && now < schedule->next) {
        schedule->tick = MAX(schedule->tick, now + 1);
        return false;
    }
    for (;;) {
        struct list_node *node;

        while ((node = list_pop_front(&schedule->moving)) != NULL) {
            struct pending *pending = container_of(node, struct pending, link);

            place(schedule, pending, (uint64_t)pending->due_s * TICKS_PER_S);
            if (++moves == SCHEDULE_MOVES_MAX)
                return !list_is_empty(&schedule->due);
        }
        schedule->next = next_work(schedule);
        if (schedule->next > now) {
            schedule->tick = MAX(schedule->tick, now + 1);
            return !list_is_empty(&schedule->due);
        }
        schedule->tick = schedule->next;
        start_tick(schedule);
        if (!list_is_empty(&schedule->due))
            return true;
    }
}
