/* program_status.c - numbers that are counted on demand, summed over the workers. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/families.h"
#include "base/metric.h"
#include "delivery/mta_sts/sts_store.h"
#include "inbound/returns/returns.h"
#include "inbound/store/mail_store.h"
#include "queue/flow.h"
#include "relay/certificates.h"
#include "relay/program.h"

static void add_spool(struct shard_status *sum, const struct shard_status *part)
{
    sum->sums.accepted += part->sums.accepted;
    sum->sums.recovered += part->sums.recovered;
    for (size_t kind = 0; kind < EVENT_KIND_COUNT; kind++)
        sum->sums.ended[kind] += part->sums.ended[kind];
    sum->unaccounted += part->unaccounted;
    sum->messages += part->messages;
    sum->recipients += part->recipients;
    sum->scheduled += part->scheduled;
    sum->ready += part->ready;
    sum->committing += part->committing;
    sum->segments += part->segments;
    sum->bytes_used += part->bytes_used;
    sum->bytes_live += part->bytes_live;
    sum->spare_segments += part->spare_segments;
    sum->resident_bytes += part->resident_bytes;
    sum->resident_messages += part->resident_messages;
    sum->overdue += part->overdue;
    sum->is_full = sum->is_full || part->is_full;
    sum->is_recovering = sum->is_recovering || part->is_recovering;
}

static void add_delivery(struct delivery_status *sum, const struct delivery_status *part)
{
    sum->throttled += part->throttled;
    sum->waiting += part->waiting;
    sum->in_attempt += part->in_attempt;
    sum->committing += part->committing;
    sum->connections += part->connections;
    sum->sites += part->sites;
    sum->destinations += part->destinations;
    sum->resting_sites += part->resting_sites;
    for (size_t i = 0; i < SITE_STATE_COUNT; i++)
        sum->site_states[i] += part->site_states[i];
    sum->unheld += part->unheld;
}

static void read_worker(struct worker *worker, void *context)
{
    struct program_status *out = context;

    for (unsigned i = 0; i < worker->shard_count; i++) {
        struct shard_status status;

        shard_status(worker->shards[i], &status);
        add_spool(&out->spool, &status);
    }
    delivery_status(worker->delivery, &out->delivery);
    out->sessions = submission_sessions(worker->submission) + receive_sessions(worker->receive);
    out->domains = domains_count(worker->flows);
    for (size_t waits = 0; waits < PENDING_WAITS_MAX; waits++) {
        const struct queue_oldest *oldest = &worker->age.told[waits];

        if (oldest->accepted_ms == 0)
            continue;
        out->oldest_age_ms[waits] =
            MAX(engine_now_ms(worker->engine) - oldest->accepted_ms, (int64_t)1);
        out->oldest_id[waits] = oldest->id;
    }
    out->busy_us = engine_busy_us(worker->engine);
}

void program_worker_status(struct worker *worker, struct program_status *out)
{
    *out = (struct program_status){0};
    worker_call(worker, read_worker, out);
}

void program_status(struct program *program, struct program_status *out)
{
    *out = (struct program_status){0};
    for (unsigned i = 0; i < program->worker_count; i++) {
        struct program_status part;

        program_worker_status(&program->workers[i], &part);
        add_spool(&out->spool, &part.spool);
        add_delivery(&out->delivery, &part.delivery);
        out->sessions += part.sessions;
        out->domains += part.domains;
        out->busy_us += part.busy_us;
        for (size_t waits = 0; waits < PENDING_WAITS_MAX; waits++) {
            if (part.oldest_age_ms[waits] <= out->oldest_age_ms[waits])
                continue;
            out->oldest_age_ms[waits] = part.oldest_age_ms[waits];
            out->oldest_id[waits] = part.oldest_id[waits];
        }
    }
}

void program_left(struct program *program, struct program_left *out)
{
    int64_t left_ms = atomic_load(&program->stop_until_ms) - clock_monotonic_ms();

    *out = (struct program_left){.until_ms = clock_wall_ms() + left_ms};
    for (unsigned i = 0; i < program->worker_count; i++) {
        struct worker *worker = &program->workers[i];

        if (atomic_load(&worker->is_stopped))
            continue;
        out->sessions += atomic_load(&worker->left.sessions);
        out->attempts += atomic_load(&worker->left.attempts);
    }
}

struct gauge {
    const char *name;
    const char *help;
    uint64_t value;
};

static double pool_waiting(const struct blocking_status *status)
{
    return status->waiting;
}

static double pool_running(const struct blocking_status *status)
{
    return status->running;
}

static double pool_done(const struct blocking_status *status)
{
    return (double)status->done;
}

static double pool_refused(const struct blocking_status *status)
{
    return (double)status->refused;
}

static double pool_wait_max_s(const struct blocking_status *status)
{
    return (double)status->wait_us_max / 1e6;
}

/* Families by the pool's name: chores that wait, that are done now, that were. */
static void put_pools(size_t count, struct blocking_pool *const *pools, struct exposition *e)
{
    enum { POOLS_MAX = 8 };
    struct blocking_status status[POOLS_MAX];

    check(count <= POOLS_MAX);
    for (size_t i = 0; i < count; i++)
        blocking_pool_status(pools[i], &status[i]);
    static const struct {
        const char *name;
        enum exposition_type type;
        const char *help;
        double (*value)(const struct blocking_status *status);
    } families[] = {
        {"ringpost_pool_waiting", EXPOSITION_GAUGE, "Blocking chores that wait for a thread",
         pool_waiting},
        {"ringpost_pool_running", EXPOSITION_GAUGE, "Blocking chores that a thread does now",
         pool_running},
        {"ringpost_pool_done_total", EXPOSITION_COUNTER, "Blocking chores done", pool_done},
        {"ringpost_pool_refused_total", EXPOSITION_COUNTER,
         "Blocking chores put off because their pool was full", pool_refused},
        {"ringpost_pool_wait_max_seconds", EXPOSITION_GAUGE,
         "The longest that a blocking chore waited for a thread since the start", pool_wait_max_s},
    };

    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        exposition_family(e, bytes_of(families[f].name), families[f].type, families[f].help);
        for (size_t i = 0; i < count; i++)
            exposition_labelled(e, families[f].name, "pool", bytes_of(status[i].name),
                                families[f].value(&status[i]));
    }
}

