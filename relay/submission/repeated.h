/*
 * repeated.h - a message that its submitter hands in again, by its key (intake/claims.h). Private
 * to the folder.
 *
 * Thread: the engine's.
 */
#pragma once

#include "submission/session.h"

/* At the end of the content: OK: it has no key, or one that is its own from now on. 250: it was
 * taken before, in those words. VERDICT_CODE_LATER: another that has the key is on its way, or keys
 * are not known yet: to be asked again. */
struct verdict repeated_ask(const struct submission *submission, struct submission_session *session,
                            struct intake *intake);
