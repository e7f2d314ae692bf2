/*
 * labels.h - what submitters say of a message in header fields that are for us alone: its class,
 * campaign, tags and metadata, and the key by which it is known when it comes again. Private to the
 * folder.
 *
 * The fields are taken out of the mail, whoever sends it; docs/tenants.md says what may be in them.
 * What cannot be read is refused: who labels mail looks for the labels later.
 *
 * Thread: the engine's.
 */
#pragma once

#include "submission/session.h"

/* The rows behind those of the intake and of submission; in the order of enum submission_label. */
void labels_add_rows(struct submission *submission,
                     const char *const names[static SUBMISSION_LABEL_COUNT]);
/* At the end of the content: into the message. */
struct verdict labels_take(const struct submission *submission, struct submission_session *session,
                           struct intake *intake);
