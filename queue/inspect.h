/*
 * inspect.h - look at a stopped spool without changing it: `ringpost spool check` and `dump`.
 */
#pragma once

#include "base/buf.h"

struct spool_report {
    uint64_t shards, segments, records, messages, recipients_live, bytes, bytes_live;
    uint64_t torn_tails, torn_bytes, damaged_records, orphan_contents;
};

/* Reads everything, verifies every checksum; `line` is told one finding at a time (damage with
 * segment, offset and message id where readable). 0 or -errno (-EBUSY: a server has it open). */
must_use int spool_check(const char *spool_directory, struct spool_report *report_out,
                         void (*line)(void *context, const char *text), void *context);
/* One JSON object a record. */
must_use int spool_dump(const char *spool_directory,
                        void (*line)(void *context, const char *text), void *context);
