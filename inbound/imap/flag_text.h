/*
 * flag_text.h - flags as FETCH tells them; those that every mailbox has.
 *
 * Pure, any thread.
 */
#pragma once

#include "inbound/mailbox/mailbox.h"

#define FLAG_TEXT_ALL (MAIL_ANSWERED | MAIL_FLAGGED | MAIL_DELETED | MAIL_SEEN | MAIL_DRAFT)

enum { FLAG_TEXT_ROOM = 128 };

struct flag_text {
    uint8_t len;
    char bytes[FLAG_TEXT_ROOM - 1]; /* "FLAGS (\Answered \Seen" */
};

/* One for each set of FLAG_TEXT_ALL, which is its place. */
const struct flag_text *flag_texts(void);
/* Of those of FLAG_TEXT_ALL. */
static inline const struct flag_text *flag_text(uint64_t flags)
{
    return &flag_texts()[flags & FLAG_TEXT_ALL];
}
