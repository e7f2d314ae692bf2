/*
 * sink.h - one who is told of events: its cursor and state.
 *
 *   event files -> reader -> window -> take() of its kind ... sink_answered() -> cursor
 *
 * A kind (kafka.h) knows how to tell events; everything else is the same for all: where it is, what
 * is in flight, what happens when it fails, pauses, goes back in time or is too far behind. A sink
 * never slows an engine or the publisher: it runs on the thread of a host (sink_host.h), which
 * reads files for it.
 *
 * What was taken and not answered when a sink is restarted, or the process killed, is told again
 * with the same event_ids. Nothing is stepped over without a gap record (event/event_gap.h).
 */
#pragma once

#include "event/event_bounds.h"
#include "event/event_line.h"

struct sink;

enum sink_problem {
    SINK_WELL,
    SINK_UNREACHABLE,
    SINK_AUTHENTICATION,
    SINK_TLS,
    SINK_NO_TOPIC,
    SINK_NO_LEADER,
    SINK_NOT_AUTHORIZED,
    SINK_TOO_LARGE,
    SINK_ADDRESS, /* its name leads to an address that is not public */
    SINK_ANSWER,  /* it answers something other than that it took events */
    SINK_SLOW,
    SINK_FILES, /* the event files, or its cursor file, do not read or write */
    SINK_OTHER,
    SINK_PROBLEM_COUNT
};
const char *sink_problem_name(enum sink_problem problem); /* "unreachable" */

struct sink_event {
    struct bytes line;              /* without its line feed; dead after the call */
    const struct event_line *parts; /* of it; all empty where it is of an unknown form */
    uint64_t ticket;                /* for sink_answered() */
};

/* What all sinks of a kind share that run on one thread. All but wake() on that thread. */
struct sink_ground {
    void *(*open)(void); /* on another thread, before all */
    void (*close)(void **ground);
    /* Waits for whatever there is to do for any of them, at most wait_ms, until wake(); does it,
     * and calls sink_touch() for each that it concerned. */
    void (*wait)(void *ground, int64_t wait_ms);
    void (*wake)(void *ground); /* any thread */
};

/* What makes a sink one of Kafka, or a webhook. All but wake() on the sink's thread. */
struct sink_kind {
    const char *name;
    const struct sink_ground *ground; /* NULL: each has a thread of its own */
    unsigned window;                  /* most events in flight */
    unsigned slow_ms; /* without an answer, from when on that is a trouble; 0: the kind tells that,
                       * and sink_failed() */
    /* Copies what it needs of the settings; on the thread that configures. */
    void *(*make)(const void *settings, struct sink *sink);
    bool (*is_same)(const void *object, const void *settings);
    void (*free)(void **object);
    /* Gets ready to take; false after sink_restart(). end() is called for each begin(), and takes
     * no longer than until_ms (monotonic); what was not answered then is forgotten. */
    bool (*begin)(void *object);
    void (*end)(void *object, int64_t until_ms);
    /* NULL: everything. What it does not want is neither offered nor counted in its gaps. */
    bool (*wants)(const void *object, const struct sink_event *event);
    /* The tenant whose events alone it can want; NULL, or no such function: any. */
    const char *(*tenant)(const void *object);
    /* False: no room now, the same event is offered again after sink_has_room(). Else
     * sink_answered() is called once, here or later, or sink_restart(). */
    bool (*take)(void *object, const struct sink_event *event);
    /* Does what there is to do. Without a ground it waits for it, at most wait_ms, until wake();
     * with one it is called after sink_touch(), and when it is due. */
    void (*work)(void *object, int64_t wait_ms);
    int64_t (*due_ms)(const void *object); /* monotonic; with a ground only */
    void (*wake)(void *object);            /* any thread, between begin() and end(); without one */
};

/* --- for kinds, on the sink's thread ---------------------------------------------------------- */

/* The event was taken over by the other side for good. */
void sink_answered(struct sink *sink, uint64_t ticket);
/* It failed, and will be tried again: for how many ms it has without an answer, over restarts, of
 * which the time between two runs counts once this one's failures have lasted for settle_ms. Is
 * kept in the cursor: a durable write each time. */
