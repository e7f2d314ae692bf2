/*
 * view.h - the selected mailbox as the session was told of it: which UID each number has.
 *
 * A sync compares it with the mailbox and tells the difference: EXPUNGE or VANISHED, EXISTS, FETCH
 * of flags that others changed. What the session changed itself it was told by its command.
 *
 * In slices (work.h). Private to the folder.
 */
#pragma once

#include "inbound/imap/sequence_set.h"
#include "inbound/mailbox/mailbox.h"

struct imap_work;

enum { VIEW_OWN_MAX = 256 /* modseqs of own changes that are remembered until the next sync */ };

struct view {
    struct mailbox *mailbox; /* NULL: none is selected */
    bool is_read_only;
    uint32_t *uids; /* ascending: that of number 1 first */
    size_t count, capacity;
    uint64_t modseq;          /* flags and new messages are told up to it */
    uint64_t vanished_modseq; /* what went is told up to it */
    unsigned keyword_count;   /* that FLAGS told */
    uint64_t *own;
    size_t own_count;
};

/* What the last SEARCH saved (RFC 9051 section 6.4.4.1): UIDs, ascending. */
struct saved {
    uint32_t *uids;
    size_t count;
};

/* Of an opened mailbox that was looked at, which becomes its own: reads what there is. 0 or
 * -errno. */
must_use int view_open(struct view *view, struct mailbox *mailbox, bool is_read_only);
void view_close(struct view *view);
/* On the engine: nothing happened where it is false. */
must_use bool view_try_close(struct view *view);
/* The number of a UID; 0: not in the view. */
uint32_t view_number(const struct view *view, uint32_t uid);
/* The number of the first UID that is at least `uid`; count + 1: there is none. */
size_t view_number_from(const struct view *view, uint32_t uid);
static inline uint32_t view_last_uid(const struct view *view)
{
    return view->count > 0 ? view->uids[view->count - 1] : 0;
}
/* Nothing of it went since it was told last. */
bool view_is_whole(const struct view *view);
/* A change by the session itself, of which it is told otherwise. */
void view_note_own(struct view *view, uint64_t modseq);

/* Tells what changed. 0; -ENOENT: the mailbox is gone; -EAGAIN: not on the engine, it is much. */
must_use int view_sync(struct imap_work *work, bool tells_expunges);
/* "* VANISHED (EARLIER) ...": what went since, of these UIDs; nothing where nothing did. */
void view_put_vanished(struct imap_work *work, uint64_t modseq, const struct sequence_set *among);

/* A set of a command as numbers of the view: resolved, "$" taken from what is saved. False: BAD, a
 * number is not in the view (RFC 9051 section 9, seq-number); of UIDs any will do. */
must_use bool view_resolve(struct imap_work *work, struct sequence_set *set, bool is_uid);
/* The numbers of a resolved set, one after the other: the first above `number`; 0: none. */
uint32_t view_next(const struct view *view, const struct sequence_set *set, bool is_uid,
                   uint32_t number);
/* The same, and how many numbers of the set it begins that follow each other. */
uint32_t view_next_run(const struct view *view, const struct sequence_set *set, bool is_uid,
                       uint32_t number, size_t *count_out);

/* "FLAGS (\Seen $Junk)" */
void view_put_flags(struct imap_work *work, struct mailbox *mailbox, uint64_t flags);
/* "* FLAGS (...)": what the mailbox has by name; where new keywords came, before they are used. */
void view_put_keywords(struct imap_work *work, bool is_forced);
/* "* n FETCH (", under UIDONLY "* uid UIDFETCH (" (RFC 9586). */
void view_put_fetch(struct imap_work *work, uint32_t number, uint32_t uid);
/* "* n FETCH (UID u MODSEQ (m))" */
void view_put_modseq(struct imap_work *work, uint32_t number,
                     const struct mailbox_message *message);
/* The whole of "* n FETCH (FLAGS ... UID ... MODSEQ ...)", as the session has it. */
void view_put_change(struct imap_work *work, uint32_t number, const struct mailbox_message *message,
                     bool has_uid, bool has_modseq);
