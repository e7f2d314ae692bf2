/*
 * load.h - from the database to snapshots: all of it, or what changed since.
 *
 * A load_mark says up to where a snapshot goes. It is of one generation of the database: one that
 * was restored is another, whatever its numbers say, and is read from the beginning.
 *
 * Thread: the store's, which is also the one that makes snapshots.
 */
#pragma once

#include "directory/snapshot_build.h"
#include "directory/store.h"

enum { LOAD_GENERATION_MAX = 64 };

struct load_mark {
    char generation[LOAD_GENERATION_MAX]; /* "": of none */
    int64_t seq;                          /* of the last change that is in it */
};

/* Everything. */
must_use enum store_result load_all(struct store *store, struct load_mark *mark_out,
                                    const struct snapshot **snapshot_out);
/*
 * What `previous`, which is of `mark`, lacks: *snapshot_out is NULL where nothing changed. Made
 * from nothing where that is cheaper, or where the changes since are not known any more; then
 * *is_whole_out is true. On failure the mark stays.
 */
must_use enum store_result load_changes(struct store *store, const struct snapshot *previous,
                                        struct load_mark *mark,
                                        const struct snapshot **snapshot_out, bool *is_whole_out);
