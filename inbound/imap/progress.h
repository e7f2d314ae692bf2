/*
 * progress.h - how far a long command is (RFC 9585). On the pool. Private to the folder.
 */
#pragma once

#include "inbound/imap/work.h"

/* Where a command may be interrupted by another response: says "* OK [INPROGRESS ...]" when it said
 * so, or began, imap.progress ago. `done` never goes down; `goal` 0: it is not known. */
void imap_progress(struct imap_work *work, uint64_t done, uint64_t goal);
/* "INPROGRESS (\"A001\" 454 1000)" */
must_use bool imap_put_progress(struct buf *out, const char *tag, uint64_t done, uint64_t goal);
