/*
 * mailbox.h - one mailbox: its messages by UID, as all its sessions see them.
 *
 * Beside the Maildir lies an index (docs/store.md): UIDs, flags, modseqs, sizes and dates are read
 * from it and not from the messages. What a function here promised survives a power cut; what can
 * be seen of new messages is durable as well. Changes are in mailbox_change.h.
 *
 * A session keeps the UIDs of its view itself and compares: mailbox_look() takes in what others did
 * in the directory, then mailbox_read() with the modseq that it knows gives what changed, and
 * mailbox_vanished() what went. mailbox_status() says how far that is.
 *
 * UIDs ascend in the order of arrival, are never used again, and uidvalidity changes only when an
 * index and dovecot-uidlist were both lost (RFC 9051 section 2.3.1.1). Modseqs are RFC 7162's.
 *
 * Functions block, any thread but an engine's; they lock for themselves. An engine may call some of
 * them while it holds the mailbox (mailbox_hold()). Errors are -errno: -ENOENT no such message (any
 * more) or the mailbox was deleted, -EIO and others: the disk.
 */
#pragma once

#include "inbound/mailbox/account.h"

/* Flags of a message: five bits, then one a keyword of the mailbox. */
enum { MAILBOX_KEYWORDS_MAX = 59, MAILBOX_KEYWORD_LEN_MAX = 100, MAILBOX_KEYWORD_SHIFT = 5 };
#define MAIL_ANSWERED UINT64_C(1)
#define MAIL_FLAGGED UINT64_C(2)
#define MAIL_DELETED UINT64_C(4)
#define MAIL_SEEN UINT64_C(8)
#define MAIL_DRAFT UINT64_C(16)
#define MAIL_KEYWORD(number) (UINT64_C(1) << (MAILBOX_KEYWORD_SHIFT + (number)))

#define MAILBOX_SIZE_UNKNOWN UINT64_MAX

struct mailbox_message {
    uint32_t uid;
    uint64_t flags;
    uint64_t modseq;
    uint64_t file_size;
    uint64_t size;      /* with CRLF at each line's end (RFC822.SIZE); MAILBOX_SIZE_UNKNOWN: ask
                          * mailbox_message_size(). Equal to file_size: the file has CRLF only */
    int64_t internal_s; /* INTERNALDATE, wall */
    int64_t saved_s;    /* SAVEDATE (RFC 8514), wall */
    uint64_t email_id;  /* EMAILID (RFC 8474): copies have the same */
};

struct mailbox_status {
    uint32_t uidvalidity, uidnext;
    uint64_t modseq; /* HIGHESTMODSEQ */
    uint32_t exists, unseen, deleted;
    uint64_t size;         /* of all; where one is unknown, of its file */
    uint64_t deleted_size; /* of those with \Deleted */
    uint8_t id[16];        /* MAILBOXID: stays over renames */
    unsigned keyword_count;
    uint64_t recent_floor; /* what changed or went since is known message by message */
    bool is_gone;          /* deleted */
    bool is_unavailable;   /* the disk failed: what is told of messages says nothing */
};

/* Shared; the mailbox stays the same one over renames. */
must_use int mailbox_open(struct mail_account *account, struct bytes name,
                          struct mailbox **mailbox_out);
void mailbox_close(struct mailbox **mailbox);

/* Takes in what others did to the directory before the call: files that came get UIDs, flags in
 * names. Quick where nothing happened. */
must_use int mailbox_look(struct mailbox *mailbox);
/* Watches were told of all that others did before the call: no need to look. Blocks nobody. */
bool mailbox_is_quiet(const struct mailbox *mailbox);
void mailbox_status(struct mailbox *mailbox, struct mailbox_status *out);
/* Up to `max` messages with UIDs from `uid_from` on whose modseq is above `since` (0: all), by UID.
 * *uid_next_out: where to go on, 0 when there is nothing behind. A slice holds the lock for at most
 * some 4,096 messages looked at: it may return 0 and go on. */
must_use size_t mailbox_read(struct mailbox *mailbox, uint32_t uid_from, uint64_t since,
                             struct mailbox_message *out, size_t max, uint32_t *uid_next_out);
must_use bool mailbox_find(struct mailbox *mailbox, uint32_t uid, struct mailbox_message *out);
/* The file, to be read only; fd, the caller's to close with close(). */
must_use int mailbox_open_message(struct mailbox *mailbox, uint32_t uid);
/* Reads the file where the index does not know, and keeps it. */
must_use int mailbox_message_size(struct mailbox *mailbox, uint32_t uid, uint64_t *size_out);

