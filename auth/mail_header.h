/*
 * mail_header.h - the header section of a message, field by field, byte for byte as it came.
 *
 * Signatures cover bytes, so nothing is unfolded, trimmed or repaired here. Only CRLF ends a line.
 * A field is a name of printable ASCII, spaces or tabs, a colon and the rest with its continuation
 * lines (RFC 5322 section 2.2 and obs-optional). The section ends with the empty line, or before a
 * line that is no field: that line is the body's first then, as every later reader takes it. What
 * an mbox file puts before the first field ("From somebody date") is passed over.
 *
 * Bounded: a section beyond size_max or fields_max is read to its end, but what is beyond is not
 * kept (is_cut), and what asks for all fields of a name cannot trust the rest.
 * Any thread, one at a time.
 */
#pragma once

#include "base/buf.h"

enum {
    MAIL_HEADER_SIZE_MAX = 256 * 1024, /* what is usual to give to mail_header_init() */
    MAIL_HEADER_FIELDS_MAX = 2000,
};

struct mail_field {
    struct bytes raw;   /* all of it: name, colon, value, and the CRLF that ends it if it came */
    struct bytes name;  /* without spaces before the colon; in the case it came in */
    struct bytes value; /* behind the colon, with its folds, without the CRLF that ends it */
};

struct mail_header {
    bool in_body;           /* all fields came */
    bool missing_separator; /* the body began without an empty line */
    bool is_cut;            /* there were more fields, or longer ones, than are kept */
    bool has_8bit;          /* in what is kept: an internationalised header (RFC 6532) */
    /* Once in_body; they live as long as the header. */
    size_t count;
    struct mail_field *fields;
    struct bytes body_start; /* what of the input given so far belongs to the body; before the rest
                              * of the input whose feeding ended the header */
    /* private */
    struct buf raw;
    size_t fields_max;
    size_t line_start; /* of the unfinished line in raw; or, once cut, how much of it came */
    uint8_t last;      /* byte, once cut */
    size_t fields_capacity;
};

void mail_header_init(struct mail_header *header, size_t size_max, size_t fields_max);
/* Takes bytes off *input; true once in_body, when body_start and then *input are the body. */
bool mail_header_feed(struct mail_header *header, struct bytes *input);
/* The content has ended; a message may have no body. Nothing to do when in_body. */
void mail_header_finish(struct mail_header *header);
void mail_header_free(struct mail_header *header);

/* The last field of that name (any case) among fields[0..below); -1: none. Walking from
 * `header->count` on gives them from the bottom up. */
ptrdiff_t mail_header_find(const struct mail_header *header, struct bytes name, size_t below);
size_t mail_header_count(const struct mail_header *header, struct bytes name);
