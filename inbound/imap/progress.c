/* progress.c - tells how far a command is, so that its client sees that somebody is there. */
#include "inbound/imap/progress.h"

#include <inttypes.h>

#include "base/clock.h"

/* RFC 9585 section 4: below the goal, which is reached with the tagged response (the last message
 * was looked at, its command has still to answer); numbers of 32 bits. A tag has nothing that a
 * quoted string cannot hold. */
bool imap_put_progress(struct buf *out, const char *tag, uint64_t done, uint64_t goal)
{
    done = MIN(done, (uint64_t)UINT32_MAX);
    if (goal == 0 || goal > UINT32_MAX)
        return buf_printf(out, "INPROGRESS (\"%s\" %" PRIu64 " NIL)", tag, done);
    done = MIN(done, goal - 1);
    return buf_printf(out, "INPROGRESS (\"%s\" %" PRIu64 " %" PRIu64 ")", tag, done, goal);
}

void imap_progress(struct imap_work *work, uint64_t done, uint64_t goal)
{
    int64_t now_ms = clock_monotonic_coarse_ms();

    if (now_ms - work->progress_ms < work->progress_interval_ms)
        return;
    work->progress_ms = now_ms;
    work_put(work, BYTES("* OK ["));
    if (!imap_put_progress(&work->access.out, work->tag, done, goal))
        work->access.is_last = true;
    work_put(work, BYTES("] It takes a while\r\n"));
}
