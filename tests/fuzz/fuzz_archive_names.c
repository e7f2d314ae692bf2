/* modules: archives */
/* runs: 3000 */
/* fuzz_archive_names.c - any bytes as an archive: bounded, and the same each time. */
#include <stdint.h>

#include "inbound/archives/archive_kind.h"
#include "inbound/archives/archive_names.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

enum { MEMBERS_MAX = 50 };

struct seen {
    uint64_t hash, count;
};

static void take(void *context, const struct archive_member *member)
{
    struct seen *seen = context;

    check(member->path.len <= ARCHIVE_PATH_MAX);
    check(member->depth >= 1 && member->depth <= ARCHIVE_DEPTH);
    seen->count++;
    seen->hash = seen->hash * 31 + bytes_hash(member->path) + member->depth +
                 (member->is_encrypted ? 7 : 0) + (member->is_nested ? 11 : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes bytes = bytes_range(input, len);
    struct seen first = {0, 0}, second = {0, 0};
    enum archive_result result = archive_names(bytes, MEMBERS_MAX, take, &first);

    check(archive_names(bytes, MEMBERS_MAX, take, &second) == result);
    check(first.count == second.count && first.hash == second.hash);
    check(first.count <= MEMBERS_MAX);
    check(archive_kind_unpacked(bytes).len <= len);
    return 0;
}
