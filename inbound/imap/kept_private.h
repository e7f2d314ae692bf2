/* kept_private.h - the table that kept.c fills and kept_rank.c ranks. Private to both. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/list.h"
#include "inbound/imap/kept.h"

struct kept_column {
    struct bytes *texts; /* by row; ptr NULL: none yet */
    size_t capacity, filled;
    /* of those that were ranked */
    uint32_t *order; /* rows in the order of their texts */
    size_t ranked;
    uint32_t *ranks; /* by row */
    size_t ranks_capacity;
    uint32_t groups; /* different texts */
};

struct kept {
    struct mailbox_kept of_mailbox;
    struct list_node node; /* of all, the one used longest ago first; under their lock */
    unsigned pins;         /* likewise: who has it open */
    size_t counted;        /* likewise: bytes of it in the sum of all */
    uint32_t uidvalidity;  /* likewise; the same while anybody has it open */
    _Atomic size_t held;   /* bytes of it, when the lock was given back last */

    pthread_mutex_t mutex; /* of all below, while anybody has it open */
    struct arena arena;    /* of texts */
    size_t count, capacity;
    uint32_t *uids;   /* by row */
    uint32_t *by_uid; /* hashed: row + 1; 0: free */
    size_t by_uid_capacity;
    struct bytes labels[KEPT_SECTIONS]; /* of sections, the arena's; ptr NULL: free */
    struct kept_column columns[KEPT_COLUMNS];
};
