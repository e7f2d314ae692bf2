/*
 * mime_sort.h - what SORT and THREAD compare (RFC 5256, RFC 5957): keys whose bytes are in the
 * order of i;unicode-casemap, so memcmp (bytes_compare) compares them.
 *
 * Values are as they stand in the header (mime_field.h). At most MIME_SORT_KEY_MAX bytes of a value
 * count. Pure functions, any thread. False: `out` is full, with a part appended.
 */
#pragma once

#include "base/buf.h"

enum { MIME_SORT_VALUE_MAX = 8 * 1024, MIME_SORT_KEY_MAX = 16 * 1024 };

/* The base subject (RFC 5256 section 2.1), folded; *is_reply_out: it was a reply or forward. */
must_use bool mime_sort_subject(struct bytes value, struct buf *out, bool *is_reply_out);
/* The mailbox (before "@") of the first address of From, To or Cc; nothing where there is none. */
must_use bool mime_sort_mailbox(struct bytes value, struct buf *out);
/* DISPLAYFROM, DISPLAYTO (RFC 5957 section 3): its display name, else "mailbox@host". */
must_use bool mime_sort_display(struct bytes value, struct buf *out);

/*
 * The message ids of Message-ID, References or In-Reply-To, normalised (quotes and their escapes
 * undone, RFC 5256 section 3): takes the first off *value and appends it without its brackets.
 * False: there is none any more. An id longer than `out` has room for is passed over.
 */
must_use bool mime_sort_take_id(struct bytes *value, struct buf *out);
