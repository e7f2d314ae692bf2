/*
 * sink_private.h - sinks and their host from inside: what their files share.
 *
 *   sink.c           what others ask of a sink
 *   sink_state.c     what kinds tell of it: answers, troubles
 *   sink_round.c     what it does when it was touched
 *   sink_gap.c       its places: what it was told, and what is left out
 *   sink_offer.c     an event, or a gap, for it
 *   sink_reading.c   who reads for it: the state machine below
 *   sink_readers.c   the head, and turns of those that are behind
 *   sink_host.c      the thread
 *   sink_save.c      cursors that are to be saved
 *   sink_status.c    what is told of it
 *
 * Who reads for a sink (sink_reading_set() is the only one that changes it):
 *
 *                        its turn                  no more to read
 *          +--> WAITS ---------------> CATCHES_UP -----------------> AT_HEAD
 *          |      ^                     |      |                        |
 *   wants  |      |   the turn is over  |      |  paused, restarting,   |
 *   lines  |      +---------------------+      |  or no room            |
 *          |      |                            v                        |
 *          +----RESTS <-------------------------------------------------+
 *
 * Where it stands at the head's place already, it goes from RESTS or WAITS to AT_HEAD. Its place is
 * that of whoever reads for it, else `next`.
 *
 * Private to relay/sink.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/list.h"
#include "event/event_reader.h"
#include "sink/sink_audience.h"
#include "sink/sink_cursor.h"
#include "sink/sink_host.h"
#include "sink/sink_timers.h"
#include "sink/sink_window.h"

enum sink_order_kind { ORDER_PAUSE, ORDER_RESUME, ORDER_REPLAY };

struct sink_order {
    enum sink_order_kind kind;
    bool is_done;
    int result;
    int64_t since_ms;
    struct event_place place;
    uint64_t count;
};

/* Events of the newest gap that are counted in gap_events. */
struct sink_left_out {
    uint64_t from, to; /* of event_place */
    uint64_t events;
};

/* What is read to be counted and not told: up to a file or a time, whichever is set. */
struct sink_skip {
    bool is_on;
    uint64_t to_number;    /* the first file that is told; 0: by time */
    int64_t to_ms;         /* wall, of the first event that is told */
    const char *reason;    /* sink_gap_reason() */
    struct event_place at; /* where it began */
    uint64_t wanted;       /* or EVENT_GAP_UNKNOWN */
};

enum sink_reading { SINK_RESTS, SINK_WAITS, SINK_CATCHES_UP, SINK_AT_HEAD };

struct sink {
    char name[SINK_NAME_MAX + 1];
    const struct sink_kind *kind;
    struct sink_host *host;

    pthread_mutex_t order_lock; /* one order at a time */
    /* under the host's lock */
    struct list_node posted; /* others asked something of it */
    void *next_object;       /* to go on with; NULL: none */
    uint64_t give_up;        /* 0: nothing */
    struct sink_order *order;
    bool is_asked_to_stop;
    int64_t until_ms; /* monotonic; of the stop */
    bool is_begun;    /* written by the thread */
    bool has_ended;
    bool is_idle_at_head; /* its place is the head's */
    struct sink_status status;

    /* the thread's own */
    struct list_node node, ready, shown, unsaved; /* in lists of the host */
    struct sink_timer timer;
    void *object;
    struct sink_window window;
    struct sink_cursor cursor;
    struct sink_order *obeyed;   /* is done once the cursor is saved */
    struct event_place saved;    /* `at` of the cursor's file, */
    struct event_place saved_go; /* and `go` */
    int64_t saved_ms;            /* monotonic */
    bool is_cursor_saved;
    int save_error;
    enum sink_reading reading;
    struct sink_reader *reader; /* who reads for it; NULL where nobody does */
    struct event_place next;    /* else */
    struct list_node waiting;
    size_t joining_at; /* in `joining` of the readers, from 1 on; 0: it is not there */
    struct listener listener;
    bool is_full; /* until sink_has_room() */
    struct sink_skip skip;
    struct {
        bool is_pending;
        struct event_gap gap;
        struct event_place at; /* before what is left out */
    } gap;
    int64_t begin_ms; /* monotonic: not before */
    int64_t pause_ms; /* of the next restart */
    bool is_restarting;
    bool is_stopping;
    bool has_stopped;
    enum sink_problem problem;
    char text[SINK_TEXT_MAX];
    int64_t problem_wall_ms;
    int64_t problem_ms; /* monotonic */
    uint64_t answered, restarts, gaps, gap_events;
    struct sink_left_out counted;
};

/* One that reads for all its listeners. */
struct sink_reader {
    struct event_reader *events; /* NULL: not opened yet */
    struct event_place place;    /* behind what they were told */
    struct audience audience;
    int64_t time_ms; /* wall, of the last event */
};

