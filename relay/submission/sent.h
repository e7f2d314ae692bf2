/*
 * sent.h - what a hosted user submits is filed in the Sent of the account, where that says so
 * (`ringpost account set --sent yes`), by a recipient more.
 *
 * Thread: the engine's.
 */
#pragma once

#include "submission/session.h"

/* Before the content: the credential that the session logged in with may be an account's. */
must_use struct verdict sent_add(const struct submission *submission,
                                 const struct submission_session *session, struct intake *intake);
