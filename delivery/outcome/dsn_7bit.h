/*
 * dsn_7bit.h - a notification of ours in a form that every server takes.
 *
 * RFC 6533 section 4.5: towards a server without SMTPUTF8 its parts are encoded. RFC 6152 section 3
 * asks the same towards one without 8BITMIME. message/rfc822 must not be encoded (RFC 2046 section
 * 5.2.1), so of such an original only the header section is returned. Its signatures are left out:
 * they are of the first form.
 */
#pragma once

#include "queue/message.h"

/* A message with the same envelope and id, for the transaction that needs it; the spool keeps the
 * first form. NULL where its recipient's address needs SMTPUTF8, its content is not in memory or
 * not as dsn.h writes it, or memory ran dry. */
struct message *dsn_as_7bit(const struct message *dsn);
