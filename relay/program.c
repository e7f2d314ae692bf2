/* program.c - the serving process: start, signals, reload, and the order of a stop. */
#include "relay/program.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "delivery/line/egress.h"
#include "delivery/mta_sts/sts_store.h"
#include "dns/cache.h"
#include "inbound/archives/archive_child.h"
#include "inbound/archives/archive_reader.h"
#include "inbound/mailbox/account.h"
#include "inbound/returns/returns.h"
#include "inbound/store/mail_store.h"
#include "intake/claims.h"
#include "io/tls_tickets.h"
#include "relay/certificates.h"
#include "relay/control.h"
#include "relay/metrics_http.h"
#include "relay/operator_event.h"
#include "relay/preflight.h"
#include "relay/privacy_rows.h"
#include "relay/program_sinks.h"
#include "relay/program_stop.h"
#include "relay/queue_folder.h"
#include "relay/reporter.h"
#include "relay/stop_guard.h"
#include "relay/tenant_book.h"

enum { SINKS_END_MS = 1000 }; /* at least, for those that can be told the last events */

/* --- start ------------------------------------------------------------------------------------ */

/* Shards on disk may be more than engines: `engines` was lowered, or there are fewer cores. */
static unsigned count_shards(const char *spool, unsigned at_least)
{
    unsigned count = at_least;
    DIR *directory = opendir(spool);

    if (directory == NULL)
        return count;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char *end;
        unsigned long index = strtoul(entry->d_name, &end, 16);

        if (end == entry->d_name + 2 && *end == '\0' && index < MESSAGE_ID_SHARDS_MAX)
            count = MAX(count, (unsigned)index + 1);
    }
    closedir(directory);
    return count;
}

/* Keys need the secret that was read before. */
static int open_book(struct program *program, const struct config *config)
{
    char why[512] = "";

    claims_begin(program->shared.login_key, config->claims_max);
    program->book =
        tenant_book_open(config->state_dir, program->shared.shard_count, why, sizeof(why));
    if (program->book != NULL)
        return 0;
    log_error("what=%s", LOG_STRING(why));
    return -EIO;
}

static int start_files(struct program *program, const struct config *config)
{
    char directory[4096], why[512] = "";
    struct publisher_follower follower;
    int opened = open_book(program, config);

    if (opened < 0)
        return opened;
    tenant_book_follow(program->book, &follower);
    check(state_dir_file(config->state_dir, "events", directory, sizeof(directory)));
    struct publisher_settings settings = {
        .spool_directory = config->spool.directory,
        .shard_count = program->shared.shard_count,
        .space = &program->shared.space,
        .follower = &follower,
        .file =
            {
                .directory = directory,
                .rotate_size = config->events.file_size,
                .rotate_age_s = config->events.file_age_s,
                .retention_s = config->events.retention_s,
                .retention_bytes = config->events.retention_bytes,
                .bounds = &program->bounds,
            },
    };
    program->space_watch =
        space_watch_start(config->spool.directory, directory, config->min_free_bytes,
                          spool_taken_back(&config->spool) * program->shared.shard_count,
                          &program->shared.space);
    if (program->space_watch == NULL) {
        log_error("what=\"no thread to watch free space: %s\"", strerror(errno));
        return -errno;
    }
    program->shared.publisher = publisher_start(&settings, why, sizeof(why));
    if (program->shared.publisher != NULL)
        return program_sinks_start(program, config, directory);
    int error = -errno;
    log_error("events=%s what=%s", LOG_STRING(directory), LOG_STRING(why));
    return error;
}

/* In order, because segments die in order; the bound is for damage that is copied aside: beside it
 * each shard has one chore at a time. */
static const struct blocking_settings segment_pool_settings = {
    .name = "segments",
    .threads = 1,
    .waiting_max = 4096,
};

static struct sts_store *open_sts(const struct config *config)
{
    const struct sts_settings settings = {
        .state_dir = config->state_dir,
        .authorities = config->delivery_tls.ca,
    };

