/*
 * aggregate.h - what a DMARC aggregate report says: RFC 9990's XML, and RFC 7489's before it.
 *
 * Read element by element with expat; what is not known is passed over with all that is in it. The
 * facts are one JSON object with the members that docs/reports.md names. Any thread; not for an
 * engine, for a report may have 16 MiB.
 */
#pragma once

#include <jansson.h>

#include "base/bytes.h"

enum {
    AGGREGATE_RECORDS_MAX = 100000,
    AGGREGATE_LISTS_MAX = 100, /* reasons, and results, of a record; errors of a report */
    AGGREGATE_TEXT_MAX = 4096, /* of an element; what is beyond is left out */
};

/* NULL, with a sentence in *why_out: it is no such report. Whose records were more than are kept
 * says "is_cut": true. */
must_use json_t *aggregate_read(struct bytes xml, const char **why_out);
