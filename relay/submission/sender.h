/*
 * sender.h - may the tenant or the user of a session send as that? Private to the folder.
 *
 * The domains of the reverse-path, of every address in From and of Sender are to be active domains
 * of the tenant, or below one that allows it (directory/snapshot.h). Addresses are judged as a
 * reader's program finds them: groups opened, comments and folds left out, quotes decoded
 * (smtp/mailbox.h). What it cannot read for sure is refused: 550 5.6.0.
 *
 * A user, who logged in with a credential of an account, is held to the account's own addresses
 * besides: its address, those whose mail comes to it (directory/recipient_lookup.h: aliases, with
 * or without a "+detail"), and what an operator granted it (directory/account_sends.h).
 *
 * Who logged in is judged; clients of a listener's `trust` are trusted with this too.
 *
 * Thread: the engine's.
 */
#pragma once

#include "submission/session.h"

/* At MAIL. The null path needs leave of its own. */
struct verdict sender_judge_mail(const struct submission *submission,
                                 const struct submission_session *session,
                                 const struct smtp_mail *mail);
/* At RCPT and at the end of content: the limits of the tenant. */
struct verdict sender_judge_rcpt(const struct submission *submission,
                                 const struct submission_session *session);
struct verdict sender_judge_content(const struct submission *submission,
                                    const struct submission_session *session,
                                    const struct intake *intake, uint64_t size);
