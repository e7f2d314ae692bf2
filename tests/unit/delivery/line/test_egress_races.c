/*
 * test_egress_races.c - two engines inside egress.c at once: each way in which one can be
 * interrupted by the other is played, so that a lost wake is found whatever the machine's timing.
 *
 * The source is compiled in with its lock and its atomic additions replaced. Before the n-th of
 * these the thread that is tested stands still, and another runs until it is done or waits for the
 * lock; then the first goes on. n counts up until nothing is interrupted any more.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#include "delivery/line/egress_state.h"
#include "support/unit.h"

static void interrupt_here(void);
static int lock_here(pthread_mutex_t *lock);
static int unlock_here(pthread_mutex_t *lock);
static void post_here(struct engine *engine, struct letter *letter);

#undef atomic_fetch_add
#undef atomic_fetch_sub
#define atomic_fetch_add(at, n) \
    (interrupt_here(), atomic_fetch_add_explicit(at, n, memory_order_seq_cst))
#define atomic_fetch_sub(at, n) \
    (interrupt_here(), atomic_fetch_sub_explicit(at, n, memory_order_seq_cst))
#define pthread_mutex_lock lock_here
#define pthread_mutex_unlock unlock_here
#define engine_post post_here
#include "delivery/line/egress_slots.c"
#undef pthread_mutex_lock
#undef pthread_mutex_unlock
#undef engine_post

static const struct egress_mail any_mail = {0};

/* --- interruptions --------------------------------------------------------------------------- */

enum { OTHERS_MAX = 2 };

static struct {
    struct other {
        void (*run)(void);
        unsigned before; /* the addition of the first that it runs before */
        pthread_t thread;
        bool has_begun;
    } others[OTHERS_MAX];
    unsigned additions;
    sem_t stopped; /* an other one is done, or waits for the lock */
    unsigned blocked;
    bool is_locked; /* by the first */
} play;
static _Thread_local bool is_other;

static void *run_other(void *argument)
{
    const struct other *other = argument;

    is_other = true;
    other->run();
    sem_post(&play.stopped);
    return NULL;
}

static void wait_for_other(void)
{
    while (sem_wait(&play.stopped) != 0)
        ;
}

static void interrupt_here(void)
{
    if (is_other)
        return;
    play.additions++;
    for (unsigned i = 0; i < OTHERS_MAX; i++) {
        struct other *other = &play.others[i];

        if (other->run == NULL || other->before != play.additions)
            continue;
        other->has_begun = true;
        assert_int_equal(pthread_create(&other->thread, NULL, run_other, other), 0);
        wait_for_other();
    }
}

static int lock_here(pthread_mutex_t *lock)
{
    if (is_other && play.is_locked) {
        play.blocked++;
        sem_post(&play.stopped);
    }
    int error = pthread_mutex_lock(lock);

    if (!is_other)
        play.is_locked = true;
    return error;
}

static int unlock_here(pthread_mutex_t *lock)
{
    if (!is_other)
        play.is_locked = false;
    int error = pthread_mutex_unlock(lock);

    if (is_other)
        return error;
    for (; play.blocked > 0; play.blocked--)
        wait_for_other();
    return error;
}

/* Runs `first`, and the others before its additions of these numbers; those for whom there are not
 * so many, behind it. False: none interrupted it. */
static bool interrupt(void (*first)(void), void (*one)(void), unsigned before_one,
                      void (*two)(void), unsigned before_two)
{
    bool was_interrupted = false;

    memset(&play, 0, sizeof(play));
    play.others[0] = (struct other){.run = one, .before = before_one};
    play.others[1] = (struct other){.run = two, .before = before_two};
    assert_int_equal(sem_init(&play.stopped, 0, 0), 0);
    first();
    for (unsigned i = 0; i < OTHERS_MAX; i++) {
        struct other *other = &play.others[i];

        other->before = 0;
        was_interrupted = was_interrupted || other->has_begun;
        if (other->has_begun)
            pthread_join(other->thread, NULL);
        else if (other->run != NULL)
            other->run();
    }
    sem_destroy(&play.stopped);
    return was_interrupted;
}

/* --- what is shared -------------------------------------------------------------------------- */

enum { WAITERS = 3 };

static struct egress_table *table;
static struct egress *narrow; /* one connection at a time */
static struct egress *wide;
static struct egress_waiter waiters[WAITERS];
static struct list letters; /* not opened yet */
static unsigned open_count; /* connections of `narrow` */
static unsigned wide_count;

static void post_here(struct engine *engine, struct letter *letter)
{
    struct egress_waiter *waiter = container_of(letter, struct egress_waiter, letter);

    (void)engine;
    list_push_back(&letters, &waiter->node);
}

static void on_woken(struct egress_waiter *waiter)
{
    if (waiter->egress == narrow)
        open_count++;
    else
        wide_count++;
}

/* Which of the wider limits is `outer_max`; the others are out of reach. */
enum outer { OUTER_PROCESS, OUTER_PROVIDER, OUTER_BOTH, OUTER_COUNT };

static void begin_world(enum outer outer, unsigned outer_max)
{
    struct egress_limits one = {.connections_max = 1};
    struct egress_limits many = {.connections_max = 10};
    struct egress_limits provider = {.connections_max = outer_max};

    table = egress_table_create(outer == OUTER_PROVIDER ? 10 : outer_max);
    if (outer == OUTER_PROCESS) {
        narrow = egress_get(table, BYTES("narrow"), BYTES("source"), &one);
        wide = egress_get(table, BYTES("wide"), BYTES("source"), &many);
    } else {
        narrow = egress_get_of(table, BYTES("provider"), &provider, BYTES("narrow"),
                               BYTES("source"), &one);
        wide = egress_get_of(table, BYTES("provider"), &provider, BYTES("wide"), BYTES("source"),
                             &many);
    }
    list_init(&letters);
    open_count = wide_count = 0;
    for (unsigned i = 0; i < WAITERS; i++) {
        waiters[i] = (struct egress_waiter){.woken = on_woken};
        list_node_init(&waiters[i].node);
    }
}

