/*
 * suggest.h - which name somebody may have meant by one that is not there. Private to the folder.
 */
#pragma once

#include "directory/store.h"

enum { SUGGEST_MAX = 300 };

/* "; did you mean NAME?" of the names that `sql` selects, or "". Looks at so many of them only. */
void suggest(struct store *store, const char *sql, struct bytes name, char out[static SUGGEST_MAX]);
