/*
 * macro.h - macro-strings of SPF: syntax and expansion (RFC 7208 section 7). Pure functions.
 */
#pragma once

#include "base/buf.h"

/* What a macro letter stands for. The letters c, r and t are for explanations alone. */
struct macro_values {
    struct bytes sender, local, sender_domain; /* s l o */
    struct bytes domain;                       /* d */
    struct bytes address;                      /* i: dotted, nibbles of IPv6 */
    struct bytes validated;                    /* p */
    struct bytes version;                      /* v */
    struct bytes helo;                         /* h */
    struct bytes readable;                     /* c */
    struct bytes receiver;                     /* r */
    struct bytes time;                         /* t */
};

/* A macro-string: of an unknown modifier; with spaces, an explanation. */
bool macro_string_is_valid(struct bytes text);
/* A macro-string that ends in a label or a macro: what a term names. */
bool macro_domain_is_valid(struct bytes text);
/* Whether %{p} stands in valid text: it must be known before the text is expanded. */
bool macro_uses_validated(struct bytes text);
/* Appends valid `text` to `out`; false where that is full. */
must_use bool macro_expand(struct bytes text, const struct macro_values *values, struct buf *out);
