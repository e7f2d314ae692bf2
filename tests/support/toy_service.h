/*
 * toy_service.h - a service with a protocol of single bytes, to test serve/ without any other:
 *
 *   e  answered "e" at once
 *   w  long work: answered "w" after work_turns steps that say LATER
 *   q  answered "q", then closed
 *
 * It says "S", "T" or "M" when a stop, a deadline or memory ends a session.
 */
#pragma once

#include "serve/service.h"

enum toy_state { TOY_COMMAND, TOY_WORK, TOY_CLOSING, TOY_STATE_COUNT };

enum { TOY_DEADLINE_S = 10, TOY_STEPS_MAX = 10 };

struct toy_session {
    struct session session;
    uint64_t work_left;
    uint64_t steps;
    size_t held; /* what pressure is told */
};

struct toy_generation {
    struct generation generation;
    unsigned unused_count;
};

struct toy_service {
    struct service service;
    uint64_t work_turns;
    struct toy_generation generations[2];
    /* of sessions */
    unsigned ended_count, closed_count, stopped_count;
    bool is_busy;          /* is_idle() says no */
    bool ends_are_refused; /* timed_out() lets a session go on */
};

void toy_init(struct toy_service *toy, struct engine *engine, _Atomic int *load,
              const struct service_limits *limits);
/* A session for fd, or "F" and its end. */
struct toy_session *toy_accept(struct toy_service *toy, int fd, const struct address *client);
void toy_stop(struct toy_service *toy, int64_t after_ms);
