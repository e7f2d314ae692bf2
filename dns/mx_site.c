/* mx_site.c - one name for a set of mail hosts. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/siphash.h"
#include "dns/mx.h"

enum { HASH_LEN = 17 /* "~" and 16 digits */, WHOLE_MAX = DNS_RECORDS_MAX * 256 };

static struct siphash_key key; /* one for all engines: a site is the same on each */

static void make_key(void)
{
    ssize_t len;

    do
        len = getrandom(&key, sizeof(key), 0);
    while (len < 0 && errno == EINTR);
    check(len == (ssize_t)sizeof(key)); /* so few are never cut short */
}

static uint64_t hash(struct bytes name)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_key);
    return siphash(&key, name);
}

/* --- order ----------------------------------------------------------------------------------- */

static int compare_exchanges(const void *a, const void *b)
{
    const struct mx_exchange *one = a;
    const struct mx_exchange *other = b;

    if (one->preference != other->preference)
        return one->preference < other->preference ? -1 : 1;
    return bytes_compare(one->name, other->name);
}

/* Whether it is among the first `count`: at its best preference. */
static bool is_named(const struct mx_exchange *exchanges, size_t count, struct bytes name)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal(exchanges[i].name, name))
            return true;
    return false;
}

/* Best first, each once. Returns how many. */
static size_t sort_exchanges(struct mx_exchange *exchanges, size_t count)
{
    size_t kept = 0;

    qsort(exchanges, count, sizeof(*exchanges), compare_exchanges);
    for (size_t i = 0; i < count; i++) /* at most DNS_RECORDS_MAX */
        if (!is_named(exchanges, kept, exchanges[i].name))
            exchanges[kept++] = exchanges[i];
    return kept;
}

/* --- the name -------------------------------------------------------------------------------- */

/* Whether every name ends in the last `len` octets of the first one, with something before. */
static bool all_end_in(const struct mx_exchange *exchanges, size_t count, struct bytes suffix)
{
    for (size_t i = 0; i < count; i++)
        if (exchanges[i].name.len <= suffix.len || !bytes_ends_nocase(exchanges[i].name, suffix))
            return false;
    return true;
}

/* The longest ".a.b" that leaves at least a label of every name; may be empty. */
static struct bytes common_suffix(const struct mx_exchange *exchanges, size_t count)
{
    struct bytes first = exchanges[0].name;

    for (size_t dot = bytes_find(first, '.', 0); dot < first.len;
         dot = bytes_find(first, '.', dot + 1)) {
        struct bytes suffix = bytes_slice(first, dot, first.len);

        if (all_end_in(exchanges, count, suffix))
            return suffix;
    }
    return BYTES_NONE;
}

static uint8_t separator(const struct mx_exchange *exchanges, size_t number)
{
    if (number == 0)
        return '(';
    return exchanges[number].preference > exchanges[number - 1].preference ? '>' : '|';
}

static bool write_whole(struct buf *out, const struct mx_exchange *exchanges, size_t count)
{
    struct bytes suffix = common_suffix(exchanges, count);

    for (size_t i = 0; i < count; i++) {
        struct bytes name = exchanges[i].name;

        if (!buf_append_byte(out, separator(exchanges, i)) ||
            !buf_append(out, bytes_slice(name, 0, name.len - suffix.len)))
            return false;
    }
    return buf_append_byte(out, ')') && buf_append(out, suffix);
}

bool mx_site_name(struct arena *arena, const struct mx_exchange *exchanges, size_t count,
                  struct bytes *site_out)
{
    bool is_done = false;
    struct buf whole;

    check(count > 0);
    struct mx_exchange *sorted = arena_alloc(arena, count * sizeof(*sorted));

    if (sorted == NULL)
        return false;
    memcpy(sorted, exchanges, count * sizeof(*sorted));
    count = sort_exchanges(sorted, count);
    if (count == 1 && sorted[0].name.len <= MX_SITE_MAX)
        return arena_copy(arena, sorted[0].name, site_out);
    buf_init(&whole, WHOLE_MAX);
    if (!(count == 1 ? buf_append(&whole, sorted[0].name) : write_whole(&whole, sorted, count)))
        goto done;
    struct bytes site = buf_bytes(&whole);

    if (site.len <= MX_SITE_MAX)
        is_done = arena_copy(arena, site, site_out);
    else
        is_done = arena_printf(arena, site_out, "%.*s~%016" PRIx64, MX_SITE_MAX - HASH_LEN,
                               (const char *)site.ptr, hash(site));
done:
    buf_free(&whole);
    return is_done;
}
