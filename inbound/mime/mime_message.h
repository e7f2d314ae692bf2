/*
 * mime_message.h - where the parts of a message lie (RFC 2046): a tree over its bytes.
 *
 * The bytes served are the bytes received, so every part knows its slice of the message. (GMime
 * decodes parts, but tells their offsets only while it parses, recurses and has no bound on parts:
 * the scanner here is our own.) It runs over the lines once, without recursion; the work is linear
 * to the message. What is beyond the bounds is not taken apart: it stays in the part it is in,
 * is_cut says so.
 *
 * Lenient as readers must be: a multipart whose boundary does not come up has no parts; one without
 * the parameter is a leaf; one that does not close ends with what it is in. A delimiter line need
 * only begin with the boundary (RFC 2046 section 5.1.1); the longest open one that fits is meant,
 * and of equal ones the innermost.
 *
 * The message outlives the tree. Any thread, one at a time for each tree.
 */
#pragma once

#include "inbound/mime/mime_field.h"
#include "inbound/mime/mime_param.h"

enum {
    MIME_PARTS_MAX = 10000,
    MIME_DEPTH_MAX = 100, /* clients parse BODYSTRUCTURE recursively; Dovecot has the same bound */
};

enum mime_kind {
    MIME_LEAF,
    MIME_MULTIPART, /* its children are the parts */
    MIME_MESSAGE,   /* message/rfc822 or message/global: its one child is the message in it */
};

enum mime_encoding {
    MIME_IDENTITY, /* 7bit, 8bit, binary, or nothing said */
    MIME_QUOTED_PRINTABLE,
    MIME_BASE64,
    MIME_UNKNOWN, /* BINARY answers NO [UNKNOWN-CTE], RFC 3516 section 4.3 */
};

struct mime_part {
    enum mime_kind kind;
    enum mime_encoding encoding;
    bool is_cut;           /* there is more in it than the bounds allow */
    struct bytes header;   /* with its empty line, if it came */
    struct bytes body;     /* without the line end that belongs to the next delimiter */
    uint64_t lines;        /* of the body, as BODYSTRUCTURE counts them: LFs */
    struct mime_type type; /* what is said, or the default of RFC 2046 sections 5.1.5 and 5.2 */
    struct bytes encoding_name;                 /* as it stands; empty: nothing said */
    struct mime_part *parent, *children, *next; /* NULL where there is none */
    uint32_t count;                             /* of children */
    /* private */
    struct mime_part *last;
};

struct mime_message {
    struct bytes bytes;
    struct mime_part *root; /* the message itself */
    uint32_t count;         /* of all parts */
    /* private */
    struct arena arena;
};

/* Any bytes are a message. Takes up to 32 MiB; *out is to be freed. */
void mime_message_read(struct bytes message, struct mime_message *out);
void mime_message_free(struct mime_message *message);

/*
 * The part that FETCH calls by these numbers (RFC 9051 section 6.4.5.1); NULL: there is none.
 * Depth 0 is the message. A message that is no multipart has one part, 1, which is its body; below
 * a message/rfc822 the numbers go on with the parts of the message in it.
 */
const struct mime_part *mime_message_part(const struct mime_message *message, const uint32_t *path,
                                          size_t depth);
/* The next in the order of the bytes, children first; NULL at the end. Walks without recursion. */
const struct mime_part *mime_part_next(const struct mime_part *part);
