/*
 * notify.h - NOTIFY (RFC 5465): a session is told what happens in the mailboxes that it named, also
 * between commands and in IDLE.
 *
 *   NOTIFY SET --> a box for each mailbox whose messages it asked for, and a watch of the account
 *   whoever changed something --> letter --> notify_tell() --> pool: fetch or events, boxes, sync
 *
 * News are told when the session stands between two commands. What a box or the account has to tell
 * waits there and not in memory of the session: events that were lost meanwhile, or more mailboxes
 * than NOTIFY_BOXES_MAX, end in NOTIFICATIONOVERFLOW.
 *
 * The selected mailbox has no part in its box: it is view.h's, held to notify_selected_events().
 *
 * Private to the folder.
 */
#pragma once

#include "inbound/imap/notify_program.h"
#include "inbound/imap/work.h"
#include "inbound/mailbox/account_event.h"

enum { NOTIFY_BOXES_MAX = 256, NOTIFY_OWN_MAX = 8 };

struct notify_box {
    struct notify_box *next;
    struct imap_work *work;
    struct mailbox *mailbox;
    struct mailbox_watch watch;
    _Atomic bool has_news;
    bool is_wanted; /* while boxes are looked through */
    unsigned events;
    struct mailbox_status told;
    struct bytes name; /* malloc */
};

struct notify {
    struct imap_work *work;
    struct arena arena;
    struct notify_program program;
    struct account_watch watch;
    bool is_watching;
    struct notify_box *boxes;
    size_t box_count;
    uint32_t new_from, new_to; /* UIDs of the selected mailbox that are to be fetched; 0: none */
    size_t own_count;          /* but these, which came of the session itself */
    struct uid_range own[NOTIFY_OWN_MAX];
};

/* --- on the engine: the session does not run -------------------------------------------------- */

/* Is there something to be told now? */
bool notify_has_news(const struct imap_work *work);
/* Tells it; `then` is the next step. In IDLE messages may go that else wait (SELECTED-DELAYED). */
enum step notify_tell(struct imap_session *session, enum step (*then)(struct imap_session *session),
                      bool is_idle);
size_t notify_memory(const struct imap_work *work);

/* --- on the pool: notify_view.c --------------------------------------------------------------- */

/* Of the selected mailbox, for the command that runs. */
unsigned notify_selected_events(const struct imap_work *work);
/* The session was told that these are there. */
void notify_note_new(struct imap_work *work, uint32_t first, uint32_t last);
/* It brought one of them itself. */
void notify_note_own(struct imap_work *work, const struct mailbox *mailbox, uint32_t uid);
/* Another mailbox is selected, or none. */
void notify_forget_selected(struct imap_work *work);

/* --- notify_box.c ----------------------------------------------------------------------------- */

/* What is left of boxes where a mailbox is called otherwise, came or went. */
struct notify_look {
    bool has_list;
    struct mailbox_list list;
    size_t next;
    bool is_set;       /* NOTIFY SET: what is there is not news */
    bool tells_status; /* NOTIFY SET STATUS */
};
/* A slice: 1 there is more; 0 all of them; -EMFILE: too many; -errno. */
must_use int notify_look_slice(struct notify *notify, struct notify_look *look);
must_use int notify_look_list(struct notify *notify, struct notify_look *look);
void notify_look_end(struct notify_look *look);
/* What changed in those that have news. */
void notify_tell_boxes(struct notify *notify);
void notify_close_boxes(struct notify *notify);

/* --- notify_event.c --------------------------------------------------------------------------- */

/* Takes the account's events and tells those that are wanted. *wants_look_out: there may be other
 * mailboxes now. 0; -EOVERFLOW: some were lost; -errno. */
must_use int notify_tell_events(struct notify *notify, struct notify_look *look,
                                bool *wants_look_out);
