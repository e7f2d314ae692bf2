/*
 * program.h - the serving process: start everything, hear signals, reload, stop in order.
 *
 * Order of start: configuration, io_uring, state directory, ports, the user to serve as
 * (privilege.h), workers (recovery), listeners, control socket, metrics. Stop is the reverse: the
 * ports close first, sessions get 421 at a command boundary, attempts in flight end within
 * stop_timeout, the spool is flushed. A second signal breaks off what is left. The disk
 * is not waited for beyond stop_timeout either. The control socket stays open until the workers
 * have ended, and answers `status`.
 */
#pragma once

#include <jansson.h>

#include "relay/clock_file.h"
#include "relay/space_watch.h"
#include "relay/state_dir.h"
#include "relay/suspension_file.h"
#include "relay/worker.h"
#include "sink/sinks.h"

/* sysexits(3); what the program's exit code means is in ringpost(8). */
enum exit_code {
    EXIT_GOOD = 0,
    EXIT_FAILED = 1,     /* the request was understood and could not be done */
    EXIT_USAGE = 64,     /* wrong arguments */
    EXIT_NO_DAEMON = 69, /* nobody answers the control socket */
    EXIT_OS = 71,        /* a system call failed */
    EXIT_BUSY = 75,      /* another process serves this state_dir */
    EXIT_CONFIG = 78,    /* configuration, or a kernel without what we need */
};

struct program {
    struct shared shared;
    struct config *config; /* the newest; under `change`. The first is kept by shared */
    struct state_dir state_dir;
    struct tenant_book *book;
    struct space_watch *space_watch;
    struct event_bounds bounds; /* between the publisher and the sinks */
    struct sinks *sinks;
    struct reporter *reporter;
    struct queue_folders *queue_folders;
    uint64_t sinks_writes; /* of the directory, when its webhooks were read */
    bool sinks_are_unread; /* they could not be */
    struct suspension_file *suspensions;
    bool has_unsaved_suspensions; /* under `change` */
    unsigned worker_count;
    struct worker *workers;
    struct listeners listeners; /* started; then under `change` */
    int metrics_fd;             /* -1: none, or metrics_http has it */
    int64_t started_ms;         /* monotonic */
    int64_t started_wall_ms;
    struct clock_watch clock;      /* the main thread's */
    struct clock_file clock_file;  /* too */
    _Atomic int64_t stop_until_ms; /* monotonic; set before is_stopping */
    _Atomic bool is_stopping;      /* workers may be gone: no worker_call() from now on */
    pthread_mutex_t change;        /* reload and suspensions: one at a time */
};

/* Serves until a signal, or until it turns out that the spool cannot be read; the exit code.
 * `config` is the program's from here on. */
int program_run(struct config *config);

/* Opens the state directory and the ports, and becomes the user to serve as; an exit code, not
 * EXIT_GOOD after what went wrong was logged. Before any thread is made. */
must_use int program_open(struct program *program, const struct config *config);

/* Reads the file again and takes it over whole, or not at all. Any thread but the workers'. Errors
 * are told line by line. */
must_use bool program_reload(struct program *program,
                             void (*error)(void *context, const char *text), void *context);
/* Writes the suspensions; the caller holds `change`. What fails is tried again each second. */
must_use int program_save_suspensions(struct program *program);
/* Hands the suspensions to every worker; the caller holds `change`. */
void program_spread_suspensions(struct program *program);
/* Totals of every worker. */
struct program_status {
    struct shard_status spool;
    struct delivery_status delivery;
    uint64_t sessions, domains;
    int64_t oldest_age_ms[PENDING_WAITS_MAX]; /* of unfinished recipients (queue_age.h) */
    struct message_id oldest_id[PENDING_WAITS_MAX];
    int64_t busy_us; /* of the engine, or of all */
};
/* Of one worker; any thread but the workers'. */
void program_worker_status(struct worker *worker, struct program_status *out);
void program_status(struct program *program, struct program_status *out);
/* What a stop still waits for. Asks no worker: theirs were counted a moment ago. Any thread. */
struct program_left {
    uint64_t sessions, attempts;
    int64_t until_ms; /* wall */
};
void program_left(struct program *program, struct program_left *out);
/* What the system says of this process, under Prometheus' usual names; false when `out` is full. */
void program_process_metrics(const struct program *program, struct exposition *exposition);
/* What the allocator says of itself; nothing where it is not jemalloc. */
void program_memory_metrics(struct exposition *exposition);
/* The metric table and what is counted on demand. False when `out` is full. */
must_use bool program_metrics(struct program *program, enum exposition_format format,
                              struct buf *out);