    return sts_store_open(&settings);
}

/* Reading a key computes, too: two threads, so that one engine's keys do not wait for another's. */
static const struct blocking_settings key_pool_settings = {
    .name = "keys",
    .threads = 2,
    .waiting_max = 10000,
};

/* Each that waits holds what it is to read; beyond them mail is put off. */
static struct archive_reader *start_archives(void)
{
    static const char *const command[] = {"/proc/self/exe", ARCHIVE_READER_COMMAND, NULL};
    const struct archive_reader_settings settings = {
        .command = command,
        .threads = 2,
        .waiting_max = 256,
        .patience_ms = 60 * 1000,
    };

    return archive_reader_start(&settings);
}

/* A session has one chore at most, so sessions bound it. */
static struct blocking_pool *start_mail_pool(const struct config *config)
{
    const struct blocking_settings settings = {
        .name = "mail",
        .threads = config->imap_threads,
        .waiting_max = UINT_MAX,
    };

    return blocking_pool_start(&settings);
}

static struct mail_accounts *open_accounts(const struct config *config)
{
    char why[ACCOUNTS_WHY_MAX] = "";
    struct mail_accounts_settings settings = {
        .directory = config->mail_directory,
        .host = config->hostname,
    };
    struct mail_accounts *accounts = mail_accounts_open(&settings, why);

    if (accounts == NULL)
        log_error("store=%s what=\"nobody can read mail until a start that can open it\" why=%s",
                  LOG_STRING(config->mail_directory), LOG_STRING(why));
    return accounts;
}

static void on_filed(void *context, const char *domain, const char *local, const char *folder)
{
    mail_accounts_notice(context, domain, local, folder);
}

static struct mail_store *open_store(const struct config *config, struct mail_accounts *accounts)
{
    struct mail_store_settings settings = {
        .directory = config->mail_directory,
        .host = config->hostname,
        .node = event_node(),
        .threads = config->store_threads,
        .filed = accounts != NULL ? on_filed : NULL,
        .context = accounts,
    };

    return mail_store_open(&settings);
}

static int open_key(const struct config *config, const char *name, uint8_t *key)
{
    int error = login_key_open(config->state_dir, name, key);

    if (error < 0)
        log_error("file=%s what=%s", LOG_STRING(name),
                  LOG_STRING(error == -EBADMSG ? "it is no key; without it a new one is made"
                                               : strerror(-error)));
    return error;
}

static int open_keys(const struct config *config, struct shared *shared)
{
    int error = open_key(config, "login.key", shared->login_key);

    return error < 0 ? error : open_key(config, "return.key", shared->return_key);
}

/* NULL with errno. */
static struct returns *open_returns(const struct config *config, const struct shared *shared)
{
    char directory[4096];
    const struct returns_settings settings = {.events = directory, .key = shared->return_key};

    check(state_dir_file(config->state_dir, "events", directory, sizeof(directory)));
    return returns_start(&settings);
}

