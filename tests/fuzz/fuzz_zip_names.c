/* modules: receive */
/* fuzz_zip_names.c - any bytes as an archive: what is found does not depend on how it comes. */
#include <stdint.h>

#include "inbound/receive/zip_names.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

struct seen {
    uint64_t hash, count;
};

static void look_at(struct zip_names *names, struct seen *seen)
{
    struct zip_member member;
    enum zip_found found;

    while ((found = zip_names_next(names, &member)) != ZIP_NOTHING) {
        seen->count++;
        if (found == ZIP_TOO_LONG)
            continue;
        check(member.name.len + member.unicode.len < ZIP_HEADER_MAX);
        seen->hash = seen->hash * 31 + bytes_hash(member.name) + bytes_hash(member.unicode) +
                     (member.is_encrypted ? 1 : 0);
    }
}

static struct seen look(struct bytes rest, size_t step)
{
    struct zip_names names;
    struct seen seen = {0, 0};

    zip_names_init(&names);
    for (; rest.len > 0; rest = bytes_slice(rest, MIN(step, rest.len), rest.len)) {
        zip_names_feed(&names, bytes_slice(rest, 0, step));
        look_at(&names, &seen);
    }
    zip_names_end(&names);
    look_at(&names, &seen);
    check(names.held.capacity <= 2 * (ZIP_HEADER_MAX + ZIP_FEED_MAX));
    zip_names_free(&names);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct seen whole = look(bytes_range(input, len), ZIP_FEED_MAX);
    struct seen pieces = look(bytes_range(input, len), 1 + len % 13);

    check(whole.count == pieces.count && whole.hash == pieces.hash);
    check(whole.count <= len / 4);
    return 0;
}
