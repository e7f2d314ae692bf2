/* flag_memo.c - a small table, probed from a flag's place on. */
#include "inbound/imap/flag_memo.h"

#include <string.h>

void flag_memo_clear(struct flag_memo *memo)
{
    memo->count = 0;
    memset(memo->flags, 0, sizeof(memo->flags));
}

/* Where it is, or is to be: at most FLAG_MEMO_MAX are taken. */
static size_t place_of(const struct flag_memo *memo, uint64_t flags)
{
    size_t place = (size_t)(flags * UINT64_C(0x9e3779b97f4a7c15) >> 58);

    check(flags > FLAG_TEXT_ALL);
    while (memo->flags[place] != flags && memo->flags[place] != 0)
        place = (place + 1) % FLAG_MEMO_SLOTS;
    return place;
}

const struct flag_text *flag_memo_find(const struct flag_memo *memo, uint64_t flags)
{
    size_t place = place_of(memo, flags);

    return memo->flags[place] == flags ? &memo->texts[place] : NULL;
}

void flag_memo_keep(struct flag_memo *memo, uint64_t flags, struct bytes text)
{
    size_t place = place_of(memo, flags);
    struct flag_text *kept = &memo->texts[place];

    check(memo->flags[place] == 0);
    if (text.len > sizeof(kept->bytes) || memo->count == FLAG_MEMO_MAX)
        return;
    memo->count++;
    memo->flags[place] = flags;
    kept->len = (uint8_t)text.len;
    memcpy(kept->bytes, text.ptr, text.len);
}