static int start_workers(struct program *program, const struct config *config)
{
    struct shared *shared = &program->shared;

    shared->worker_count = config->engines;
    shared->shard_count = count_shards(config->spool.directory, config->engines);
    shared->loads = calloc(config->engines, sizeof(*shared->loads));
    shared->egresses = egress_table_create(config->delivery.connections_max);
    shared->dns_cache = resolver_cache_create(&config->dns);
    shared->list_cache = resolver_cache_create(&config->dns);
    shared->segment_pool = blocking_pool_start(&segment_pool_settings);
    shared->sts = open_sts(config);
    shared->key_pool = blocking_pool_start(&key_pool_settings);
    allowances_begin(clock_monotonic_ms(), clock_wall_ms());
    shared->store_egresses = egress_table_create(INT_MAX);
    shared->directory = directory_start(config->state_dir);
    program->workers = calloc(config->engines, sizeof(*program->workers));
    check(shared->loads != NULL && program->workers != NULL && shared->egresses != NULL);
    shared->mail_pool = start_mail_pool(config);
    shared->archives = start_archives();
    if (shared->segment_pool == NULL || shared->key_pool == NULL || shared->mail_pool == NULL ||
        shared->archives == NULL) {
        log_error("what=\"no threads for segments of the spool, keys, mailboxes and archives: %s\"",
                  strerror(errno));
        return -errno;
    }
    if (shared->sts == NULL) {
        log_error("what=\"no threads for MTA-STS policies: %s\"", strerror(errno));
        return -errno;
    }
    if (shared->directory == NULL) {
        log_error("what=\"no thread for the directory: %s\"", strerror(errno));
        return -errno;
    }
    shared->mail_accounts = open_accounts(config);
    shared->store = open_store(config, shared->mail_accounts);
    shared->returns = open_returns(config, shared);
    if (shared->store == NULL || shared->returns == NULL) {
        log_error("what=\"no threads for accounts' mail and reports: %s\"", strerror(errno));
        return -errno;
    }
    int error = open_keys(config, shared);
    int srs_error = srs_secret_open(config->state_dir, &shared->srs);
    if (srs_error < 0) /* all but forwarding goes on */
        log_error("file=keys/srs.key what=%s",
                  LOG_STRING(srs_error == -EBADMSG ? "it holds no secrets: nothing is forwarded"
                                                   : strerror(-srs_error)));
    (void)privacy_rows_load(config->state_dir, true); /* before anything is written */
    if (error == 0)
        error = start_files(program, config);
    if (error < 0)
        return error;
    /* Side by side: with a long queue most of a start is reading. */
    program->worker_count = config->engines;
    for (unsigned i = 0; i < config->engines; i++)
        worker_start(&program->workers[i], shared, i);
    for (unsigned i = 0; i < config->engines; i++) {
        int worker_error = worker_wait_started(&program->workers[i]);

        if (worker_error < 0)
            log_error("engine=%u what=%s", i, LOG_STRING(program->workers[i].why));
        error = error < 0 ? error : worker_error;
    }
    /* No client is to be told that it is unknown because it came early. */
    directory_wait(shared->directory);
    return error;
}

/* --- reload ----------------------------------------------------------------------------------- */

static void configure(struct worker *worker, void *context)
{
    worker_configure(worker, context);
}

static void suspend(struct worker *worker, void *context)
{
    (void)context;
    worker_suspend(worker);
}

int program_save_suspensions(struct program *program)
{
    int error = suspension_file_save(program->suspensions, clocks_read());

    program->has_unsaved_suspensions = error < 0;
    return error;
}

void program_spread_suspensions(struct program *program)
{
    for (unsigned i = 0; i < program->worker_count; i++)
        worker_call(&program->workers[i], suspend, NULL);
}

static bool reload(struct program *program, void (*error)(void *context, const char *text),
                   void *context)
{
    struct config *old = program->config;
    char key[CONFIG_PATH_MAX], text[4096];

    struct config *next = config_load(old->path, error, context);
    if (next == NULL)
        return false;
    if (!preflight_sources(next, error, context) || !certificates_load(next, error, context)) {
        config_release(&next);
        return false;
    }
    if (!config_can_follow(old, next, key)) {
        snprintf(text, sizeof(text), "%s: %s changed: that needs a restart; nothing was changed",
                 next->path, key);
        error(context, text);
        config_release(&next);
        return false;
    }
    bool listens = program->worker_count > 0; /* a program without engines does not */
    if (listens && !listeners_add(&program->listeners, next, error, context)) {
        config_release(&next);
        return false;
    }
    certificates_make_contexts(next, program->shared.tickets);
    program->config = next;
    if (program->shared.sts != NULL)
        sts_store_believe(program->shared.sts, next->delivery_tls.ca);
    log_setup(next->log_target == CONFIG_LOG_SYSLOG ? LOG_TO_SYSLOG : LOG_TO_STDERR,
              (enum log_level)next->log_level);
    space_watch_set(program->space_watch, next->min_free_bytes);
    program_sinks_configure(program, next);
    if (program->reporter != NULL)
        reporter_configure(program->reporter, next);
    if (listens)
        listeners_leave(&program->listeners, &program->workers[0], next);
    for (unsigned i = 0; i < program->worker_count; i++)
        worker_call(&program->workers[i], configure, next);
    if (listens)
        listeners_start(&program->listeners, &program->workers[0]);
    config_release(&old);
    log_info("config=%s what=reloaded", LOG_STRING(next->path));
    return true;
}

