/* modules: sts */
/* link: real engine */
/* test_sts_lookup.c - what a lookup tells of what is kept, published, and cannot be fetched: nobody
 * listens where the policy hosts of these tests are. */
#include "delivery/mta_sts/sts_lookup.h"
#include "delivery/mta_sts/sts_refresh.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/metric.h"
#include "unit/dns/dns_fixture.h"

static struct fixture f;
static struct sts_store *store;
static struct network loopback;
static struct sts_rules rules;

struct told {
    unsigned done;
    char id[MTA_STS_ID_MAX + 1]; /* of the policy; "": none */
    enum sts_problem problem;
    char why[STS_WHY_MAX];
    int64_t after_ms; /* it may be asked again */
};

static void on_told(void *context, const struct sts_answer *answer)
{
    struct told *told = context;

    told->done++;
    told->id[0] = '\0';
    if (answer->policy != NULL)
        snprintf(told->id, sizeof(told->id), "%.*s", BYTES_ARG(answer->policy->id));
    told->problem = answer->problem;
    snprintf(told->why, sizeof(told->why), "%s", answer->why);
    told->after_ms = answer->expires_ms - engine_now_ms(f.engine);
}

static void open_all(void)
{
    const struct sts_settings none = {.state_dir = NULL};

    fixture_open(&f);
    store = sts_store_open(&none);
    assert_non_null(store);
    assert_true(network_parse(BYTES("127.0.0.0/8"), &loopback));
    rules = (struct sts_rules){&loopback, 1, false};
}

static void close_all(void)
{
    sts_store_stop(store); /* before the engines go, as the program does */
    fixture_close(&f);
    sts_store_free(&store);
}

static void publish(const char *domain, const char *id)
{
    char line[256];

    snprintf(line, sizeof(line), "_mta-sts.%s 300 TXT v=STSv1; id=%s", domain, id);
    server_add(&f.server, line);
    snprintf(line, sizeof(line), "mta-sts.%s 300 A 127.255.255.1", domain);
    server_add(&f.server, line);
}

static void keep(const char *domain, const char *id, int64_t age_ms)
{
    struct sts_policy *policy =
        sts_policy_make(bytes_of(id),
                        BYTES("version: STSv1\nmode: enforce\nmx: mx.example\nmax_age: 604800\n"),
                        engine_now_ms(f.engine) - age_ms);

    assert_non_null(policy);
    sts_store_put(store, bytes_of(domain), policy);
    sts_policy_release(&policy);
}

static struct told ask(const char *domain)
{
    struct told told = {0};

    (void)sts_lookup_start(store, f.resolver, &rules, bytes_of(domain), on_told, &told);
    assert_int_equal(told.done, 0); /* never from inside */
    fixture_wait(&f, &told.done, 1);
    return told;
}

TEST(domain_that_publishes_nothing_has_no_policy)
{
    open_all();
    server_add(&f.server, "example 300 A 192.0.2.1");
    struct told told = ask("example");

    assert_string_equal(told.id, "");
    assert_int_equal(told.problem, STS_FINE);
    close_all();
}

TEST(kept_policy_counts_without_a_record_and_while_dns_fails)
{
    open_all();
    keep("example", "1", 0);
    keep("failing", "2", 0);
    server_behave(&f.server, "_mta-sts.failing", 0, SAYS_SERVFAIL);
    assert_string_equal(ask("example").id, "1");
    struct told told = ask("failing");

    assert_string_equal(told.id, "2");
    assert_int_equal(told.problem, STS_FINE);
    close_all();
}

TEST(same_id_is_not_fetched)
{
    open_all();
    publish("example", "1");
    keep("example", "1", 1000);
    assert_string_equal(ask("example").id, "1");
    fixture_advance(&f, 50);
    assert_int_equal(f.server.queries, 1); /* not even its host is looked up, nor behind */
    close_all();
}

TEST(fetch_that_fails_is_told_and_not_repeated)
{
    open_all();
    publish("example", "1");
    struct told told = ask("example");

    assert_string_equal(told.id, "");
    assert_int_equal(told.problem, STS_FETCH_FAILED);
    assert_true(told.why[0] != '\0');
    assert_true(told.after_ms <= STS_FAILURE_MS);
    unsigned queries = f.server.queries;

    resolver_flush(f.resolver, BYTES_NONE);
    told = ask("example");
    assert_int_equal(told.problem, STS_FETCH_FAILED);
    assert_int_equal(f.server.queries, queries + 1); /* its record alone */
    assert_true(told.after_ms <= STS_FAILURE_MS);
    close_all();
}

