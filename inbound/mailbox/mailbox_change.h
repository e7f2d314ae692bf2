/*
 * mailbox_change.h - changes of mailboxes: flags, new messages, copies, moves, expunges.
 *
 * Each is durable when its function has returned 0; those of several threads share one sync. After
 * an error nothing that was not durable before may be relied on, and the next call finds the
 * mailbox as it is on disk. UIDs are given in ascending order, without doubles; those that are gone
 * are passed over. -EDQUOT: over the account's quota (nothing was done); -ENOSPC: the disk is full;
 * -EFBIG: one message is larger than the whole quota.
 *
 * Thread and errors otherwise as in mailbox.h.
 */
#pragma once

#include "inbound/mailbox/mailbox.h"

enum { MAILBOX_CHANGE_MAX = 1000 /* UIDs or messages of one call: longer ones are sliced */ };

enum store_how { STORE_SET, STORE_ADD, STORE_REMOVE };

struct mailbox_flags_change {
    enum store_how how;
    uint64_t flags;
    bool has_unchanged_since;
    uint64_t unchanged_since; /* RFC 7162 section 3.1.3: messages above it stay as they are */
    /* the answer */
    uint64_t modseq; /* that changed messages have now; 0: none changed */
    size_t failed_count;
    uint32_t *failed; /* room for all UIDs: those above unchanged_since; NULL: none wanted */
};
must_use int mailbox_store_flags(struct mailbox *mailbox, const uint32_t *uids, size_t count,
                                 struct mailbox_flags_change *change);

/* A message on its way in: a file in tmp/ that its owner writes to. */
struct mailbox_upload {
    int fd; /* -1: none */
    uint64_t file_size;
    char name[MAIL_NAME_MAX + 1];
    /* of the message, set before mailbox_append() */
    uint64_t flags;
    bool has_internal;
    int64_t internal_s; /* else now */
    uint64_t lines_lf;  /* lines that end in LF alone; ones as they should be: 0 */
    /* the answer */
    uint32_t uid;
};
must_use int mailbox_upload_begin(struct mail_account *account, struct mailbox_upload *upload_out);
must_use int mailbox_upload_write(struct mailbox_upload *upload, struct bytes b);
/* Drops what was not appended; fine after an append. */
void mailbox_upload_end(struct mail_account *account, struct mailbox_upload *upload);
/* Whether so many bytes have room now; 0, -EDQUOT or -EFBIG. For who knows a literal's size.
 * `freed` is what goes when it has come. */
must_use int mail_account_has_room(struct mail_account *account, uint64_t size, uint64_t freed);
/* All or, unless the program dies meanwhile, none (RFC 3502). */
must_use int mailbox_append(struct mailbox *mailbox, struct mailbox_upload *uploads, size_t count);
/* A message in place of one that goes (RFC 8508), in `to` of the same account. The old one is there
 * until the new one is durable; after an error at least one of them is. -ENOENT: the old one is
 * gone. */
must_use int mailbox_replace(struct mailbox *from, uint32_t uid, struct mailbox *to,
                             struct mailbox_upload *upload);

struct uid_pair {
    uint32_t from, to;
};
/* Into another mailbox of the same account, or the same one. `pairs_out` has room for `count`. With
 * `moves` the messages are in exactly one of the two at any moment. */
must_use int mailbox_copy(struct mailbox *from, struct mailbox *to, const uint32_t *uids,
                          size_t count, bool moves, struct uid_pair *pairs_out,
                          size_t *pair_count_out);

/* Whichever of them have \Deleted. *expunged_out: how many went. Who wants to know which asks
 * mailbox_vanished(). */
must_use int mailbox_expunge(struct mailbox *mailbox, const uint32_t *uids, size_t count,
                             size_t *expunged_out);
/* All with \Deleted. */
must_use int mailbox_expunge_all(struct mailbox *mailbox, size_t *expunged_out);
