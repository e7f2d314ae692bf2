/* special_use.c - special uses by name and by file. */
#include "inbound/mailbox/special_use.h"

#include <string.h>

#include "inbound/mailbox/folder_name.h"

static const char *const names[SPECIAL_COUNT] = {
    [SPECIAL_ARCHIVE] = "\\Archive", [SPECIAL_DRAFTS] = "\\Drafts", [SPECIAL_JUNK] = "\\Junk",
    [SPECIAL_SENT] = "\\Sent",       [SPECIAL_TRASH] = "\\Trash",
};

const char *special_use_name(enum special_use use)
{
    return names[use];
}

static bool parse_bare(struct bytes name, enum special_use *use_out)
{
    for (unsigned use = SPECIAL_NONE + 1; use < SPECIAL_COUNT; use++) {
        if (bytes_equal_nocase(name, bytes_of(names[use] + 1))) {
            *use_out = (enum special_use)use;
            return true;
        }
    }
    return false;
}

bool special_use_parse(struct bytes name, enum special_use *use_out)
{
    return name.len > 0 && name.ptr[0] == '\\' &&
           parse_bare(bytes_slice(name, 1, name.len), use_out);
}

void special_uses_parse(struct special_uses *uses, struct bytes text)
{
    uint8_t name[MAILBOX_NAME_MAX];
    struct bytes line, word;
    enum special_use use;
    size_t len;

    while (bytes_take_until(&text, '\n', &line)) {
        if (!bytes_take_until(&line, ' ', &word) || !parse_bare(word, &use) ||
            !folder_name_decode(line, name, &len))
            continue;
        memcpy(uses->folder[use], line.ptr, line.len);
        uses->folder[use][line.len] = '\0';
    }
}

void special_uses_format(const struct special_uses *uses, struct buf *out)
{
    for (unsigned use = SPECIAL_NONE + 1; use < SPECIAL_COUNT; use++)
        if (uses->folder[use][0] != '\0')
            check(buf_printf(out, "%s %s\n", names[use] + 1, uses->folder[use]));
}

enum special_use special_use_of(const struct special_uses *uses, const char *folder)
{
    for (unsigned use = SPECIAL_NONE + 1; use < SPECIAL_COUNT; use++) {
        const char *said = uses->folder[use];

        if (said[0] != '\0' ? strcmp(said, folder) == 0
                            : folder[0] == '.' && strcmp(folder + 1, names[use] + 1) == 0)
            return (enum special_use)use;
    }
    return SPECIAL_NONE;
}
