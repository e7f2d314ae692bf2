/*
 * use_book.h - which credentials were used since it was last written down, and when. Private to the
 * folder.
 *
 * Thread: one.
 */
#pragma once

#include "directory/credentials.h"

enum { USE_BOOK_SLOTS = 8192, USE_BOOK_MAX = 6144 };

struct use_book {
    struct credential_use slots[USE_BOOK_SLOTS]; /* credential 0: free */
    unsigned count;
};

/* False: full, and not noted. */
must_use bool use_book_note(struct use_book *book, uint32_t credential, int64_t wall_s);
/* All, one behind the other; the book is empty afterwards. */
unsigned use_book_take(struct use_book *book, struct credential_use out[static USE_BOOK_MAX]);
