/* control_commands.c - what each control command does. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "event/json_text.h"
#include "queue/flow.h"
#include "relay/control.h"
#include "relay/operator_event.h"
#include "relay/program.h"
#include "relay/queue_explain.h"
#include "relay/queue_walk.h"

enum {
    SLICE_OUTPUT_MAX = 64 << 20,
    EXPLAIN_OUTPUT_MAX = 16 << 20,
    WHOLE_STEP_US = 20000,
    PROGRESS_MS = 200,
};

/* --- status ----------------------------------------------------------------------------------- */

static json_t *status_json(const struct program_status *status)
{
    const struct shard_status *spool = &status->spool;
    const struct delivery_status *delivery = &status->delivery;

    return json_pack(
        "{s:I, s:{s:I,s:I,s:I,s:I,s:I,s:I}, s:{s:I,s:I,s:I,s:I,s:I,s:b,s:b},"
        " s:{s:I,s:I,s:I,s:I,s:I,s:I}, s:I}",
        "sessions", (json_int_t)status->sessions, "queue", "messages", (json_int_t)spool->messages,
        "recipients", (json_int_t)spool->recipients, "scheduled", (json_int_t)spool->scheduled,
        "ready", (json_int_t)spool->ready, "committing", (json_int_t)spool->committing, "domains",
        (json_int_t)status->domains, "spool", "segments", (json_int_t)spool->segments, "used_bytes",
        (json_int_t)spool->bytes_used, "live_bytes", (json_int_t)spool->bytes_live,
        "spare_segments", (json_int_t)spool->spare_segments, "resident_bytes",
        (json_int_t)spool->resident_bytes, "full", (int)spool->is_full, "recovering",
        (int)spool->is_recovering, "delivery", "waiting", (json_int_t)delivery->waiting,
        "in_attempt", (json_int_t)delivery->in_attempt, "connections",
        (json_int_t)delivery->connections, "sites", (json_int_t)delivery->sites, "sites_resting",
        (json_int_t)delivery->resting_sites, "destinations", (json_int_t)delivery->destinations,
        "unheld", (json_int_t)spool->overdue + (json_int_t)delivery->unheld);
}

/* What is told whether the workers answer or not. */
static void add_process(const struct program *program, json_t *line)
{
    json_t *counters = json_object();

    for (int metric = 0; metric < METRIC_COUNT; metric++)
        json_object_set_new(counters, metric_name((enum metric)metric),
                            json_integer(metric_sum((enum metric)metric)));
    json_object_set_new(line, "version", json_string(RINGPOST_VERSION));
    json_object_set_new(line, "hostname",
                        json_text_of(atomic_load(&program->shared.config)->hostname));
    json_object_set_new(line, "pid", json_integer(getpid()));
    json_object_set_new(line, "uptime_s",
                        json_integer((clock_monotonic_ms() - program->started_ms) / 1000));
    json_object_set_new(line, "metrics", counters);
}

/* In place of every command while the program stops: workers are not to be asked any more. */
static void answer_stopping(struct control_client *client, const char *name)
{
    char until[CLOCK_TEXT_MAX];
    struct program_left left;

    program_left(client->program, &left);
    clock_format_rfc3339(left.until_ms, until);
    if (strcmp(name, "status") != 0) {
        control_fail(client,
                     "ringpost is stopping, until %s: %llu sessions and %llu attempts are left; "
                     "only `ringpost status` is answered now",
                     until, (unsigned long long)left.sessions, (unsigned long long)left.attempts);
        return;
    }
    json_t *line =
        json_pack("{s:{s:I, s:I, s:s}}", "stopping", "sessions", (json_int_t)left.sessions,
                  "attempts", (json_int_t)left.attempts, "until", until);
    add_process(client->program, line);
    if (control_line(client, line))
        (void)control_line(client, json_pack("{s:b}", "done", 1));
}

static void command_status(struct control_client *client, const json_t *request)
{
    struct program *program = client->program;
    struct program_status status;
    json_t *engines = json_array();

    (void)request;
    for (unsigned i = 0; i < program->worker_count; i++) {
        program_worker_status(&program->workers[i], &status);
        json_array_append_new(engines, status_json(&status));
    }
    program_status(program, &status);
    json_t *line = status_json(&status);
    add_process(program, line);
    struct space_state space;
    space_watch_state(program->space_watch, &space);
    json_object_set_new(line, "space",
                        json_pack("{s:I, s:I, s:I, s:b, s:b}", "spool_free_bytes",
                                  (json_int_t)space.spool_free_bytes, "events_free_bytes",
                                  (json_int_t)space.events_free_bytes, "min_free_bytes",
                                  (json_int_t)space.min_free_bytes, "low", (int)space.is_low,
                                  "events_full",
                                  (int)atomic_load(&program->shared.space.events_are_full)));
    json_object_set_new(line, "engines", engines);
    if (control_line(client, line))
        (void)control_line(client, json_pack("{s:b}", "done", 1));
}

