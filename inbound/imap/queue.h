/*
 * queue.h - the folder Queue, a mirror of what waits of the account's tenant.
 *
 * relay/queue_folder.h keeps it. On the pool. Private to the folder.
 */
#pragma once

#include "inbound/imap/work.h"
#include "inbound/mailbox/mirror.h"

#define QUEUE_NAME BYTES("Queue")

/* Has it brought up to date, where that is the name and the account has one. */
void queue_refresh(struct imap_work *work, struct bytes name);
/* It is selected: it is brought up to date again and again, until it is let go. */
void queue_keep(struct imap_work *work, struct bytes name);
void queue_let_go(struct imap_work *work); /* fine where it was not kept */
