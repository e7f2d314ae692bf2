/* control_suspensions.c - control commands that hold mail back and let it go. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/control_command.h"
#include "relay/control_walk.h"
#include "relay/operator_event.h"
#include "relay/program.h"

static const struct suspension *find_suspension(const struct program *program, int number)
{
    size_t count;
    const struct suspension *rules = suspension_file_rules(program->suspensions, &count);

    while (count > 0 && rules[count - 1].number != (uint32_t)number)
        count--;
    check(count > 0);
    return &rules[count - 1];
}

/* The number of the rule, or -errno with a sentence: then nothing was changed. */
static int add_suspension(struct program *program, const json_t *request, uint64_t matched,
                          const char **why_out)
{
    pthread_mutex_lock(&program->change);
    int number = suspension_file_add(program->suspensions, request, clock_monotonic_ms(), why_out);
    if (number > 0) {
        int error = program_save_suspensions(program);

        if (error < 0) {
            suspension_file_undo_add(program->suspensions);
            *why_out = strerror(-error);
            number = error;
        }
    }
    if (number > 0) {
        program_spread_suspensions(program);
        operator_event_suspended(program, find_suspension(program, number), matched);
    }
    pthread_mutex_unlock(&program->change);
    return number;
}

static void command_suspend(struct control_client *client, const json_t *request)
{
    struct queue_walk_result result = {0};
    struct queue_filter filter;
    const char *why = "";
    int number = 0;

    if (!queue_filter_from_json(request, clock_monotonic_ms(), &filter, &why)) {
        control_fail(client, "%s", why);
        return;
    }
    bool is_dry_run = json_is_true(json_object_get(request, "dry_run"));
    if (!control_walk_workers(client, &filter, QUEUE_COUNT, NULL, 0, &result)) {
        control_fail(client, "broken off: nothing was changed");
        return;
    }
    if (!is_dry_run) {
        number = add_suspension(client->program, request, result.matched, &why);
        if (number < 0) {
            control_fail(client, "%s", why);
            return;
        }
        log_info("suspension=%d matched=%llu what=queue-suspend", number,
                 (unsigned long long)result.matched);
    }
    (void)control_line(client,
                       json_pack("{s:b, s:i, s:I, s:b}", "done", 1, "suspension", number, "matched",
                                 (json_int_t)result.matched, "dry_run", (int)is_dry_run));
}

/* How many rules went; they are over even where that cannot be saved, which *error_out says. */
static unsigned remove_suspensions(struct program *program, const json_t *request, int *error_out)
{
    size_t count;

    pthread_mutex_lock(&program->change);
    unsigned removed = suspension_file_remove(program->suspensions, request);
    const struct suspension *rules = suspension_file_removed(program->suspensions, &count);
    *error_out = removed == 0 ? 0 : program_save_suspensions(program);
    for (size_t i = 0; i < count; i++)
        operator_event_resumed(program, &rules[i], "by an operator");
    if (removed > 0) /* what is let go comes behind the event */
        program_spread_suspensions(program);
    pthread_mutex_unlock(&program->change);
    return removed;
}

static void command_resume(struct control_client *client, const json_t *request)
{
    int error;

    unsigned removed = remove_suspensions(client->program, request, &error);
    if (removed == 0) {
        control_fail(client, "no such suspension; `ringpost queue suspensions` lists them");
        return;
    }
    log_info("removed=%u what=queue-resume", removed);
    if (error < 0)
        control_fail(client, "resumed, but suspensions.json cannot be written: %s",
                     strerror(-error));
    else
        (void)control_line(client, json_pack("{s:b, s:i}", "done", 1, "removed", (int)removed));
}

static void command_suspensions(struct control_client *client, const json_t *request)
{
    struct program *program = client->program;
    json_t *rules = json_array();
    json_t *rule;
    size_t count, i;

    (void)request;
    pthread_mutex_lock(&program->change);
    const struct suspension *list = suspension_file_rules(program->suspensions, &count);
    for (i = 0; i < count; i++)
        json_array_append_new(rules, suspension_to_json(&list[i], clocks_read()));
    pthread_mutex_unlock(&program->change);
    json_array_foreach(rules, i, rule)
    {
        if (!control_line(client, json_incref(rule)))
            break;
    }
    json_decref(rules);
    (void)control_line(client, control_done());
}

static const struct control_argument suspend_arguments[] = {
    CONTROL_FILTER_ARGUMENTS,
    {"for_s", CONTROL_NUMBER, "seconds until it ends by itself; 0: never"},
    {"dry_run", CONTROL_FLAG, "count, and do nothing"},
    {.name = NULL},
};
static const struct control_argument resume_arguments[] = {
    CONTROL_FILTER_ARGUMENTS,
    {"number", CONTROL_NUMBER, "of the suspension"},
    {"all", CONTROL_FLAG, "every suspension"},
    {.name = NULL},
};

const struct control_command control_suspension_commands[] = {
    {.name = "queue.suspend",
     .run = command_suspend,
     .arguments = suspend_arguments,
     .of_queue = true,
     .says = "Hold recipients back, also those that will come."},
    {.name = "queue.resume",
     .run = command_resume,
     .arguments = resume_arguments,
     .says = "Take suspensions away."},
    {.name = "queue.suspensions", .run = command_suspensions, .says = "A line for each."},
    {.name = NULL},
};