bool program_reload(struct program *program, void (*error)(void *context, const char *text),
                    void *context)
{
    pthread_mutex_lock(&program->change);
    bool is_good = reload(program, error, context);
    pthread_mutex_unlock(&program->change);
    return is_good;
}

static void log_reload_error(void *context, const char *text)
{
    (void)context;
    log_error("what=\"reload refused\" why=%s", LOG_STRING(text));
}

/* Nobody waits for an answer: what was wrong is in the log. */
static void reload_on_signal(struct program *program)
{
    if (!program_reload(program, log_reload_error, NULL))
        log_warn("what=\"the old configuration stays in force\"");
}

/* --- signals ---------------------------------------------------------------------------------- */

static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, signals, NULL); /* inherited by every thread made after */
    signal(SIGPIPE, SIG_IGN);
}

static void end_suspensions(struct program *program)
{
    size_t count;
    const struct suspension *ended = suspension_file_removed(program->suspensions, &count);

    for (size_t i = 0; i < count; i++)
        operator_event_resumed(program, &ended[i], "its time was over");
    program_spread_suspensions(program);
}

/* Nothing waits for wall time, so there is little to do: the dates in suspensions.json. */
static void look_at_clock(struct program *program)
{
    struct clocks clocks = clocks_read();
    int64_t step_ms = clock_watch_look(&program->clock, clocks);
    size_t count;

    clock_file_look(&program->clock_file, clocks, step_ms != 0);
    if (step_ms == 0)
        return;
    metric_inc(METRIC_CLOCK_STEPS);
    log_warn(
        "clock_step_ms=%lld what=\"the wall clock was set; ages, retries and suspensions go on "
        "by the monotonic clock\"",
        (long long)step_ms);
    (void)suspension_file_rules(program->suspensions, &count);
    if (count > 0)
        program->has_unsaved_suspensions = true;
}

/* Once a second between signals: a clock that was set, suspensions whose time is over. Where the
 * file cannot be written they are over all the same: at the worst the next start ends, and tells
 * of, them again. */
static void tick(struct program *program)
{
    pthread_mutex_lock(&program->change);
    look_at_clock(program);
    program_sinks_follow(program);
    bool any = suspension_file_expire(program->suspensions, clock_monotonic_ms());
    if (any || program->has_unsaved_suspensions) {
        int error = program_save_suspensions(program);

        if (error < 0)
            log_limited(LOG_LEVEL_ERROR, "error=\"%s\" what=\"suspensions.json cannot be written\"",
                        strerror(-error));
    }
    if (any)
        end_suspensions(program);
    pthread_mutex_unlock(&program->change);
}

/* What another try would only meet again is no failure of the system: systemd must not try. */
static enum exit_code exit_code_of(int error)
{
    switch (error) {
    case -EPROTO:       /* a spool of another node or shard, or of a newer version */
    case -ENOTSUP:      /* event files of a newer version */
    case -ENAMETOOLONG: /* state_dir */
        return EXIT_CONFIG;
    default:
        return EXIT_OS;
    }
}

/* Of the first worker that cannot go on; 0: all can. */
static int run_error(const struct program *program)
{
    int error = 0;

    for (unsigned i = 0; error == 0 && i < program->worker_count; i++)
        error = atomic_load(&program->workers[i].run_error);
    return error;
}

