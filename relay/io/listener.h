/*
 * listener.h - a listening socket and the fair spreading of its connections over the engines.
 *
 * One engine accepts (multishot) for all; each connection is handed to the engine with the fewest
 * sessions, by inbox, so one application with four connections uses every core; equals take turns.
 * A connection on its way counts as a session of the engine it goes to.
 *
 * When descriptors run out the accept op ends: the listener says so once, gives waiting clients the
 * refusal by means of a spare descriptor kept for that, waits a second and starts again.
 *
 * Thread: the accepting engine's; listener_load is shared and atomic.
 */
#pragma once

#include "io/address.h"
#include "io/engine.h"

struct listener;

/* How many sessions each engine has; its services add and take away (serve/service.h). */
struct listener_load {
    struct engine *engine;
    _Atomic int sessions;
    /* Called on `engine` with an accepted, non-blocking fd that it now owns. */
    void (*accepted)(void *context, int fd, void *listener_context);
    void *context;
};

/* What the pointers name must live until every engine has stopped: connections are on their way. */
struct listener_settings {
    struct listener_load *loads; /* one an engine */
    unsigned load_count;
    void *context;        /* handed to accepted() as listener_context */
    const char *name;     /* its address, for the log */
    struct bytes refusal; /* "421 4.3.2 ...\r\n" when descriptors ran out */
};

/* Binds and listens on a plain fd, before engines run, so that a taken port is a start-up error.
 * IPv6 sockets take IPv6 only. fd or -errno. */
must_use int listener_bind(const struct address *address, int backlog /* 0: 4096 */);
/* Starts accepting on `fd` (owned from here on). */
struct listener *listener_start(struct engine *engine, int fd,
                                const struct listener_settings *settings);
/* Stops accepting, closes the socket; closed() is called later, once nothing is in flight. */
void listener_stop(struct listener *listener, void (*closed)(void *context), void *context);
