/* test_metric.c - counters and gauges. */
#include "support/unit.h"

#include <pthread.h>
#include <string.h>

#include "base/metric.h"

TEST(sum_of_the_calling_thread_is_exact)
{
    int64_t before = metric_sum(METRIC_SESSIONS);

    metric_inc(METRIC_SESSIONS);
    metric_add(METRIC_SESSIONS, 10);
    metric_dec(METRIC_SESSIONS);
    assert_int_equal(metric_sum(METRIC_SESSIONS), before + 10);
    metric_add(METRIC_SESSIONS, -10);
    assert_int_equal(metric_sum(METRIC_SESSIONS), before);
}

static void *count_a_thousand(void *context)
{
    for (int i = 0; i < 1000; i++)
        metric_inc(METRIC_SESSIONS_ACCEPTED);
    metric_dec(METRIC_SESSIONS); /* came up on another thread */
    return context;
}

TEST(rows_of_ended_threads_stay_in_the_sum)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    int64_t accepted = metric_sum(METRIC_SESSIONS_ACCEPTED);
    int64_t open = metric_sum(METRIC_SESSIONS);

    metric_add(METRIC_SESSIONS, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_a_thousand, NULL), 0);
    /* Reading while they count and end must be safe; the value is somewhere on the way. */
    for (int i = 0; i < 100; i++)
        assert_true(metric_sum(METRIC_SESSIONS_ACCEPTED) <= accepted + THREADS * 1000);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metric_sum(METRIC_SESSIONS_ACCEPTED), accepted + THREADS * 1000);
    assert_int_equal(metric_sum(METRIC_SESSIONS), open);
}

static bool render(struct buf *out)
{
    struct exposition exposition = {.out = out, .format = EXPOSITION_PROMETHEUS};

    metric_render(&exposition);
    return exposition_end(&exposition);
}

static void *observe_once(void *context)
{
    metric_observe_us(HISTOGRAM_DELIVERY, 2000);
    return context;
}

static bool renders(const char *text)
{
    struct buf out;

    buf_init(&out, 1 << 20);
    assert_true(render(&out));
    bool found = bytes_find_bytes(buf_bytes(&out), bytes_of(text), 0) < buf_len(&out);

    buf_free(&out);
    return found;
}

TEST(times_of_ended_threads_stay_in_the_histogram)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, observe_once, NULL), 0);
    pthread_join(thread, NULL);
    assert_true(renders("ringpost_delivery_latency_seconds_count 1\n"));
    assert_true(renders("ringpost_delivery_latency_seconds_sum 0.002\n"));
}

/* Values that differ in labels alone are one metric: said twice, a scrape is refused as a whole. */
TEST(render_tells_of_each_metric_once)
{
    struct buf out;
    struct bytes rest, line, other;

    buf_init(&out, 1 << 20);
    assert_true(render(&out));
    rest = buf_bytes(&out);
    while (bytes_take_until(&rest, '\n', &line)) {
        struct bytes behind = rest;

        if (line.ptr[0] != '#')
            continue;
        while (bytes_take_until(&behind, '\n', &other))
            assert_false(bytes_equal(line, other));
    }
    buf_free(&out);
}

TEST(render_has_help_type_and_value_of_every_metric)
{
    struct buf out;

    buf_init(&out, 1 << 20);
    metric_add(METRIC_SESSIONS_REFUSED, 77);
    assert_true(render(&out));
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        struct bytes name = bytes_of(metric_name((enum metric)i));

        expect_row(i, bytes_find_bytes(buf_bytes(&out), name, 0) < buf_len(&out));
    }
    struct bytes expected = BYTES("# HELP ringpost_smtp_sessions SMTP server sessions open now\n"
                                  "# TYPE ringpost_smtp_sessions gauge\n"
                                  "ringpost_smtp_sessions 0\n");

    assert_true(bytes_find_bytes(buf_bytes(&out), expected, 0) < buf_len(&out));
    assert_true(bytes_find_bytes(buf_bytes(&out),
                                 BYTES("\nringpost_smtp_sessions_refused_total 77\n"),
                                 0) < buf_len(&out));
    buf_free(&out);
}

TEST(render_into_a_full_buffer_is_false)
{
    struct buf out;

    buf_init(&out, 50);
    assert_false(render(&out));
    buf_free(&out);
}

TEST(names_follow_the_prometheus_conventions)
{
    for (size_t i = 0; i < METRIC_COUNT; i++)
        expect_row(i, strncmp(metric_name((enum metric)i), "ringpost_", 9) == 0);
}

TEST(histogram_counts_what_is_at_most_each_bound)
{
    static const int64_t times_us[] = {-5, 0, 500, 501, 1000, 999999, 1000000, 1000001};
    struct buf after;

    buf_init(&after, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(times_us); i++)
        metric_observe_us(HISTOGRAM_ACCEPT, times_us[i]);
    metric_observe_us(HISTOGRAM_ACCEPT, INT64_C(4000000000000));
    assert_true(render(&after));
    static const char *const lines[] = {
        "# TYPE ringpost_accept_latency_seconds histogram\n",
        "ringpost_accept_latency_seconds_bucket{le=\"0.0005\"} 3\n",
        "ringpost_accept_latency_seconds_bucket{le=\"0.001\"} 5\n",
        "ringpost_accept_latency_seconds_bucket{le=\"0.5\"} 5\n",
        "ringpost_accept_latency_seconds_bucket{le=\"1\"} 7\n",
        "ringpost_accept_latency_seconds_bucket{le=\"2.5\"} 8\n",
        "ringpost_accept_latency_seconds_bucket{le=\"3600\"} 8\n",
        "ringpost_accept_latency_seconds_bucket{le=\"+Inf\"} 9\n",
        "ringpost_accept_latency_seconds_sum 4000003.002001\n",
        "ringpost_accept_latency_seconds_count 9\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        expect_row(i, bytes_find_bytes(buf_bytes(&after), bytes_of(lines[i]), 0) < buf_len(&after));
    buf_free(&after);
}
