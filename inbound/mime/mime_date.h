/*
 * mime_date.h - Date of a header (RFC 5322 sections 3.3 and 4.3), leniently. Pure, any thread.
 */
#pragma once

#include "base/bytes.h"

struct mime_date {
    int64_t unix_s; /* since 1970, UTC */
    int32_t zone_s; /* east of UTC: SENTON looks at the day there (RFC 9051 section 6.4.4) */
};

/* `value` may be folded. False: there is no date in it. */
must_use bool mime_date_read(struct bytes value, struct mime_date *out);
