/*
 * listener.h - a listening socket and the fair spreading of its connections over the engines.
 *
 * One engine accepts (multishot) for all; each connection is handed to the engine with the fewest
 * sessions, by inbox, so one application with four connections uses every core. When descriptors
 * run out the accept op ends: the listener says so once, waits a second and starts again; a
 * spare descriptor kept open lets it answer waiting clients with "421 4.3.2" before that.
 *
 * Thread: the accepting engine's; listener_load is shared and atomic.
 */
#pragma once

#include "io/address.h"
#include "io/engine.h"

struct listener;

/* How many sessions each engine has; whoever opens or closes a session adds to its own cell. */
struct listener_load {
    struct engine *engine;
    _Atomic int sessions;
    /* Called on `engine` with an accepted, non-blocking fd that it now owns. */
    void (*accepted)(void *context, int fd, void *listener_context);
    void *context;
};

struct listener_settings {
    struct address address;
    int backlog;                  /* 0: 4096 */
    struct listener_load *loads;  /* one an engine */
    unsigned load_count;
    void *context;                /* handed to accepted() as listener_context */
};

/* Binds and listens on a plain fd, before engines run, so that a taken port is a start-up error.
 * fd or -errno. */
must_use int listener_bind(const struct address *address, int backlog);
/* Starts accepting on `fd` (owned from here on). */
struct listener *listener_start(struct engine *engine, int fd,
                                const struct listener_settings *settings);
/* Stops accepting, closes the socket; closed() is called once nothing is in flight. */
void listener_stop(struct listener *listener, void (*closed)(void *context), void *context);
