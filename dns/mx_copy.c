/* mx_copy.c - a set of mail hosts that outlives its lookup. */
#include <string.h>

#include "dns/mx.h"

bool mx_set_copy(struct arena *arena, const struct mx_set *from, struct mx_set *out)
{
    struct mx_set copy = *from;
    struct bytes note;

    copy.hosts = arena_alloc(arena, MAX(from->host_count, (size_t)1) * sizeof(struct mx_host));
    if (copy.hosts == NULL || !arena_copy(arena, from->site, &copy.site) ||
        !arena_copy(arena, from->canonical, &copy.canonical) ||
        !arena_copy(arena, bytes_of(from->note), &note))
        return false;
    copy.note = (const char *)note.ptr;
    for (size_t i = 0; i < from->host_count; i++) {
        copy.hosts[i] = from->hosts[i];
        if (!arena_copy(arena, from->hosts[i].name, &copy.hosts[i].name) ||
            !arena_copy(arena, from->hosts[i].canonical, &copy.hosts[i].canonical))
            return false;
    }
    *out = copy;
    return true;
}
