/*
 * index_state.h - what an index says: read from its bytes, written as a snapshot. Pure, one thread
 * or the mailbox's lock. Private to this folder.
 */
#pragma once

#include "inbound/mailbox/keyword_list.h"
#include "inbound/mailbox/message_table.h"

enum {
    VANISHED_MAX = 16384, /* expunged ones that are remembered; then the older half is forgotten */
    CEILING_STEP = 65536,
    /* Of an index made anew, which begins at the time in microseconds: who began anew once more, in
     * place of one that was not written, is above what so few can have told. */
    CEILING_FIRST = CEILING_STEP / 4 + 16,
};

struct vanished {
    uint64_t modseq;
    uint32_t uid;
};

struct index_state {
    uint32_t uidvalidity, uidnext;
    uint8_t id[16];
    uint64_t modseq, ceiling;
    struct message_table table;
    struct keyword_list keywords;
    struct vanished *vanished; /* by modseq */
    size_t vanished_count;
    uint64_t vanished_floor; /* what went up to here is forgotten */
    uint64_t uidlist_stamp;
    bool is_closed; /* nothing came after it was closed: stamps tell whether to look */
    uint64_t new_stamp, cur_stamp;
    uint64_t frames;              /* of the file: how many */
    uint64_t size, snapshot_size; /* where they end, and where the first ones do */
};

enum index_read {
    INDEX_WHOLE, /* and closed in order, or begun with nothing but a snapshot */
    INDEX_CUT,   /* to its last good frame; modseq and uidnext are above all that can have been */
    INDEX_LOST,  /* nothing but, where it is not 0, uidvalidity and id */
};
/* Into an empty state. */
enum index_read index_state_read(struct index_state *state, struct bytes text);
void index_state_clear(struct index_state *state);
/* A whole file. How many frames it has. */
uint64_t index_state_write(const struct index_state *state, struct buf *out);

/* It went; remembered. The modseq is the newest there is. */
void index_state_expunge(struct index_state *state, struct message *message, uint64_t modseq);
struct index_entry index_entry_of(const struct index_state *state, const struct message *message);
