/*
 * fetch_line.h - what the index and texts that are at hand say of a message, written where it goes:
 * a FETCH of all has it a hundred thousand times.
 *
 * Pure, any thread. What writes returns where it ended.
 */
#pragma once

#include "inbound/imap/fetch_program.h"
#include "inbound/imap/flag_memo.h"

enum {
    FETCH_LINE_ITEM_ROOM = FLAG_TEXT_ROOM,
    FETCH_LINE_ITEMS_MAX = 8,
    FETCH_LINE_FRAME_ROOM = 48,
};

/* Is it an item of the index? */
bool fetch_line_is_item(enum fetch_kind kind);
/* "UID 12": of these kinds, but a size that is not known and flags that are keywords. */
uint8_t *fetch_line_put_item(uint8_t *at, enum fetch_kind kind,
                             const struct mailbox_message *message);

/* Are these and items whose texts can be at hand all of its items, and few? Those are ENVELOPE,
 * BODYSTRUCTURE, and one section, if `has_section`. */
bool fetch_line_fits(const struct fetch_program *program, bool has_section);
/* What each of its lines has room in, beside the texts. */
static inline size_t fetch_line_room(const struct fetch_program *program)
{
    return FETCH_LINE_FRAME_ROOM + program->count * (FETCH_LINE_ITEM_ROOM + 1);
}

/* As they are told; each only where it is asked for. */
struct fetch_line_texts {
    struct bytes envelope, structure;
    struct bytes section; /* with its label */
};

/* Messages that follow each other, as the view and as the index have them. */
struct fetch_lines {
    const struct fetch_program *program;
    bool is_uidonly;
    uint32_t number; /* of the first */
    const uint32_t *uids;
    const struct mailbox_message *messages;
    size_t count;
    const struct flag_memo *memo;         /* NULL: none */
    const struct fetch_line_texts *texts; /* of each; NULL: none is asked for */
};
/* "* 3 FETCH (UID 12 FLAGS (\Seen))\r\n" of each, as long as they are the same ones, their sizes
 * are known, and flags with keywords, where they are asked for, are in the memo. *count_out: of how
 * many. */
uint8_t *fetch_lines_put(uint8_t *at, const struct fetch_lines *lines, size_t *count_out);
