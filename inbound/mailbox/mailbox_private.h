/*
 * mailbox_private.h - what the files of a mailbox share. Private to this folder.
 *
 * A change, under the lock: what it does to files in new/ and cur/; then memory and a frame of the
 * index that waits; then mailbox_commit(), where one of those who wait syncs the directories and
 * writes and syncs the frames of all, with the lock given back meanwhile:
 *
 *   rename, link, unlink --> memory, frame --> sync new/ cur/ --> write frames --> sync --> answer
 *
 * So the index never tells of a name that is not durable. When that fails, memory is thrown away
 * and read from the disk again.
 *
 * A circle of mailbox.c, mailbox_commit.c, mailbox_lazy.c, mailbox_load.c, mailbox_scan.c and
 * notice.c: a commit that fails reads the mailbox again, what is read may want its files renamed,
 * and renames are committed; whoever reads asks for notice, which tells watchers as a commit does.
 */
#pragma once

#include <pthread.h>

#include "base/list.h"
#include "base/map.h"
#include "inbound/mailbox/index_state.h"
#include "inbound/mailbox/mailbox_change.h"
#include "inbound/store/maildir.h"

enum {
    RECENT_MAX = 1024,       /* changes that are found without looking at all messages */
    NEWS_MAX = 256,          /* names that are looked at one by one */
    PENDING_MAX = 256 << 10, /* bytes of frames that nobody waits for */
    SLICE = 64,              /* files that are renamed, linked or unlinked under the lock at once */
};

struct recent {
    uint64_t modseq;
    uint32_t uid;
};

struct news {
    bool is_in_new;
    char name[MAIL_NAME_MAX + 1];
};

struct waiter {
    uint64_t ticket;
    bool is_over;
    int result;
    struct waiter *next;
};

struct uid_map; /* uid_map.h */

struct mailbox {
    struct map_node node; /* the account's; key: `folder` */
    struct mail_account *account;
    bool is_out;                      /* likewise: deleted, so the account does not know it */
    unsigned refs;                    /* the account's lock */
    int64_t idle_since_ms;            /* likewise; while refs is 0 */
    char folder[MAIL_FOLDER_MAX + 1]; /* likewise, and `mutex`: who has either may read it */

    pthread_mutex_t scan;   /* taken before `mutex`: who lists or renames lazily */
    pthread_mutex_t mutex;  /* recursive, for mailbox_hold() alone */
    pthread_cond_t changed; /* a waiter is over, or nobody syncs any more */
    bool is_loaded, is_gone, is_broken;
    int folder_fd, new_fd, cur_fd, index_fd, cache_fd; /* -1: not open */

    struct index_state state;
    uint32_t visible; /* UIDs below are durable */
    struct recent recent[RECENT_MAX];
    size_t recent_begin, recent_count; /* a ring */
    uint64_t recent_floor;             /* changes up to here are not in it */
    uint32_t *dirty;                   /* UIDs of files that wait for their rename */
    size_t dirty_count, dirty_capacity;
    int64_t dirty_since_ms;

    struct buf pending; /* frames that wait */
    size_t frame_place; /* of the one that is being made */
    bool is_in_frame;
    uint64_t frame_number, index_size, snapshot_size;
    uint64_t index_room; /* the size of its file: zeros stand between */
    bool wants_snapshot;
    uint64_t ceiling_durable;
    uint64_t ticket, ticket_durable;
    struct waiter *waiters;
    bool is_syncing;
    bool new_changed, cur_changed; /* not durable */
    uint64_t told_modseq;          /* watchers were told up to here */
    uint32_t told_uid;
    uint64_t closed_new, closed_cur; /* the times that the index tells, where it is closed */

    bool keywords_changed;   /* dovecot-keywords is to be written */
    uint32_t listed_next;    /* uidnext that dovecot-uidlist tells; 0: it is to be written anew */
    struct uid_map *uid_map; /* of dovecot-uidlist as others wrote it; NULL */

    int watch_new, watch_cur; /* of inotify; -1: none */
    bool news_all;
    size_t news_count;
    struct news *news; /* NEWS_MAX, or NULL */
    struct mailbox_watch *watches;

    struct mailbox_kept *kept; /* NULL: nobody keeps anything */
    uint64_t cache_size;       /* 0: there is no file; with the tail */
    uint64_t cache_serial;     /* of what it has held since it was opened or emptied */
    struct buf cache_tail;     /* records that are not in the file yet */
    bool is_writing_tail;
};

/* --- mailbox_commit.c (locked) ---------------------------------------------------------------- */

/* The mailbox can be used and a modseq can be taken: 0 or why not. May give the lock back. */
must_use int mailbox_ready(struct mailbox *mailbox);
/* Whether it would be at once. */
must_use bool mailbox_is_ready(const struct mailbox *mailbox);
void mailbox_frame_begin(struct mailbox *mailbox);
void mailbox_frame_put(struct mailbox *mailbox, const struct index_entry *entry);
/* What mailbox_commit() waits for. */
uint64_t mailbox_frame_end(struct mailbox *mailbox);
/* Gives the lock back meanwhile: pointers to messages die. 0: durable. */
must_use int mailbox_commit(struct mailbox *mailbox, uint64_t ticket);
/* For frames that nobody waits for: not more of them than some memory. */
void mailbox_frame_end_lazily(struct mailbox *mailbox);
/* A new modseq, for all that one frame says. */
uint64_t mailbox_next_modseq(struct mailbox *mailbox);
/* For changes of what others see. */
void mailbox_remember(struct mailbox *mailbox, uint32_t uid);
void mailbox_tell(struct mailbox *mailbox);

/* --- mailbox_load.c --------------------------------------------------------------------------- */

/* Letters that others gave a meaning in dovecot-keywords since we read it; locked and ready. Those
 * of ours that no name has yet give way to them. */
void mailbox_learn_keywords(struct mailbox *mailbox);
/* Opens directories and index; both locks held. */
must_use int mailbox_load(struct mailbox *mailbox);
/* Of the index alone, after a failure; locked. */
must_use int mailbox_reload(struct mailbox *mailbox);
void mailbox_unload(struct mailbox *mailbox);

/* --- mailbox_scan.c --------------------------------------------------------------------------- */

must_use int mailbox_scan(struct mailbox *mailbox); /* unlocked */
void mailbox_unique_base(struct mail_account *account, uint64_t file_size, uint64_t size,
                         char out[static MAIL_NAME_MAX + 1]);

/* --- mailbox.c -------------------------------------------------------------------------------- */

/* Locked and ready; its number, or why not. Durable with the next commit. */
must_use int mailbox_make_keyword(struct mailbox *mailbox, struct bytes name);
/* Locked: its name and letter, into the index. */
void mailbox_put_keyword(struct mailbox *mailbox, int number);

uint64_t mailbox_known_flags(const struct mailbox *mailbox); /* bits that mean something */

/* --- mailbox_lazy.c --------------------------------------------------------------------------- */

/* Locked: its file is to be renamed some time. */
void mailbox_want_rename(struct mailbox *mailbox, struct message *message);
void mailbox_flush(struct mailbox *mailbox);          /* unlocked: renames, now */
must_use int mailbox_finish(struct mailbox *mailbox); /* and what Dovecot reads; closed */

/* --- mailbox_cache.c -------------------------------------------------------------------------- */

void mailbox_cache_open(struct mailbox *mailbox);
