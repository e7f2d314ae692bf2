/* test_family.c - who gets a name, and that nothing counted is lost or goes back. */
#include "support/unit.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/family.h"

enum { COUNTS, NOW };

static const struct family_value values[] = {
    [COUNTS] = {"x_total", EXPOSITION_COUNTER, "h"},
    [NOW] = {"x_now", EXPOSITION_GAUGE, "h"},
};

static struct family family = FAMILY(family, "name", values, NULL);
static struct buf told;

/* Each test leaves the family as it found it. */
static void tell_as(enum exposition_format format, int64_t now_ms)
{
    struct exposition e = {.out = &told, .format = format};

    buf_free(&told);
    buf_init(&told, 16 << 20);
    family_tell(&family, &e, now_ms);
    assert_true(exposition_end(&e));
}

static void tell(int64_t now_ms)
{
    tell_as(EXPOSITION_PROMETHEUS, now_ms);
}

/* A count, up to the end of its line. */
static int64_t number_at(struct bytes text, size_t at)
{
    struct bytes number = bytes_slice(text, at, bytes_find(text, '\n', at) - at);
    uint64_t value;

    assert_true(bytes_to_u64(number, &value));
    return (int64_t)value;
}

/* -1: not told. */
static int64_t value_told(const char *value, const char *name)
{
    char line[600];
    struct bytes text = buf_bytes(&told);

    int len = snprintf(line, sizeof(line), "\n%s{name=\"%s\"} ", value, name);
    size_t at = bytes_find_bytes(text, bytes_range(line, (size_t)len), 0);

    return at < text.len ? number_at(text, at + (size_t)len) : -1;
}

static int64_t count_of(const char *name)
{
    return value_told("x_total", name);
}

/* Of all series of the counter; *series_out: how many. */
static int64_t sum_told(size_t *series_out)
{
    struct bytes text = buf_bytes(&told), start = BYTES("\nx_total{");
    int64_t sum = 0;

    *series_out = 0;
    for (size_t at = 0; (at = bytes_find_bytes(text, start, at)) < text.len; at++) {
        size_t end = bytes_find_bytes(text, BYTES("\"} "), at);

        sum += number_at(text, end + 3);
        ++*series_out;
    }
    return sum;
}

static void expect_sum(int64_t sum)
{
    size_t series;

    assert_int_equal(sum_told(&series), sum);
}

static struct series *counted(const char *name, int64_t count)
{
    struct series *series = series_begin(&family, bytes_of(name));

    series_add(series, COUNTS, count);
    return series;
}

static void reset(void)
{
    family_clear(&family);
    memset(family.left, 0, sizeof(family.left));
    family_limit(&family, 3);
    buf_free(&told);
}

TEST(family_tells_every_name_while_there_are_places)
{
    reset();
    family_limit(&family, 4);
    struct series *a = counted("a", 5), *b = counted("b", 1), *none = counted("", 2);
    struct series *idle = counted("idle", 0);

    tell(0);
    assert_int_equal(count_of("idle"), -1); /* nothing was counted: it takes no place */
    series_add(a, NOW, 7);
    series_add(idle, COUNTS, 3); /* nothing of it was told in "other" */
    tell(1);
    assert_int_equal(count_of("a"), 5);
    assert_int_equal(count_of("b"), 1);
    assert_int_equal(count_of(""), 2);
    assert_int_equal(count_of("other"), 0);
    assert_int_equal(count_of("idle"), 3);
    assert_int_equal(value_told("x_now", "a"), 7);
    assert_int_equal(value_told("x_now", "other"), 0);
    series_put(&a);
    series_put(&b);
    series_put(&none);
    series_put(&idle);
    tell(1);
    assert_int_equal(count_of("a"), 5);            /* the counts outlive it */
    assert_int_equal(value_told("x_now", "a"), 0); /* what it is now goes with it */
    reset();
}

