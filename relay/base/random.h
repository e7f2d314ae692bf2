/*
 * random.h - randomness for jitter, shuffles and ids; never for secrets.
 *
 * One generator a thread, seeded from the kernel (or from random_seed() in tests, so that a
 * failing run can be replayed).
 */
#pragma once

#include <stdint.h>

void random_seed(uint64_t seed); /* this thread's generator */
uint64_t random_u64(void);
uint64_t random_below(uint64_t bound); /* 0 .. bound-1, bound > 0 */
/* `value` changed by up to +-percent %, evenly. */
int64_t random_jitter(int64_t value, unsigned percent);
