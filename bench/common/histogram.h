/*
 * histogram.h - durations in microseconds, counted in buckets 1/64 of their size wide.
 *
 * Constant memory whatever is recorded; a percentile is off by less than 1.6 %. One thread.
 */
#pragma once

#include <stdint.h>

enum {
    HISTOGRAM_STEPS = 64, /* buckets in each doubling */
    HISTOGRAM_DOUBLINGS = 32,
};

struct histogram {
    uint64_t buckets[(HISTOGRAM_DOUBLINGS + 1) * HISTOGRAM_STEPS];
    uint64_t count;
    uint64_t us_max;
};

void histogram_record(struct histogram *histogram, int64_t us);
/* The duration that `percent` % of the recorded ones do not pass; 0 when there is none. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);
