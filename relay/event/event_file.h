/*
 * event_file.h - the event files: every event once, as a line of JSON, in files that rotate.
 *
 *   current.jsonl                       being appended
 *   events-<UTC time>-<number>.jsonl    closed at that time, not compressed yet
 *   events-<UTC time>-<number>.jsonl.zst
 *   cursor, cursor.spare                up to where current.jsonl holds what, see event_file.c;
 *                                       two files that change names
 *
 * Events come from the spool's journal in the order of each shard's positions. A mark says that
 * everything of a shard before a position was appended; a commit makes the marks durable together
 * with the length of the file at the last of them. After a crash the file is cut to that length
 * and the marks say from where to read the journal again: in the files every event stands once.
 *
 * Thread: one, the publisher's. Blocks.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "event/event.h"
#include "event/event_bounds.h"

struct event_file_settings {
    const char *directory;    /* exists; copied */
    uint64_t rotate_size;     /* bytes; 0: 64 MiB */
    unsigned rotate_age_s;    /* 0: 3,600 */
    unsigned retention_s;     /* closed files older than that are removed; 0: 7 days */
    uint64_t retention_bytes; /* of all closed files, the oldest go first; 0: 4 GiB */
    /* Told what is committed, asked what has to stay; NULL: nobody reads behind us. */
    struct event_bounds *bounds;
};

/* By shard number: the journal position before which every event is in the files; 0: none is. */
struct event_cursors {
    uint64_t positions[MESSAGE_ID_SHARDS_MAX];
};

struct event_file;

/* Cuts what was not committed and continues behind it. 0 or -errno. */
must_use int event_file_open(const struct event_file_settings *settings,
                             struct event_file **file_out, struct event_cursors *cursors_out);
/* Without a commit: what was not committed comes again. */
void event_file_close(struct event_file **file);

/* Takes one line with its line feed. Kept in memory; past EVENT_FILE_UNWRITTEN_MAX bytes written
 * first. 0, or -errno (-ENOSPC, ...): nothing was taken, try again later. */
enum { EVENT_FILE_UNWRITTEN_MAX = 1024 * 1024 };
must_use int event_file_append(struct event_file *file, struct bytes line);
/* Everything of the shard before `position` was appended. */
void event_file_mark(struct event_file *file, unsigned shard, uint64_t position);

/* Hands what is in memory to the kernel, so that readers see it. After -errno call it again. */
must_use int event_file_flush(struct event_file *file);
/* Flushes, then makes everything up to the last mark durable. After -EIO the kernel may have
 * dropped what was written: close the file, open it again and continue from its cursors. */
must_use int event_file_commit(struct event_file *file, struct event_cursors *durable_out);
/* What is told now will find room, whoever fills the disk meanwhile: blocks are set aside for it
 * (event_room.h), and the last write and commit did not fail. Flush or commit look for more. */
bool event_file_has_room(const struct event_file *file);
/* Bytes that readers cannot see yet, and bytes appended or marks set since the last commit. */
size_t event_file_unwritten(const struct event_file *file);
bool event_file_has_uncommitted(const struct event_file *file, uint64_t *bytes_out);

/* Closes current.jsonl when it is large or old enough, and nothing is uncommitted; compresses what
 * is closed, a few MiB a call, and applies the retention. True: there is more to compress, call
 * again soon. Failures are logged and tried again at a later call. */
bool event_file_rotate_if_due(struct event_file *file, struct clocks clocks);
