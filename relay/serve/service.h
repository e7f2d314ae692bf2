/*
 * service.h - one engine's part of a service: its sessions, who may have one, the settings they
 * began under, and how they all end.
 *
 * A service (submission now) embeds this. It asks service_admit() for a session for each accepted
 * connection, and gives each reload's settings to service_configure(). Sessions come from a slab;
 * the driver (session.h) gives them back.
 *
 * The number of sessions is kept in *load as well, from admission until nothing of a session is in
 * flight: that is how the listener finds the engine that has the fewest. Who was not admitted was
 * never counted.
 *
 * A stop ends each session at its next boundary; what is there at the deadline is closed at once;
 * stopped() is called last.
 *
 * Thread: one object an engine, the engine's thread.
 */
#pragma once

#include <stdatomic.h>

#include "base/slab.h"
#include "serve/pressure.h"
#include "serve/session.h"

enum service_answer {
    SERVICE_ADMITS,
    SERVICE_STOPS,
    SERVICE_HAS_TOO_MANY_OF_CLIENT,
    SERVICE_HAS_TOO_MANY,
};

/* Why there is no session, in words: "has", "too many sessions of your address". */
struct service_refusal {
    const char *verb, *what;
    const char *setting; /* of the service's section; NULL: none says so */
};

struct service_limits {
    unsigned sessions_max;            /* of this engine's share */
    unsigned sessions_total_max;      /* of all services of the process; 0: any */
    unsigned sessions_per_client_max; /* a client address (admission.h) of the process; 0: any */
    uint64_t memory_max;              /* of the process (pressure.h); 0: any */
};

struct service;

struct service_kind {
    size_t session_size; /* of the object that begins with a struct session */
    struct pressure_kind pressure;
    /* Besides sessions: nothing is under way that a stop has to wait for. NULL: nothing ever is. */
    bool (*is_idle)(const struct service *service);
};

struct service {
    struct engine *engine;
    const struct service_kind *kind;
    struct generation *generation; /* the newest */
    struct slab slab;
    struct list sessions;
    unsigned session_count;
    unsigned sessions_total_max, sessions_per_client_max;
    _Atomic int *load;
    struct pressure pressure;
    bool is_stopping;
    struct timeout stop_deadline;
    struct turn_end stop_end;
    void (*stopped)(void *context);
    void *stopped_context;
};

/* `load`: where the listener looks (listener_load.sessions of this engine). service_configure() is
 * to follow before anybody is admitted. The struct must not move. */
void service_init(struct service *service, struct engine *engine, const struct service_kind *kind,
                  _Atomic int *load);
/* New sessions are under `generation`, whose first reference is taken over. */
void service_configure(struct service *service, const struct service_limits *limits,
                       struct generation *generation);
/* Whose accepted fd it is. False: the peer has gone already, and the fd is closed. */
must_use bool service_peer(struct service *service, int fd, struct address *client_out);
/* A session for `client`, zeroed but for what the service keeps in it; it is to be started at once,
 * and gives itself back. Or why there is none. */
must_use enum service_answer service_admit(struct service *service, const struct address *client,
                                           struct session **session_out);
/* The session is another client's than the connection says, as a proxy told: it is counted there.
 * False: that one has too many, and it stays where it was. */
must_use bool service_readmit(struct session *session, const struct address *client);
const struct service_refusal *service_refusal_of(enum service_answer answer);
/* Sends `line` (or nothing) to an fd that no session can be had for, best effort, and closes it. */
void service_turn_away(struct service *service, int fd, struct bytes line);
/* stopped() is called later, once every session is gone and is_idle(). Once. */
void service_stop(struct service *service, int64_t deadline_ms, void (*stopped)(void *context),
                  void *context);
/* is_idle() may have become true. */
void service_look_if_stopped(struct service *service);
void service_abort(struct service *service); /* every session, at once */
void service_end(struct service *service);   /* no session is left */
