/* pressure.c - ends the greediest sessions while memory is short. */
#include "serve/pressure.h"

#include <pthread.h>

#include "base/budget.h"
#include "base/log.h"
#include "serve/session.h"

enum {
    HEADROOM_PART = 16, /* of memory_max: left to what has begun */
    /* What sessions hold is given back in this turn and the next ones; looking again meanwhile
     * would end more of them than needed. */
    REST_MS = 20,
};

/* Of the process: memory is one, so who holds most of it is looked for among all sessions. */
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pressure *all;

bool pressure_is_high(const struct pressure *pressure)
{
    uint64_t max = pressure->memory_max;

    return max != 0 && (uint64_t)budget_used() >= max - max / HEADROOM_PART;
}

static size_t held_by(const struct pressure *pressure, struct list_node *node)
{
    return pressure->kind->held(container_of(node, struct session, node));
}

static size_t most_of_own(const struct pressure *pressure)
{
    size_t most = 0;

    list_for_each(node, pressure->sessions)
        most = MAX(most, held_by(pressure, node));
    return most;
}

static size_t most_of_all(void)
{
    size_t most = 0;

    pthread_mutex_lock(&all_lock);
    for (const struct pressure *each = all; each != NULL; each = each->next)
        most = MAX(most, atomic_load(&each->most));
    pthread_mutex_unlock(&all_lock);
    return most;
}

/* All that hold at least half of what the greediest holds, wherever that is, until enough is given
 * back: two walks over the sessions, however many are to end. */
static void relieve(struct pressure *pressure, uint64_t excess)
{
    size_t enough = MAX(most_of_all() / 2, (size_t)RELIEF_MEMORY_MIN);
    uint64_t relieved = 0;
    unsigned count = 0;

    if (atomic_load(&pressure->most) < enough)
        return;
    list_for_each(node, pressure->sessions) {
        size_t held = held_by(pressure, node);

        if (held < enough)
            continue;
        pressure->kind->shed(container_of(node, struct session, node));
        count++;
        relieved += held;
        if (relieved >= excess)
            break;
    }
    log_limited(LOG_LEVEL_WARN,
                "sessions=%u bytes=%llu memory=%llu rule=limits.memory "
                "what=\"closed the sessions that held most of the memory\"",
                count, (unsigned long long)relieved, (unsigned long long)pressure->memory_max);
}

static void on_turn(struct turn_hook *hook)
{
    struct pressure *pressure = container_of(hook, struct pressure, hook);
    uint64_t used = (uint64_t)budget_used();
    int64_t now_ms = engine_now_ms(pressure->engine);
    bool was_high = pressure->was_high;

    pressure->was_high = pressure_is_high(pressure);
    if (!pressure->was_high) {
        if (was_high)
            atomic_store(&pressure->most, 0);
        pressure->rest_ms = 0;
        return;
    }
    if (now_ms < pressure->rest_ms)
        return;
    pressure->rest_ms = now_ms + REST_MS;
    atomic_store(&pressure->most, most_of_own(pressure));
    /* Not at the first look: the others have not said yet what theirs hold. */
    if (was_high && used > pressure->memory_max)
        relieve(pressure, used - pressure->memory_max);
}

void pressure_watch(struct pressure *pressure, struct engine *engine,
                    const struct pressure_kind *kind, const struct list *sessions)
{
    *pressure = (struct pressure){.engine = engine, .kind = kind, .sessions = sessions};
    pressure->hook.run = on_turn;
    engine_add_turn_hook(engine, &pressure->hook);
    pthread_mutex_lock(&all_lock);
    pressure->next = all;
    all = pressure;
    pthread_mutex_unlock(&all_lock);
}

void pressure_leave(struct pressure *pressure)
{
    struct pressure **at = &all;

    engine_remove_turn_hook(pressure->engine, &pressure->hook);
    pthread_mutex_lock(&all_lock);
    while (*at != pressure)
        at = &(*at)->next;
    *at = pressure->next;
    pthread_mutex_unlock(&all_lock);
}
