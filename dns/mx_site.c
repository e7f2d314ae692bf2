/* mx_site.c - one name for a set of mail hosts. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "dns/mx.h"

enum { HASH_LEN = 17 /* "~" and 16 digits */, WHOLE_MAX = DNS_RECORDS_MAX * 256 };

static int compare_names(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* Sorted, each once. Returns how many. */
static size_t sort_names(struct bytes *names, size_t count)
{
    size_t kept = 0;

    qsort(names, count, sizeof(*names), compare_names);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || !bytes_equal(names[kept - 1], names[i]))
            names[kept++] = names[i];
    return kept;
}

/* Whether every name ends in the last `len` octets of the first one, with something before. */
static bool all_end_in(const struct bytes *names, size_t count, struct bytes suffix)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].len <= suffix.len || !bytes_ends_nocase(names[i], suffix))
            return false;
    return true;
}

/* The longest ".a.b" that leaves at least a label of every name; may be empty. */
static struct bytes common_suffix(const struct bytes *names, size_t count)
{
    struct bytes first = names[0];

    for (size_t dot = bytes_find(first, '.', 0); dot < first.len;
         dot = bytes_find(first, '.', dot + 1)) {
        struct bytes suffix = bytes_slice(first, dot, first.len);

        if (all_end_in(names, count, suffix))
            return suffix;
    }
    return BYTES_NONE;
}

static bool write_whole(struct buf *out, const struct bytes *names, size_t count)
{
    struct bytes suffix = common_suffix(names, count);

    for (size_t i = 0; i < count; i++) {
        struct bytes head = bytes_slice(names[i], 0, names[i].len - suffix.len);

        if (!buf_append_byte(out, i == 0 ? '(' : '|') || !buf_append(out, head))
            return false;
    }
    return buf_append_byte(out, ')') && buf_append(out, suffix);
}

bool mx_site_name(struct arena *arena, const struct bytes *names, size_t count,
                  struct bytes *site_out)
{
    bool is_done = false;
    struct buf whole;

    check(count > 0);
    struct bytes *sorted = arena_alloc(arena, count * sizeof(*sorted));

    if (sorted == NULL)
        return false;
    memcpy(sorted, names, count * sizeof(*sorted));
    count = sort_names(sorted, count);
    if (count == 1 && sorted[0].len <= MX_SITE_MAX)
        return arena_copy(arena, sorted[0], site_out);
    buf_init(&whole, WHOLE_MAX);
    if (!(count == 1 ? buf_append(&whole, sorted[0]) : write_whole(&whole, sorted, count)))
        goto done;
    struct bytes site = buf_bytes(&whole);

    if (site.len <= MX_SITE_MAX)
        is_done = arena_copy(arena, site, site_out);
    else
        is_done = arena_printf(arena, site_out, "%.*s~%016" PRIx64, MX_SITE_MAX - HASH_LEN,
                               (const char *)site.ptr, bytes_hash(site));
done:
    buf_free(&whole);
    return is_done;
}