TEST(family_names_the_largest_and_sums_the_rest)
{
    enum { NAMES = 100 };
    struct series *all[NAMES];
    char name[16];
    size_t count;

    reset();
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        all[i] = counted(name, (i * 37) % NAMES); /* 0 to 99, mixed */
    }
    tell(0);
    assert_int_equal(count_of("n27"), 99);
    assert_int_equal(count_of("n54"), 98);
    assert_int_equal(count_of("n81"), 97);
    assert_int_equal(count_of("other"), NAMES * (NAMES - 1) / 2 - 99 - 98 - 97);
    assert_int_equal(sum_told(&count), NAMES * (NAMES - 1) / 2);
    assert_int_equal(count, 4);
    for (int i = 0; i < NAMES; i++)
        series_put(&all[i]);
    tell(1);
    assert_int_equal(count_of("n27"), 99);
    expect_sum(NAMES * (NAMES - 1) / 2);
    reset();
}

TEST(family_counts_one_name_of_many_objects_together)
{
    enum { OBJECTS = 20 };
    struct series *all[OBJECTS];

    reset();
    family_limit(&family, 1);
    for (int i = 0; i < OBJECTS; i++)
        all[i] = counted(i % 2 == 0 ? "even" : "odd", i % 2 == 0 ? 10 : 11);
    struct series *single = counted("single", 99); /* more than any of them alone */

    tell(0);
    assert_int_equal(count_of("odd"), OBJECTS / 2 * 11);
    assert_int_equal(count_of("other"), OBJECTS / 2 * 10 + 99);
    struct series *later = counted("odd", 4);

    tell(1);
    assert_int_equal(count_of("odd"), OBJECTS / 2 * 11 + 4);
    for (int i = 0; i < OBJECTS; i++)
        series_put(&all[i]);
    series_put(&single);
    series_put(&later);
    reset();
}

TEST(family_leaves_in_other_what_was_told_there)
{
    reset();
    family_limit(&family, 1);
    struct series *a = counted("a", 10), *b = counted("b", 5);

    series_add(b, NOW, 2);
    tell(0);
    assert_int_equal(count_of("other"), 5);
    assert_int_equal(value_told("x_now", "other"), 2);
    family_limit(&family, 2);
    series_add(b, COUNTS, 1);
    tell(1);
    assert_int_equal(count_of("b"), 0); /* "other" must not go back */
    assert_int_equal(count_of("other"), 6);
    assert_int_equal(value_told("x_now", "b"), 2); /* gauges are what is */
    assert_int_equal(value_told("x_now", "other"), 0);
    series_add(b, COUNTS, 100);
    series_put(&b);
    tell(2);
    assert_int_equal(count_of("b"), 100);
    assert_int_equal(count_of("other"), 6);
    expect_sum(116);
    series_put(&a);
    reset();
}

TEST(family_name_stays_however_small_while_it_counts)
{
    reset();
    family_limit(&family, 1);
    struct series *small = counted("small", 1);

    tell(0);
    struct series *large = counted("large", 1000);

    for (int64_t now = 0; now < 10LL * FAMILY_SILENT_MS; now += FAMILY_SILENT_MS - 1) {
        series_add(small, COUNTS, 1);
        series_add(large, COUNTS, 1000);
        tell(now);
        assert_true(count_of("small") > 0);
        assert_int_equal(count_of("large"), -1);
    }
    series_put(&small);
    series_put(&large);
    reset();
}

TEST(family_name_of_who_was_silent_goes_to_who_counts)
{
    reset();
    family_limit(&family, 1);
    struct series *silent = counted("silent", 50), *next = counted("next", 10);

    tell(0);
    tell(1);
    tell(FAMILY_SILENT_MS + 1); /* nobody counts: it keeps the place */
    assert_int_equal(count_of("silent"), 50);
    series_add(silent, NOW, 1);
    series_add(next, COUNTS, 1);
    tell(FAMILY_SILENT_MS + 2); /* something is there: not silent */
    assert_int_equal(count_of("silent"), 50);
    series_add(silent, NOW, -1);
    series_add(next, COUNTS, 1);
    tell(2 * FAMILY_SILENT_MS + 1); /* not for long enough */
    assert_int_equal(count_of("silent"), 50);
    series_add(next, COUNTS, 1);
    tell(2 * FAMILY_SILENT_MS + 2);
    assert_int_equal(count_of("silent"), -1);
    assert_int_equal(count_of("next"), 0);
    assert_int_equal(count_of("other"), 63);
    series_add(next, COUNTS, 2);
    series_add(silent, COUNTS, 4); /* it goes on in "other" */
    tell(2 * FAMILY_SILENT_MS + 3);
    assert_int_equal(count_of("next"), 2);
    assert_int_equal(count_of("other"), 67);
    series_put(&silent);
    series_put(&next);
    tell(2 * FAMILY_SILENT_MS + 4);
    expect_sum(69);
    reset();
}

