/*
 * backup.h - the directory as one file, taken and brought back while a daemon runs.
 *
 * Keys' files (state_dir/keys) are not in it: they are plain files.
 *
 * Thread: any.
 */
#pragma once

#include "directory/store.h"

/* The file must not exist: STORE_CLASH. It is durable when this returns. */
enum store_result directory_backup(struct store *store, const char *path);
/*
 * Takes the place of what the directory says, whole or not at all, and says so in its audit. The
 * file is checked and brought to this version's schema first, and is not changed. A directory that
 * is damaged is moved aside, to `aside_out` (else ""). A daemon notices within a second.
 */
enum store_result directory_restore(const char *state_dir, const char *path,
                                    char aside_out[static STORE_PATH_MAX],
                                    char why_out[static STORE_WHY_MAX]);
