/*
 * sink_private.h - one sink from inside: what its files share.
 *
 *   sink.c         its thread, state, commands
 *   sink_read.c    what it reads next: events, gaps, another place
 *
 * A circle of sink.c and sink_read.c: the thread reads on, and where that fails or comes to another
 * place it begins anew, or saves where it is.
 *
 * Private to relay/sink.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "event/event_reader.h"
#include "sink/sink.h"
#include "sink/sink_cursor.h"
#include "sink/sink_window.h"

enum sink_order_kind { ORDER_NONE, ORDER_PAUSE, ORDER_RESUME, ORDER_REPLAY };

struct sink_order {
    enum sink_order_kind kind;
    bool is_done;
    int result;
    int64_t since_ms;
    uint64_t count;
};

/* Events of the newest gap that are counted in gap_events. */
struct sink_left_out {
    uint64_t from, to; /* of event_place */
    uint64_t events;
};

struct sink {
    char name[SINK_NAME_MAX + 1];
    const struct sink_kind *kind;
    struct event_bounds *bounds;
    int directory_fd; /* of the cursors */
    pthread_t thread;
    _Atomic bool is_stopping;
    _Atomic bool is_hurried; /* look through no files for long */
    int64_t until_ms;        /* monotonic; set before is_stopping */

    pthread_mutex_t lock; /* of this part */
    pthread_cond_t wake;  /* the thread, while nothing is begun */
    pthread_cond_t done;  /* whoever gave an order */
    bool is_woken;
    bool is_begun; /* wake() may be called */
    bool has_ended;
    void *next_object; /* to go on with; NULL: none */
    uint64_t give_up;  /* 0: nothing */
    struct sink_order *order;
    struct sink_status status;
    pthread_mutex_t order_lock; /* one order at a time */

    /* the thread's own */
    void *object;
    struct event_reader *reader;
    struct sink_window window;
    struct sink_cursor cursor;
    bool is_cursor_saved;
    bool has_passed; /* since it was saved, if only what it does not want */
    int64_t save_ms; /* monotonic: not before */
    bool has_line;   /* read and not taken */
    struct bytes line;
    struct event_place line_at; /* before it */
    struct {
        bool is_pending;
        struct event_gap gap;
        struct event_place end;
        struct buf line;
    } gap;
    int64_t begin_ms; /* monotonic: not before */
    int64_t pause_ms; /* of the next restart */
    bool is_restarting;
    enum sink_problem problem;
    char text[SINK_TEXT_MAX];
    int64_t problem_wall_ms;
    int64_t problem_ms; /* monotonic */
    uint64_t answered, restarts, gaps, gap_events;
    struct sink_left_out counted;
};

/* --- sink_read.c --- */

/* Reads at the cursor's place from now on; what was in flight is forgotten. */
void sink_go_to_cursor(struct sink *sink);
/* Offers what there is: false when there is nothing more for now, or no room. */
bool sink_feed(struct sink *sink);
/* Where it reads next. */
struct event_place sink_next_place(const struct sink *sink);
/* Everything before file `number` is left out. */
void sink_leave_out(struct sink *sink, uint64_t number);
/* Sets the cursor back to the first event since then; how many there are from where it is. 0 or
 * -errno. */
must_use int sink_seek_time(struct sink *sink, int64_t since_ms, uint64_t *count_out);

/* --- sink.c --- */

/* The cursor goes behind what was answered. */
void sink_pass_answered(struct sink *sink);
/* Durable when 0. */
int sink_save_cursor(struct sink *sink);