/* A family of one value a sink, but for the problem it has, which is a label of its own. */
static void put_sinks(struct sinks *sinks, struct exposition *e)
{
    static const struct {
        const char *name;
        enum exposition_type type;
        const char *help;
    } families[] = {
        {"ringpost_sink_behind_events", EXPOSITION_GAUGE,
         "Events that are in the files and were not answered by the sink"},
        {"ringpost_sink_behind_seconds", EXPOSITION_GAUGE, "Age of the oldest of them"},
        {"ringpost_sink_in_flight", EXPOSITION_GAUGE, "Events told and not answered"},
        {"ringpost_sink_answered_total", EXPOSITION_COUNTER, "Events that the sink took for good"},
        {"ringpost_sink_restarts_total", EXPOSITION_COUNTER,
         "Times a sink began again at the first event without an answer"},
        {"ringpost_sink_gap_events_total", EXPOSITION_COUNTER,
         "Events left out that the sink would have been told, as its gap records count them"},
        {"ringpost_sink_paused", EXPOSITION_GAUGE, "1 while an operator holds the sink"},
        {"ringpost_sink_failing", EXPOSITION_GAUGE, "1 while the sink has a problem"},
        {"ringpost_sink_problem_seconds", EXPOSITION_GAUGE, "How long it has had it; 0: none"},
    };
    size_t count;
    struct sink_status *all = sinks_status(sinks, &count);
    int64_t wall_ms = clock_wall_ms();

    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        exposition_family(e, bytes_of(families[i].name), families[i].type, families[i].help);
        for (size_t k = 0; k < count; k++) {
            const struct sink_status *s = &all[k];
            bool is_failing = s->problem != SINK_WELL;
            const double values[] = {
                (double)s->behind_events,
                (double)s->behind_ms / 1000,
                (double)s->in_flight,
                (double)s->answered,
                (double)s->restarts,
                (double)s->gap_events,
                s->is_paused,
                is_failing,
                is_failing ? (double)MAX(wall_ms - s->since_ms, (int64_t)0) / 1000 : 0,
            };

            _Static_assert(ARRAY_LEN(values) == ARRAY_LEN(families), "one value a family");
            exposition_labelled(e, families[i].name, "sink", bytes_of(s->name), values[i]);
        }
    }
    free(all);
}

