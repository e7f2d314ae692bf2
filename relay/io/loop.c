/* loop.c - the parts of an engine that do not depend on where completions come from. */
#include "io/loop.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metric.h"

/* Bounds of a turn, so that neither letters nor timeouts keep completions waiting. */
enum { LETTERS_MAX = 1024, TIMEOUTS_MAX = 1024 };

/* struct engine begins with its loop. */
static struct loop *loop_of(struct engine *engine)
{
    return (struct loop *)(void *)engine;
}

static const struct loop *const_loop_of(const struct engine *engine)
{
    return (const struct loop *)(const void *)engine;
}

int loop_init(struct loop *loop, unsigned index, int64_t now_ms, int64_t wall_ms)
{
    *loop = (struct loop){.now_ms = now_ms, .wall_ms = wall_ms, .index = index};
    list_init(&loop->hooks);
    list_init(&loop->turn_ends);
    inbox_init(&loop->inbox);
    wheel_init(&loop->wheel, now_ms);
    loop->doorbell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return loop->doorbell_fd < 0 ? -errno : 0;
}

void loop_destroy(struct loop *loop)
{
    check(loop->next_hook == NULL); /* not from inside a turn */
    inbox_destroy(&loop->inbox);
    if (loop->doorbell_fd >= 0)
        close(loop->doorbell_fd);
    loop->doorbell_fd = -1;
}

int64_t loop_fall_asleep(struct loop *loop)
{
    bool has_turn_again = loop->has_turn_again;

    loop->has_turn_again = false;
    if (has_turn_again || !list_is_empty(&loop->turn_ends))
        return loop->now_ms;
    int64_t next_ms = wheel_next_ms(&loop->wheel);

    if (next_ms <= loop->now_ms || !inbox_fall_asleep(&loop->inbox))
        return loop->now_ms;
    return next_ms;
}

void loop_wake_up(struct loop *loop)
{
    inbox_wake_up(&loop->inbox);
}

static void open_letters(struct loop *loop, struct engine *engine)
{
    for (unsigned i = 0; i < LETTERS_MAX; i++) {
        struct letter *letter = inbox_take(&loop->inbox);

        if (letter == NULL)
            return;
        letter->open(letter, engine);
    }
}

static void fire_timeouts(struct loop *loop)
{
    unsigned work_left = TIMEOUTS_MAX;
    struct timeout *timeout;

    while ((timeout = wheel_take(&loop->wheel, loop->now_ms, &work_left)) != NULL)
        timeout->fire(timeout);
}

static void run_hooks(struct loop *loop)
{
    loop->next_hook = loop->hooks.head.next;
    while (loop->next_hook != &loop->hooks.head) {
        struct turn_hook *hook = container_of(loop->next_hook, struct turn_hook, node);

        loop->next_hook = loop->next_hook->next;
        hook->run(hook);
    }
    loop->next_hook = NULL;
}

static void run_turn_ends(struct loop *loop)
{
    struct list now;
    struct list_node *node;

    /* What is armed from here on belongs to the next turn. */
    list_init(&now);
    list_splice(&now, &loop->turn_ends);
    while ((node = list_pop_front(&now)) != NULL) {
        struct turn_end *turn_end = container_of(node, struct turn_end, node);

        turn_end->run(turn_end);
    }
}

void loop_turn(struct loop *loop)
{
    open_letters(loop, (struct engine *)(void *)loop);
    fire_timeouts(loop);
    run_hooks(loop);
    run_turn_ends(loop);
    loop->spent = (struct turn_spent){.has_line = loop->spent.was_refused};
}

void loop_count_turn(struct loop *loop, int64_t began_us)
{
    int64_t us = clock_monotonic_us() - began_us;

    loop->busy_us += us;
    metric_observe_us(HISTOGRAM_TURN, us);
}

bool loop_was_stopped(struct loop *loop)
{
    return inbox_was_stopped(&loop->inbox);
}

/* --- engine.h ------------------------------------------------------------------------------- */

static void ring_doorbell(const struct loop *loop)
{
    uint64_t one = 1;
    /* Fails only when 2^64 rings were not read, which is as good as a ring. */
    ssize_t written = write(loop->doorbell_fd, &one, sizeof(one));

    (void)written;
}

void engine_stop(struct engine *engine)
{
    struct loop *loop = loop_of(engine);

    inbox_enter(&loop->inbox);
    if (inbox_stop(&loop->inbox))
        ring_doorbell(loop);
    inbox_leave(&loop->inbox);
}

void engine_post(struct engine *engine, struct letter *letter)
{
    struct loop *loop = loop_of(engine);

    inbox_enter(&loop->inbox);
    if (inbox_post(&loop->inbox, letter))
        ring_doorbell(loop);
    inbox_leave(&loop->inbox);
}

int64_t engine_now_ms(const struct engine *engine)
{
    return const_loop_of(engine)->now_ms;
}

int64_t engine_wall_ms(const struct engine *engine)
{
    return const_loop_of(engine)->wall_ms;
}

int64_t engine_busy_us(const struct engine *engine)
{
    return const_loop_of(engine)->busy_us;
}

unsigned engine_index(const struct engine *engine)
{
    return const_loop_of(engine)->index;
}

void engine_timeout(struct engine *engine, struct timeout *timeout, int64_t after_ms)
{
    struct loop *loop = loop_of(engine);

    wheel_arm(&loop->wheel, timeout,
              loop->now_ms + loop->clock_error_ms + MAX(after_ms, (int64_t)0));
}

void engine_timeout_cancel(struct engine *engine, struct timeout *timeout)
{
    (void)engine;
    wheel_disarm(timeout);
}

void engine_add_turn_hook(struct engine *engine, struct turn_hook *hook)
{
    check(hook->run != NULL);
    list_node_init(&hook->node);
    list_push_back(&loop_of(engine)->hooks, &hook->node);
}

void engine_remove_turn_hook(struct engine *engine, struct turn_hook *hook)
{
    struct loop *loop = loop_of(engine);

    if (loop->next_hook == &hook->node)
        loop->next_hook = hook->node.next;
    list_remove(&hook->node);
}

void engine_at_turn_end(struct engine *engine, struct turn_end *turn_end)
{
    check(turn_end->run != NULL);
    if (!list_is_linked(&turn_end->node))
        list_push_back(&loop_of(engine)->turn_ends, &turn_end->node);
}

void engine_turn_end_cancel(struct engine *engine, struct turn_end *turn_end)
{
    (void)engine;
    list_remove(&turn_end->node);
}

void engine_turn_again(struct engine *engine)
{
    loop_of(engine)->has_turn_again = true;
}