enum { CATCH_UP_READERS = 3 };

/* Who is behind has turns, one at a time; who comes to stand where the turn is takes part in it. */
struct sink_readers {
    struct sink_reader head;
    struct sink_reader turn; /* `events` is one of these: */
    struct event_reader *catch_up[CATCH_UP_READERS];
    uint64_t used[CATCH_UP_READERS]; /* when last, by turn_count */
    uint64_t turn_count;
    size_t chosen; /* of them */
    bool is_turn;
    bool is_stuck;   /* there is no line for it, as where a file was cut */
    bool has_jumped; /* in this slice: to where the next one waits */
    uint64_t turn_lines;
    struct list waiting;   /* sinks, the longest first */
    struct sink **joining; /* of them, by place: ahead of the turn */
    size_t joining_count, joining_next;
    struct event_place committed; /* of this round */
    struct {                      /* the place of the first line behind what is gone or damaged */
        struct event_place from, to;
    } known;
};

struct sink_host {
    const struct sink_kind *kind;
    char *directory;
    struct event_bounds *bounds;
    int directory_fd; /* of the cursors */
    void *ground;
    pthread_t thread;
    _Atomic bool is_hurried; /* look through no files for long */

    pthread_mutex_t lock; /* of this part */
    pthread_cond_t wake;  /* the thread, while it has nothing else to wait in */
    pthread_cond_t done;  /* whoever waits for a sink */
    bool is_woken;
    bool is_stopping;
    struct list posted;
    struct event_place head; /* of readers.head */
    int64_t head_time_ms;

    /* the thread's own */
    struct list sinks, ready, shown;
    struct list unsaved, urgent;
    int64_t save_ms; /* monotonic: none but urgent ones before */
    struct sink_timers timers;
    struct sink_readers readers;
    struct buf gap_line;
};

#define SINK_OF(pointer, member) \
    ((struct sink *)(void *)((char *)(pointer)-offsetof(struct sink, member)))

/* --- sink_host.c --- */

/* Somebody asks something of it. Under the lock. */
void sink_host_post(struct sink *sink);

/* --- sink_state.c --- */

enum { SINK_PAUSE_MS_MIN = 500, SINK_PAUSE_MS_MAX = 15000 };

/* The cursor is saved within a second or so, or before the end of the round. */
void sink_save_soon(struct sink *sink);
void sink_save_now(struct sink *sink);

int64_t sink_problem_since_ms(const struct sink *sink);
/* It failed before, and that is over. */
void sink_fail_no_more(struct sink *sink);

/* --- sink_save.c --- */

/* Saves what is to be saved by now. */
void sink_save_due(struct sink_host *host, int64_t now_ms);
/* Monotonic: when that has to be done next. */
int64_t sink_save_due_ms(const struct sink_host *host);

/* --- sink_gap.c --- */

/* Where it reads next. */
struct event_place sink_next_place(const struct sink *sink);
/* Behind what it was told, or has in flight. */
struct event_place sink_told_place(const struct sink *sink);
/* The cursor goes behind what was answered. */
void sink_pass_answered(struct sink *sink);
/* Nobody may read for it. From now on it reads at the cursor's place; what was in flight is
 * forgotten. */
void sink_go_to_cursor(struct sink *sink);
/* What is between what it was told and `to` is left out. */
void sink_leave_gap(struct sink *sink, struct event_place to, uint64_t wanted, const char *reason);
void sink_skip_to_file(struct sink *sink, uint64_t number);
void sink_skip_to_time(struct sink *sink, int64_t since_ms, const char *reason);
/* All before `to` was looked at. */
void sink_end_skip(struct sink *sink, struct event_place to);
/* Goes back to where the order says. */
void sink_go_back(struct sink *sink, struct sink_order *order);

/* --- sink_offer.c --- */

bool sink_is_wanted(const struct sink *sink, const struct sink_event *event);
/* An event that is read at `at`: false where nobody may read on for it. */
bool sink_offer(struct sink *sink, const struct sink_event *event, struct event_place at);
/* The gap that is pending: false: no room. */
bool sink_offer_gap(struct sink *sink);

/* --- sink_reading.c --- */

/* Is there somebody to read for? */
bool sink_wants_lines(const struct sink *sink);
void sink_reading_set(struct sink *sink, enum sink_reading reading);
/* What follows from its state. */
void sink_reading_settle(struct sink *sink);

/* --- sink_readers.c --- */

void sink_readers_init(struct sink_readers *readers, struct event_place head);
void sink_readers_free(struct sink_readers *readers);
/* A slice; true: there is more to read at once. */
bool sink_readers_read(struct sink_host *host);

/* --- sink_round.c --- */

void sink_round(struct sink *sink);

/* --- sink_status.c --- */

void sink_status_tell(struct sink *sink);