/* Each engine's part is counted in one go, so that the sums agree whenever they are read. */
static void put_sums(const struct shard_status *spool, struct exposition *e)
{
    const struct {
        const char *name;
        enum exposition_type type;
        const char *help;
        int64_t value;
    } sums[] = {
        {"ringpost_queue_accepted_total", EXPOSITION_COUNTER,
         "Recipients accepted, those of notifications included", (int64_t)spool->sums.accepted},
        {"ringpost_queue_recovered_total", EXPOSITION_COUNTER,
         "Recipients found unfinished at the start", (int64_t)spool->sums.recovered},
        {"ringpost_queue_unfinished", EXPOSITION_GAUGE, "Unfinished recipients",
         (int64_t)spool->recipients},
        {"ringpost_queue_unaccounted", EXPOSITION_GAUGE,
         "Accepted and recovered recipients, less ended and unfinished ones: must stay 0",
         spool->unaccounted},
    };

    for (size_t i = 0; i < ARRAY_LEN(sums); i++) {
        exposition_family(e, bytes_of(sums[i].name), sums[i].type, sums[i].help);
        exposition_integer(e, bytes_of(sums[i].name), sums[i].value);
    }
    exposition_family(e, BYTES("ringpost_queue_ended_total"), EXPOSITION_COUNTER,
                      "Recipients by their final event, once it is durable");
    for (int kind = 0; kind < EVENT_KIND_COUNT; kind++)
        if (event_kind_is_final((enum event_kind)kind))
            exposition_labelled(e, "ringpost_queue_ended_total", "outcome",
                                bytes_of(event_kind_name((enum event_kind)kind)),
                                (double)spool->sums.ended[kind]);
}

static void put_ages(const struct program_status *status, struct exposition *e)
{
    exposition_family(e, BYTES("ringpost_queue_oldest_seconds"), EXPOSITION_GAUGE,
                      "Time since the oldest unfinished recipient was accepted, by what it waits "
                      "for; 0: none. As a look found it that takes turns");
    for (unsigned waits = 0; waits < PENDING_WAITS_MAX; waits++)
        exposition_labelled(e, "ringpost_queue_oldest_seconds", "state",
                            bytes_of(pending_waits_name((enum pending_waits)waits)),
                            (double)status->oldest_age_ms[waits] / 1000);
}

static void put_engines(struct program *program, struct exposition *e)
{
    struct program_status part;
    char name[16];

    exposition_family(e, BYTES("ringpost_engine_busy_seconds_total"), EXPOSITION_COUNTER,
                      "Time that an engine was not waiting");
    for (unsigned i = 0; i < program->worker_count; i++) {
        program_worker_status(&program->workers[i], &part);
        snprintf(name, sizeof(name), "%u", i);
        exposition_labelled(e, "ringpost_engine_busy_seconds_total", "engine", bytes_of(name),
                            (double)part.busy_us / 1e6);
    }
}

