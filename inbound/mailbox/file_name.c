/* file_name.c - names of messages' files. */
#include "inbound/mailbox/file_name.h"

#include <string.h>

static const char letters_all[] = "DFPRSTabcdefghijklmnopqrstuvwxyz";

static bool is_ours(struct bytes name)
{
    if (name.len == 0 || name.len > MAIL_NAME_MAX || name.ptr[0] == '.' || name.ptr[0] == ':')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < 0x20 || name.ptr[i] == 0x7f || name.ptr[i] == '/')
            return false;
    return true;
}

bool file_name_split(struct bytes name, bool is_in_new, struct file_name *out)
{
    char again[MAIL_NAME_MAX + 1];

    if (!is_ours(name))
        return false;
    size_t colon = bytes_find(name, ':', 0);
    struct bytes info = bytes_slice(name, colon, name.len);

    *out = (struct file_name){.base = bytes_slice(name, 0, colon)};
    if (bytes_equal(bytes_slice(info, 0, 3), BYTES(":2,")))
        for (size_t i = 3; i < info.len && info.ptr[i] != ','; i++) {
            const char *at = strchr(letters_all, info.ptr[i]);

            if (at != NULL)
                out->letters |= UINT32_C(1) << (at - letters_all);
        }
    out->is_plain = out->base.len <= FILE_BASE_MAX &&
                    file_name_format(out->base, out->letters, is_in_new, again) &&
                    bytes_equal(bytes_of(again), name);
    return true;
}

bool file_name_is_base(struct bytes name)
{
    return name.len <= FILE_BASE_MAX && is_ours(name) && bytes_find(name, ':', 0) == name.len;
}

bool file_name_format(struct bytes base, uint32_t letters, bool is_in_new,
                      char out[static MAIL_NAME_MAX + 1])
{
    size_t len = base.len;
    size_t needed = is_in_new ? 0 : 3 + (size_t)__builtin_popcount(letters);

    if (len + needed > MAIL_NAME_MAX)
        return false;
    memcpy(out, base.ptr, len);
    if (!is_in_new) {
        memcpy(out + len, ":2,", 3);
        len += 3;
        for (unsigned i = 0; i < sizeof(letters_all) - 1; i++)
            if ((letters >> i & 1) != 0)
                out[len++] = letters_all[i];
    }
    out[len] = '\0';
    return true;
}

static const struct {
    uint32_t letter;
    uint64_t flag;
} pairs[] = {
    {LETTER_D, MAIL_DRAFT}, {LETTER_F, MAIL_FLAGGED}, {LETTER_R, MAIL_ANSWERED},
    {LETTER_S, MAIL_SEEN},  {LETTER_T, MAIL_DELETED},
};

uint32_t file_letters_of_flags(uint64_t flags)
{
    uint32_t letters = 0;

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        if ((flags & pairs[i].flag) != 0)
            letters |= pairs[i].letter;
    return letters;
}

uint64_t file_flags_of_letters(uint32_t letters)
{
    uint64_t flags = 0;

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        if ((letters & pairs[i].letter) != 0)
            flags |= pairs[i].flag;
    return flags;
}

bool file_name_lines_lf(struct bytes base, uint64_t file_size, uint32_t *lines_out)
{
    uint64_t said, with_crlf;
    size_t at = bytes_find_bytes(base, BYTES(",W="), 0);

    if (at == base.len || !mail_file_name_size(base, &said) || said != file_size)
        return false;
    struct bytes rest = bytes_slice(base, at + 3, base.len);

    if (!bytes_take_u64(&rest, &with_crlf) || (rest.len > 0 && rest.ptr[0] != ',') ||
        with_crlf < file_size || with_crlf - file_size >= UINT32_MAX)
        return false;
    *lines_out = (uint32_t)(with_crlf - file_size);
    return true;
}
