/*
 * ports.h - a socket that listens at an address: handed over by who starts the program, or bound.
 *
 * Who starts the program may hand it listening sockets (sd_listen_fds(3): LISTEN_FDS, systemd's
 * socket units). The one whose address the configuration names is used in place of a new one. It
 * stays open in its owner's hands while the program is away, so that a restart refuses no
 * connection: they wait in its backlog.
 *
 * Thread: the only one, before any other is made.
 */
#pragma once

#include "io/address.h"

enum { PORTS_HANDED_MAX = 64, PORTS_WHY_MAX = 256 };

struct handed {
    int fd; /* -1: taken */
    struct address address;
    char text[ADDRESS_TEXT_MAX];
};

/* What was handed over and nothing has taken yet. */
struct ports {
    unsigned count;
    struct handed handed[PORTS_HANDED_MAX];
};

/* Takes one sentence. */
typedef void ports_tell(void *context, const char *text);

/* Looks at what was handed over, once a process. 0, or -errno after everything that cannot be used
 * was told; what can be used is there all the same. */
must_use int ports_inherit(struct ports *ports, ports_tell *error, void *context);
/* The socket of this address, if one was handed over: the caller's from here on, in whatever state
 * its owner keeps it. -1: none was. */
int ports_take_handed(struct ports *ports, const struct address *address);
/* A socket to serve with: one that was handed over or a new one; fd, or -errno after it was logged
 * under `key`. Waits up to 3 s for a port whose owner has just been killed. */
must_use int ports_take(struct ports *ports, const char *key, const char *text,
                        const struct address *address);
/* Closes what nothing has taken. With a warning: whoever connects there waits in vain. */
void ports_drop_unused(struct ports *ports);
/* Without: they were only looked at. */
void ports_close(struct ports *ports);
/* What to do about an -errno of a bind: "; another program ...", or "". */
const char *ports_hint(int error);
