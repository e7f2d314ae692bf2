/*
 * mime_address.h - the addresses of a field (RFC 5322 section 3.4 with its obsolete forms), one
 * after the other, leniently: for telling clients what a message says, not for deciding on it.
 *
 * Words are joined with one space where there was white space between them, quoted strings are
 * decoded, encoded words stay. A comment behind an address without a phrase is its name. What has
 * no "@" is a mailbox without a host where it is one word, else a name without an address; nothing
 * is refused. Any thread, linear time.
 */
#pragma once

#include "base/buf.h"

enum mime_address_kind {
    MIME_ADDRESS,
    MIME_GROUP_BEGIN, /* its name is in `mailbox` */
    MIME_GROUP_END,
};

struct mime_address {
    enum mime_address_kind kind;
    struct buf name;  /* empty: none */
    struct buf route; /* "@a,@b"; empty: none */
    struct buf mailbox;
    struct buf host;
    /* private */
    struct buf comment;
    struct bytes rest;
    bool in_group;
};

/* `value` stands behind the field's colon; it outlives the reader. */
void mime_address_init(struct mime_address *address, struct bytes value);
/* The next into the members; false: there is none any more. A group that does not end ends last. */
must_use bool mime_address_next(struct mime_address *address);
void mime_address_free(struct mime_address *address);
