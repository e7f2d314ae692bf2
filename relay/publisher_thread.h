/*
 * publisher_thread.h - the publisher's own: what its files share.
 *
 *   publisher.c        start, push, stop, and the thread's round
 *   publisher_tell.c   runs and gaps of the journal become lines
 *   publisher_files.c  lines become durable; failures, room, pace
 *
 * each of which uses those below it, and all of them publisher_lane.h and publisher_bell.h.
 *
 * When a sync or a read of the journal fails `is_broken` is set, everyone returns without telling
 * more, and the round opens the files again at what is durable. When the time to stop is over
 * `has_given_up` is set with it.
 *
 * Thread: the publisher's.
 */
#pragma once

#include "relay/publisher_bell.h"
#include "relay/publisher_lane.h"

enum {
    PUBLISHER_FLUSH_EVERY_MS = 200, /* readers of the files are behind by this at most */
    PUBLISHER_COMMIT_EVERY_MS = 1000,
    PUBLISHER_QUICK_EVERY_MS = 50, /* while little happens: who follows waits no longer */
    PUBLISHER_QUICK_BYTES = 128 * 1024,
    PUBLISHER_RETRY_MS = 1000,
};

struct publisher {
    char *spool_directory;
    char *file_directory;
    struct event_file_settings file_settings;
    unsigned lane_count;
    struct lane *lanes;
    pthread_t thread;
    struct bell bell;
    struct space *space;
    struct publisher_follower follower; /* commit NULL: nobody */

    /* the thread's own */
    struct event_file *file; /* NULL while it cannot be opened again */
    struct buf line;
    struct lane *lane; /* being told */
    uint64_t record;   /* position of the event told last */
    uint64_t skip_end; /* what stands before it was appended when the run was told in part */
    unsigned ticks;
    bool is_broken; /* stop telling: the file is to be opened again, or we give up */
    bool has_given_up;
    int64_t flush_ms; /* monotonic: the last of each */
    int64_t commit_ms;
};

/* --- publisher_tell.c --- */

/* One round over the lanes; bytes that were handed over. */
size_t publisher_tell(struct publisher *p);

/* --- publisher_files.c --- */

/* Opens the files; every lane continues where they say. 0, or -errno with `file` NULL. */
must_use int publisher_open(struct publisher *p);
/* Back to what is known to be durable: a failed sync may have thrown away what was written. Where
 * the files do not open that is told, and after some time, still broken, it returns. */
void publisher_reopen(struct publisher *p);
/* Makes what was appended durable and tells the shards; 0, or -errno after it was told. */
int publisher_commit(struct publisher *p);
/* How long after the last commit the next one is due. */
int64_t publisher_commit_after_ms(uint64_t uncommitted);
/* What time and amount ask for: nothing, a flush or a commit. */
void publisher_keep_pace(struct publisher *p);
/* Appends a line, however long it takes, unless we give up. */
void publisher_append(struct publisher *p, struct bytes line);
/* Counts and logs a failure that will be tried again. */
void publisher_report(struct publisher *p, const char *what, int error);
/* False: the time to stop is over; what is left is for the next start. */
bool publisher_may_go_on(struct publisher *p);
