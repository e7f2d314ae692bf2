/*
 * mime_envelope.h - ENVELOPE (RFC 9051 section 7.5.2) of a message's header section.
 *
 * Encoded words stay as they are. Addresses are read leniently: comments behind an address without
 * a phrase are its name, groups have their begin and end, routes are at-domain lists, what is no
 * address is a name without one. Sender and Reply-To are From's where they are missing or empty.
 * Of fields that come twice the first counts.
 * Pure functions, any thread. False: `out` is full, with a part appended.
 */
#pragma once

#include "base/buf.h"

enum { MIME_ADDRESSES_MAX = 10000 }; /* of a field; what comes behind is left out */

/* "(date subject ((name adl mailbox host)) ... message-id)" with its parentheses. */
must_use bool mime_envelope_write(struct bytes header, struct buf *out);
