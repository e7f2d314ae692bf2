/* metric.c - rows of numbers, one a thread, and their sum. */
#include "base/metric.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"

static const struct {
    const char *name;
    const char *type;
    const char *help;
} metrics[] = {
#define METRIC_COUNTER(id, name, help) [METRIC_##id] = {name, "counter", help},
#define METRIC_GAUGE(id, name, help) [METRIC_##id] = {name, "gauge", help},
#include "base/metric_table.h"
#undef METRIC_COUNTER
#undef METRIC_GAUGE
};

/* Aligned and padded to whole cache lines: no two threads write to the same one. */
struct row {
    struct list_node node;
    _Alignas(64) int64_t values[METRIC_COUNT];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of rows and ended */
static struct list rows = {{&rows.head, &rows.head}};
static int64_t ended[METRIC_COUNT]; /* what threads that are gone have left */
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* only for its destructor */
static _Thread_local struct row *own;

static void row_retire(void *value)
{
    struct row *row = value;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < METRIC_COUNT; i++)
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

void metric_add(enum metric metric, int64_t amount)
{
    struct row *row = own != NULL ? own : row_register();
    int64_t *value = &row->values[metric];

    /* Only this thread writes here, so load and store will do where others need a locked add. */
    __atomic_store_n(value, __atomic_load_n(value, __ATOMIC_RELAXED) + amount, __ATOMIC_RELAXED);
}

static int64_t sum_locked(enum metric metric)
{
    int64_t sum = ended[metric];

    list_for_each(node, &rows) {
        const struct row *row = container_of(node, struct row, node);

        sum += __atomic_load_n(&row->values[metric], __ATOMIC_RELAXED);
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

bool metric_render(struct buf *out)
{
    int64_t sums[METRIC_COUNT];

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < METRIC_COUNT; i++)
        sums[i] = sum_locked((enum metric)i);
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        struct bytes name = family(i);
        bool is_first = i == 0 || !bytes_equal(name, family(i - 1));

        if (is_first && !buf_printf(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", BYTES_ARG(name),
                                    metrics[i].help, BYTES_ARG(name), metrics[i].type))
            return false;
        if (!buf_printf(out, "%s %" PRId64 "\n", metrics[i].name, sums[i]))
            return false;
    }
    return true;
}
