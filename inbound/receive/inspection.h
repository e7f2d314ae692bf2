/*
 * inspection.h - archives that a message carries, read one after the other while it waits. Private
 * to the folder.
 *
 * What is being read cannot be called back: an inspection outlives the arrival that it was begun
 * for where that goes, and the service waits for it. Its memory is counted in base/budget.h.
 * Thread: the engine's.
 */
#pragma once

#include "inbound/archives/archive_reader.h"
#include "inbound/receive/attachments.h"
#include "inbound/receive/session.h"

struct inspection {
    struct receive *receive;
    struct attachments *attachments;
    struct archive_question question;
    size_t at; /* the archive that is asked about */
    size_t counted;
    /* It is done, `attachments` are the caller's again, and it is gone. */
    void (*done)(void *context, struct attachments *attachments);
    void *context;
};

/* Takes over what has seen its end. NULL: there is nothing to read, they are the caller's still,
 * and done() is not called; never from inside this. */
must_use struct inspection *inspection_start(
    struct receive *receive, struct attachments *attachments,
    void (*done)(void *context, struct attachments *attachments), void *context);
/* done() will not be called. Clears *inspection; NULL is fine. */
void inspection_let_go(struct inspection **inspection);
