/*
 * results.h - Authentication-Results: what checks found, for readers behind us (RFC 8601).
 *
 *     results_begin(&results, BYTES("mx.example"), &out);
 *     results_method(&results, "dkim", "pass");
 *     results_property(&results, "header", "d", domain);
 *     ...
 *     results_end(&results)
 *
 * Values come from strangers: what is neither a token nor an address is quoted, what may not stand
 * in quotes becomes "?", and one longer than RESULTS_VALUE_MAX is left out. Lines are folded below
 * 78 columns where the words allow. One at a time a thread.
 */
#pragma once

#include "base/buf.h"

enum { RESULTS_VALUE_MAX = 320, RESULTS_REASON_MAX = 200 };

struct results {
    struct buf *out;
    size_t column;
    bool has_method;
    bool is_full;
};

/* "Authentication-Results: ID"; the id is a host name of ours. */
void results_begin(struct results *results, struct bytes id, struct buf *out);
/* A method and its result, of RFC 8601 section 2.7; what follows belongs to it. */
void results_method(struct results *results, const char *method, const char *result);
/* " (text)"; the text is ours. */
void results_comment(struct results *results, const char *text);
/* reason="text", at most once and before the properties; the front of a long one. Nothing for an
 * empty one. */
void results_reason(struct results *results, struct bytes text);
void results_property(struct results *results, const char *type, const char *name,
                      struct bytes value);
/* The field is whole, with its CRLF ("; none" if there was no method). False: `out` is full. */
must_use bool results_end(struct results *results);

/*
 * Whether a field `value` (behind the colon, with its folds) claims to be written by `id`, and so
 * is to be removed from mail that comes from outside (RFC 8601 section 5): in any case, quoted,
 * between comments, with a final dot. A value that cannot be read is taken for ours if it holds the
 * id anywhere: a reader may be more lenient than we are.
 */
bool results_claims(struct bytes value, struct bytes id);
