/*
 * privilege.h - a program started as root serves as another user.
 *
 *   privilege_plan()  who is to serve? -> privilege_lower()  state directory, as that user
 *                     -> privilege_raise()  ports, as root -> privilege_drop()  for good
 *
 * Started as anybody else there is nothing to drop: each step then does nothing. Nothing is kept
 * but descriptors that are open: no capability, no group of root's, and no way back (a reload reads
 * the configuration as the user, too).
 * Thread: the first, before engines are made; rings keep the credentials they were made with. Of
 * other threads only the writer of the log may run: it has no privileges to gain (log_queue.c).
 */
#pragma once

#include <sys/types.h>

#include "base/bytes.h"

enum { PRIVILEGE_WHY_MAX = 512 };

struct privilege {
    bool is_dropping; /* started as root, and the user to serve as is another */
    const char *user; /* its name, the caller's */
    uid_t uid;
    gid_t gid;
};

/* `user` is the configuration's, NULL for none. 0, or -errno with a sentence in why_out: no such
 * user (-ENOENT), or started as somebody who cannot become it (-EPERM). */
must_use int privilege_plan(const char *user, struct privilege *out,
                            char why_out[static PRIVILEGE_WHY_MAX]);

/* Makes `path` (0700) the user's where it is missing: its parent may be root's. One that is there
 * is left as it is. 0 or -errno. */
must_use int privilege_make_directory(const struct privilege *privilege, const char *path);

/* Is the user for now, in its groups; root can be had back. 0 or -errno. */
must_use int privilege_lower(const struct privilege *privilege);
/* Is root again, as far as opening goes; the groups stay the user's. 0 or -errno. */
must_use int privilege_raise(const struct privilege *privilege);
/* Is the user for good. 0 or -errno; -EPERM where root could still be had back. */
must_use int privilege_drop(const struct privilege *privilege);
