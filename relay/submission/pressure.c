/* pressure.c - ends the greediest sessions while memory is short. */
#include "submission/pressure.h"

#include "base/budget.h"
#include "base/log.h"
#include "base/metric.h"
#include "submission/session.h"

enum {
    HEADROOM_PART = 16, /* of memory_max: left to mail that has begun */
    /* What sessions hold is given back in this turn and the next ones; looking again meanwhile
     * would end more of them than needed. */
    REST_MS = 20,
};

static uint64_t memory_max(const struct submission *submission)
{
    return submission->generation->settings.memory_max;
}

bool pressure_is_high(const struct submission *submission)
{
    uint64_t max = memory_max(submission);

    return max != 0 && (uint64_t)budget_used() >= max - max / HEADROOM_PART;
}

static size_t held_by(struct list_node *node)
{
    const struct smtp_server *server = container_of(node, struct smtp_server, sessions);

    /* One in CLOSING gives its memory back already; one in COMMIT has an answer to come. */
    if (server->state == SERVER_CLOSING || server->state == SERVER_COMMIT)
        return 0;
    return session_memory(container_of(server, struct session, server));
}

/* All that hold at least half of what the greediest holds, until enough is given back: two walks
 * over the sessions, however many are to end. */
static void relieve(struct submission *submission, uint64_t excess)
{
    size_t most = 0;
    uint64_t relieved = 0;
    unsigned count = 0;

    list_for_each(node, &submission->list)
        most = MAX(most, held_by(node));
    if (most < RELIEF_MEMORY_MIN)
        return;
    size_t enough = MAX(most / 2, (size_t)RELIEF_MEMORY_MIN);

    list_for_each(node, &submission->list) {
        size_t held = held_by(node);

        if (held < enough)
            continue;
        smtp_server_shed(container_of(node, struct smtp_server, sessions));
        metric_inc(METRIC_SUBMISSION_SHED);
        count++;
        relieved += held;
        if (relieved >= excess)
            break;
    }
    log_limited(LOG_LEVEL_WARN,
                "sessions=%u bytes=%llu memory=%llu rule=limits.memory "
                "what=\"closed the sessions that held most of the memory\"",
                count, (unsigned long long)relieved, (unsigned long long)memory_max(submission));
}

static void on_turn(struct turn_hook *hook)
{
    struct submission *submission = container_of(hook, struct submission, relief);
    uint64_t max = memory_max(submission);
    uint64_t used = (uint64_t)budget_used();
    int64_t now_ms = engine_now_ms(submission->engine);

    if (max == 0 || used <= max || now_ms < submission->relief_rest_ms)
        return;
    submission->relief_rest_ms = now_ms + REST_MS;
    relieve(submission, used - max);
}

void pressure_watch(struct submission *submission)
{
    submission->relief.run = on_turn;
    engine_add_turn_hook(submission->engine, &submission->relief);
}

void pressure_leave(struct submission *submission)
{
    engine_remove_turn_hook(submission->engine, &submission->relief);
}