TEST(family_has_names_that_can_be_told_only)
{
    char long_name[FAMILY_NAME_MAX + 2];

    reset();
    memset(long_name, 'x', sizeof(long_name));
    long_name[FAMILY_NAME_MAX + 1] = 0;
    struct series *all[] = {
        counted("other", 1),   counted("\xff", 2),           counted("a\nb", 4),
        counted(long_name, 8), counted("q\"\\\xc3\xa4", 16),
    };
    tell(0);
    assert_int_equal(count_of("q\\\"\\\\\xc3\xa4"), 16);
    assert_int_equal(count_of("other"), 15);
    size_t count;

    (void)sum_told(&count);
    assert_int_equal(count, 2);
    struct series *longest = counted(long_name + 1, 32);

    tell(1);
    assert_int_equal(count_of(long_name + 1), 32);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        series_put(&all[i]);
    series_put(&longest);
    reset();
}

static void expect_text(const char *text)
{
    if (!bytes_equal(buf_bytes(&told), bytes_of(text)))
        fail_msg("%.*s", BYTES_ARG(buf_bytes(&told)));
}

TEST(family_in_both_formats)
{
    reset();
    struct series *a = counted("a", 3);

    tell_as(EXPOSITION_OPENMETRICS, 0);
    expect_text("# HELP x h\n# TYPE x counter\n"
                "x_total{name=\"a\"} 3\n"
                "x_total{name=\"other\"} 0\n"
                "# HELP x_now h\n# TYPE x_now gauge\n"
                "x_now{name=\"a\"} 0\n"
                "x_now{name=\"other\"} 0\n"
                "# EOF\n");
    tell(1);
    expect_text("# HELP x_total h\n# TYPE x_total counter\n"
                "x_total{name=\"a\"} 3\n"
                "x_total{name=\"other\"} 0\n"
                "# HELP x_now h\n# TYPE x_now gauge\n"
                "x_now{name=\"a\"} 0\n"
                "x_now{name=\"other\"} 0\n");
    series_put(&a);
    reset();
}

/* Names come and go, places too: no series ever goes back, the sum is what was counted. */
TEST(family_counters_never_go_back)
{
    enum { NAMES = 40, ROUNDS = 3000 };
    struct series *held[NAMES] = {0};
    int64_t before[NAMES + 1], total = 0, now = 0;
    unsigned random = 1;
    char name[NAMES + 1][16];

    reset();
    family_limit(&family, 8);
    for (int i = 0; i < NAMES; i++)
        snprintf(name[i], sizeof(name[i]), "n%d", i);
    snprintf(name[NAMES], sizeof(name[NAMES]), "other");
    for (int i = 0; i <= NAMES; i++)
        before[i] = -1;
    for (int round = 0; round < ROUNDS; round++) {
        random = random * 1103515245 + 12345;
        unsigned i = (random >> 16) % NAMES;

        if (held[i] == NULL) {
            held[i] = series_begin(&family, bytes_of(name[i]));
        } else if ((random >> 8) % 4 == 0) {
            series_put(&held[i]);
        } else {
            series_add(held[i], COUNTS, (int64_t)i + 1);
            total += i + 1;
        }
        if (round % 7 != 0)
            continue;
        now += FAMILY_SILENT_MS / 5;
        tell(now);
        expect_sum(total);
        for (int n = 0; n <= NAMES; n++) {
            int64_t value = count_of(name[n]);

            assert_true(value >= before[n] || value == -1); /* none: the name was given up */
            before[n] = value;
        }
    }
    for (int i = 0; i < NAMES; i++)
        if (held[i] != NULL)
            series_put(&held[i]);
    tell(now);
    expect_sum(total);
    reset();
}

