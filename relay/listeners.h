/*
 * listeners.h - the ports that mail comes in by: opened at the start or handed over (ports.h), and
 * added and taken away by a reload.
 *
 *   FREE --bound or handed--> OPEN --listeners_start()--> LISTENING --listeners_leave()--> FREE
 *
 * Each has a slot, by whose number workers know it. A slot is free again only when nothing of it is
 * on the way to any worker.
 *
 * A circle of listeners.c and worker.c: a worker asks by which slot a connection came, and a port
 * is opened and closed on the acceptor's engine.
 *
 * Thread: opened before any thread is made; later the holder of program->change, or the main thread
 * when everything else has stopped. Workers read addresses, in calls that holder waits for.
 */
#pragma once

#include "io/listener.h"

enum { LISTENERS_MAX = 64, LISTENERS_REFUSAL_MAX = 512 };

struct config;
struct ports;
struct worker;

struct listening {
    bool is_used;
    struct address address;
    char text[ADDRESS_TEXT_MAX];
    int fd;                    /* OPEN */
    struct listener *listener; /* LISTENING */
};

struct listeners {
    struct listening slots[LISTENERS_MAX];
    char refusal[LISTENERS_REFUSAL_MAX]; /* for want of descriptors */
};

/* Opens all of a first configuration; 0, or -errno after what failed was logged. */
must_use int listeners_open(struct listeners *listeners, struct ports *ports,
                            const struct config *config);
/* Opens those that `next` has and we have not; all of them, or none after the error was told. */
must_use bool listeners_add(struct listeners *listeners, const struct config *next,
                            void (*error)(void *context, const char *text), void *context);
/* The slot of an address; LISTENERS_MAX: none. */
unsigned listeners_slot(const struct listeners *listeners, const struct address *address);
unsigned listeners_count(const struct listeners *listeners);
/* `acceptor` accepts on those that are OPEN, for all workers of `worker->shared`. Waits. */
void listeners_start(struct listeners *listeners, struct worker *acceptor);
/* Closes those that are not in `config`; NULL: all. Waits until none of their connections is on its
 * way between engines, which have to run. */
void listeners_leave(struct listeners *listeners, struct worker *acceptor,
                     const struct config *config);
/* Closes what never listened. */
void listeners_free(struct listeners *listeners);
