/*
 * queue_show.h - a waiting message as a mail for who may see it: fields that say what it waits for,
 * then the message itself.
 *
 *   X-Queue-Id: c6d1-0a91
 *   X-Queue-Seen: 2026-11-28T10:00:00.000Z        what follows was so then
 *   X-Queue-Expires: 2026-12-03T09:00:00.000Z
 *   X-Queue-Recipient: x@y.example; state=scheduled; attempts=2; next=...;
 *    waits=retry; detail="..."                    one each, the first QUEUE_SHOW_RECIPIENTS
 *
 * And the names of the files that hold such mails. Pure; any thread.
 */
#pragma once

#include "base/buf.h"

enum {
    QUEUE_SHOW_RECIPIENTS = 20,
    QUEUE_SHOW_CONTENT = 64 << 10, /* bytes of it that are shown */
    QUEUE_SHOW_MAX = QUEUE_SHOW_CONTENT + (192 << 10),
    QUEUE_SHOW_NAME_MAX = 160,
};

struct queue_shown {
    const char *id;
    int64_t seen_ms;        /* wall */
    struct bytes lines;     /* of delivery_explain_pending(), a line each */
    size_t recipient_count; /* that wait */
    struct bytes text;      /* the message, or the front of it */
    uint64_t size;          /* of all of it */
};
/* False: it is more than `out` takes. */
must_use bool queue_show_message(const struct queue_shown *shown, struct buf *out);
/* The mail that says how many there are besides. */
must_use bool queue_show_more(uint64_t shown, uint64_t all, int64_t seen_ms, struct buf *out);

/* What a file shows: which message (0: the one that tells of more), in which state, for which run
 * of the program. */
struct queue_show_name {
    uint64_t id;
    uint32_t state; /* differs when what it waits for does */
    uint32_t run;
};
/* "TIME.Q<id>.<state>.<run>,S=,W=" */
void queue_show_format(const struct queue_show_name *name, int64_t time_s, uint64_t size,
                       char out[static QUEUE_SHOW_NAME_MAX]);
must_use bool queue_show_parse(struct bytes file, struct queue_show_name *out);
