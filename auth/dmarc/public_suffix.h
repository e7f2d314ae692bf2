/*
 * public_suffix.h - the registrable part of a domain by the public suffix list (libpsl).
 *
 * DMARC does not ask it: RFC 9989 finds the organisational domain by the DNS tree (walk.h).
 * RFC 7489 did, and receivers that still do may come to another verdict; `ringpost verify` tells
 * where the two disagree. The list is Debian's package publicsuffix, or what libpsl was built with.
 *
 * Any thread.
 */
#pragma once

#include "base/bytes.h"

/* The public suffix and one label, as a slice of `domain` (U-labels or A-labels, any case). False
 * where there is none: it is a suffix itself, begins with a dot, or is no name. */
must_use bool public_suffix_registrable(struct bytes domain, struct bytes *out);
