/* account_shows.c - the words for an account's folders of its tenant's. */
#include "directory/account_shows.h"

#include <string.h>

static const char *const names[] = {"bounces", "complaints", "reports", "queue"};

static unsigned bit_of(struct bytes word)
{
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (bytes_equal(word, bytes_of(names[i])))
            return 1U << i;
    return 0;
}

bool account_shows_parse(struct bytes text, unsigned *shows_out)
{
    unsigned shows = 0;

    if (bytes_equal(text, BYTES("none"))) {
        *shows_out = 0;
        return true;
    }
    for (;;) {
        size_t comma = bytes_find(text, ',', 0);
        unsigned bit = bit_of(bytes_slice(text, 0, comma));

        if (bit == 0 || (shows & bit) != 0)
            return false;
        shows |= bit;
        if (comma == text.len)
            break;
        text = bytes_slice(text, comma + 1, text.len);
    }
    *shows_out = shows;
    return true;
}

struct bytes account_shows_format(unsigned shows, char out[static SHOWS_TEXT_MAX])
{
    size_t len = 0;

    if (shows == 0)
        return BYTES("none");
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        size_t name_len = strlen(names[i]);

        if ((shows & 1U << i) == 0)
            continue;
        if (len > 0)
            out[len++] = ',';
        memcpy(out + len, names[i], name_len);
        len += name_len;
    }
    check(len < SHOWS_TEXT_MAX);
    return bytes_range(out, len);
}

const char *account_shows_name(enum account_shows shows)
{
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (shows == 1U << i)
            return names[i];
    check(false);
}
