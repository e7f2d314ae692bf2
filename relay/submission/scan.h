/*
 * scan.h - what a user of ours submits, looked at by rspamd before it is accepted. Private to the
 * folder.
 *
 *   MAIL --scan_open--> content is copied --scan_ask--> done(), later
 *
 * Of accounts alone: what applications send is their tenant's. Reject is 550, soft reject 451; what
 * is only marked elsewhere is taken, and so is what rspamd would greylist: whose it is is known.
 * Where there is no answer it is taken, or deferred where inbound.rspamd_away says so.
 *
 * Memory is counted in base/budget.h. Thread: the engine's.
 */
#pragma once

#include "submission/session.h"

struct scan;

/* At MAIL: *scan_out stays NULL where it is not to be scanned. False: no memory. */
must_use bool scan_open(struct submission *submission, struct submission_session *session,
                        struct scan **scan_out);
void scan_content(struct scan *scan, struct bytes run);
/* The content is whole; `done` is told OK or a refusal, later, unless the scan is freed before. */
void scan_ask(struct scan *scan, struct intake *intake,
              void (*done)(struct submission_session *session, struct verdict verdict));
size_t scan_memory(const struct scan *scan); /* of NULL: 0 */
/* NULL is fine. */
void scan_free(struct scan **scan);
