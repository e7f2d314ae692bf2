/*
 * mailbox.h - the mail addresses of a header field: From, Sender, To, Reply-To (RFC 5322
 * section 3.4), with the obsolete forms of its section 4.4 and RFC 6532's UTF-8.
 *
 * Groups are opened, comments and folds left out, quoted strings decoded, routes dropped. What is
 * not an address list is refused whole, with one tolerance: what stands before "<" may hold "@" and
 * bytes that are no UTF-8, for many senders write so, and the address is in the brackets all the
 * same. An encoded word before it (RFC 2047) may hold any printable byte: readers decode it after
 * they have found the address.
 *
 * Pure functions over bytes, in time linear to their number.
 */
#pragma once

#include "base/bytes.h"

enum { MAILBOX_LOCAL_MAX = 256, MAILBOX_DOMAIN_MAX = 255 }; /* octets; longer ones are refused */

struct mailbox {
    struct bytes display; /* what stands before "<", as it stands, in the field; empty: nothing */
    size_t local_len;
    size_t domain_len;
    uint8_t local[MAILBOX_LOCAL_MAX];   /* decoded: without quotes; any bytes */
    uint8_t domain[MAILBOX_DOMAIN_MAX]; /* in the case it came in; "[...]" for a literal */
};

enum mailbox_step {
    MAILBOX_FOUND,
    MAILBOX_END,
    MAILBOX_BROKEN, /* the field is no list of addresses; those found so far are not to be used */
};

struct mailbox_reader {
    struct bytes rest;
    bool in_group;
    bool is_over;
};

/* `value` is what stands behind the field's colon, with its folds, without the CRLF at its end. */
void mailbox_reader_init(struct mailbox_reader *reader, struct bytes value);
/* *out is set only on MAILBOX_FOUND. */
must_use enum mailbox_step mailbox_next(struct mailbox_reader *reader, struct mailbox *out);

static inline struct bytes mailbox_domain(const struct mailbox *mailbox)
{
    return bytes_range(mailbox->domain, mailbox->domain_len);
}

static inline struct bytes mailbox_local(const struct mailbox *mailbox)
{
    return bytes_range(mailbox->local, mailbox->local_len);
}
