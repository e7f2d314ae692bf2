/*
 * reporter_desk.h - a mail of ours, a report, on its way into the spool: by the first engine.
 *
 * It is whose the author's domain is, so that it is signed where that tenant has keys for it.
 * Thread: one that is no engine's, which waits.
 */
#pragma once

#include "base/bytes.h"

struct desk;
struct worker;

struct desk_mail {
    const char *from, *to; /* addresses */
    const char *hostname;
    struct bytes content;
    struct bytes key; /* the same mail has the same: it is accepted once */
};

enum desk_answer {
    DESK_ACCEPTED, /* now or before */
    DESK_LATER,    /* not now */
    DESK_NEVER,    /* an address is none, or the like */
};

struct desk *desk_open(struct worker *worker);
/* `why` in words, but for DESK_ACCEPTED. */
enum { DESK_WHY_MAX = 200 };
enum desk_answer desk_send(struct desk *desk, const struct desk_mail *mail,
                           char why[static DESK_WHY_MAX]);
/* From now on DESK_LATER; waits for what is under way, but not for ever. Any thread. */
void desk_close(struct desk *desk);
void desk_free(struct desk **desk); /* the worker has ended */