static bool is_counting;

static void *count_and_let_go(void *context)
{
    const char *name = context;
    int64_t total = 0;

    while (__atomic_load_n(&is_counting, __ATOMIC_RELAXED) || total < 1000) {
        struct series *series = counted(name, 1);

        for (int i = 0; i < 99; i++)
            series_add(series, COUNTS, 1);
        series_put(&series);
        total += 100;
    }
    return (void *)(uintptr_t)total;
}

enum { CAME, LEFT, WAITS, CARRIED_IN, CARRIED_OUT };

static const struct family_value sum_values[] = {
    [CAME] = {"s_came_total", EXPOSITION_COUNTER, "h"},
    [LEFT] = {"s_left_total", EXPOSITION_COUNTER, "h"},
    [WAITS] = {"s_waits", EXPOSITION_GAUGE, "h"},
    [CARRIED_IN] = {"s_in_total", EXPOSITION_COUNTER, "h"},
    [CARRIED_OUT] = {"s_out_total", EXPOSITION_COUNTER, "h"},
};
static const struct family_carry sum_carry = {WAITS, CARRIED_IN, CARRIED_OUT};
static struct family sum_family = FAMILY(sum_family, "name", sum_values, &sum_carry);

static void tell_sums(int64_t now_ms)
{
    struct exposition e = {.out = &told, .format = EXPOSITION_PROMETHEUS};

    buf_free(&told);
    buf_init(&told, 16 << 20);
    family_tell(&sum_family, &e, now_ms);
    assert_true(exposition_end(&e));
}

/* True where it is told. */
static bool adds_up(const char *name)
{
    if (value_told("s_came_total", name) < 0)
        return false;
    assert_int_equal(value_told("s_came_total", name) + value_told("s_in_total", name),
                     value_told("s_left_total", name) + value_told("s_waits", name) +
                         value_told("s_out_total", name));
    return true;
}

static void begin_one(struct series *series)
{
    series_add_two(series, CAME, 1, WAITS, 1);
}

static void end_one(struct series *series)
{
    series_add_two(series, LEFT, 1, WAITS, -1);
}

TEST(family_that_carries_adds_up_under_a_name_given_late)
{
    family_limit(&sum_family, 1);
    struct series *a = series_begin(&sum_family, BYTES("a"));
    struct series *b = series_begin(&sum_family, BYTES("b"));

    for (int i = 0; i < 9; i++)
        begin_one(a);
    for (int i = 0; i < 5; i++)
        begin_one(b);
    end_one(b);
    tell_sums(0);
    assert_true(adds_up("a") && adds_up("other") && !adds_up("b"));
    family_limit(&sum_family, 2);
    end_one(b);
    tell_sums(1);
    assert_true(adds_up("a") && adds_up("other") && adds_up("b"));
    assert_int_equal(value_told("s_came_total", "b"), 0);
    assert_int_equal(value_told("s_in_total", "b"), 3);
    assert_int_equal(value_told("s_waits", "b"), 3);
    assert_int_equal(value_told("s_out_total", "other"), 3);
    end_one(b);
    tell_sums(2);
    assert_int_equal(value_told("s_left_total", "b"), 1);
    assert_true(adds_up("b") && adds_up("other"));
    series_put(&a);
    series_put(&b);
    family_clear(&sum_family);
    memset(sum_family.left, 0, sizeof(sum_family.left));
}

