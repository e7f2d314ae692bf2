/* control_service.c - control commands about the service: status, sites, reload. */
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metric.h"
#include "event/json_text.h"
#include "relay/control_command.h"
#include "relay/program.h"

enum { SITES_OUTPUT_MAX = 16 << 20 };

/* --- status ----------------------------------------------------------------------------------- */

static void put(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *queue_json(const struct program_status *status)
{
    json_t *queue = json_object();

    put(queue, "messages", status->spool.messages);
    put(queue, "recipients", status->spool.recipients);
    put(queue, "scheduled", status->spool.scheduled);
    put(queue, "ready", status->spool.ready);
    put(queue, "committing", status->spool.committing);
    put(queue, "domains", status->domains);
    return queue;
}

static json_t *spool_json(const struct shard_status *status)
{
    json_t *spool = json_object();

    put(spool, "segments", status->segments);
    put(spool, "used_bytes", status->bytes_used);
    put(spool, "live_bytes", status->bytes_live);
    put(spool, "spare_segments", status->spare_segments);
    put(spool, "resident_bytes", status->resident_bytes);
    json_object_set_new(spool, "full", json_boolean(status->is_full));
    json_object_set_new(spool, "recovering", json_boolean(status->is_recovering));
    return spool;
}

static json_t *delivery_json(const struct delivery_status *status)
{
    json_t *delivery = json_object();

    put(delivery, "waiting", status->waiting);
    put(delivery, "throttled", status->throttled);
    put(delivery, "in_attempt", status->in_attempt);
    put(delivery, "connections", status->connections);
    put(delivery, "sites", status->sites);
    put(delivery, "sites_resting", status->resting_sites);
    json_t *states = json_object();

    for (unsigned i = 0; i < SITE_STATE_COUNT; i++)
        put(states, site_state_name((enum site_state)i), status->site_states[i]);
    json_object_set_new(delivery, "site_states", states);
    put(delivery, "destinations", status->destinations);
    return delivery;
}

/* Of one worker, or of all. */
static json_t *status_json(const struct program_status *status)
{
    json_t *line = json_object();

    put(line, "sessions", status->sessions);
    json_object_set_new(line, "queue", queue_json(status));
    json_object_set_new(line, "spool", spool_json(&status->spool));
    json_object_set_new(line, "delivery", delivery_json(&status->delivery));
    put(line, "unheld", status->spool.overdue + status->delivery.unheld);
    put(line, "busy_us", (uint64_t)status->busy_us);
    return line;
}

static json_t *space_json(const struct program *program)
{
    json_t *object = json_object();
    struct space_state space;

    space_watch_state(program->space_watch, &space);
    put(object, "spool_free_bytes", space.spool_free_bytes);
    put(object, "events_free_bytes", space.events_free_bytes);
    put(object, "min_free_bytes", space.min_free_bytes);
    json_object_set_new(object, "low", json_boolean(space.is_low));
    json_object_set_new(object, "events_full",
                        json_boolean(atomic_load(&program->shared.space.events_are_full)));
    json_object_set_new(object, "sinks_full",
                        json_boolean(atomic_load(&program->shared.space.sinks_are_full)));
    return object;
}

static json_t *directory_json(const struct program *program)
{
    json_t *object = json_object();
    struct directory_status status;

    directory_status(program->shared.directory, &status);
    json_object_set_new(object, "readable", json_boolean(status.is_good));
    json_object_set_new(object, "why", status.is_good ? json_null() : json_text_of(status.why));
    put(object, "version", status.version);
    put(object, "tenants", status.counts[SNAPSHOT_TENANTS]);
    put(object, "credentials", status.counts[SNAPSHOT_CREDENTIALS]);
    put(object, "domains", status.counts[SNAPSHOT_DOMAINS]);
    put(object, "accounts", status.counts[SNAPSHOT_ACCOUNTS]);
    put(object, "aliases", status.counts[SNAPSHOT_ALIASES]);
    put(object, "memory_bytes", status.memory);
    put(object, "snapshots_whole", status.built_whole);
    put(object, "snapshots_of_changes", status.built_changes);
    put(object, "build_us", (uint64_t)status.build_us);
    return object;
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

void control_answer_stopping(struct control_client *client, const char *name)
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
        (void)control_line(client, control_done());
}

/* Of unfinished recipients, by what they wait for. */
static json_t *oldest_json(const struct program_status *status)
{
    char id[MESSAGE_ID_TEXT_MAX];
    json_t *all = json_array();

    for (unsigned waits = 0; waits < PENDING_WAITS_MAX; waits++) {
        if (status->oldest_age_ms[waits] == 0)
            continue;
        message_id_format(status->oldest_id[waits], id);
        json_array_append_new(all,
                              json_pack("{s:s, s:I, s:s}", "state",
                                        pending_waits_name((enum pending_waits)waits), "age_ms",
                                        (json_int_t)status->oldest_age_ms[waits], "id", id));
    }
    return all;
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
    json_object_set_new(line, "space", space_json(program));
    json_object_set_new(line, "sinks", control_sinks_json(program));
    json_object_set_new(line, "directory", directory_json(program));
    json_object_set_new(line, "engines", engines);
    json_object_set_new(line, "oldest", oldest_json(&status));
    if (control_line(client, line))
        (void)control_line(client, control_done());
}

/* --- metrics ---------------------------------------------------------------------------------- */

enum { METRICS_OUTPUT_MAX = 4 << 20 };

static void command_metrics(struct control_client *client, const json_t *request)
{
    struct buf out;

    (void)request;
    buf_init(&out, METRICS_OUTPUT_MAX);
    if (!program_metrics(client->program, EXPOSITION_PROMETHEUS, &out)) {
        control_fail(client, "too many metrics");
    } else if (control_line(client, json_pack("{s:I}", "raw", (json_int_t)buf_len(&out))) &&
               control_text(client, buf_bytes(&out))) {
        (void)control_line(client, control_done());
    }
    buf_free(&out);
}

/* --- sites ------------------------------------------------------------------------------------ */

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

        buf_init(&call.out, SITES_OUTPUT_MAX);
        worker_call(&client->program->workers[i], read_sites, &call);
        (void)control_text(client, buf_bytes(&call.out));
        buf_free(&call.out);
    }
    (void)control_line(client, control_done());
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
        (void)control_line(client, control_done());
    else
        control_fail(client, "the configuration was not taken over; the old one stays in force");
}

const struct control_command control_service_commands[] = {
    {.name = "status", .run = command_status, .says = "What the program is doing now."},
    {.name = "sites",
     .run = command_sites,
     .says = "A line for each set of mail servers that is delivered to."},
    {.name = "metrics",
     .run = command_metrics,
     .says = "What GET /metrics says: raw lines and their bytes."},
    {.name = "reload",
     .run = command_reload,
     .says = "Read the configuration again, whole or not at all."},
    {.name = NULL},
};