TEST(newer_policy_that_cannot_be_had_leaves_the_kept_one)
{
    open_all();
    publish("example", "2");
    keep("example", "1", 1000);
    struct told told = ask("example");

    assert_string_equal(told.id, "1");
    assert_int_equal(told.problem, STS_FETCH_FAILED);
    close_all();
}

TEST(old_policy_is_told_at_once_and_asked_for_behind)
{
    open_all();
    publish("example", "1");
    keep("example", "1", STS_REFRESH_MS);
    struct told told = ask("example");

    assert_string_equal(told.id, "1");
    assert_int_equal(told.problem, STS_FINE);
    struct sts_known known = {.problem = STS_FINE};

    for (int i = 0; i < 500 && known.problem == STS_FINE; i++) { /* it fails, and that is noted */
        fixture_advance(&f, 10);
        sts_store_find(store, BYTES("example"), engine_now_ms(f.engine), &known);
        sts_policy_release(&known.policy);
    }
    assert_int_equal(known.problem, STS_FETCH_FAILED);
    close_all();
}

TEST(policy_host_must_not_be_private)
{
    open_all();
    publish("example", "1");
    rules.allow_private_count = 0;
    struct told told = ask("example");

    assert_int_equal(told.problem, STS_FETCH_FAILED);
    assert_string_equal(told.why, "the policy host has no address that may be connected to");
    close_all();
}

TEST(lookup_can_be_cancelled_at_every_stage)
{
    for (int turns = 0; turns < 12; turns++) {
        struct told told = {0};

        open_all();
        publish("example", "1");
        struct sts_lookup *lookup =
            sts_lookup_start(store, f.resolver, &rules, BYTES("example"), on_told, &told);

        for (int i = 0; i < turns && told.done == 0; i++)
            fixture_turn(&f);
        if (told.done == 0)
            sts_lookup_cancel(&lookup);
        unsigned done = told.done;

        fixture_advance(&f, 20);
        assert_int_equal(told.done, done);
        close_all();
    }
}

TEST(stopped_store_answers_all_the_same)
{
    open_all();
    publish("example", "1");
    sts_store_stop(store);
    assert_int_equal(ask("example").problem, STS_FETCH_FAILED);
    close_all();
}

TEST(request_whose_engine_is_gone_is_freed_with_the_store)
{
    struct told told = {0};

    open_all();
    publish("example", "1");
    struct sts_lookup *lookup =
        sts_lookup_start(store, f.resolver, &rules, BYTES("example"), on_told, &told);

    while (f.server.queries < 3) /* then it is handed to the pool */
        fixture_turn(&f);
    engine_turn(f.engine, 1);
    if (told.done == 0)
        sts_lookup_cancel(&lookup);
    close_all();
}

/* One at a time, and each once: nobody listens where the policy is, so what is kept stays. */
TEST(policies_that_become_old_are_asked_for_without_mail)
{
    struct sts_refresh refresh = {0};
    int64_t before = metric_sum(METRIC_STS_REFRESHES);

    open_all();
    publish("old.example", "1");
    publish("older.example", "1");
    keep("old.example", "1", 86400 * 1000);
    keep("older.example", "1", 2 * 86400 * 1000);
    keep("fresh.example", "1", 0);
    for (unsigned i = 0; i < 3; i++)
        sts_refresh_tick(&refresh, store, f.resolver, &rules);
    assert_int_equal(metric_sum(METRIC_STS_REFRESHES) - before, 1);
    for (unsigned i = 0; i < 2000 && metric_sum(METRIC_STS_REFRESHES) - before < 2; i++) {
        engine_turn(f.engine, 1);
        sts_refresh_tick(&refresh, store, f.resolver, &rules);
    }
    assert_int_equal(metric_sum(METRIC_STS_REFRESHES) - before, 2);
    for (unsigned i = 0; i < 5000 && metric_sum(METRIC_STS_FETCHES_FAILED) < 2; i++) {
        usleep(1000);
        engine_turn(f.engine, 0);
        sts_refresh_tick(&refresh, store, f.resolver, &rules);
    }
    assert_int_equal(metric_sum(METRIC_STS_REFRESHES) - before, 2);
    assert_string_equal(ask("old.example").id, "1");
    sts_refresh_stop(&refresh);
    close_all();
}
