/* test_hosts.c - which host is next, and how broken ones rest. */
#include "delivery/line/hosts.h"

#include "support/unit.h"

static struct hosts *make(const char *const *addresses, size_t count, const struct hosts *old)
{
    struct mx_host hosts[MX_HOSTS_MAX] = {0};
    struct mx_set set = {.host_count = count, .hosts = hosts};

    for (size_t i = 0; i < count; i++) {
        hosts[i].preference = (uint16_t)i;
        hosts[i].name = BYTES("mx.example");
        hosts[i].address_count = 1;
        assert_true(address_parse(bytes_of(addresses[i]), 25, &hosts[i].addresses[0]));
    }
    return hosts_new(&set, NULL, old);
}

static const char *const three[] = {"192.0.2.1", "2001:db8::1", "192.0.2.2"};

TEST(hosts_next_goes_in_order_and_by_family)
{
    struct hosts *hosts = make(three, 3, NULL);
    int64_t retry_ms;

    assert_int_equal(hosts_next(hosts, true, true, 0, &retry_ms), 0);
    assert_int_equal(hosts_next(hosts, false, true, 0, &retry_ms), 1);
    assert_int_equal(hosts_next(hosts, false, false, 0, &retry_ms), -1);
    assert_true(retry_ms == INT64_MAX);
    hosts_release(&hosts);
}

/* 0 and 1 are of one host; 2 and 3 are others of the same preference, 4 is behind them. */
TEST(hosts_next_spreads_over_hosts_of_the_best_preference)
{
    static const char *const five[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4",
                                       "192.0.2.5"};
    struct hosts *hosts = make(five, 5, NULL);
    int64_t retry_ms;

    for (size_t i = 0; i < 4; i++)
        hosts->host[i].preference = 0;
    hosts->host[1].name = hosts->host[0].name;
    assert_int_equal(hosts_next(hosts, true, true, 0, &retry_ms), 0);
    hosts->host[0].opening = 1;
    assert_int_equal(hosts_next(hosts, true, true, 0, &retry_ms), 2);
    hosts->host[2].ready = 1;
    assert_int_equal(hosts_next(hosts, true, true, 0, &retry_ms), 3);
    hosts->host[3].ready = 2;
    assert_int_equal(hosts_next(hosts, true, true, 0, &retry_ms),
                     0); /* the first of two with one */
    hosts->host[0].ready = 7;
    hosts->host[2].ready = 3; /* the fewest has the third, and not the one behind, with none */
    assert_int_equal(hosts_next(hosts, true, true, 0, &retry_ms), 3);
    for (size_t i = 0; i < 4; i++)
        host_failed(&hosts->host[i], 1000);
    assert_int_equal(hosts_next(hosts, true, true, 1000, &retry_ms), 4);
    assert_true(retry_ms == 1000 + 30 * 1000);
    hosts_release(&hosts);
}

TEST(hosts_rest_longer_each_time_and_are_probed_by_one)
{
    struct hosts *hosts = make(three, 1, NULL);
    static const int64_t rests_s[] = {30, 60, 120, 240, 480, 960, 1800, 1800};
    int64_t now_ms = 1000;
    int64_t retry_ms;

    for (size_t i = 0; i < ARRAY_LEN(rests_s); i++) {
        host_failed(&hosts->host[0], now_ms);
        host_failed(&hosts->host[0], now_ms); /* of the same time: one failure */
        assert_int_equal(hosts_next(hosts, true, true, now_ms, &retry_ms), -1);
        expect_row(i, retry_ms == now_ms + rests_s[i] * 1000);
        now_ms = retry_ms;
        assert_int_equal(hosts_next(hosts, true, true, now_ms, &retry_ms), 0);
    }
    hosts->host[0].opening = 1;
    assert_int_equal(hosts_next(hosts, true, true, now_ms, &retry_ms), -1);
    host_succeeded(&hosts->host[0]);
    assert_int_equal(hosts_next(hosts, true, true, now_ms, &retry_ms), 0);
    hosts_release(&hosts);
}

TEST(hosts_new_carries_marks_over_and_drops_duplicates)
{
    static const char *const moved[] = {"192.0.2.2", "192.0.2.1", "192.0.2.1"};
    struct hosts *old = make(three, 3, NULL);

    host_failed(&old->host[0], 1000);
    struct hosts *hosts = make(moved, 3, old);

    assert_int_equal(hosts->count, 2);
    assert_int_equal(hosts->host[0].failures, 0);
    assert_int_equal(hosts->host[1].failures, 1);
    struct hosts *kept = hosts_keep(old);

    hosts_release(&old);
    assert_int_equal(kept->host[0].failures, 1);
    hosts_release(&kept);
    hosts_release(&hosts);
}