TEST(family_that_carries_adds_up_whoever_has_a_name)
{
    enum { NAMES = 40, ROUNDS = 20000 };
    struct series *held[NAMES] = {0};
    unsigned random = 7;
    size_t late = 0;
    char name[16];

    family_limit(&sum_family, 4);
    for (int round = 0; round < ROUNDS; round++) {
        random = random * 1103515245 + 12345;
        unsigned i = (random >> 16) % NAMES;

        snprintf(name, sizeof(name), "n%u", i);
        if (held[i] == NULL)
            held[i] = series_begin(&sum_family, bytes_of(name));
        if (held[i]->values[WAITS] == 0 || (random >> 8) % 2 == 0)
            begin_one(held[i]);
        else
            end_one(held[i]);
        if (held[i]->values[WAITS] == 0 && (random >> 9) % 2 == 0)
            series_put(&held[i]);
        if (round % 50 != 0)
            continue;
        if (round % 5000 == 0)
            family_limit(&sum_family, 4 + (size_t)round / 2500);
        tell_sums(round * (int64_t)FAMILY_SILENT_MS / 200);
        assert_true(adds_up("other"));
        for (unsigned n = 0; n < NAMES; n++) {
            snprintf(name, sizeof(name), "n%u", n);
            late += adds_up(name) && value_told("s_in_total", name) > 0;
        }
    }
    assert_true(late > 0);
    for (unsigned n = 0; n < NAMES; n++)
        if (held[n] != NULL)
            series_put(&held[n]);
    family_clear(&sum_family);
}

TEST(family_of_several_threads)
{
    static const char *const names[] = {"a", "b", "a", "c"};
    pthread_t threads[ARRAY_LEN(names)];
    int64_t total = 0, last = 0;
    size_t count;

    reset();
    family_limit(&family, 2);
    is_counting = true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_and_let_go,
                                        (void *)(uintptr_t)names[i]),
                         0);
    for (int i = 0; i < 200; i++) {
        tell(i * (int64_t)FAMILY_SILENT_MS / 4);
        int64_t sum = sum_told(&count);

        assert_true(sum >= last);
        assert_true(count <= 3);
        last = sum;
    }
    __atomic_store_n(&is_counting, false, __ATOMIC_RELAXED);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        void *counts;

        assert_int_equal(pthread_join(threads[i], &counts), 0);
        total += (int64_t)(uintptr_t)counts;
    }
    tell(0);
    expect_sum(total);
    reset();
}

static void *count_two(void *context)
{
    struct series *series = series_begin(&family, BYTES("two"));

    (void)context;
    while (__atomic_load_n(&is_counting, __ATOMIC_RELAXED))
        series_add_two(series, COUNTS, 1, NOW, 1);
    return series;
}

TEST(family_tells_two_that_change_at_once_at_once)
{
    pthread_t threads[3];

    reset();
    family_limit(&family, 1);
    is_counting = true;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_two, NULL), 0);
    for (int i = 0; i < 2000; i++) {
        tell(i);
        if (count_of("two") >= 0)
            assert_int_equal(count_of("two"), value_told("x_now", "two"));
    }
    __atomic_store_n(&is_counting, false, __ATOMIC_RELAXED);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *series;

        assert_int_equal(pthread_join(threads[i], &series), 0);
        series_put((struct series **)&series);
    }
    reset();
}

/* What is held costs its series; what is gone costs nothing, whatever the number of names. */
TEST(family_memory_of_100000_names)
{
    enum { NAMES = 100000, SERIES_BYTES = 144 };
    static struct series *all[NAMES];
    char name[32];

    reset();
    family_limit(&family, 50);
    tell(0);
    size_t before = mallinfo2().uordblks;

    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "mx.customer-%d.example", i);
        all[i] = counted(name, i + 1);
    }
    size_t held = mallinfo2().uordblks;

    assert_true(held - before <= (size_t)NAMES * SERIES_BYTES);
    tell(0);
    size_t count;

    assert_int_equal(sum_told(&count), (int64_t)NAMES * (NAMES + 1) / 2);
    assert_int_equal(count, 51);
    assert_int_equal(count_of("mx.customer-99999.example"), NAMES);
    assert_int_equal(count_of("mx.customer-99950.example"), NAMES - 49);
    for (int i = 0; i < NAMES; i++)
        series_put(&all[i]);
    assert_true(mallinfo2().uordblks - before <= 64 << 10);
    tell(0);
    expect_sum((int64_t)NAMES * (NAMES + 1) / 2);
    reset();
}
