/*
 * utf8.h - strict UTF-8 beyond ASCII: the UTF8-non-ascii of RFC 6531 section 3.3.
 *
 * Exactly the sequences of RFC 3629 section 4: no overlong forms, no surrogates, nothing above
 * U+10FFFF. C1 controls (U+0080..U+009F) are refused as well: RFC 5198 section 2 bans them from
 * text, and terminals obey them. Pure functions over bytes.
 */
#pragma once

#include "base/bytes.h"

/* Length (2..4) of the non-ASCII character at the front; 0 when there is none or it is no UTF-8. */
size_t utf8_character(struct bytes b);
/* Whether all of `b` is printable: 32..126 and characters as above. */
bool utf8_is_printable(struct bytes b);