static bool open_letter_of(struct egress_waiter *waiter)
{
    if (!waiter->is_posted)
        return false;
    list_remove(&waiter->node);
    waiter->letter.open(&waiter->letter, NULL);
    return true;
}

static void begin(unsigned number)
{
    if (egress_connect_begin(narrow, &waiters[number], &any_mail))
        open_count++;
}

/* Every connection ends, and whoever gets its slot ends as well: nobody may be left waiting. */
static void end_world(unsigned n)
{
    for (unsigned i = 0; i < 2 * WAITERS; i++) {
        for (unsigned k = 0; k < WAITERS; k++)
            (void)open_letter_of(&waiters[k]);
        for (; open_count > 0; open_count--)
            egress_connect_end(narrow);
    }
    for (unsigned i = 0; i < WAITERS; i++)
        if (waiters[i].is_waiting)
            fail_msg("interrupted at %u: waiter %u waits, though `narrow` is free", n, i);
    struct egress *provider = egress_provider(narrow);

    for (; wide_count > 0; wide_count--)
        egress_connect_end(wide);
    assert_int_equal(egress_connections(narrow) + egress_connections(wide), 0);
    assert_false(egress_has_waiters(narrow, false));
    assert_true(provider == NULL || egress_connections(provider) == 0);
    egress_put(&narrow);
    egress_put(&wide);
    egress_table_free(&table);
}

/* --- plays ----------------------------------------------------------------------------------- */

static void end_wide(void)
{
    wide_count--;
    egress_connect_end(wide);
}

/* The first waiter's engine has no mail for its slot any more. */
static void give_back(void)
{
    if (open_letter_of(&waiters[0])) {
        open_count--;
        egress_connect_end(narrow);
    }
}

/* Both wait for the wider limit. One gets the slot, the other moves to the line of its egress, just
 * when the first gives the slot back. */
static void play_change_of_lines(enum outer outer)
{
    bool was_interrupted = true;

    for (unsigned n = 1; was_interrupted; n++) {
        begin_world(outer, 2);
        for (; wide_count < 2; wide_count++)
            assert_true(egress_connect_begin(wide, &waiters[2], &any_mail));
        begin(0);
        begin(1);
        assert_true(waiters[0].is_waiting);
        assert_true(waiters[1].is_waiting);
        was_interrupted = interrupt(end_wide, give_back, n, NULL, 0);
        give_back();
        end_world(n);
        assert_true(n > 4 || was_interrupted);
    }
}

TEST(egress_wake_is_not_lost_when_a_waiter_changes_lines)
{
    for (int outer = 0; outer < OUTER_COUNT; outer++)
        play_change_of_lines((enum outer)outer);
}

static void begin_0(void)
{
    begin(0);
}

/* The only connection ends and another engine asks for one. */
static void end_and_begin_1(void)
{
    open_count--;
    egress_connect_end(narrow);
    begin(1);
}

/* Who finds the limit reached has taken a slot for a moment: who comes then must not wait for it to
 * be given back. */
static void play_slot_never_used(enum outer outer)
{
    bool was_interrupted = true;

    for (unsigned n = 1; was_interrupted; n++) {
        begin_world(outer, 10);
        begin(2);
        assert_int_equal(open_count, 1);
        was_interrupted = interrupt(begin_0, end_and_begin_1, n, NULL, 0);
        /* One of them has the slot, or will have it. */
        if (open_count + !list_is_empty(&letters) != 1)
            fail_msg("interrupted at %u: the slot is free and both wait", n);
        end_world(n);
        assert_true(n > 2 || was_interrupted);
    }
}

TEST(egress_wake_is_not_lost_behind_a_slot_that_was_never_used)
{
    for (int outer = 0; outer < OUTER_COUNT; outer++)
        play_slot_never_used((enum outer)outer);
}

/* Takes the slot of the wider limit that has just come free ... */
static void begin_wide(void)
{
    if (egress_connect_begin(wide, &waiters[2], &any_mail))
        wide_count++;
}

/* ... and gives it back. */
static void end_wide_again(void)
{
    if (wide_count > 0)
        end_wide();
}

static void end_narrow(void)
{
    open_count--;
    egress_connect_end(narrow);
}

/* The only connection of all ends, and somebody waits for the egress. Meanwhile another site has
 * the only slot of the wider limit, just so long that the waiter is sent to the line for that. */
static void play_full_for_a_moment(enum outer outer)
{
    bool was_interrupted = true;

    for (unsigned n = 1; was_interrupted; n++) {
        was_interrupted = false;
        for (unsigned m = n; m < n + 12; m++) {
            begin_world(outer, 1);
            begin(0);
            begin(1);
            assert_true(waiters[1].is_waiting);
            was_interrupted |= interrupt(end_narrow, begin_wide, n, end_wide_again, m);
            end_wide_again();
            if (!waiters[1].is_posted && !waiters[2].is_posted)
                fail_msg("interrupted at %u and %u: nobody has the slot", n, m);
            if (open_letter_of(&waiters[2]))
                end_wide();
            end_world(n);
        }
        assert_true(n > 2 || was_interrupted);
    }
}

TEST(egress_wake_is_not_lost_when_the_wider_limit_was_full_for_a_moment)
{
    for (int outer = 0; outer < OUTER_COUNT; outer++)
        play_full_for_a_moment((enum outer)outer);
}
