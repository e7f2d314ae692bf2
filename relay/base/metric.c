/* metric.c - rows of numbers, one a thread, and their sum. */
#include "base/metric.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"

enum { SERIES_MAX = 160 /* a histogram's name with its bucket */ };

static const struct {
    const char *name;
    enum exposition_type type;
    const char *help;
} metrics[] = {
#define METRIC_COUNTER(id, name, help) [METRIC_##id] = {name, EXPOSITION_COUNTER, help},
#define METRIC_GAUGE(id, name, help) [METRIC_##id] = {name, EXPOSITION_GAUGE, help},
#define METRIC_HISTOGRAM(id, name, help)
#include "base/metric_table.h"
#undef METRIC_COUNTER
#undef METRIC_GAUGE
#undef METRIC_HISTOGRAM
};

static const struct {
    const char *name;
    const char *help;
} histograms[] = {
#define METRIC_COUNTER(id, name, help)
#define METRIC_GAUGE(id, name, help)
#define METRIC_HISTOGRAM(id, name, help) [HISTOGRAM_##id] = {name, help},
#include "base/metric_table.h"
#undef METRIC_COUNTER
#undef METRIC_GAUGE
#undef METRIC_HISTOGRAM
};

static const struct {
    int64_t us; /* at most */
    const char *le;
} buckets[] = {
    {500, "0.0005"},    {1000, "0.001"},      {2500, "0.0025"},    {5000, "0.005"},
    {10000, "0.01"},    {25000, "0.025"},     {50000, "0.05"},     {100000, "0.1"},
    {250000, "0.25"},   {500000, "0.5"},      {1000000, "1"},      {2500000, "2.5"},
    {5000000, "5"},     {10000000, "10"},     {30000000, "30"},    {60000000, "60"},
    {300000000, "300"}, {3600000000, "3600"}, {INT64_MAX, "+Inf"},
};

/* A row holds the metrics, then for each histogram its buckets and the sum of its times. */
enum {
    HISTOGRAM_VALUES = ARRAY_LEN(buckets) + 1,
    VALUE_COUNT = METRIC_COUNT + HISTOGRAM_COUNT * HISTOGRAM_VALUES,
};

/* Aligned and padded to whole cache lines: no two threads write to the same one. */
struct row {
    struct list_node node;
    _Alignas(64) int64_t values[VALUE_COUNT];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of rows and ended */
static struct list rows = {{&rows.head, &rows.head}};
static int64_t ended[VALUE_COUNT]; /* what threads that are gone have left */
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* only for its destructor */
static _Thread_local struct row *own;

static void row_retire(void *value)
{
    struct row *row = value;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < VALUE_COUNT; i++)
        ended[i] += row->values[i];
    list_remove(&row->node);
    pthread_mutex_unlock(&lock);
    own = NULL; /* a later destructor of this thread may count again: it gets a new row */
    free(row);
}

static void key_make(void)
{
    int error = pthread_key_create(&key, row_retire);

    check(error == 0);
}

static struct row *row_register(void)
{
    struct row *row = aligned_alloc(_Alignof(struct row), sizeof(*row));
    int error = pthread_once(&key_once, key_make);

    check(row != NULL);
    check(error == 0);
    memset(row, 0, sizeof(*row));
    list_node_init(&row->node);
    pthread_mutex_lock(&lock);
    list_push_back(&rows, &row->node);
    pthread_mutex_unlock(&lock);
    error = pthread_setspecific(key, row);
    check(error == 0);
    own = row;
    return row;
}

static void value_add(size_t number, int64_t amount)
{
    struct row *row = own != NULL ? own : row_register();
    int64_t *value = &row->values[number];

    /* Only this thread writes here, so load and store will do where others need a locked add. */
    __atomic_store_n(value, __atomic_load_n(value, __ATOMIC_RELAXED) + amount, __ATOMIC_RELAXED);
}

void metric_add(enum metric metric, int64_t amount)
{
    value_add(metric, amount);
}

static size_t first_value(enum histogram histogram)
{
    return METRIC_COUNT + histogram * HISTOGRAM_VALUES;
}

void metric_observe_us(enum histogram histogram, int64_t us)
{
    size_t bucket = 0;

    us = MAX(us, (int64_t)0);
    while (us > buckets[bucket].us)
        bucket++; /* the last one takes any */
    value_add(first_value(histogram) + bucket, 1);
    value_add(first_value(histogram) + ARRAY_LEN(buckets), us);
}

static int64_t sum_locked(size_t number)
{
    int64_t sum = ended[number];

    list_for_each(node, &rows) {
        const struct row *row = container_of(node, struct row, node);

        sum += __atomic_load_n(&row->values[number], __ATOMIC_RELAXED);
    }
    return sum;
}

int64_t metric_sum(enum metric metric)
{
    check(metric < METRIC_COUNT);
    pthread_mutex_lock(&lock);
    int64_t sum = sum_locked(metric);

    pthread_mutex_unlock(&lock);
    return sum;
}

const char *metric_name(enum metric metric)
{
    check(metric < METRIC_COUNT);
    return metrics[metric].name;
}

/* The name without labels. */
static struct bytes family(size_t metric)
{
    struct bytes name = bytes_of(metrics[metric].name);

    return bytes_slice(name, 0, bytes_find(name, '{', 0));
}

static void render_histogram(struct exposition *e, enum histogram histogram, const int64_t *values)
{
    const char *name = histograms[histogram].name;
    char series[SERIES_MAX];
    int64_t count = 0;

    exposition_family(e, bytes_of(name), EXPOSITION_HISTOGRAM, histograms[histogram].help);
    for (size_t i = 0; i < ARRAY_LEN(buckets); i++) {
        count += values[i];
        snprintf(series, sizeof(series), "%s_bucket{le=\"%s\"}", name, buckets[i].le);
        exposition_integer(e, bytes_of(series), count);
    }
    snprintf(series, sizeof(series), "%s_sum", name);
    exposition_real(e, bytes_of(series), (double)values[ARRAY_LEN(buckets)] / 1e6);
    snprintf(series, sizeof(series), "%s_count", name);
    exposition_integer(e, bytes_of(series), count);
}

void metric_render(struct exposition *e)
{
    int64_t sums[VALUE_COUNT];

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < VALUE_COUNT; i++)
        sums[i] = sum_locked(i);
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        struct bytes name = family(i);

        if (i == 0 || !bytes_equal(name, family(i - 1)))
            exposition_family(e, name, metrics[i].type, metrics[i].help);
        exposition_integer(e, bytes_of(metrics[i].name), sums[i]);
    }
    for (size_t i = 0; i < HISTOGRAM_COUNT; i++)
        render_histogram(e, (enum histogram)i, sums + first_value((enum histogram)i));
}