struct uid_range {
    uint32_t first, last;
};
/* UIDs that are gone since `since`, in ascending order from `uid_from` on: at most `max` ranges, of
 * which UIDs that never were may be part. *uid_next_out as of mailbox_read(). What is older than
 * the index remembers is answered with every UID that is not there (RFC 7162 section 3.2.7). */
must_use size_t mailbox_vanished(struct mailbox *mailbox, uint64_t since, uint32_t uid_from,
                                 struct uid_range *out, size_t max, uint32_t *uid_next_out);

/* A keyword's name: NUL-terminated, at most MAILBOX_KEYWORD_LEN_MAX; false: no such number. */
must_use bool mailbox_keyword_name(struct mailbox *mailbox, unsigned number,
                                   char out[static MAILBOX_KEYWORD_LEN_MAX + 1]);
/* Case ignored. Made where `makes`; -ENOENT; -ENOSPC all are taken; -EINVAL not an atom. */
must_use int mailbox_keyword(struct mailbox *mailbox, struct bytes name, bool makes,
                             unsigned *number_out);

/* --- what was computed of a message, kept in a file beside the index -------------------------- */

/* As it was put; false: none, or lost. `out` is appended to. */
struct buf;
must_use bool mailbox_cache_get(struct mailbox *mailbox, uint32_t uid, struct buf *out);
/* At most MAILBOX_CACHE_MAX bytes, else nothing is kept. That it can be lost is no harm. It can be
 * got at once, and waits in memory to be written with others. */
enum { MAILBOX_CACHE_MAX = 64 << 10 };
void mailbox_cache_put(struct mailbox *mailbox, uint32_t uid, struct bytes blob);
/* What waits goes into the file: for who has put some and puts no more for now. */
void mailbox_cache_write(struct mailbox *mailbox);

/* --- for who must not wait -------------------------------------------------------------------- */

/* True: nobody else uses the mailbox until mailbox_let_go(), and all that others did in the
 * directory before the call was taken in: no need to look. False, at once: somebody uses it just
 * now, or there is something to take in. Meanwhile these block no more: mailbox_status(),
 * mailbox_read(), mailbox_find(), mailbox_vanished(), mailbox_keyword_name(), mailbox_keyword()
 * that makes none, mailbox_keep(), and the two below. Not for long: everybody else waits. */
must_use bool mailbox_hold(struct mailbox *mailbox);
/* For who was told of a change: of what others did since, its watch is told once more. */
must_use bool mailbox_hold_as_told(struct mailbox *mailbox);
void mailbox_let_go(struct mailbox *mailbox);
/* Nobody had it just now: whoever would hold it may try. */
bool mailbox_is_free(struct mailbox *mailbox);
/* As mailbox_open(), and holds it; -EAGAIN: it is not in memory, or not to be had at once. */
must_use int mailbox_open_held(struct mail_account *account, struct bytes name,
                               struct mailbox **mailbox_out);
/* As mailbox_close(), not held; the account stays open. False: not at once. */
must_use bool mailbox_try_close(struct mailbox **mailbox);
/* As mailbox_open_message(); -EAGAIN where a disk, or others' renames, may have to be looked at. */
must_use int mailbox_open_message_held(struct mailbox *mailbox, uint32_t uid);
/* As mailbox_cache_get(); false also where a disk may have to be asked. */
must_use bool mailbox_cache_get_held(struct mailbox *mailbox, uint32_t uid, struct buf *out);

/* --- what its users keep of it in memory ------------------------------------------------------ */

struct mailbox_kept {
    void (*drop)(struct mailbox_kept *kept); /* frees it */
};
/* One for all that have the mailbox open, made for the first who asks. It is dropped when the
 * mailbox leaves memory: some time after the last closed it. */
struct mailbox_kept *mailbox_keep(struct mailbox *mailbox, struct mailbox_kept *(*make)(void));

/* --- watching --------------------------------------------------------------------------------- */

/* `changed` is called on any thread, locks held, whenever a look may find something: it posts a
 * letter and no more. Several changes may be one call. */
struct mailbox_watch {
    struct mailbox_watch *next, **place; /* the mailbox's */
    void (*changed)(struct mailbox_watch *watch);
};
void mailbox_watch(struct mailbox *mailbox, struct mailbox_watch *watch);
/* Once it has returned, changed() is not called and not running. */
void mailbox_unwatch(struct mailbox *mailbox, struct mailbox_watch *watch);
