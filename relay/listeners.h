/*
 * listeners.h - the ports that mail comes in by: opened at the start or inherited, and added and
 * taken away by a reload.
 *
 *   FREE --opened or inherited--> OPEN --listeners_start()--> LISTENING --listeners_leave()--> FREE
 *
 * Who starts the program may hand it listening sockets (sd_listen_fds(3): LISTEN_FDS, systemd's
 * socket units). The one whose address a listener of the configuration names is used in place of a
 * new one. It stays open in its owner's hands while the program is away, so that a restart refuses
 * no connection: they wait in its backlog.
 *
 * Each has a slot, by whose number workers know it. A slot is free again only when nothing of it is
 * on the way to any worker.
 *
 * Thread: opened before any thread is made; later the holder of program->change, or the main thread
 * when everything else has stopped. Workers read addresses, in calls that holder waits for.
 */
#pragma once

#include "io/listener.h"

enum { LISTENERS_MAX = 64, LISTENERS_REFUSAL_MAX = 512 };

struct config;
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
    struct listening inherited[LISTENERS_MAX]; /* that nothing has taken yet */
    char refusal[LISTENERS_REFUSAL_MAX];       /* for want of descriptors */
};

/* Takes what was handed over. 0, or -errno after what cannot be used was logged. */
must_use int listeners_inherit(struct listeners *listeners);
/* An inherited socket of this address or a new one; fd, or -errno after it was logged under `key`.
 * Waits up to 3 s for a port whose owner has just been killed. */
must_use int listeners_take(struct listeners *listeners, const char *key, const char *text,
                            const struct address *address);
/* Opens all of a first configuration; 0, or -errno after what failed was logged. */
must_use int listeners_open(struct listeners *listeners, const struct config *config);
/* Inherited sockets that nothing has taken are closed, with a warning. */
void listeners_drop_inherited(struct listeners *listeners);
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
