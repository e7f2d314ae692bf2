/*
 * pressure.h - what gives when mail takes as much memory as it may (limits.memory).
 *
 * First, in the last sixteenth, new work: the service asks pressure_is_high() before it begins any
 * and refuses it for now. When all of it is used, the sessions that hold most: their buffers and
 * what the service holds for them go, and they are told so. Sessions with less than
 * RELIEF_MEMORY_MIN are never ended for it, nor those that held() says nothing is gained from.
 * Each engine looks at its own sessions of each service, after a turn, and ends none of them while
 * somebody else's holds more than twice as much: from the last sixteenth on all tell each other
 * what their greediest holds. An engine that sleeps tells it when it wakes up, within a second.
 *
 * Thread: the engine's.
 */
#pragma once

#include <stdatomic.h>

#include "io/engine.h"

struct session;

enum { RELIEF_MEMORY_MIN = 4096 };

struct pressure_kind {
    /* What ending the session gives back; 0: it gives it back already, or an answer is to come. */
    size_t (*held)(const struct session *session);
    void (*shed)(struct session *session); /* ends it */
};

struct pressure {
    struct engine *engine;
    const struct pressure_kind *kind;
    const struct list *sessions; /* of session.node */
    uint64_t memory_max;         /* of the process; 0: no limit */
    struct turn_hook hook;
    int64_t rest_ms;     /* not looked at before */
    bool was_high;       /* at the last turn */
    _Atomic size_t most; /* what the greediest of them holds, for the others; 0 below the mark */
    struct pressure *next;
};

/* Looks at the end of each turn from now on; pressure_leave() before it is freed. */
void pressure_watch(struct pressure *pressure, struct engine *engine,
                    const struct pressure_kind *kind, const struct list *sessions);
void pressure_leave(struct pressure *pressure);
/* No more may begin. */
bool pressure_is_high(const struct pressure *pressure);
