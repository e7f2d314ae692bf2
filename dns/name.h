/*
 * name.h - domain names: as text we ask with, and as they stand in DNS packets (RFC 1035).
 *
 * Text is lower case, without the trailing dot; the root is "". A byte that would need a quote or
 * an escape somewhere (in a zone file, a log line, a mail address) makes a name odd: it is neither
 * asked nor believed. Pure functions, any thread.
 */
#pragma once

#include "base/bytes.h"

enum { DNS_NAME_MAX = 253, DNS_LABEL_MAX = 63 }; /* text octets (255 on the wire) */

struct dns_name {
    size_t len;
    char text[DNS_NAME_MAX + 1]; /* NUL-terminated */
};

static inline struct bytes dns_name_bytes(const struct dns_name *name)
{
    return bytes_range(name->text, name->len);
}

/* `text` (any case, perhaps with a trailing dot) as a name to ask. False for an odd byte, an empty
 * or too long label, a name too long, and the root. */
must_use bool dns_name_parse(struct bytes text, struct dns_name *out);

/* The same with any byte in a label but NUL: what a macro of SPF makes of a sender's local part is
 * asked for all the same (RFC 7208 section 7.3). */
must_use bool dns_name_parse_any(struct bytes text, struct dns_name *out);

enum { DNS_NAME_ESCAPED_MAX = 2 * DNS_NAME_MAX };
/* With a backslash before each backslash, as c-ares wants it; NUL-terminated. */
void dns_name_escape(const struct dns_name *name, char out[static DNS_NAME_ESCAPED_MAX + 1]);

enum dns_name_verdict {
    DNS_NAME_GOOD,
    DNS_NAME_ODD,    /* well formed, but not a name we believe; *out is good for comparing with a
                        name of dns_name_parse_any(): a dot inside a label stands there as NUL */
    DNS_NAME_BROKEN, /* cut off, too long, or a compression pointer that does not go backwards */
};

/* Takes the name at *position of a packet, following compression pointers; *position is moved
 * behind it unless the name is broken. */
must_use enum dns_name_verdict dns_name_take(struct bytes packet, size_t *position,
                                             struct dns_name *out);

/* Each letter in the case that `bits` say, so that an answer must repeat them (resolver.h). */
void dns_name_mix_case(struct dns_name *name, uint64_t bits);

/* `name` is `ancestor` or below it. */
bool dns_name_is_below(struct bytes name, struct bytes ancestor);
/* A name that a host can have: letters, digits, hyphens and (seen in real zones) underscores, and
 * not an address in disguise: its last label is not all digits (RFC 1123 section 2.1). */
bool dns_name_is_host(struct bytes name);
