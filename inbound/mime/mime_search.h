/*
 * mime_search.h - SEARCH's look into texts: whether one holds another, by Unicode without case.
 *
 * Header fields are unfolded and decoded (RFC 2047), bodies are decoded by their transfer encoding
 * and charset. BODY looks into text parts and into no header (RFC 9051 section 6.4.4), TEXT into
 * the header of every part as well. HTML is looked at as it stands. A message is searched in
 * slices: its owner may stop after each.
 *
 * Bounds: the first MIME_SEARCH_FIELD_MAX of a field. Any thread, one at a time for each struct.
 */
#pragma once

#include "inbound/mime/mime_message.h"

enum {
    MIME_NEEDLE_MAX = 8 * 1024,      /* bytes of what is looked for */
    MIME_SEARCH_FIELD_MAX = 1 << 20, /* bytes of a field that are looked at */
};

struct mime_needle {
    struct buf text; /* folded; empty: every text holds it */
};

enum mime_needle_result {
    MIME_NEEDLE_OK,
    MIME_NEEDLE_CHARSET, /* NO [BADCHARSET] */
    MIME_NEEDLE_BROKEN,  /* it is not of that charset, or too long: BAD */
};

/* `charset` is as the client says it; empty: UTF-8. On MIME_NEEDLE_OK it is to be freed. */
must_use enum mime_needle_result mime_needle_init(struct mime_needle *needle, struct bytes charset,
                                                  struct bytes text);
void mime_needle_free(struct mime_needle *needle);

/* Whether a field of that name holds it (HEADER, FROM, SUBJECT ...). An empty needle: whether
 * there is such a field. */
bool mime_search_field(struct bytes header, struct bytes name, const struct mime_needle *needle);
/* A value as it stands in the header, as it is looked into: decoded and folded, to the end of
 * `out`. False: it cannot be, or there is no room. */
must_use bool mime_search_fold(struct bytes value, struct buf *out);
/* Whether such a text holds it. */
bool mime_needle_is_in(const struct mime_needle *needle, struct bytes folded);

enum mime_search_result {
    MIME_SEARCH_MORE, /* call again */
    MIME_SEARCH_FOUND,
    MIME_SEARCH_NOT_FOUND,
};

struct mime_search;

/* BODY, or with_header TEXT. The message and the needle outlive it. */
struct mime_search *mime_search_begin(const struct mime_message *message, bool with_header,
                                      const struct mime_needle *needle);
/* Looks at `size` bytes of the message or somewhat more (a header's field is looked at whole). */
enum mime_search_result mime_search_step(struct mime_search *search, size_t size);
void mime_search_end(struct mime_search **search);