bool program_metrics(struct program *program, enum exposition_format format, struct buf *out)
{
    struct exposition exposition = {.out = out, .format = format};
    struct program_status status;
    struct directory_status directory;
    struct space_state space;
    struct sinks_held held;

    sinks_held(program->sinks, &held);
    directory_status(program->shared.directory, &directory);
    program_status(program, &status);
    space_watch_state(program->space_watch, &space);
    const struct gauge gauges[] = {
        {"ringpost_queue_scheduled", "Recipients that wait for their due time",
         status.spool.scheduled},
        {"ringpost_queue_ready", "Recipients that delivery holds", status.spool.ready},
        {"ringpost_queue_committing", "Recipients whose outcome is being written",
         status.spool.committing},
        {"ringpost_queue_unheld",
         "Unfinished recipients with neither a due time nor an attempt: must stay 0",
         status.spool.overdue + status.delivery.unheld},
        {"ringpost_queue_domains", "Recipient domains of unfinished mail", status.domains},
        {"ringpost_spool_full", "1 while accepting is refused for want of space",
         status.spool.is_full ? 1 : 0},
        {"ringpost_spool_low", "1 while it is refused because less than spool.min_free is free",
         space.is_low ? 1 : 0},
        {"ringpost_spool_free_bytes", "Free on the file system of the spool",
         space.spool_free_bytes},
        {"ringpost_events_free_bytes", "Free on the file system of the event files",
         space.events_free_bytes},
        {"ringpost_spool_min_free_bytes", "spool.min_free, for both", space.min_free_bytes},
        {"ringpost_events_full", "1 while no attempts begin for want of room in the event files",
         atomic_load(&program->shared.space.events_are_full) ? 1 : 0},
        {"ringpost_sinks_held_bytes", "Closed event files that sinks still need", held.bytes},
        {"ringpost_sinks_full", "1 while new mail is refused for what sinks have not read",
         held.is_full ? 1 : 0},
        {"ringpost_directory_readable",
         "1 while the directory can be read; else its last good state is in force",
         directory.is_good ? 1 : 0},
        {"ringpost_directory_tenants", "Tenants", directory.counts[SNAPSHOT_TENANTS]},
        {"ringpost_directory_credentials", "Credentials", directory.counts[SNAPSHOT_CREDENTIALS]},
        {"ringpost_directory_domains", "Domains of tenants", directory.counts[SNAPSHOT_DOMAINS]},
        {"ringpost_directory_accounts", "Hosted accounts", directory.counts[SNAPSHOT_ACCOUNTS]},
        {"ringpost_directory_aliases", "Aliases", directory.counts[SNAPSHOT_ALIASES]},
        {"ringpost_directory_memory_bytes", "Memory of the newest snapshot", directory.memory},
        {"ringpost_delivery_waiting", "Recipients that wait for a connection",
         status.delivery.waiting},
        {"ringpost_delivery_in_attempt", "Recipients in an attempt", status.delivery.in_attempt},
        {"ringpost_delivery_connections", "Connections to other servers",
         status.delivery.connections},
        {"ringpost_delivery_sites", "Sites known now", status.delivery.sites},
        {"ringpost_delivery_sites_resting", "Sites at rest after failures",
         status.delivery.resting_sites},
    };

    metric_render(&exposition);
    program_process_metrics(program, &exposition);
    for (size_t i = 0; i < ARRAY_LEN(gauges); i++) {
        struct bytes name = bytes_of(gauges[i].name);

        exposition_family(&exposition, name, EXPOSITION_GAUGE, gauges[i].help);
        exposition_integer(&exposition, name, (int64_t)gauges[i].value);
    }
    put_sums(&status.spool, &exposition);
    put_ages(&status, &exposition);
    put_engines(program, &exposition);
    program_memory_metrics(&exposition);
    struct blocking_pool *const pools[] = {
        program->shared.segment_pool,
        program->shared.key_pool,
        program->shared.mail_pool,
        archive_reader_pool(program->shared.archives),
        sts_store_pool(program->shared.sts),
        returns_pool(program->shared.returns),
        mail_store_pool(program->shared.store),
    };
    put_pools(ARRAY_LEN(pools), pools, &exposition);
    put_sinks(program->sinks, &exposition);
    pthread_mutex_lock(&program->change);
    certificates_tell(program->config, &exposition);
    pthread_mutex_unlock(&program->change);
    families_tell(&exposition, clock_monotonic_ms());
    return exposition_end(&exposition);
}
