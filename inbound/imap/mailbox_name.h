/*
 * mailbox_name.h - names of mailboxes: as clients write them, and as we keep them.
 *
 * We keep UTF-8 with "/" between parts; "INBOX" in any case is "INBOX". A client that has not
 * enabled IMAP4rev2 or UTF8=ACCEPT writes the modified UTF-7 of RFC 3501 section 5.1.3, which has
 * one form for each text: another is no name.
 *
 * Pure, any thread.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum { IMAP_NAME_MAX = 1024 /* bytes of either form */ };

/* False: it is no name (bad UTF-7 or UTF-8, controls). The result is the arena's or `text`. */
must_use bool mailbox_name_read(struct arena *arena, struct bytes text, bool is_utf8,
                                struct bytes *name_out);
/* As a client is told it, quoted as needed. False: no room. */
must_use bool mailbox_name_put(struct buf *out, struct bytes name, bool is_utf8);

/* Patterns of LIST: "*" any text, "%" any without "/". Both as we keep names. Time is bounded by
 * the product of both lengths. INBOX is matched in any case. */
bool mailbox_name_matches(struct bytes name, struct bytes pattern);

bool mailbox_name_is_inbox(struct bytes name);
