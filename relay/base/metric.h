/*
 * metric.h - counters, gauges and histograms, one row of numbers a thread, summed when read.
 *
 * The table in metric_table.h is the only list of metrics: enum, Prometheus name and help cannot
 * diverge. Writing is a relaxed atomic add to the calling thread's row; no lock, no shared line.
 * Gauges are summed too: what goes up on one thread may come down on another.
 */
#pragma once

#include "base/exposition.h"

enum metric {
#define METRIC_COUNTER(id, name, help) METRIC_##id,
#define METRIC_GAUGE(id, name, help) METRIC_##id,
#define METRIC_HISTOGRAM(id, name, help)
#include "base/metric_table.h"
#undef METRIC_COUNTER
#undef METRIC_GAUGE
#undef METRIC_HISTOGRAM
    METRIC_COUNT
};

/* Of times; every one has the same buckets, from half a millisecond to an hour. */
enum histogram {
#define METRIC_COUNTER(id, name, help)
#define METRIC_GAUGE(id, name, help)
#define METRIC_HISTOGRAM(id, name, help) HISTOGRAM_##id,
#include "base/metric_table.h"
#undef METRIC_COUNTER
#undef METRIC_GAUGE
#undef METRIC_HISTOGRAM
    HISTOGRAM_COUNT
};

void metric_add(enum metric metric, int64_t amount);
#define metric_inc(metric) metric_add((metric), 1)
#define metric_dec(metric) metric_add((metric), -1)
int64_t metric_sum(enum metric metric);
/* One time more; below zero (a clock was set) counts as zero. */
void metric_observe_us(enum histogram histogram, int64_t us);
const char *metric_name(enum metric metric);
/* Every metric of the table; exposition_end() is the caller's. */
void metric_render(struct exposition *exposition);
