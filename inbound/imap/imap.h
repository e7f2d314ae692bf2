/*
 * imap.h - mailboxes for their users by IMAP (RFC 9051, RFC 3501): what inbound/access/access.h is
 * to be given. docs/imap.md says what is offered.
 */
#pragma once

#include "inbound/access/access.h"

extern const struct access_kind imap_access;
