/*
 * import_ids.h - what was imported into an account: the file ringpost.imported beside its mail.
 *
 * RPIMPORT, then 24 bytes a message: its id, 16 bytes, and a checksum of that. A tail that does not
 * read back is dropped: it was not durable, so nothing relied on it. One import holds the file's
 * lock at a time.
 *
 * Blocks; one thread. Errors are -errno.
 */
#pragma once

#include "base/buf.h"

enum { IMPORT_ID = 16 };

struct import_ids {
    int fd; /* -1: there is no file, only what is remembered */
    uint64_t size;
    size_t count, capacity; /* of a power of two */
    uint8_t (*ids)[IMPORT_ID];
    struct buf waiting; /* not written yet */
};

/* `directory`: the account's. `makes`: the file, where there is none; else nothing is written.
 * -EBUSY: another import has it. */
must_use int import_ids_open(struct import_ids *ids, int directory, bool makes);
void import_ids_close(struct import_ids *ids);
bool import_ids_have(const struct import_ids *ids, const uint8_t id[static IMPORT_ID]);
/* Known from now on; durable after import_ids_sync(). One that is known already is nothing. */
void import_ids_add(struct import_ids *ids, const uint8_t id[static IMPORT_ID]);
must_use int import_ids_sync(struct import_ids *ids);

/* Of a source, a folder and a message's key. */
void import_id_of(struct bytes source, struct bytes folder, struct bytes key,
                  uint8_t id_out[static IMPORT_ID]);
