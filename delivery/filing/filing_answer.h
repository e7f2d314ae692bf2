/*
 * filing_answer.h - what an account's script answers (RFC 5230): a message of ours beside the
 * recipient's end.
 *
 * Exactly once: the answer stands in the commit that ends its recipient, which the spool recovers
 * whole or not at all. Who files the recipient again, since that commit never was, makes it again
 * (inbound/sorting/vacation_memory.h). A recipient that bounces or is deferred is not answered.
 *
 * It goes out as a notification does: from the null path, signed, and nobody is told if it fails.
 * What was asked of TLS is asked of it as well (RFC 8689 section 5).
 *
 * Private to the folder. Thread: the engine's.
 */
#pragma once

#include "base/bytes.h"

struct filing_copy;
struct filed_recipient;
struct filer;

/* The Message-ID of what would be answered, in the filer's arena; empty: no memory. */
struct bytes filing_answer_id(struct filer *filer, const struct filed_recipient *recipient);
/* Once the copy is answered: counts and tells, and makes the message where there is one. */
void filing_answer_take(const struct filing_copy *copy);
/* Whether it is to be settled alone, with its answer; what is of no use any more is dropped. */
bool filing_answer_is_due(struct filed_recipient *recipient);
void filing_answer_drop(struct filed_recipient *recipient);
