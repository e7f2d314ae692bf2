/*
 * account.h - accounts whose mail is read: their mailboxes by name, subscriptions, quota.
 *
 *   mail_accounts     one for the process, on state_dir/mail (docs/store.md)
 *     mail_account    one for each account in use, shared by all of its sessions
 *       mailbox       one for each mailbox in use (mailbox.h), shared as well
 *
 * Mailboxes are called as IMAP calls them, in UTF-8, "/" between parts; "INBOX" in any case is the
 * account's own directory. Names that mail_folder_encode() refuses do not exist: -EINVAL.
 *
 * Functions block, any thread but an engine's; they lock for themselves. Errors are -errno:
 * -ENOENT no such mailbox, -EEXIST it exists already, -EINVAL a name that cannot be or an operation
 * that INBOX does not allow, -EMFILE more than ACCOUNT_MAILBOXES_MAX, -EDQUOT over the quota.
 */
#pragma once

#include "base/bytes.h"
#include "inbound/store/mail_name.h"

struct mail_accounts;
struct mail_account;
struct mailbox;

enum {
    ACCOUNT_MAILBOXES_MAX = 10000,
    ACCOUNTS_WHY_MAX = 192,
    MAILBOX_NAME_MAX = 1000, /* bytes of a name in UTF-8, which is at most so long */
};

struct mail_accounts_settings {
    const char *directory; /* state_dir/mail; made where it is missing */
    const char *host;      /* in the names of files */
    unsigned idle_max;     /* mailboxes kept in memory that nobody has open; 0: 64 */
};

/* NULL with a sentence in why_out. Starts two threads: one reads inotify, one does what is lazy. */
struct mail_accounts *mail_accounts_open(const struct mail_accounts_settings *settings,
                                         char why_out[static ACCOUNTS_WHY_MAX]);
/* After every account was closed. Does first what is lazy: names of files carry their flags. */
void mail_accounts_close(struct mail_accounts **accounts);
/* The filing side gave a file its name in new/ or cur/ of a folder, all encoded. Any thread, quick:
 * wakes who watches it; nothing happens where nobody has it open. */
void mail_accounts_notice(struct mail_accounts *accounts, const char *domain, const char *local,
                          const char *folder);
/* What is lazy, now: renames that wait, and mailboxes that nobody has open are closed (all of them,
 * or those idle for long). The second thread calls it; tests do. */
void mail_accounts_tidy(struct mail_accounts *accounts, bool all);

/* --- an account ------------------------------------------------------------------------------- */

/* `domain` and `local` as the directory has them; made where it is missing. `quota`: bytes, 0 none;
 * what the last one to open it says holds. */
must_use int mail_account_open(struct mail_accounts *accounts, struct bytes domain,
                               struct bytes local, uint64_t quota,
                               struct mail_account **account_out);
void mail_account_close(struct mail_account **account); /* after its mailboxes */

struct account_usage {
    uint64_t bytes, messages;
    uint64_t quota; /* 0: none; then the others are 0 too */
};
must_use int mail_account_usage(struct mail_account *account, struct account_usage *usage_out);

/* --- its mailboxes ---------------------------------------------------------------------------- */

enum special_use { /* RFC 6154; \All, \Flagged and \Important are not kept */
                   SPECIAL_NONE,
                   SPECIAL_ARCHIVE,
                   SPECIAL_DRAFTS,
                   SPECIAL_JUNK,
                   SPECIAL_SENT,
                   SPECIAL_TRASH,
                   SPECIAL_COUNT,
};
/* "\Archive", ...; NULL for SPECIAL_NONE. */
const char *special_use_name(enum special_use use);
/* In any case; false: it is none. */
must_use bool special_use_parse(struct bytes name, enum special_use *use_out);

struct mailbox_entry {
    struct bytes name;
    bool is_missing;   /* only a parent of others, or only subscribed: \NonExistent */
    bool has_children; /* that exist */
    bool is_subscribed;
    enum special_use use;
};
struct mailbox_list {
    size_t count;
    struct mailbox_entry *entries; /* INBOX first, else by name, bytes compared */
    void *memory;
};
/* All of the account, what is only subscribed included. */
must_use int mail_account_list(struct mail_account *account, struct mailbox_list *list_out);
void mailbox_list_free(struct mailbox_list *list);

/* Durable when they return. `use`: SPECIAL_NONE, or what it is to be from now on (RFC 6154 section
 * 3); no other mailbox is it then. Parents are not made: they are listed as missing. */
must_use int mail_account_create(struct mail_account *account, struct bytes name,
                                 enum special_use use);
/* Its messages too. Who has it open finds it gone (-ENOENT). Children stay. */
must_use int mail_account_delete(struct mail_account *account, struct bytes name);
/* With all children; subscriptions stay as they are (RFC 9051 section 6.3.6). INBOX: its messages
 * move to a new mailbox of that name, its children stay. Who has it open keeps it. */
must_use int mail_account_rename(struct mail_account *account, struct bytes from, struct bytes to);
/* Of any name that could be; without change where it is so already. */
must_use int mail_account_subscribe(struct mail_account *account, struct bytes name,
                                    bool is_subscribed);