struct sites_call {
    struct buf out;
};

static void add_line(void *context, struct bytes json)
{
    struct sites_call *call = context;

    if (!buf_append(&call->out, json) || !buf_append_byte(&call->out, '\n'))
        buf_truncate(&call->out, buf_len(&call->out)); /* full: the rest is left out */
}

static void read_sites(struct worker *worker, void *context)
{
    delivery_sites(worker->delivery, add_line, context);
}

static void command_sites(struct control_client *client, const json_t *request)
{
    (void)request;
    for (unsigned i = 0; i < client->program->worker_count; i++) {
        struct sites_call call;

        buf_init(&call.out, EXPLAIN_OUTPUT_MAX);
        worker_call(&client->program->workers[i], read_sites, &call);
        (void)control_text(client, buf_bytes(&call.out));
        buf_free(&call.out);
    }
    (void)control_line(client, json_pack("{s:b}", "done", 1));
}

/* --- reload ----------------------------------------------------------------------------------- */

static void reload_error(void *context, const char *text)
{
    (void)control_line(context, json_pack("{s:o}", "problem", json_text_of(text)));
}

static void command_reload(struct control_client *client, const json_t *request)
{
    (void)request;
    if (program_reload(client->program, reload_error, client))
        (void)control_line(client, json_pack("{s:b}", "done", 1));
    else
        control_fail(client, "the configuration was not taken over; the old one stays in force");
}

/* --- queue ------------------------------------------------------------------------------------ */

struct domain_rows {
    json_t *counts;
};

static void add_domain(void *context, struct domain *domain)
{
    struct domain_rows *rows = context;
    struct bytes name = domain_name(domain);
    char key[300];

    if (domain->pending_count == 0 || name.len >= sizeof(key))
        return;
    memcpy(key, name.ptr, name.len);
    key[name.len] = '\0';
    json_int_t before = json_integer_value(json_object_get(rows->counts, key));
    json_object_set_new_nocheck(rows->counts, key,
                                json_integer(before + (json_int_t)domain->pending_count));
}

static void read_domains(struct worker *worker, void *context)
{
    domains_for_each(worker->flows, add_domain, context);
}

static void command_queue_domains(struct control_client *client, const json_t *request)
{
    struct domain_rows rows = {.counts = json_object()};
    const char *name;
    json_t *count;

    (void)request;
    for (unsigned i = 0; i < client->program->worker_count; i++)
        worker_call(&client->program->workers[i], read_domains, &rows);
    json_object_foreach(rows.counts, name, count)
    {
        if (!control_line(client, json_pack("{s:o, s:I}", "domain", json_text_of(name),
                                            "recipients", json_integer_value(count))))
            break;
    }
    json_decref(rows.counts);
    (void)control_line(client, json_pack("{s:b}", "done", 1));
}

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

/* Nobody waits for the rest, or nobody can do it. */
static bool is_broken_off(const struct control_client *client)
{
    return client->is_gone || atomic_load(&client->program->is_stopping);
}

