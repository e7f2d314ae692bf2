/*
 * kept.h - texts of messages that SEARCH, SORT and FETCH ask for again and again, in memory:
 * computed once a mailbox, shared by its sessions.
 *
 * A table: a row a message, found by its UID; a column for each key of SORT, for each header field
 * that is searched by, decoded and folded, and for what FETCH tells of all messages, as it is told:
 * structures, and under the first few labels that are asked for, header fields.
 * What is asked for first fills it, message by message; it stays right, because messages do not
 * change. Columns of keys have ranks, which compare as the keys do.
 *
 * Bounds: KEPT_MAX bytes a mailbox while a command uses it; behind it, what was used longest ago
 * goes until all have KEPT_SHARED_MAX. What can be told as well without it is kept only as long as
 * all together have less (kept_may_grow()). A mailbox that nobody opens any more takes its own
 * along.
 *
 * In slices (work.h). Who has it open holds the lock while it asks, for a slice and no longer; rows
 * stay the same in between. An engine, which holds the mailbox, does not wait for the lock: whoever
 * has it may be waiting for the mailbox. Private to the folder.
 */
#pragma once

#include "inbound/imap/source.h"

enum { KEPT_MAX = 256 << 20, KEPT_SHARED_MAX = 64 << 20 };
enum { KEPT_TEXT_MAX = 64 << 10 /* of a field that is worth keeping */ };

/* Criteria of SORT, then the fields of source_kept_field(), then what FETCH tells. */
enum {
    KEPT_KEYS = 9,
    KEPT_ENVELOPE = KEPT_KEYS + SOURCE_FIELDS,
    KEPT_STRUCTURE,
    KEPT_SECTION,
    KEPT_SECTIONS = 3,
    KEPT_COLUMNS = KEPT_SECTION + KEPT_SECTIONS,
};

#define KEPT_NO_ROW UINT32_MAX

struct kept;

/* NULL: it cannot be used now. */
struct kept *kept_open(struct mailbox *mailbox);
void kept_close(struct kept **kept); /* unlocked; clears it; NULL is fine */
void kept_lock(struct kept *kept);
void kept_unlock(struct kept *kept);
/* For engines. False: somebody has it locked. */
must_use bool kept_try_open(struct mailbox *mailbox, struct kept **kept_out);
must_use bool kept_try_lock(struct kept *kept);

/* --- locked ----------------------------------------------------------------------------------- */

/* Of a message, made where it has none. Quick where `hint` is right: the row behind the last one.
 * KEPT_NO_ROW: the bound is reached. */
uint32_t kept_row(struct kept *kept, uint32_t uid, uint32_t hint);
/* The same of one that has one; KEPT_NO_ROW. */
uint32_t kept_known_row(const struct kept *kept, uint32_t uid, uint32_t hint);
/* All that is kept, of all mailboxes, leaves room for more; others' goes for it. */
bool kept_may_grow(struct kept *kept);
/* The column of what FETCH tells under a label such as "BODY[HEADER.FIELDS (DATE)]", made where
 * there is none; KEPT_COLUMNS: others have all that there are. */
unsigned kept_section(struct kept *kept, struct bytes label);
/* Of how many of these UIDs, from the first on, the rows follow each other from `row` on and have a
 * text in that column. */
size_t kept_run(const struct kept *kept, unsigned column, uint32_t row, const uint32_t *uids,
                size_t count);
/* False: not there yet. The text lives while it is open. */
must_use bool kept_find(const struct kept *kept, unsigned column, uint32_t row,
                        struct bytes *text_out);
/* Copies it. False: the bound is reached. */
must_use bool kept_put(struct kept *kept, unsigned column, uint32_t row, struct bytes text);

struct kept_ranks {
    const uint32_t *of; /* by row, of those that have a text; equal texts have equal ranks */
    uint32_t count;     /* all are below */
};
/* Have all texts their ranks? Else making them takes long. */
bool kept_is_ranked(const struct kept *kept, unsigned column);
/* Lives until the lock is given back. */
struct kept_ranks kept_ranks(struct kept *kept, unsigned column);