/* Until a signal, or until a worker cannot go on; the exit code. */
static int serve(struct program *program, const sigset_t *signals)
{
    const struct timespec second = {.tv_sec = 1};

    for (;;) {
        int error = run_error(program);

        if (error < 0)
            return exit_code_of(error);
        int signal_number = sigtimedwait(signals, NULL, &second);

        if (signal_number == SIGHUP)
            reload_on_signal(program);
        else if (signal_number == SIGTERM || signal_number == SIGINT)
            return EXIT_GOOD;
        else
            tick(program);
    }
}

static void free_all(struct program *program, int64_t files_ms)
{
    if (program->shared.publisher != NULL)
        publisher_stop(&program->shared.publisher, files_ms);
    if (program->shared.sts != NULL) /* its answers go to engines that are there */
        sts_store_stop(program->shared.sts);
    if (program->book != NULL)
        tenant_book_close(&program->book);
    for (unsigned i = 0; i < program->worker_count; i++)
        worker_join(&program->workers[i]);
    reporter_join(&program->reporter);
    if (program->sinks != NULL)
        sinks_stop(&program->sinks, MAX(files_ms, clock_monotonic_ms() + SINKS_END_MS));
    event_bounds_free(&program->bounds);
    if (program->shared.directory != NULL)
        directory_stop(&program->shared.directory);
    if (program->space_watch != NULL)
        space_watch_stop(&program->space_watch);
    blocking_pool_stop(&program->shared.segment_pool);
    blocking_pool_stop(&program->shared.key_pool);
    blocking_pool_stop(&program->shared.mail_pool);
    archive_reader_stop(&program->shared.archives);
    queue_folders_free(&program->queue_folders);
    mail_store_close(&program->shared.store);
    returns_stop(&program->shared.returns);
    if (program->shared.mail_accounts != NULL)
        mail_accounts_close(&program->shared.mail_accounts);
    if (program->shared.store_egresses != NULL)
        egress_table_free(&program->shared.store_egresses);
    if (program->shared.egresses != NULL)
        egress_table_free(&program->shared.egresses);
    dns_cache_free(&program->shared.dns_cache);
    sts_store_free(&program->shared.sts);
    dns_cache_free(&program->shared.list_cache);
    if (program->suspensions != NULL)
        suspension_file_free(&program->suspensions);
    free(program->workers);
    free(program->shared.loads);
    listeners_free(&program->listeners);
    if (program->metrics_fd >= 0)
        close(program->metrics_fd);
    state_dir_close(&program->state_dir);
    struct config *first = atomic_load(&program->shared.config);
    config_release(&first);
    config_release(&program->config);
    tls_tickets_free(&program->shared.tickets);
    pthread_mutex_destroy(&program->change);
}

static int start_reporter(struct program *program, const struct config *config)
{
    char directory[4096];

    check(state_dir_file(config->state_dir, "events", directory, sizeof(directory)));
    program->reporter = reporter_start(program, directory);
    if (program->reporter != NULL)
        return 0;
    log_error("what=\"no thread for reports: %s\"", strerror(errno));
    return -errno;
}

static int start(struct program *program, const struct config *config)
{
    const char *kernel_why = NULL;

    if (engine_probe(&kernel_why) < 0) {
        log_error("what=%s", LOG_STRING(kernel_why));
        return EXIT_CONFIG;
    }
    int code = program_open(program, config);
    if (code != EXIT_GOOD)
        return code;
    program->shared.suspensions = program->suspensions;
    program->queue_folders = queue_folders_start(program, config->mail_directory);
    if (program->queue_folders == NULL) {
        log_error("what=\"no thread for folders of the queue: %s\"", strerror(errno));
        return EXIT_OS;
    }
    program->shared.mirrors = queue_folders_mirrors(program->queue_folders);
    int error = start_workers(program, config);
    if (error < 0) {
        program_drop_workers(program);
        return exit_code_of(error);
    }
    error = start_reporter(program, config);
    if (error < 0) {
        program_drop_workers(program);
        return exit_code_of(error);
    }
    listeners_start(&program->listeners, &program->workers[0]);
    return EXIT_GOOD;
}

