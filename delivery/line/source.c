/* source.c - a weighted choice. */
#include "delivery/line/source.h"

#include "base/random.h"

static bool is_any(const struct source *source)
{
    return !source->has_address4 && !source->has_address6;
}

bool source_has_ipv4(const struct source *source)
{
    return source->has_address4 || is_any(source);
}

bool source_has_ipv6(const struct source *source)
{
    return source->has_address6 || is_any(source);
}

const struct address *source_address(const struct source *source, const struct address *peer)
{
    if (peer->any.sa_family == AF_INET6)
        return source->has_address6 ? &source->address6 : NULL;
    return source->has_address4 ? &source->address4 : NULL;
}

/* A weight of 0 was not given: it counts as 1. */
static uint64_t weight(const struct source *source)
{
    return MAX(source->weight, 1U);
}

int source_pick(const struct source *sources, size_t count, uint64_t usable)
{
    uint64_t total = 0;

    count = MIN(count, (size_t)SOURCES_MAX);
    for (size_t i = 0; i < count; i++)
        if ((usable >> i & 1) != 0)
            total += weight(&sources[i]);
    if (total == 0)
        return -1;
    uint64_t ticket = random_below(total);

    for (size_t i = 0; i < count; i++) {
        if ((usable >> i & 1) == 0)
            continue;
        if (ticket < weight(&sources[i]))
            return (int)i;
        ticket -= weight(&sources[i]);
    }
    return -1;
}
