/*
 * flag_memo.h - sets of flags with keywords, as they were told: a mailbox has few of them, each on
 * many messages.
 *
 * A keyword's number has its name until a mailbox that failed is read again, so it is kept for a
 * slice and no longer. One thread.
 */
#pragma once

#include "inbound/imap/flag_text.h"

enum { FLAG_MEMO_SLOTS = 64, FLAG_MEMO_MAX = 48 };

struct flag_memo {
    unsigned count;
    uint64_t flags[FLAG_MEMO_SLOTS]; /* 0: free */
    struct flag_text texts[FLAG_MEMO_SLOTS];
};

/* So is one that is all zeros. */
void flag_memo_clear(struct flag_memo *memo);
/* Of flags that have keywords among them; NULL: it has no text of them. */
const struct flag_text *flag_memo_find(const struct flag_memo *memo, uint64_t flags);
/* Of those that it has no text of: "FLAGS (\Seen $Forwarded". One that is too long is not kept, nor
 * are more than FLAG_MEMO_MAX. */
void flag_memo_keep(struct flag_memo *memo, uint64_t flags, struct bytes text);
