/* family.c - which names are told, and what is counted under each. */
#include "base/family.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define OTHER "other"

enum { SERIES_PER_PLACE = 64 /* looked at: a name may have one on every engine */ };

struct family_name {
    struct map_node node; /* key: name */
    struct list_node in_named;
    struct list series;
    int64_t told; /* what was counted, when the family was told last */
    int64_t counted_ms;
    int64_t left[FAMILY_VALUES_MAX];   /* by series that are gone, and carried in */
    int64_t before[FAMILY_VALUES_MAX]; /* of what series counted: it was told in "other" */
    int64_t sums[FAMILY_VALUES_MAX];   /* of this telling */
    uint8_t name[];
};

/* A series that may get a name, or all that were found of one. */
struct candidate {
    struct series *series;
    int64_t counted;
    bool is_active; /* since the last telling */
};

static bool is_counter(const struct family *family, size_t value)
{
    return family->values[value].type == EXPOSITION_COUNTER;
}

static int64_t value_of(const struct series *series, size_t value)
{
    return __atomic_load_n(&series->values[value], __ATOMIC_RELAXED);
}

/* All values as they were at one moment. Its thread is between the two of series_add_two() for some
 * instructions only, unless the machine runs another one then. */
static void read_series(const struct series *series, int64_t *values)
{
    unsigned turns;

    for (;;) {
        turns = __atomic_load_n(&series->turns, __ATOMIC_ACQUIRE);
        for (size_t i = 0; i < series->family->value_count; i++)
            values[i] = __atomic_load_n(&series->values[i], __ATOMIC_ACQUIRE);
        if (turns % 2 == 0 && __atomic_load_n(&series->turns, __ATOMIC_RELAXED) == turns)
            return;
        sched_yield();
    }
}

static uint8_t *name_at(struct series *series)
{
    return (uint8_t *)(series->values + series->family->value_count);
}

static struct bytes name_of(struct series *series)
{
    return (struct bytes){name_at(series), series->name_len};
}

/* --- series ----------------------------------------------------------------------------------- */

static bool can_be_named(struct bytes name)
{
    return name.len <= FAMILY_NAME_MAX && utf8_is_printable(name) &&
           !bytes_equal(name, BYTES(OTHER));
}

static struct family_name *find_name(struct family *family, struct bytes name)
{
    struct map_node *node = family->named_count > 0 ? map_find(&family->by_name, name) : NULL;

    return node != NULL ? container_of(node, struct family_name, node) : NULL;
}

struct series *series_begin(struct family *family, struct bytes name)
{
    bool has_name = can_be_named(name);
    size_t name_len = has_name ? name.len : 0;
    struct series *series =
        calloc(1, sizeof(*series) + family->value_count * sizeof(int64_t) + name_len);

    check(series != NULL);
    check(family->value_count <= FAMILY_VALUES_MAX);
    list_node_init(&series->node);
    series->family = family;
    series->references = 1;
    series->can_be_named = has_name;
    series->name_len = (uint8_t)name_len;
    if (name_len > 0)
        memcpy(name_at(series), name.ptr, name_len);
    pthread_mutex_lock(&family->lock);
    series->named = has_name ? find_name(family, name) : NULL;
    list_push_back(series->named != NULL ? &series->named->series : &family->unnamed,
                   &series->node);
    family->series_count++;
    pthread_mutex_unlock(&family->lock);
    return series;
}

void series_put(struct series **series)
{
    struct series *s = *series;
    struct family *family = s->family;

    *series = NULL;
    check(s->references > 0);
    if (--s->references > 0)
        return;
    pthread_mutex_lock(&family->lock);
    int64_t *left = s->named != NULL ? s->named->left : family->left;

    for (size_t i = 0; i < family->value_count; i++)
        if (is_counter(family, i))
            left[i] += s->values[i];
    list_remove(&s->node);
    family->series_count--;
    pthread_mutex_unlock(&family->lock);
    free(s);
}

/* --- who has a name --------------------------------------------------------------------------- */

static int64_t counted(const struct series *series)
{
    const struct family *family = series->family;
    int64_t sum = 0;

    for (size_t i = 0; i < family->value_count; i++)
        sum += is_counter(family, i) ? value_of(series, i) : MAX(value_of(series, i), (int64_t)0);
    return sum;
}

