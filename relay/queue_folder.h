/*
 * queue_folder.h - the thread that keeps accounts' folders Queue, mirrors of what waits of their
 * tenant (inbound/mailbox/mirror.h).
 *
 * A folder is brought up to date while somebody looks at it, and when somebody asks:
 *
 *   IMAP, on the pool --refresh--> [thread] --queue_snapshot.h--> engines, in slices
 *                                      |
 *                                      '--> files that went are removed, new ones written
 *
 * Which files there are says the directory, so nothing is kept: what a file shows stands in its
 * name (queue_show.h). What another run of the program wrote is written again. A message that was
 * tried since is shown anew, as another message. Nothing is synced: who looks writes the index.
 *
 * Thread: any.
 */
#pragma once

#include "inbound/access/access.h"

struct program;
struct queue_folders;

/* Once the workers are made, before they run. NULL with errno: there is no thread. */
struct queue_folders *queue_folders_start(struct program *program, const char *mail_directory);
const struct access_mirrors *queue_folders_mirrors(const struct queue_folders *folders);
/* No engine is visited any more, and nobody waits: before the workers stop. */
void queue_folders_stop(struct queue_folders *folders);
/* After they have ended, and the pool. NULL is fine. */
void queue_folders_free(struct queue_folders **folders);
