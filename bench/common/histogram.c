/* histogram.c - buckets: exact below 64 us, then 64 to each doubling. */
#include "bench/common/histogram.h"

#include "base/check.h"

static unsigned bucket_of(uint64_t us)
{
    if (us < HISTOGRAM_STEPS)
        return (unsigned)us;
    unsigned doubling = 63 - (unsigned)__builtin_clzll(us) - 5; /* 1 from 64 on */
    unsigned step = (unsigned)(us >> (doubling - 1)) - HISTOGRAM_STEPS;

    return doubling * HISTOGRAM_STEPS + step;
}

static uint64_t bucket_top(unsigned bucket)
{
    unsigned doubling = bucket / HISTOGRAM_STEPS;
    uint64_t step = bucket % HISTOGRAM_STEPS;

    return doubling == 0 ? step : ((HISTOGRAM_STEPS + step + 1) << (doubling - 1)) - 1;
}

void histogram_record(struct histogram *histogram, int64_t us)
{
    uint64_t value = us > 0 ? (uint64_t)us : 0;
    unsigned bucket = bucket_of(value);

    histogram->buckets[MIN(bucket, (unsigned)ARRAY_LEN(histogram->buckets) - 1)]++;
    histogram->count++;
    histogram->us_max = MAX(histogram->us_max, value);
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    uint64_t rank = (uint64_t)((double)histogram->count * percent / 100.0 + 0.5);
    uint64_t seen = 0;

    for (unsigned i = 0; i < ARRAY_LEN(histogram->buckets); i++) {
        seen += histogram->buckets[i];
        if (seen >= rank && seen > 0)
            return MIN(bucket_top(i), histogram->us_max);
    }
    return histogram->us_max;
}