/* What it has counted; *has_gauge_out: something is there now. */
static int64_t name_counted(const struct family *family, const struct family_name *name,
                            bool *has_gauge_out)
{
    int64_t sum = 0;

    *has_gauge_out = false;
    for (size_t i = 0; i < family->value_count; i++)
        sum += name->left[i];
    list_for_each(node, &name->series) {
        const struct series *series = container_of(node, struct series, node);

        for (size_t i = 0; i < family->value_count; i++) {
            int64_t value = value_of(series, i);

            if (is_counter(family, i))
                sum += value;
            else if (value != 0)
                *has_gauge_out = true;
        }
    }
    return sum;
}

static bool is_silent(const struct family_name *name, int64_t now_ms)
{
    return now_ms - name->counted_ms >= FAMILY_SILENT_MS;
}

/* How many have been silent for long. */
static size_t look_at_names(struct family *family, int64_t now_ms)
{
    size_t silent = 0;

    list_for_each(node, &family->named) {
        struct family_name *name = container_of(node, struct family_name, in_named);
        bool has_gauge;
        int64_t sum = name_counted(family, name, &has_gauge);

        if (sum != name->told || has_gauge)
            name->counted_ms = now_ms;
        name->told = sum;
        silent += is_silent(name, now_ms);
    }
    return silent;
}

/* A heap, the least in front: what is too small for the places leaves it. */
static void sift_down(struct candidate *heap, size_t count, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child + 1].counted < heap[child].counted)
            child++;
        if (heap[at].counted <= heap[child].counted)
            return;
        struct candidate swapped = heap[at];

        heap[at] = heap[child];
        heap[child] = swapped;
    }
}

static size_t find_largest(struct family *family, struct candidate *heap, size_t max)
{
    size_t count = 0;

    list_for_each(node, &family->unnamed) {
        struct series *series = container_of(node, struct series, node);
        int64_t sum = series->can_be_named ? counted(series) : 0;

        if (sum <= 0 || (count == max && sum <= heap[0].counted))
            continue;
        heap[count < max ? count : 0] = (struct candidate){series, sum, sum != series->told};
        if (count == max)
            sift_down(heap, count, 0);
        else if (++count == max)
            for (size_t i = count / 2; i-- > 0;)
                sift_down(heap, count, i);
    }
    return count;
}

static int by_name(const void *a, const void *b)
{
    struct bytes x = name_of(((const struct candidate *)a)->series);
    struct bytes y = name_of(((const struct candidate *)b)->series);
    size_t len = MIN(x.len, y.len);
    int order = len > 0 ? memcmp(x.ptr, y.ptr, len) : 0;

    return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

static int by_size(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    return (x->counted < y->counted) - (x->counted > y->counted);
}

/* Those of one name become one; the largest first. */
static size_t join_names(struct candidate *all, size_t count)
{
    size_t kept = 0;

    qsort(all, count, sizeof(*all), by_name);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && by_name(&all[kept - 1], &all[i]) == 0) {
            all[kept - 1].counted += all[i].counted;
            all[kept - 1].is_active |= all[i].is_active;
        } else {
            all[kept++] = all[i];
        }
    }
    qsort(all, kept, sizeof(*all), by_size);
    return kept;
}

static void give_name(struct family *family, struct series *series, int64_t now_ms)
{
    struct family_name *name = calloc(1, sizeof(*name) + series->name_len);

    check(name != NULL);
    if (series->name_len > 0)
        memcpy(name->name, name_at(series), series->name_len);
    list_node_init(&name->in_named);
    list_init(&name->series);
    name->counted_ms = now_ms;
    if (family->by_name.bucket_count == 0)
        map_init(&family->by_name);
    map_insert(&family->by_name, &name->node, (struct bytes){name->name, series->name_len});
    list_push_back(&family->named, &name->in_named);
    family->named_count++;
}

/* What it counted and was told stays in "other", where it was told. */
static void leave_told(struct family *family, struct family_name *name, const struct series *series)
{
    const struct family_carry *carry = family->carry;
    int64_t values[FAMILY_VALUES_MAX];

    read_series(series, values);
    for (size_t i = 0; i < family->value_count; i++)
        if (is_counter(family, i))
            name->before[i] += values[i];
    if (carry == NULL)
        return;
    name->left[carry->in] += values[carry->waits];
    family->left[carry->out] += values[carry->waits];
}

static void join_series(struct family *family, struct family_name *name, struct series *series)
{
    if (series->told > 0)
        leave_told(family, name, series);
    list_remove(&series->node);
    list_push_back(&name->series, &series->node);
    series->named = name;
}

static void take_name(struct family *family, struct family_name *name)
{
    list_for_each(node, &name->series)
        container_of(node, struct series, node)->named = NULL;
    list_splice(&family->unnamed, &name->series);
    for (size_t i = 0; i < family->value_count; i++)
        family->left[i] += name->left[i];
    map_remove(&family->by_name, &name->node);
    list_remove(&name->in_named);
    family->named_count--;
    free(name);
}

