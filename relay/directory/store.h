/*
 * store.h - the directory on disk: an SQLite database in WAL mode, state_dir/directory.db.
 *
 * Any number of processes open it at once: the commands write, a daemon reads, and neither waits
 * for the other. What an edit changes, it changes whole or not at all, with one line in the audit.
 * Triggers number every change of a row that snapshots show, so that who keeps one reads only what
 * changed, whoever changed it (load.h).
 *
 * Functions of this folder that take a store say how it went, and store_why() says it in words for
 * operators. Texts of rows that are handed to a visitor live until it returns.
 *
 * Thread: one at a time.
 */
#pragma once

#include "base/bytes.h"

struct store;

enum store_result {
    STORE_OK,
    STORE_SAME,    /* nothing to do: it was so already */
    STORE_NONE,    /* what is named does not exist */
    STORE_CLASH,   /* it exists, of somebody else or otherwise; or others need it */
    STORE_INVALID, /* what was asked for is not well-formed */
    STORE_BUSY,    /* another process writes, and did not end in time */
    STORE_NEWER,   /* written by a newer ringpost */
    STORE_BROKEN,  /* not readable: damaged, no rights, no space */
};

enum {
    STORE_WHY_MAX = 512,
    STORE_PATH_MAX = 4096,
    STORE_PATIENCE_MS = 5000, /* what a command waits for another that writes */
    STORE_WHO_MAX = 128,
};

/* Where there is no database. Whoever runs on while the file may have been taken away makes none:
 * it would leave an empty one in its place. */
enum store_absent {
    STORE_MAKE,
    STORE_REFUSE,
};

/*
 * Opens the database and brings its schema up to date; one that is made gets the owner of
 * `state_dir` where we are root. `patience_ms`: how long to wait for another writer. NULL:
 * *result_out and `why_out` say what is wrong.
 */
struct store *store_open(const char *state_dir, enum store_absent absent, unsigned patience_ms,
                         enum store_result *result_out, char why_out[static STORE_WHY_MAX]);
/* Another file than that of a state directory: for backups. It must exist. */
struct store *store_open_file(const char *path, enum store_result *result_out,
                              char why_out[static STORE_WHY_MAX]);
void store_close(struct store **store);
/* STORE_OK: a start would open what is there, or there is none. Else why_out says what is wrong.
 * Changes nothing. */
enum store_result store_try(const char *state_dir, char why_out[static STORE_WHY_MAX]);
/* Of the last function that returned something other than STORE_OK. */
const char *store_why(const struct store *store);
/* Who makes the changes, for the audit: "1000/alice". Without it: who runs this process. */
void store_set_who(struct store *store, const char *who);

/* An entry of the audit. */
struct audit_row {
    int64_t id, wall_s;
    struct bytes who, what, subject, detail; /* "0/root", "tenant set", "shop", "recipients=3" */
};
/* Those that were not told as events yet, the oldest first, some at a time. What was told, up to
 * `id`, is marked; what was not when the program ends is told again by the next one. */
enum store_result audit_untold(struct store *store,
                               void (*visit)(void *context, const struct audit_row *row),
                               void *context);
enum store_result audit_mark_told(struct store *store, int64_t id);
/* The newest first, at most `count_max`, with an id above `after`. */
enum store_result audit_list(struct store *store, int64_t after, unsigned count_max,
                             void (*visit)(void *context, const struct audit_row *row),
                             void *context);
