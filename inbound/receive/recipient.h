/*
 * recipient.h - RCPT: is there such a mailbox here, and does it take this? Private to the folder.
 *
 * Who asks for many that nobody is, is looking for names: each answer takes longer, and
 * unknown_max of them end the session.
 */
#pragma once

#include "inbound/receive/arrival.h"

enum { RECIPIENT_DELAY_MS_FIRST = 250, RECIPIENT_DELAY_MS_MAX = 8000 };

must_use struct verdict recipient_judge(struct arrival *arrival, const struct smtp_rcpt *rcpt);