/* The one that has been silent for longest; NULL: none is. */
static struct family_name *longest_silent(struct family *family, int64_t now_ms)
{
    struct family_name *found = NULL;

    list_for_each(node, &family->named) {
        struct family_name *name = container_of(node, struct family_name, in_named);

        if (is_silent(name, now_ms) && (found == NULL || name->counted_ms < found->counted_ms))
            found = name;
    }
    return found;
}

static bool give_names(struct family *family, const struct candidate *largest, size_t count,
                       int64_t now_ms)
{
    bool any = false;

    for (size_t i = 0; i < count; i++) {
        struct family_name *silent;

        if (family->named_count >= family->names_max) {
            silent = largest[i].is_active ? longest_silent(family, now_ms) : NULL;
            if (silent == NULL)
                continue;
            take_name(family, silent);
        }
        give_name(family, largest[i].series, now_ms);
        any = true;
    }
    return any;
}

static void choose_names(struct family *family, int64_t now_ms)
{
    size_t silent = look_at_names(family, now_ms);
    size_t places = family->names_max - MIN(family->named_count, family->names_max) + silent;
    size_t max = MIN(places * SERIES_PER_PLACE, family->series_count);

    if (max == 0)
        return;
    struct candidate *all = calloc(max, sizeof(*all));

    check(all != NULL);
    size_t count = join_names(all, find_largest(family, all, max));

    if (give_names(family, all, MIN(count, places), now_ms))
        list_for_each(node, &family->unnamed) {
            struct series *series = container_of(node, struct series, node);
            struct family_name *name =
                series->can_be_named ? find_name(family, name_of(series)) : NULL;

            if (name != NULL)
                join_series(family, name, series);
        }
    free(all);
}

/* --- telling ---------------------------------------------------------------------------------- */

static void add_series(int64_t *sums, const struct series *series)
{
    int64_t values[FAMILY_VALUES_MAX];

    read_series(series, values);
    for (size_t i = 0; i < series->family->value_count; i++)
        sums[i] += values[i];
}

/* `other` and the names' sums. */
static void sum_up(struct family *family, int64_t *other)
{
    memcpy(other, family->left, sizeof(family->left));
    list_for_each(node, &family->unnamed) {
        struct series *series = container_of(node, struct series, node);

        add_series(other, series);
        series->told = counted(series);
    }
    list_for_each(node, &family->named) {
        struct family_name *name = container_of(node, struct family_name, in_named);

        memcpy(name->sums, name->left, sizeof(name->left));
        list_for_each(of_name, &name->series)
            add_series(name->sums, container_of(of_name, struct series, node));
        for (size_t i = 0; i < family->value_count; i++) {
            name->sums[i] -= name->before[i];
            other[i] += name->before[i];
        }
    }
}

void family_tell(struct family *family, struct exposition *exposition, int64_t now_ms)
{
    int64_t other[FAMILY_VALUES_MAX];

    pthread_mutex_lock(&family->telling);
    pthread_mutex_lock(&family->lock);
    choose_names(family, now_ms);
    sum_up(family, other);
    pthread_mutex_unlock(&family->lock);
    for (size_t i = 0; i < family->value_count; i++) {
        const struct family_value *value = &family->values[i];

        exposition_family(exposition, bytes_of(value->name), value->type, value->help);
        list_for_each(node, &family->named) {
            const struct family_name *name = container_of(node, struct family_name, in_named);

            exposition_labelled(exposition, value->name, family->label, name->node.key,
                                (double)name->sums[i]);
        }
        exposition_labelled(exposition, value->name, family->label, BYTES(OTHER), (double)other[i]);
    }
    pthread_mutex_unlock(&family->telling);
}

void family_limit(struct family *family, size_t names_max)
{
    check(names_max > 0);
    check(names_max <= FAMILY_NAMES_MAX);
    pthread_mutex_lock(&family->lock);
    family->names_max = names_max;
    pthread_mutex_unlock(&family->lock);
}

void family_clear(struct family *family)
{
    pthread_mutex_lock(&family->telling);
    pthread_mutex_lock(&family->lock);
    check(family->series_count == 0);
    list_for_each(node, &family->named)
        take_name(family, container_of(node, struct family_name, in_named));
    map_free(&family->by_name);
    pthread_mutex_unlock(&family->lock);
    pthread_mutex_unlock(&family->telling);
}
