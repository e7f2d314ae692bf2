/* mix.c - draws by hash, without state. */
#include "bench/load/mix.h"

#include "bench/common/options.h"

enum { PARTS = 1000000, DRAWS_MAX = 32 };

/* The finisher of SplitMix64. */
static uint64_t scatter(uint64_t key)
{
    uint64_t z = key + 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

bool mix_take_group(struct bytes value, void *target)
{
    struct mix *mix = target;
    struct mix_group group;
    struct bytes share;
    struct bytes domains;
    uint32_t parts;

    if (mix->count == MIX_GROUPS_MAX || !bytes_take_until(&value, ':', &share) ||
        !option_percent(share, &parts) || !bytes_take_until(&value, ':', &domains) ||
        !bytes_to_u64(domains, &group.domains) || group.domains == 0 ||
        group.domains > UINT32_MAX || value.len > 100)
        return false;
    group.parts = parts;
    group.suffix = value;
    mix->groups[mix->count++] = group;
    return true;
}

bool mix_is_whole(const struct mix *mix)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < mix->count; i++)
        sum += mix->groups[i].parts;
    return sum == PARTS;
}

uint64_t mix_draw_between(uint64_t key, uint64_t least, uint64_t most)
{
    unsigned doublings = 1;

    while (least << doublings <= most)
        doublings++;
    for (unsigned i = 0; i < DRAWS_MAX; i++) {
        uint64_t drawn = scatter(key + i * UINT64_C(0x632be59bd9b4e019));
        uint64_t from = least << (drawn >> 32) % doublings;
        uint64_t value = from + (drawn & UINT32_MAX) % from;

        if (value <= most)
            return value;
    }
    return least;
}

const struct mix_group *mix_draw(const struct mix *mix, uint64_t recipient, uint64_t *domain_out)
{
    uint64_t key = scatter(recipient);
    uint64_t part = key % PARTS;
    const struct mix_group *group = &mix->groups[0];

    for (; part >= group->parts && group < &mix->groups[mix->count - 1]; group++)
        part -= group->parts;
    *domain_out = mix_draw_between(key, 1, group->domains) - 1;
    return group;
}
