/*
 * directory.h - the daemon's view of the directory: a thread that keeps the newest snapshot.
 *
 * It looks for changes four times a second, whoever made them, and writes down when credentials
 * were last used. A database that cannot be read (damaged, gone, no rights, a newer version) leaves
 * the last good snapshot in force; the status says so, and it is tried again each second. Nothing
 * of this is waited for by engines.
 *
 * Thread: any; readers are the engines' (snapshot_feed.h).
 */
#pragma once

#include "directory/snapshot_feed.h"
#include "directory/store.h"

struct directory;

struct directory_status {
    bool is_good;  /* the database was readable when it was last looked at */
    bool is_known; /* it was at some time since the start */
    char why[STORE_WHY_MAX];
    uint64_t version;
    uint32_t counts[SNAPSHOT_TABLE_COUNT];
    size_t memory;
    uint64_t built_whole, built_changes; /* snapshots made from nothing; of changes */
    int64_t build_us;                    /* what the last one that was made from nothing took */
};

/* NULL with errno: no thread. */
struct directory *directory_start(const char *state_dir);
/* Until the database was looked at once, with whatever result. */
void directory_wait(struct directory *directory);
/*
 * Each change is told, from now on and on the directory's thread, in the order of the audit; at
 * least once: after a crash the last ones may be told again. NULL: none is any more, and none is
 * being told when this returns.
 */
void directory_tell_changes(struct directory *directory,
                            void (*changed)(void *context, const struct audit_row *row),
                            void *context);
struct snapshot_feed *directory_feed(struct directory *directory);
/* Grows whenever somebody else has written to the database. Any thread. */
uint64_t directory_writes(const struct directory *directory);
void directory_status(struct directory *directory, struct directory_status *out);
/* Writes down what was used last, and what was told, whose events are durable by now. No reader may
 * be left. */
void directory_stop(struct directory **directory);
