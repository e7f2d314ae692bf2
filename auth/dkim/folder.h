/*
 * folder.h - the text of a signature field, folded below 78 columns while it is written (RFC 5322
 * section 2.1.1). Pure; one thread at a time.
 */
#pragma once

#include "base/buf.h"

struct folder {
    struct buf *out;
    size_t column; /* where the next octet of this line goes */
    bool is_flat;  /* lines are broken between words only, never inside of a value */
    bool is_full;  /* `out` had no room for all */
};

void folder_text(struct folder *folder, struct bytes text); /* as it is */
/* Behind a space, or on a line of its own. */
void folder_word(struct folder *folder, struct bytes word);
/* A tag with its value and the semicolon behind it, as a word; `name` has its "=". */
void folder_value(struct folder *folder, struct bytes name, struct bytes value);
/* The same with a text that has to be made. */
void folder_tag(struct folder *folder, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The value of h=, directly behind what came before: broken behind colons. */
void folder_names(struct folder *folder, struct bytes names);
/* Base64, directly behind what came before: broken anywhere. */
void folder_anywhere(struct folder *folder, struct bytes text);
