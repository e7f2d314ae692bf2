/* use_book.c - open addressing, emptied as a whole. */
#include "directory/use_book.h"

#include <string.h>

bool use_book_note(struct use_book *book, uint32_t credential, int64_t wall_s)
{
    uint32_t slot = (uint32_t)((credential * 0x9e3779b97f4a7c15ULL) >> 40) % USE_BOOK_SLOTS;

    check(credential != 0);
    while (book->slots[slot].credential != 0 && book->slots[slot].credential != credential)
        slot = (slot + 1) % USE_BOOK_SLOTS;
    if (book->slots[slot].credential == 0) {
        if (book->count == USE_BOOK_MAX)
            return false;
        book->count++;
    }
    book->slots[slot] = (struct credential_use){credential, wall_s};
    return true;
}

unsigned use_book_take(struct use_book *book, struct credential_use out[static USE_BOOK_MAX])
{
    unsigned count = 0;

    for (unsigned i = 0; i < USE_BOOK_SLOTS; i++)
        if (book->slots[i].credential != 0)
            out[count++] = book->slots[i];
    check(count == book->count);
    memset(book, 0, sizeof(*book));
    return count;
}