/* False where it was broken off: `sum` is what was done until then. */
static bool walk_workers(struct control_client *client, const struct queue_filter *filter,
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
        while (more && !is_broken_off(client)) {
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

static void send_result(struct control_client *client, const struct queue_walk_result *result,
                        bool is_dry_run)
{
    (void)control_line(client,
                       json_pack("{s:b, s:I, s:I, s:I, s:I, s:b}", "done", 1, "matched",
                                 (json_int_t)result->matched, "acted",
                                 (json_int_t)(is_dry_run ? 0 : result->acted), "busy",
                                 (json_int_t)result->busy, "unreadable",
                                 (json_int_t)result->unreadable, "dry_run", (int)is_dry_run));
}

static void queue_walk_command(struct control_client *client, const json_t *request,
                               enum queue_action action)
{
    bool is_dry_run = json_is_true(json_object_get(request, "dry_run"));
    json_int_t limit = json_integer_value(json_object_get(request, "limit"));
    struct queue_walk_result result = {0};
    struct queue_filter filter;
    const char *why = "";

    if (!queue_filter_from_json(request, clock_monotonic_ms(), &filter, &why)) {
        control_fail(client, "%s", why);
        return;
    }
    if (action != QUEUE_LIST && queue_filter_is_empty(&filter)) {
        control_fail(client, "nothing named; give an id, --sender, --recipient, --domain or "
                             "--older-than (--domain '*' means everything)");
        return;
    }
    bool is_whole = walk_workers(client, &filter, is_dry_run ? QUEUE_COUNT : action, "operator",
                                 (uint64_t)MAX(limit, (json_int_t)0), &result);
    if (!is_dry_run && action == QUEUE_RETRY && result.acted > 0)
        operator_event_retried(client->program, &filter, &result, !is_whole);
    if (!is_dry_run && action != QUEUE_LIST)
        log_info("matched=%llu acted=%llu busy=%llu domain=%s sender=%s recipient=%s what=%s",
                 (unsigned long long)result.matched, (unsigned long long)result.acted,
                 (unsigned long long)result.busy, LOG_TEXT(bytes_of(filter.domain)),
                 LOG_TEXT(bytes_of(filter.sender)), LOG_TEXT(bytes_of(filter.recipient)),
                 action == QUEUE_RETRY ? "queue-retry" : "queue-cancel");
    send_result(client, &result, is_dry_run);
}

static void command_queue_list(struct control_client *client, const json_t *request)
{
    queue_walk_command(client, request, QUEUE_LIST);
}

static void command_queue_retry(struct control_client *client, const json_t *request)
{
    queue_walk_command(client, request, QUEUE_RETRY);
}

static void command_queue_cancel(struct control_client *client, const json_t *request)
{
    queue_walk_command(client, request, QUEUE_CANCEL);
}

/* --- suspend and resume ----------------------------------------------------------------------- */

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
    if (filter.older_than_s != 0) {
        control_fail(client, "--older-than cannot be suspended: a rule holds what will come too");
        return;
    }
    bool is_dry_run = json_is_true(json_object_get(request, "dry_run"));
    if (!walk_workers(client, &filter, QUEUE_COUNT, NULL, 0, &result)) {
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
    (void)control_line(client, json_pack("{s:b}", "done", 1));
}

/* --- show ------------------------------------------------------------------------------------- */

static void command_show(struct control_client *client, const json_t *request)
{
    const char *id = json_string_value(json_object_get(request, "id"));
    struct queue_walk_result result = {0};
    struct queue_filter filter;
    const char *why = "";

    if (id == NULL)
        control_fail(client, "nothing named; give a message id");
    else if (!queue_filter_from_json(request, clock_monotonic_ms(), &filter, &why))
        control_fail(client, "%s", why);
    else
        (void)walk_workers(client, &filter, QUEUE_LIST, NULL, 0, &result); /* nothing to undo */
    if (result.matched + result.unreadable > 0)
        send_result(client, &result, false);
    else if (id != NULL && *why == '\0')
        queue_explain_unknown(client, id);
}

/* --- dispatch --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*run)(struct control_client *client, const json_t *request);
    bool of_queue; /* needs all of it in memory */
} commands[] = {
    {"status", command_status, false},
    {"sites", command_sites, false},
    {"reload", command_reload, false},
    {"queue.list", command_queue_list, true},
    {"queue.domains", command_queue_domains, true},
    {"queue.show", command_show, true},
    {"queue.explain", queue_explain, true},
    {"queue.retry", command_queue_retry, true},
    {"queue.cancel", command_queue_cancel, true},
    {"queue.suspend", command_suspend, true},
    {"queue.resume", command_resume, false},
    {"queue.suspensions", command_suspensions, false},
};

static void add_whole(struct worker *worker, void *context)
{
    bool *is_whole = context;

    for (unsigned i = 0; i < worker->shard_count; i++)
        *is_whole = *is_whole && shard_is_whole(worker->shards[i]);
}

/* Right after a start the queue is still being read from the spool; who asks about it would see
 * only what is new. */
static bool wait_whole(struct control_client *client)
{
    struct program *program = client->program;

    while (!is_broken_off(client)) {
        bool is_whole = true;

        for (unsigned i = 0; i < program->worker_count; i++)
            worker_call(&program->workers[i], add_whole, &is_whole);
        if (is_whole)
            return true;
        usleep(WHOLE_STEP_US);
    }
    return false;
}

void control_dispatch(struct control_client *client, const json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "command"));

    for (size_t i = 0; name != NULL && i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            if (atomic_load(&client->program->is_stopping))
                answer_stopping(client, name);
            else if (!commands[i].of_queue || wait_whole(client))
                commands[i].run(client, request);
            return;
        }
    }
    control_fail(client, "unknown command %s", name == NULL ? "(none)" : name);
}
