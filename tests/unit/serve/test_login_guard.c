/* Delays grow, blocks begin and end, networks do not mix, and the table stays bounded. */
#include "serve/login_guard.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>

#include "support/unit.h"

static const struct login_guard_rule rule = {.failures_max = 8, .block_ms = 60000};

static struct admission_key network(const char *text)
{
    struct address address = {0};

    if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
        address.any.sa_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &address.v6.sin6_addr), 1);
        address.any.sa_family = AF_INET6;
    }
    return admission_key_of(&address);
}

static int64_t failed_login(const struct admission_key *key, int64_t now_ms)
{
    bool begins_block;

    return login_guard_failed(key, &rule, now_ms, &begins_block);
}

TEST(delay_grows_up_to_its_maximum)
{
    static const int64_t delays_ms[] = {250, 500, 1000, 2000, 4000, 8000, 8000};
    struct admission_key key = network("192.0.2.1");

    login_guard_forget_all();
    for (size_t i = 0; i < ARRAY_LEN(delays_ms); i++)
        expect_row(i, failed_login(&key, 1000 + (int64_t)i) == delays_ms[i]);
}

TEST(failures_are_forgotten_in_time_and_half_by_a_login)
{
    struct admission_key key = network("192.0.2.1");

    login_guard_forget_all();
    for (size_t i = 0; i < 4; i++)
        failed_login(&key, 1000);
    login_guard_passed(&key, 2000);
    assert_int_equal(failed_login(&key, 3000), 1000); /* the third */
    assert_int_equal(failed_login(&key, 3000 + LOGIN_GUARD_FORGET_MS - 1), 2000);
    assert_int_equal(failed_login(&key, 3000 + 2 * LOGIN_GUARD_FORGET_MS - 1), 250);
}

TEST(too_many_block_the_network_for_a_while)
{
    struct admission_key key = network("192.0.2.1");
    struct admission_key other = network("192.0.2.2");
    bool begins_block;

    login_guard_forget_all();
    for (unsigned i = 1; i <= rule.failures_max; i++) {
        assert_false(login_guard_blocks(&key, 1000));
        login_guard_failed(&key, &rule, 1000, &begins_block);
        assert_int_equal(begins_block, i == rule.failures_max);
    }
    assert_true(login_guard_blocks(&key, 1000));
    assert_false(login_guard_blocks(&other, 1000));
    /* Those that were under way begin no further one. */
    login_guard_failed(&key, &rule, 1000, &begins_block);
    assert_false(begins_block);
    assert_true(login_guard_blocks(&key, 60999));
    assert_false(login_guard_blocks(&key, 61000));
}

TEST(block_ends_also_where_it_lasts_longer_than_failures)
{
    struct login_guard_rule longer = {.failures_max = 1, .block_ms = 2 * LOGIN_GUARD_FORGET_MS};
    struct admission_key key = network("192.0.2.1");
    bool begins_block;

    login_guard_forget_all();
    login_guard_failed(&key, &longer, 0, &begins_block);
    assert_true(begins_block);
    assert_true(login_guard_blocks(&key, longer.block_ms - 1));
    assert_false(login_guard_blocks(&key, longer.block_ms));
}

TEST(users_of_a_shared_network_are_counted_one_by_one)
{
    struct admission_key webmail = network("192.0.2.1"), other = network("192.0.2.2");
    struct admission_key anna = login_guard_user(&webmail, BYTES("anna@b.example"));
    struct admission_key named_so = login_guard_user(&webmail, BYTES("ANNA@B.example"));
    struct admission_key bob = login_guard_user(&webmail, BYTES("bob@b.example"));
    struct admission_key elsewhere = login_guard_user(&other, BYTES("anna@b.example"));

    login_guard_forget_all();
    for (unsigned i = 1; i <= rule.failures_max; i++)
        failed_login(i % 2 == 0 ? &anna : &named_so, 1000);
    assert_true(login_guard_blocks(&anna, 1000));
    assert_true(login_guard_blocks(&named_so, 1000));
    assert_false(login_guard_blocks(&bob, 1000));
    assert_false(login_guard_blocks(&elsewhere, 1000));
    assert_false(login_guard_blocks(&webmail, 1000));
}

TEST(names_of_any_length_have_a_count)
{
    struct admission_key webmail = network("2001:db8::1");
    char name[2000];

    memset(name, 'a', sizeof(name));
    struct admission_key none = login_guard_user(&webmail, BYTES_NONE);
    struct admission_key longest = login_guard_user(&webmail, bytes_range(name, 512));
    struct admission_key longer = login_guard_user(&webmail, bytes_range(name, sizeof(name)));

    assert_memory_equal(&longest, &longer, sizeof(longest)); /* what follows does not count */
    assert_memory_not_equal(&none, &longest, sizeof(none));
    assert_memory_not_equal(&none, &webmail, sizeof(none));
}

TEST(rule_of_none_never_blocks)
{
    struct login_guard_rule never = {.failures_max = 0};
    struct admission_key key = network("192.0.2.1");
    bool begins_block;

    login_guard_forget_all();
    for (unsigned i = 0; i < 100; i++) {
        login_guard_failed(&key, &never, 1000, &begins_block);
        assert_false(begins_block);
    }
    assert_false(login_guard_blocks(&key, 1000));
}

TEST(network_of_ipv6_is_a_64)
{
    struct admission_key one = network("2001:db8:0:1::1");
    struct admission_key same = network("2001:db8:0:1:ffff::2");
    struct admission_key other = network("2001:db8:0:2::1");

    login_guard_forget_all();
    for (unsigned i = 0; i < rule.failures_max; i++)
        failed_login(&one, 1000);
    assert_true(login_guard_blocks(&same, 1000));
    assert_false(login_guard_blocks(&other, 1000));
}

/* Many networks that fail once do not push out one that is blocked. */
TEST(blocked_network_stays_when_others_need_room)
{
    struct admission_key key = network("192.0.2.1");
    unsigned remembered = 0;

    login_guard_forget_all();
    for (unsigned i = 0; i < rule.failures_max; i++)
        failed_login(&key, 1000);
    for (uint32_t i = 0; i < 200000; i++) {
        struct admission_key many = {{10}};
        memcpy(many.bytes + 4, &i, sizeof(i));
        failed_login(&many, 2000);
    }
    assert_true(login_guard_blocks(&key, 3000));
    for (uint32_t i = 0; i < 200000; i++) {
        struct admission_key many = {{10}};
        memcpy(many.bytes + 4, &i, sizeof(i));
        remembered += failed_login(&many, 2000) > 250;
    }
    assert_true(remembered <= 16384);
}

static void *fail_often(void *context)
{
    const struct admission_key *key = context;

    for (unsigned i = 0; i < 1000; i++) {
        failed_login(key, 1000);
        (void)login_guard_blocks(key, 1000);
        login_guard_passed(key, 1000);
    }
    return NULL;
}

TEST(threads_share_the_table)
{
    struct admission_key key = network("192.0.2.1");
    pthread_t threads[4];

    login_guard_forget_all();
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fail_often, &key), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(failed_login(&key, 1000) <= LOGIN_GUARD_DELAY_MS_MAX, 1);
}
