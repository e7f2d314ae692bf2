/*
 * filed_log.h - the durable memory of what was filed, so that nothing is filed twice.
 *
 * state_dir/mail/.filed/NNNNNNNN.log: of each message and recipient that is about to get its name
 * in a Maildir one record, written before it gets it. So who is asked to file a message that the
 * program had in hand when it went down learns whether it has had its name, also where its reader
 * has moved or deleted it since.
 *
 * Bounded: FILED_FILES files of FILED_FILE_SIZE bytes, the oldest goes when a new one is begun. The
 * spool asks again only for recipients whose outcome is not durable, and these are at most what may
 * be filed at once and what may wait for the disk (SETTLEMENTS_FULL): a small part of it.
 *
 * A file begins with a header of FILED_HEADER bytes: "RPFILED1", the kernel's boot id, zeros. A
 * record: u32 length and u32 checksum of what follows, u64 message, u32 recipient, u32 wall time in
 * seconds, the account's two names with "/" between; padded with zeros to a multiple of 8. Reading
 * ends at the first record that is none: only the last one of a file can be torn, for a start
 * begins a new file.
 *
 * Thread: any; all functions but open and close may be called side by side. Errors are -errno.
 */
#pragma once

#include "base/bytes.h"

enum {
    FILED_FILES = 8,
    FILED_FILE_SIZE = 4 << 20,
    FILED_HEADER = 64,
    FILED_DOUBT_S = 120, /* records so much older than the newest are on disk with all they say */
};

struct filed_log;

struct filed_record {
    uint64_t message;
    uint32_t recipient;
    uint32_t time_s;      /* wall */
    struct bytes account; /* "DOMAIN/LOCAL", encoded */
};

enum filed {
    FILED_NOT,    /* nobody was about to give it its name */
    FILED_SINCE,  /* it has its name, or still its first one: the machine runs since */
    FILED_BEFORE, /* likewise, unless the machine went down before that was on disk */
};

/* Reads what is there, begins a new file. `doubtful` is called for the account of each of the
 * newest records (FILED_DOUBT_S): what else was written of it may not be on disk. Records that a
 * killed program had not synced are durable then. 0 or -errno. */
must_use int filed_log_open(int mail_fd, void (*doubtful)(void *context, struct bytes account),
                            void *context, struct filed_log **log_out);
void filed_log_close(struct filed_log **log);

/* Written, and found from now on; durable once filed_log_sync() or a sync of the whole file system
 * has come back. After an error they are not found, but may be after the next start: what they tell
 * of must stay as it is. */
must_use int filed_log_add(struct filed_log *log, size_t count, const struct filed_record *records);
must_use int filed_log_sync(struct filed_log *log);
enum filed filed_log_find(struct filed_log *log, uint64_t message, uint32_t recipient,
                          struct bytes account);

/* Pure: takes the next record off; false: there is none. */
must_use bool filed_record_take(struct bytes *text, struct filed_record *record_out);