int64_t sink_failed(struct sink *sink, int64_t settle_ms);
bool sink_is_failing(const struct sink *sink); /* in this run */
/* Something is wrong, or SINK_WELL: told in status, metrics and log. An answer makes it well. */
void sink_trouble(struct sink *sink, enum sink_problem problem, const char *text);
/* The same, and begin again at the first event without an answer, after a while or (with
 * `at_once`) without one. */
void sink_restart(struct sink *sink, enum sink_problem problem, const char *text, bool at_once);
/* It takes events again. */
void sink_has_room(struct sink *sink);
/* There is something to do for it: work() is called soon. */
void sink_touch(struct sink *sink);
/* Everything in flight is forgotten, and offered again after sink_has_room(). */
void sink_take_back(struct sink *sink);
/* Nothing that is committed is left to offer to it. */
bool sink_is_at_head(const struct sink *sink);
void *sink_ground(const struct sink *sink);
const char *sink_name(const struct sink *sink);
bool sink_has_unanswered(const struct sink *sink);
bool sink_is_restarting(const struct sink *sink);
bool sink_is_paused(const struct sink *sink);
/* It is to tell what it has at once: it will end. */
bool sink_is_stopping(const struct sink *sink);
/* What has no answer and happened before `since_ms` (wall) is given up: a gap record takes its
 * place. Everything in flight is forgotten, by the kind before it calls. It is counted in turns. */
void sink_leave_out_older(struct sink *sink, int64_t since_ms, const char *reason);

/* --- for sinks.c ------------------------------------------------------------------------------ */

enum { SINK_TEXT_MAX = 256, SINK_NAME_MAX = 100 };

struct sink_status {
    char name[SINK_NAME_MAX + 1];
    const char *kind;
    uint64_t owner;
    bool is_paused;
    enum sink_problem problem;
    char text[SINK_TEXT_MAX]; /* of the problem */
    int64_t since_ms;         /* wall, of the problem, over restarts where it failed; or 0 */
    uint64_t behind_events;   /* committed in the files and not answered */
    int64_t behind_ms;        /* age of the oldest of them */
    uint64_t in_flight;
    uint64_t answered, restarts, gaps, gap_events; /* since the start */
    uint64_t needs;                                /* number of the oldest file it still reads */
    struct event_place at;                         /* everything before it was answered */
    int64_t oldest_ms;                             /* wall, of the first event behind `at`; or 0 */
};

struct sink_settings {
    const char *name; /* sink_name_is_valid() */
    const struct sink_kind *kind;
    const void *settings; /* of the kind */
    uint64_t owner;       /* a cursor of another one's is not its own: it begins anew */
};

struct sink_host;

/* Without a cursor it begins behind what is committed now. NULL with a sentence in `why`. */
struct sink *sink_start(struct sink_host *host, const struct sink_settings *settings, char *why,
                        size_t why_len);
/* Goes on with other settings of the same kind, where they differ. */
void sink_configure(struct sink *sink, const struct sink_settings *settings);
/* Asks to end: it tells what it can until until_ms (monotonic), as long as nothing is wrong. */
void sink_ask_stop(struct sink *sink, int64_t until_ms);
void sink_join(struct sink **sink);
void sink_status(struct sink *sink, struct sink_status *out);
/* The number of the oldest file that it still reads. */
uint64_t sink_needs(struct sink *sink);
/* What is before file `number` is given up: a gap record takes its place. */
void sink_give_up(struct sink *sink, uint64_t number);
/* Durable when they return 0; else -errno. Not on the sink's thread. */
must_use int sink_pause(struct sink *sink, bool is_paused);
/* Goes back to `place`, that of the first event since `since_ms` (wall), never on, past what it was
 * not told; how many are told from where it is. */
must_use int sink_replay(struct sink *sink, struct event_place place, int64_t since_ms,
                         uint64_t *count_out);
