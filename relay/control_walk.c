/* control_walk.c - what commands about the queue share: a walk over all workers. */
#include "relay/control_walk.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "relay/program.h"

enum { SLICE_OUTPUT_MAX = 64 << 20, PROGRESS_MS = 200 };

static void add_result(struct queue_walk_result *sum, const struct queue_walk_result *part)
{
    sum->visited += part->visited;
    sum->matched += part->matched;
    sum->acted += part->acted;
    sum->busy += part->busy;
    sum->unreadable += part->unreadable;
}

struct progress {
    uint64_t messages; /* of the whole queue, as it was at the beginning */
    int64_t told_ms;
    bool is_told;
};

/* A line now and then, so that a walk over millions is seen to move; the first at once where there
 * is more to do. */
static void tell_progress(struct control_client *client, const struct queue_walk_result *result,
                          bool more, struct progress *progress)
{
    int64_t now_ms = clock_monotonic_ms();

    if (now_ms - progress->told_ms < PROGRESS_MS && (progress->is_told || !more))
        return;
    progress->told_ms = now_ms;
    progress->is_told = true;
    (void)control_line(client,
                       json_pack("{s:{s:I, s:I, s:I, s:I}}", "progress", "visited",
                                 (json_int_t)result->visited, "messages",
                                 (json_int_t)MAX(progress->messages, result->visited), "matched",
                                 (json_int_t)result->matched, "acted", (json_int_t)result->acted));
}

bool control_is_broken_off(const struct control_client *client)
{
    return client->is_gone || atomic_load(&client->program->is_stopping);
}

bool control_walk_workers(struct control_client *client, const struct queue_filter *filter,
                          enum queue_action action, const char *reason, uint64_t limit,
                          struct queue_walk_result *sum)
{
    struct progress progress = {.told_ms = clock_monotonic_ms()};
    struct program *program = client->program;
    struct program_status status;
    bool is_whole = true;
    struct buf out;

    program_status(program, &status);
    progress.messages = status.spool.messages;
    buf_init(&out, SLICE_OUTPUT_MAX);
    for (unsigned i = 0; i < program->worker_count && (limit == 0 || sum->acted < limit); i++) {
        struct queue_walk *walk = queue_walk_create(&program->workers[i], filter, action, reason,
                                                    limit == 0 ? 0 : limit - sum->acted);
        bool more = true;

        check(walk != NULL);
        while (more && !control_is_broken_off(client)) {
            struct queue_walk_result now = *sum;

            more = queue_walk_slice(walk, &out);
            add_result(&now, queue_walk_result(walk));
            (void)control_text(client, buf_bytes(&out));
            buf_clear(&out);
            tell_progress(client, &now, more, &progress);
        }
        is_whole = is_whole && !more;
        add_result(sum, queue_walk_result(walk));
        queue_walk_free(&walk);
    }
    buf_free(&out);
    return is_whole;
}

void control_send_result(struct control_client *client, const struct queue_walk_result *result,
                         bool is_dry_run)
{
    (void)control_line(client,
                       json_pack("{s:b, s:I, s:I, s:I, s:I, s:b}", "done", 1, "matched",
                                 (json_int_t)result->matched, "acted",
                                 (json_int_t)(is_dry_run ? 0 : result->acted), "busy",
                                 (json_int_t)result->busy, "unreadable",
                                 (json_int_t)result->unreadable, "dry_run", (int)is_dry_run));
}
