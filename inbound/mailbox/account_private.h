/*
 * account_private.h - what the files of accounts share. Private to this folder.
 *
 * Locks, in the order in which they are taken: a mail_account, scan and mutex of a mailbox (of two
 * mailboxes: that with the lower address first), mail_accounts. notice's is taken before a
 * mailbox's mutex, or by who loads it, before inotify knows it.
 */
#pragma once

#include "inbound/mailbox/mailbox_private.h"

enum { IDLE_DEFAULT = 64, IDLE_MS = 300000, LAZY_MS = 2000 };

struct notice;

struct mail_accounts {
    int fd; /* of the directory */
    char host[128];
    unsigned idle_max;
    struct notice *notice; /* NULL: no inotify */
    pthread_mutex_t mutex;
    struct map accounts;
    _Atomic size_t idle_count; /* mailboxes in memory that nobody has open */
    pthread_t tidier;
    bool has_tidier, is_stopping;
    pthread_cond_t stop;
    _Atomic uint64_t names; /* given to files */
};

struct mail_account {
    struct map_node node; /* key: "DOMAIN/LOCAL", encoded */
    struct mail_accounts *accounts;
    unsigned refs;         /* the process's lock: sessions, and mailboxes in memory */
    pthread_mutex_t mutex; /* folders by name */
    pthread_mutex_t quota_mutex, validity_mutex, event_mutex; /* taken last */
    struct account_watch *watches;                            /* under event_mutex */
    struct account_events *events;                            /* while there are some */
    struct map mailboxes;
    struct maildir maildir;
    uint64_t quota;
    bool quota_in_doubt;
    char key[];
};

/* Above all that were ever given out here, and above `above`. */
must_use int account_uidvalidity(struct mail_account *account, uint32_t above,
                                 uint32_t *uidvalidity_out);

/* A mailbox by its folder's name. */
must_use int account_open_folder(struct mail_account *account, const char *folder,
                                 struct mailbox **mailbox_out);

/* That nobody has open and the account does not know any more. */
void account_free_mailbox(struct mailbox *mailbox);

struct account_watch;  /* account_event.h */
struct account_events; /* account_event.c */
struct special_uses;
/* account_list.c: what the file says. */
must_use int account_read_uses(struct mail_account *account, struct special_uses *uses_out);

/* account_quota.c: room for what comes, taken at once; 0, -EDQUOT, -EFBIG. `freed` goes when it has
 * come. */
must_use int account_reserve(struct mail_account *account, uint64_t bytes, uint64_t largest,
                             uint64_t messages, uint64_t freed);
void account_forget_usage(struct mail_account *account);
void account_give_back(struct mail_account *account, uint64_t bytes, uint64_t messages);

/* mailbox_append.c: as mailbox_append(), where `freed` bytes of the account go afterwards. */
must_use int mailbox_append_for(struct mailbox *mailbox, struct mailbox_upload *uploads,
                                size_t count, uint64_t freed);
/* mailbox_expunge.c: one message, whatever its flags are. Fine where it is gone. After an error
 * *is_gone_out says whether its file is. */
must_use int mailbox_remove(struct mailbox *mailbox, uint32_t uid, bool *is_gone_out);
