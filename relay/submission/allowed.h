/*
 * allowed.h - a session's tenant held to what it may send in a time (queue/allowance.h).
 *
 * Over a rate mail is accepted and waits, up to the tenant's backlog: then 451 4.7.1. Over a quota
 * it is refused: 550 5.7.1. Who the session's mail is of counts, whether it logged in or a trusted
 * listener says so.
 *
 * Thread: the engine's.
 */
#pragma once

#include "submission/session.h"

/* A tenant's limits as allowances have them. NULL: none of it is limited. */
struct allowance *allowed_of(const struct directory_tenant *tenant, int64_t now_ms,
                             struct allowance_limits *limits_out);

/* At MAIL: would one recipient be refused? */
struct verdict allowed_foresee(const struct submission *submission,
                               const struct submission_session *session);
/* At the end of the content, last of all questions: the message is counted. VERDICT_CODE_LATER:
 * it is not known yet, so it is to be asked again. */
struct verdict allowed_take(const struct submission *submission,
                            const struct submission_session *session, struct intake *intake);
