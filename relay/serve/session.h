/*
 * session.h - one client's conversation with a service: a connection, a table of states, and the
 * driver that runs their steps.
 *
 * A protocol embeds a session as the first member of an object of its own and brings a
 * session_protocol. A step *pulls* what has arrived and says how to go on, so it does not matter
 * which completion woke it; it never frees the session.
 *
 *   session_start --> the protocol's states --STEP_CLOSE, deadline, error, abort--> its closing
 *                       |         ^                                                 state --> gone
 *                       '--LATER--'
 *
 * A turn of the engine has a budget for each session: steps_max steps. Who used it up, or said
 * LATER because its work is long, goes on at the end of the next turn, when all others had theirs;
 * meanwhile nothing wakes it but errors, its deadline, and its end. LATER is no progress: the
 * deadline of a state bounds all turns of its work.
 *
 * The driver knows no protocol and no service: whose session it is hears of its end by gone().
 *
 * Thread: the engine's.
 */
#pragma once

#include "base/metric.h"
#include "io/conn.h"
#include "serve/admission.h"
#include "serve/generation.h"

enum step {
    STEP_AGAIN, /* progress was made, run the current state's step again */
    STEP_WAIT,  /* nothing more to do until the connection or the service wakes us */
    STEP_LATER, /* there is more to do: next turn */
    STEP_CLOSE, /* the session is over: send what was written, then close */
};

struct session;

struct session_state {
    const char *name;
    unsigned deadline_s; /* from the last progress on, where the protocol has no deadline_ms() */
    enum step (*step)(struct session *session); /* NULL for the closing state alone */
    unsigned next;                              /* states that may follow, as bits */
    bool is_boundary; /* between two commands: where a graceful stop ends it */
    enum metric gauge;
};

enum session_leave {
    LEAVE_STOP,   /* the service stops; the session stands at a boundary */
    LEAVE_MEMORY, /* memory is short, and this session holds much of it */
};

struct session_protocol {
    const struct session_state *states; /* a session begins in the first */
    unsigned state_count;
    unsigned closing;   /* the state that ends every session; none follows it */
    unsigned steps_max; /* a turn */
    /* For the state it is in, from now. NULL: as the table says. */
    int64_t (*deadline_ms)(const struct session *session);
    /* The deadline passed. STEP_CLOSE ends the session, after a word to the peer. */
    enum step (*timed_out)(struct session *session);
    /* We end it: says so to the peer, best effort. */
    void (*leave)(struct session *session, enum session_leave why);
    /* Called once, on the way into the closing state: what is under way is given up. */
    void (*ended)(struct session *session);
    /* Nothing is in flight any more; last call of the protocol's. */
    void (*closed)(struct session *session);
    enum metric open, accepted; /* a gauge and a counter of sessions */
};

struct session {
    struct conn conn;
    const struct session_protocol *protocol;
    uint8_t state; /* written by session_enter() only */
    bool is_running;
    bool is_stopping;
    uint8_t later; /* session.c */
    struct turn_end later_end;
    uint64_t serial;      /* see session_name() */
    int64_t connected_ms; /* wall */
    char peer[ADDRESS_TEXT_MAX];
    /* Whose it is: set before the start (service.h). */
    void (*gone)(struct session *session); /* last of all; the session may be freed. NULL: nobody */
    struct service *service;
    struct list_node node; /* of service.sessions */
    struct generation *generation;
    struct admission_key client;
};

/* Takes over an accepted fd. The object is zeroed but for what its owner set. session_run() is to
 * follow. */
void session_start(struct session *session, const struct session_protocol *protocol,
                   struct engine *engine, int fd, const struct conn_settings *settings);
/* Runs steps until one waits. May be called from inside a step: the loop that runs then sees the
 * new state. Nothing while the session goes on later. */
void session_run(struct session *session);
/* The one door: asserts the transition, moves the gauge, logs it at debug. */
void session_enter(struct session *session, unsigned state);
/* The deadline of the state it is in, from now on. */
void session_arm(struct session *session);

void session_finish(struct session *session); /* what was written is sent, then it closes */
void session_abort(struct session *session);  /* closes at once */
void session_stop(struct session *session);   /* leaves at the next boundary */
/* Leaves for want of memory; at once if the peer does not even read what it was answered. */
void session_shed(struct session *session);

bool session_is_closing(const struct session *session);
const char *session_state_name(const struct session *session);
/* "<engine>.<serial>": `session=` in log lines, and in events. */
enum { SESSION_NAME_MAX = 32 };
void session_name(const struct session *session, char out[static SESSION_NAME_MAX]);
