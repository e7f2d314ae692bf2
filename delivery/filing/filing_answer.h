/*
 * filing_answer.h - what an account's script answers (RFC 5230): a message of ours beside the
 * recipient's end.
 *
 * Exactly once: the answers of a recipient stand in the commit that ends it, which the spool
 * recovers whole or not at all. Who files the recipient again, since that commit never was, makes
 * them again (inbound/sorting/vacation_memory.h). Each account that it means answers for itself,
 * whatever becomes of the others' copies, but not before the recipient comes to its end: until then
 * what was made is dropped. What was only to be sent on is not answered where that failed. Answers
 * that would be more than FILING_ANSWERS_BYTES_MAX with those before them fail, and are told as
 * such.
 *
 * It goes out as a notification does: from the null path, signed, and nobody is told if it fails.
 * What was asked of TLS is asked of it as well (RFC 8689 section 5).
 *
 * Private to the folder. Thread: the engine's.
 */
#pragma once

#include "base/bytes.h"

struct message;
enum { FILING_ANSWERS_BYTES_MAX = 4 << 20 }; /* of one recipient: they are one commit */

struct filing_answer {
    struct message *message;
    bool is_redirect; /* the account kept nothing */
};

struct filing_copy;
struct filed_recipient;
struct filer;

/* The Message-ID of what would be answered to the next copy of the recipient, in the filer's arena;
 * empty: no memory. */
struct bytes filing_answer_id(struct filer *filer, const struct filed_recipient *recipient);
/* Once the copy is answered: counts and tells, and makes the message where there is one. */
void filing_answer_take(const struct filing_copy *copy);
/* Whether it is to be settled alone, with its answers; those that are not to be are dropped. */
bool filing_answer_is_due(struct filed_recipient *recipient);
void filing_answer_drop(struct filed_recipient *recipient);
