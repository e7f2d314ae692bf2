/*
 * account_event.h - what happens to an account's mailboxes by name, told to whoever watches: the
 * last ACCOUNT_EVENTS_MAX are kept while somebody does.
 *
 * Who changes something tells of it (mail_account_tell). Any thread; quick.
 */
#pragma once

#include "inbound/mailbox/account.h"

enum { ACCOUNT_EVENTS_MAX = 128, ACCOUNT_EVENT_TEXT_MAX = 4096 };

enum account_event_kind {
    ACCOUNT_CREATED,
    ACCOUNT_DELETED,
    ACCOUNT_RENAMED, /* with what is below it; other: what it was called */
    ACCOUNT_SUBSCRIBED,
    ACCOUNT_UNSUBSCRIBED,
    ACCOUNT_ANNOTATED, /* name empty: the account; other: the entry */
    ACCOUNT_FILED,     /* mail came for a mailbox that nobody has open, which may be a new one */
};

struct account_event {
    enum account_event_kind kind;
    const void *by; /* tells who did it from others; NULL: nobody who watches */
    struct bytes name, other;
};

/* `changed` is called on any thread, locks held: it posts a letter and no more. */
struct account_watch {
    struct account_watch *next, **place; /* the account's */
    void (*changed)(struct account_watch *watch);
    uint64_t next_event; /* that was not taken yet */
};

/* What happens from now on. */
void mail_account_watch(struct mail_account *account, struct account_watch *watch);
/* Once it has returned, changed() is not called and not running. */
void mail_account_unwatch(struct mail_account *account, struct account_watch *watch);
void mail_account_tell(struct mail_account *account, const struct account_event *event);

/* The next event; its texts are in `text`. 1; 0: there is none; -EOVERFLOW: some were lost, and
 * what is kept comes next. */
must_use int mail_account_next_event(struct mail_account *account, struct account_watch *watch,
                                     struct account_event *event_out,
                                     uint8_t text[static ACCOUNT_EVENT_TEXT_MAX]);