/* On the directory's thread. */
static void on_changed(void *context, const struct audit_row *row)
{
    operator_event_changed(context, row);
}

static unsigned stop_timeout(struct program *program)
{
    pthread_mutex_lock(&program->change);
    unsigned timeout_s = program->config->stop_timeout_s;
    pthread_mutex_unlock(&program->change);
    return timeout_s;
}

/* A service manager must not kill what may go on for longer than its own TimeoutStopSec. */
static void tell_manager(const struct stop_times *times)
{
    enum { MARGIN_MS = 1000 };
    int64_t left_ms = times->end_ms - clock_monotonic_ms() + MARGIN_MS;

    sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld", (long long)left_ms * 1000);
}

int program_run(struct config *config)
{
    struct program *program = calloc(1, sizeof(*program));
    struct control *control = NULL;
    struct metrics_http *metrics = NULL;
    unsigned stop_timeout_s = config->stop_timeout_s;
    sigset_t signals;

    check(program != NULL);
    program->config = config;
    config_keep(config); /* as the first */
    program->state_dir.lock_fd = -1;
    program->metrics_fd = -1;
    program->started_ms = clock_monotonic_ms();
    program->started_wall_ms = clock_wall_ms();
    program->clock = clock_watch_begin(clocks_read());
    pthread_mutex_init(&program->change, NULL);
    event_bounds_init(&program->bounds);
    program->shared.tickets = tls_tickets_create(clock_monotonic_ms);
    certificates_make_contexts(config, program->shared.tickets);
    atomic_store(&program->shared.config, config);
    program->shared.listeners = &program->listeners;
    block_signals(&signals);
    int code = start(program, config);
    if (code == EXIT_GOOD) {
        control = control_start(program);
        if (config->has_metrics)
            metrics = metrics_http_start(program, program->metrics_fd, &config->metrics_address);
        program->metrics_fd = -1;
        if (control == NULL || (config->has_metrics && metrics == NULL))
            code = EXIT_OS; /* said where it failed */
    }
    if (code == EXIT_GOOD) {
        log_info("hostname=%s state_dir=%s engines=%u pid=%d what=ready",
                 LOG_STRING(config->hostname), LOG_STRING(config->state_dir), program->worker_count,
                 (int)getpid());
        sd_notify(0, "READY=1");
        directory_tell_changes(program->shared.directory, on_changed, program);
        code = serve(program, &signals);
        directory_tell_changes(program->shared.directory, NULL, NULL);
        stop_timeout_s = stop_timeout(program);
        log_info("what=\"stopping: no new sessions; attempts in flight have %u s\"",
                 stop_timeout_s);
    }
    const struct stop_times times = stop_times_of(stop_timeout_s);
    if (code == EXIT_GOOD)
        tell_manager(&times);
    struct stop_guard *guard = stop_guard_start(times.end_ms, EXIT_OS);
    atomic_store(&program->stop_until_ms, times.attempts_ms);
    atomic_store(&program->is_stopping, true);
    if (program->sinks != NULL)
        sinks_hurry(program->sinks);
    if (control != NULL)
        control_cut_off(control);
    if (metrics != NULL)
        metrics_http_stop(&metrics);
    if (program->reporter != NULL) /* it calls the first worker */
        reporter_ask_stop(program->reporter);
    if (program->queue_folders != NULL) /* it visits all of them */
        queue_folders_stop(program->queue_folders);
    if (program->worker_count > 0 && program->workers[0].start_error == 0 &&
        !program_has_stopped(program))
        program_drain(program, &signals, &times);
    if (control != NULL)
        control_stop(&control);
    free_all(program, times.files_ms);
    free(program);
    stop_guard_cancel(&guard);
    if (code == EXIT_GOOD)
        log_info("what=stopped");
    return code;
}
