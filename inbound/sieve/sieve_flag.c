/* sieve_flag.c - flags: which there are, and sets of them. */
#include "inbound/sieve/sieve_flag.h"

/* RFC 3501 section 9, "atom", and the five flags that may be set. */
static bool is_flag(struct bytes flag)
{
    static const char *const system[] = {"\\Answered", "\\Flagged", "\\Deleted", "\\Seen",
                                         "\\Draft"};

    if (flag.len > 0 && flag.ptr[0] == '\\') {
        for (size_t i = 0; i < ARRAY_LEN(system); i++)
            if (bytes_equal_nocase(bytes_of(system[i]), flag))
                return true;
        return false;
    }
    for (size_t i = 0; i < flag.len; i++)
        if (flag.ptr[i] <= ' ' || flag.ptr[i] >= 127 ||
            bytes_find(BYTES("(){%*\"\\]"), flag.ptr[i], 0) < 8)
            return false;
    return flag.len > 0;
}

bool sieve_take_flag(struct bytes *text, struct bytes *flag_out)
{
    while (text->len > 0) {
        size_t end = bytes_find(*text, ' ', 0);
        struct bytes flag = bytes_slice(*text, 0, end);

        *text = bytes_slice(*text, end + 1, text->len);
        if (!is_flag(flag))
            continue;
        *flag_out = flag;
        return true;
    }
    return false;
}

static size_t find(const struct sieve_flags *flags, struct bytes flag)
{
    size_t i = 0;

    while (i < flags->count && !bytes_equal_nocase(flags->of[i], flag))
        i++;
    return i;
}

void sieve_flags_add(struct sieve_flags *flags, const struct sieve_strings *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct bytes text = list->of[i], flag;

        while (sieve_take_flag(&text, &flag))
            if (find(flags, flag) == flags->count && flags->count < SIEVE_FLAGS_MAX)
                flags->of[flags->count++] = flag;
    }
}

void sieve_flags_remove(struct sieve_flags *flags, const struct sieve_strings *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct bytes text = list->of[i], flag;

        while (sieve_take_flag(&text, &flag)) {
            size_t found = find(flags, flag);

            if (found < flags->count)
                flags->of[found] = flags->of[--flags->count];
        }
    }
}
