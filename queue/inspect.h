/*
 * inspect.h - look at a stopped spool without changing it: `ringpost spool check` and `dump`.
 */
#pragma once

#include "event/event.h"

struct spool_report {
    uint64_t shards, segments;
    uint64_t records;         /* whole ones, of every type but padding */
    uint64_t messages;        /* with unfinished recipients */
    uint64_t recipients_live; /* unfinished */
    uint64_t bytes;           /* of segment files */
    uint64_t bytes_live;      /* of records that unfinished messages need */
    uint64_t torn_tails;      /* segments whose last flush was cut short: what crashes leave */
    uint64_t torn_bytes;
    uint64_t damaged_records; /* and damaged frames, and segments that are missing */
    uint64_t messages_lost;   /* unfinished ones whose content is damaged */
    uint64_t orphan_contents; /* pieces whose transaction ended without an accept */
};

/* Reads everything, verifies every checksum; `line` (may be NULL) is told one finding at a time
 * (damage with segment, offset and message id where readable). 0 or -errno (-EBUSY: a server has it
 * open; -ENOTSUP: a later format, or a record of a later version, which `line` is told of). */
must_use int spool_check(const char *spool_directory, struct spool_report *report_out,
                         void (*line)(void *context, const char *text), void *context);
/* Tells each message with unfinished recipients, and how many; in no order. 0 or -errno as
 * spool_check(). */
must_use int spool_unfinished(const char *spool_directory,
                              void (*message)(void *context, struct message_id id,
                                              uint32_t recipients),
                              void *context);
/* One JSON object a record, in the order of shards and segments; docs/events.md has its events. */
must_use int spool_dump(const char *spool_directory, void (*line)(void *context, const char *text),
                        void *context);
