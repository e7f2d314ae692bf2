/*
 * mailbox_room.h - whether an account's mailbox can take a message: asked at RCPT, answered by who
 * keeps the mailboxes.
 *
 * What it is told is true of that moment: a mailbox that fills meanwhile is filing's matter.
 */
#pragma once

#include "directory/snapshot.h"

enum mailbox_room {
    MAILBOX_HAS_ROOM,
    MAILBOX_IS_FULL,      /* for now: 452 4.2.2 */
    MAILBOX_IS_TOO_SMALL, /* it never fits, were it empty: 552 5.2.2 */
};

/* `size` is what the client announced, 0 where it did not. At once, on the engine's thread. */
typedef enum mailbox_room mailbox_room_fn(void *context, const struct directory_account *account,
                                          uint64_t size);
