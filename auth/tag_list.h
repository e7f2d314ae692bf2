/*
 * tag_list.h - the tag=value lists of DKIM, ARC and DMARC (RFC 6376 section 3.2).
 *
 * Parsed whole or refused whole: a name that occurs twice makes the list invalid. Values keep the
 * white space inside of them and lose that around. Names and values are compared with case, where
 * the tag does not say otherwise. Bytes above 127 are taken in values, as UTF-8 only (RFC 8616
 * section 5). Pure functions over bytes; slices point into the text.
 */
#pragma once

#include "base/buf.h"

enum { TAGS_MAX = 64 };

struct tag {
    struct bytes name;
    struct bytes value; /* trimmed of folding white space */
    struct bytes span;  /* from behind "=" up to ";" or the end: the value with the space around */
};

struct tag_list {
    size_t count;
    struct tag tags[TAGS_MAX]; /* in order */
};

/* False, with a reason in words ("a tag without a name"), when it is none. */
must_use bool tag_list_parse(struct bytes text, struct tag_list *out, const char **reason_out);
/* NULL: no such tag. */
const struct tag *tag_list_find(const struct tag_list *list, struct bytes name);
/* The value of a tag; BYTES_NONE without it. A tag may be there and empty: then ptr is set. */
struct bytes tag_list_value(const struct tag_list *list, struct bytes name);

/* A list of items with `separator` between them and white space allowed around each:
 *     while (tag_item_take(&rest, ':', &item)) ...
 * An empty value is one empty item. Before the first call *rest is the value; after the last item
 * rest->ptr is NULL. */
bool tag_item_take(struct bytes *rest, uint8_t separator, struct bytes *item_out);
/* 1 to 76 digits and nothing else; more than 64 bits are UINT64_MAX. */
must_use bool tag_number(struct bytes value, uint64_t *number_out);
/* RFC 4648 section 4 with folding white space anywhere. Padding must be there, once, at the end;
 * bits behind the last octet must be zero. Appends; false (nothing appended) when it is not
 * base64 or `out` has no room. An empty value is base64 of nothing. */
must_use bool tag_base64(struct bytes value, struct buf *out);
/* dkim-quoted-printable (RFC 6376 section 2.11): white space ignored, =XX in capitals. Appends. */
must_use bool tag_quoted_printable(struct bytes value, struct buf *out);
/* A hyphenated-word (RFC 6376 section 2.10 and the tags' x-... forms). */
bool tag_is_word(struct bytes value);
/* Folding white space off both ends: spaces, tabs and CRLF before one of these. */
struct bytes tag_trim(struct bytes value);
