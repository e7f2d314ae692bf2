/*
 * notice.h - inotify: what others do in new/ and cur/ of mailboxes that are in memory.
 *
 * One thread reads the events, sorts out what our own renames caused, and tells the mailbox's
 * watchers of the rest; whoever looks next takes it in. Private to this folder.
 */
#pragma once

#include "inbound/mailbox/mailbox_private.h"

struct notice;

/* NULL: there is none to be had, then mailboxes look at the directories' times. */
struct notice *notice_start(void);
void notice_stop(struct notice **notice);
/* Sets watch_new and watch_cur, where that works. */
void notice_add(struct notice *notice, struct mailbox *mailbox);
/* Once it has returned, the thread does not use the mailbox. Its lock is not held. */
void notice_remove(struct notice *notice, struct mailbox *mailbox);
/* What happened until now is told when it returns; `notice` may be NULL. No lock is held. */
void notice_drain(struct notice *notice);
/* What happened until now was told: nothing to drain. Blocks nobody; false for NULL. */
bool notice_is_drained(struct notice *notice);
/* A file may have come or gone; `name` NULL: whatever. Locked; tells watchers. */
void mailbox_news(struct mailbox *mailbox, bool is_in_new, const char *name);
