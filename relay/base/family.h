/*
 * family.h - counts by a name (a site, a source, a tenant): the largest by name, the rest as one.
 *
 * An object that counts holds a series: one thread's counts of one name. To count is a plain add to
 * it, without a look-up, a lock or a shared line. Several objects and several threads may hold
 * series of the same name; they are told as one.
 *
 * How many names there are is up to others, how many are told is not: at most names_max, and one
 * "other" of all the rest. Memory follows: what is named, and each series for as long as it is
 * held. Which names those are is decided when the family is told, by what was counted under each:
 *
 *   free places    go to the largest names that have none. While all names fit, each has one
 *   named          for as long as the process lives. Only who was silent (nothing counted, gauges
 *                  0) for FAMILY_SILENT_MS gives its place up, and only when a name that counts
 *                  has none; its counts then go into "other"
 *
 * Counters never go back. What was told in "other" stays there: who gets a name later begins at 0.
 * The sum over all series is always everything that was counted. Counts outlive the series; gauges
 * do not: what an object is now goes with it.
 *
 * Where counters and a gauge are a sum (came + carried in = left + waits), a family that carries
 * keeps it exact under every name and in "other": what waits when a name is given late is counted
 * as carried in under the name, and as carried out in "other".
 *
 * Names that could not be told apart, or not be told, are in "other" always: "other" itself, more
 * than FAMILY_NAME_MAX bytes, and what is not printable UTF-8.
 *
 * Thread: a series belongs to one at a time; a family is for all.
 */
#pragma once

#include <pthread.h>

#include "base/exposition.h"
#include "base/list.h"
#include "base/map.h"

enum {
    FAMILY_VALUES_MAX = 10,
    FAMILY_NAMES_DEFAULT = 50,
    FAMILY_NAMES_MAX = 1000,
    FAMILY_NAME_MAX = 255, /* bytes */
    FAMILY_SILENT_MS = 60 * 60 * 1000,
};

struct family_value {
    const char *name;          /* "ringpost_site_delivered_total" */
    enum exposition_type type; /* a counter or a gauge */
    const char *help;
};

struct family_carry {
    size_t waits;   /* a gauge */
    size_t in, out; /* counters; what objects count of `in` themselves stays in it */
};

/* Static or not, made by FAMILY(); must not move. */
struct family {
    const char *label;
    size_t value_count;
    const struct family_value *values;
    const struct family_carry *carry; /* NULL: it carries nothing */
    /* private */
    pthread_mutex_t telling; /* of one who tells: names come and go under both */
    pthread_mutex_t lock;
    size_t names_max;
    struct list unnamed; /* series without a name */
    struct list named;   /* struct family_name */
    struct map by_name;  /* the same */
    size_t named_count, series_count;
    int64_t left[FAMILY_VALUES_MAX]; /* by series that are gone and carried out, in "other" */
};

#define FAMILY(self, label_text, value_array, carry_or_null) \
    { \
        .label = (label_text), .value_count = ARRAY_LEN(value_array), .values = (value_array), \
        .carry = (carry_or_null), .telling = PTHREAD_MUTEX_INITIALIZER, \
        .lock = PTHREAD_MUTEX_INITIALIZER, .names_max = FAMILY_NAMES_DEFAULT, \
        .unnamed = {{&(self).unnamed.head, &(self).unnamed.head}}, \
        .named = {{&(self).named.head, &(self).named.head}}, \
    }

struct family_name;

struct series {
    struct list_node node; /* of the family or of its name */
    struct family *family;
    struct family_name *named; /* NULL: none */
    int64_t told;              /* what was counted when the family was told last */
    uint32_t references;
    uint16_t turns;   /* odd while two values change at once */
    uint8_t name_len; /* the name stands behind the values */
    bool can_be_named;
    int64_t values[];
};

/* Referenced; of the calling thread from here on. The name is copied. */
struct series *series_begin(struct family *family, struct bytes name);
static inline struct series *series_keep(struct series *series)
{
    series->references++;
    return series;
}
/* Clears *series. With the last reference the counts go to the name, or into "other". */
void series_put(struct series **series);

static inline void series_add(struct series *series, size_t value, int64_t amount)
{
    int64_t *at = &series->values[value];

    /* Only this thread writes here, so load and store will do where others need a locked add. */
    __atomic_store_n(at, __atomic_load_n(at, __ATOMIC_RELAXED) + amount, __ATOMIC_RELAXED);
}

/* Two values that are a sum with others: who tells the family sees both changes or neither. The
 * values are stored with release, so whoever sees one of them sees that `turns` was odd. */
static inline void series_add_two(struct series *series, size_t a, int64_t of_a, size_t b,
                                  int64_t of_b)
{
    unsigned turns = series->turns;

    __atomic_store_n(&series->turns, (uint16_t)(turns + 1), __ATOMIC_RELAXED);
    __atomic_store_n(&series->values[a], series->values[a] + of_a, __ATOMIC_RELEASE);
    __atomic_store_n(&series->values[b], series->values[b] + of_b, __ATOMIC_RELEASE);
    __atomic_store_n(&series->turns, (uint16_t)(turns + 2), __ATOMIC_RELEASE);
}

/* 1 to FAMILY_NAMES_MAX; any thread. Names beyond a smaller number keep their places until they
 * are silent. */
void family_limit(struct family *family, size_t names_max);
/* All series of all values; exposition_end() is the caller's. `now_ms` is monotonic. */
void family_tell(struct family *family, struct exposition *exposition, int64_t now_ms);
/* Gives the memory of the names back; no series may be left. */
void family_clear(struct family *family);
