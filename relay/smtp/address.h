/*
 * address.h - mail addresses: syntax of RFC 5321 section 4.1.2 with RFC 6531's UTF-8.
 *
 * Validated, never repaired. An address is kept as it was given, local part byte for byte; only
 * for routing is the domain normalised. Pure functions over bytes.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum {
    SMTP_LOCAL_PART_MAX = 64, /* octets, RFC 5321 section 4.5.3.1.1 */
    SMTP_LOCAL_ROOM = 256,    /* ... for one that may be longer: SMTP_PATH_MAX bounds it */
    SMTP_DOMAIN_MAX = 255,    /* octets, RFC 5321 section 4.5.3.1.2 */
    SMTP_PATH_MAX = 256,      /* octets with the brackets, RFC 5321 section 4.5.3.1.3 */
};

struct smtp_address {
    struct bytes text;   /* "local@domain"; empty for the null reverse-path; "postmaster" bare */
    struct bytes local;  /* as given: a dot-string or a quoted string with its quotes */
    struct bytes domain; /* as given: a name or "[literal]"; empty for the null path, postmaster */
    bool is_utf8;        /* holds a byte above 127: needs SMTPUTF8 */
};

/*
 * Takes "<local@domain>" or "<>" off the front. Source routes ("<@a,@b:c@d>") are accepted and
 * the route dropped (RFC 5321 section 4.1.1.3). "<postmaster>" without a domain is accepted, in
 * any case. Control characters (C1 too), bare 8-bit that is no UTF-8, empty labels, ASCII labels
 * over 63 octets and unterminated quotes are refused. A local part over SMTP_LOCAL_PART_MAX is
 * refused unless it is of a forwarder's making (SRS0=, SRS1=: auth/srs/srs.h), which may be longer.
 * SMTP_PATH_MAX counts a source route too. On false, input is unchanged.
 */
must_use bool smtp_take_path(struct bytes *input, struct smtp_address *out);
/* The same without the brackets, for ORCPT, configuration and the command line; all of `text`.
 * No source route here, and empty text is no address. */
must_use bool smtp_parse_address(struct bytes text, struct smtp_address *out);
/*
 * Domain or address literal: "[192.0.2.1]", "[IPv6:2001:db8::1]" are valid, other tags are not. A
 * name whose last label is all digits is none (RFC 1123 section 2.1): "192.0.2.1" is an address
 * without its brackets. Underscores and trailing dots are refused.
 */
bool smtp_domain_is_valid(struct bytes domain, bool *is_utf8_out);

/*
 * The domain as routing compares it: lower case, no trailing dot, A-labels for U-labels (IDNA
 * 2008 by libidn2, with the mappings of UTS 46: case, width, ideographic stops). Literals stay as
 * they are, lower case. False if it cannot be one.
 */
must_use bool smtp_domain_normalise(struct arena *arena, struct bytes domain,
                                    struct bytes *normalised_out);

/* xtext of RFC 3461 section 4, for ORCPT and ENVID. Decoding may yield any byte, CR and LF too.
 * Encoding appends to `out`; false (nothing appended) when it is full. */
must_use bool smtp_xtext_decode(struct arena *arena, struct bytes xtext, struct bytes *out);
bool smtp_xtext_is_valid(struct bytes xtext);
must_use bool smtp_xtext_encode(struct bytes text, struct buf *out);
/* "utf-8;address" of ORCPT for a peer without SMTPUTF8: every character beyond ASCII, and those
 * that xtext has its own use for, as \x{HEX} (utf-8-addr-xtext of RFC 6533 section 3). Other types
 * are xtext already and stay as they are. Appends; false (nothing appended) when `out` is full. */
must_use bool smtp_orcpt_encode(struct bytes orcpt, struct buf *out);
