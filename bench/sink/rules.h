/*
 * rules.h - what the sink was told to do to those who send to it.
 *
 * Every draw is a hash of the seed, the stage and a key (recipient and attempt, or a count), so two
 * runs with the same seed treat the same recipients alike, in whatever order they come.
 */
#pragma once

#include "bench/common/tool.h"

enum { REJECTIONS_MAX = 32, CODE_DROP = 1 };

struct rejection {
    enum stage stage;
    uint16_t code;  /* CODE_DROP: no reply, the connection is closed */
    uint32_t parts; /* of a million */
};

struct latency {
    int64_t ms_min, ms_max; /* evenly between */
};

struct rules {
    uint64_t seed;
    struct rejection rejections[REJECTIONS_MAX];
    unsigned rejection_count;
    struct latency latencies[STAGE_COUNT];
    bool refuses_first_attempt;
};

/* For the option table; target: struct rules. "rcpt:450:20%", "dot:drop:1%"; "connect=5ms",
 * "mail=1ms,dot=10ms-50ms". */
bool rules_take_rejection(struct bytes value, void *target);
bool rules_take_latency(struct bytes value, void *target);

/* 0: no rejection. */
unsigned rules_draw(const struct rules *rules, enum stage stage, uint64_t key);
int64_t rules_latency_ms(const struct rules *rules, enum stage stage, uint64_t key);
/* Whether attempts have to be counted. */
bool rules_need_attempts(const struct rules *rules);
uint64_t rules_mix(uint64_t a, uint64_t b);
