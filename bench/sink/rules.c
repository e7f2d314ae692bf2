/* rules.c - parsing and drawing. */
#include "bench/sink/rules.h"

#include "bench/common/options.h"

enum { PARTS = 1000000, LATENCY_SALT = 64 };

static bool parse_code(struct bytes text, uint16_t *out)
{
    uint64_t code;

    if (bytes_equal(text, BYTES("drop"))) {
        *out = CODE_DROP;
        return true;
    }
    if (!bytes_to_u64(text, &code) || code < 400 || code > 599)
        return false;
    *out = (uint16_t)code;
    return true;
}

bool rules_take_rejection(struct bytes value, void *target)
{
    struct rules *rules = target;
    struct rejection rejection;
    struct bytes stage;
    struct bytes code;

    if (rules->rejection_count == REJECTIONS_MAX || !bytes_take_until(&value, ':', &stage) ||
        !stage_parse(stage, &rejection.stage) || !bytes_take_until(&value, ':', &code) ||
        !parse_code(code, &rejection.code) || !option_percent(value, &rejection.parts))
        return false;
    rules->rejections[rules->rejection_count++] = rejection;
    return true;
}

static bool take_one_latency(struct bytes part, struct rules *rules)
{
    struct latency latency;
    struct bytes name;
    struct bytes first;
    enum stage stage;

    if (!bytes_take_until(&part, '=', &name) || !stage_parse(name, &stage))
        return false;
    bool is_range = bytes_take_until(&part, '-', &first);

    if (!option_ms(is_range ? first : part, &latency.ms_min) || !option_ms(part, &latency.ms_max) ||
        latency.ms_max < latency.ms_min)
        return false;
    rules->latencies[stage] = latency;
    return true;
}

bool rules_take_latency(struct bytes value, void *target)
{
    struct bytes part;

    while (bytes_take_until(&value, ',', &part)) {
        if (!take_one_latency(part, target))
            return false;
    }
    return take_one_latency(value, target);
}

/* The finisher of SplitMix64. */
uint64_t rules_mix(uint64_t a, uint64_t b)
{
    uint64_t z = a + b * 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

unsigned rules_draw(const struct rules *rules, enum stage stage, uint64_t key)
{
    if (rules->rejection_count == 0)
        return 0;
    uint64_t drawn = rules_mix(rules_mix(key, rules->seed + 1), stage + 1) % PARTS;

    for (unsigned i = 0; i < rules->rejection_count; i++) {
        const struct rejection *rejection = &rules->rejections[i];

        if (rejection->stage != stage)
            continue;
        if (drawn < rejection->parts)
            return rejection->code;
        drawn -= rejection->parts;
    }
    return 0;
}

int64_t rules_latency_ms(const struct rules *rules, enum stage stage, uint64_t key)
{
    const struct latency *latency = &rules->latencies[stage];
    uint64_t range = (uint64_t)(latency->ms_max - latency->ms_min) + 1;

    if (latency->ms_max == 0)
        return 0;
    return latency->ms_min +
           (int64_t)(rules_mix(rules_mix(key, rules->seed + 1), stage + LATENCY_SALT) % range);
}

bool rules_need_attempts(const struct rules *rules)
{
    return rules->refuses_first_attempt || rules->rejection_count > 0;
}
