/*
 * reader.h - what the index says of messages that are asked for in the order of their UIDs: read
 * some at a time where they follow each other, one where they do not.
 *
 * What it gives is as old as the last read, so it is kept for a slice and no longer.
 * Private to the folder.
 */
#pragma once

#include "inbound/mailbox/mailbox.h"

enum { READER_MAX = 64 };

struct reader {
    struct mailbox *mailbox;
    unsigned reads; /* so far: another number, and what follows was read later */
    size_t at, count;
    size_t ahead; /* to be read next time */
    struct mailbox_message messages[READER_MAX];
};

void reader_begin(struct reader *reader, struct mailbox *mailbox);
/* UIDs ascend. NULL: it is gone. Lives until the next. */
const struct mailbox_message *reader_find(struct reader *reader, uint32_t uid);
/* The same, and how many it has from there on. NULL: it is gone. */
const struct mailbox_message *reader_find_run(struct reader *reader, uint32_t uid,
                                              size_t *count_out);
/* So many of them were looked at. */
static inline void reader_pass(struct reader *reader, size_t count)
{
    reader->at += count - 1;
}
