/*
 * subscriptions.h - an account's file `subscriptions`, as Dovecot 2.3 has it: "V<tab>2", an empty
 * line, then a folder a line, parts separated by tabs. Older ones have "." between parts and no
 * first lines. Names are those of folders, without the first "."; "INBOX". Pure.
 */
#pragma once

#include "base/buf.h"
#include "inbound/mailbox/account.h"

/* Calls visit with each folder as mail_folder_encode() makes it; lines of no such folder are passed
 * over. */
void subscriptions_parse(struct bytes text, void (*visit)(void *context, const char *folder),
                         void *context);
void subscriptions_put_head(struct buf *out);
void subscriptions_put(struct buf *out, const char *folder);
