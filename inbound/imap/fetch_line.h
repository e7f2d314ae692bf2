/*
 * fetch_line.h - what the index alone says of a message, written where it goes: a FETCH of all has
 * it a hundred thousand times.
 *
 * Pure, any thread. What writes returns where it ended.
 */
#pragma once

#include "inbound/imap/fetch_program.h"
#include "inbound/mailbox/mailbox.h"

enum {
    FETCH_LINE_ITEM_ROOM = 80,
    FETCH_LINE_ITEMS_MAX = 8,
    FETCH_LINE_ROOM = 48 + FETCH_LINE_ITEMS_MAX * (FETCH_LINE_ITEM_ROOM + 1),
};

/* Is it an item of the index? */
bool fetch_line_is_item(enum fetch_kind kind);
/* "UID 12": of these kinds, but a size that is not known and flags that are keywords. */
uint8_t *fetch_line_put_item(uint8_t *at, enum fetch_kind kind,
                             const struct mailbox_message *message);

/* Are these all of its items, and few? */
bool fetch_line_fits(const struct fetch_program *program);
/* Whether the message's size is known and its flags have no keywords. */
static inline bool fetch_line_can(const struct mailbox_message *message)
{
    return message->size != MAILBOX_SIZE_UNKNOWN && message->flags >> MAILBOX_KEYWORD_SHIFT == 0;
}
/* "* 3 FETCH (UID 12 FLAGS (\Seen))\r\n" in FETCH_LINE_ROOM; `begin`: what stands between "* 3" and
 * the items. */
uint8_t *fetch_line_put(uint8_t *at, uint32_t number, struct bytes begin,
                        const struct fetch_program *program, const struct mailbox_message *message);
