/*
 * test_egress_shares.c - shares of the message rate: whose turn it is among all that wait for the
 * rate of a set of hosts, or of all sets of a provider.
 */
#include "delivery/line/egress.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/engine_fake.h"
#include "support/unit.h"

static struct egress_table *table;
static struct engine *engine;

static void begin(void)
{
    struct engine_settings settings = {0};

    engine = engine_create(&settings);
    table = egress_table_create(100);
}

static void end(void)
{
    egress_table_free(&table);
    engine_destroy(&engine);
}

static struct egress *get(double messages_per_s)
{
    struct egress_limits limits = {.connections_max = 10, .messages_per_s = messages_per_s};

    return egress_get(table, BYTES("site"), BYTES("default"), &limits);
}

/* Of the provider "p". */
static struct egress *get_of(unsigned number, double provider_per_s, double own_per_s)
{
    struct egress_limits provider = {.connections_max = 10, .messages_per_s = provider_per_s};
    struct egress_limits own = {.connections_max = 10, .messages_per_s = own_per_s};
    char name[16];

    snprintf(name, sizeof(name), "site%u", number);
    return egress_get_of(table, BYTES("p"), &provider, bytes_of(name), BYTES("default"), &own);
}

/* --- sites ------------------------------------------------------------------------------------ */

/* A site of one engine. */
struct site {
    struct egress_sender sender;
    struct egress *egress;
    struct egress_mail mail;
    unsigned woken, sent;
};

static void on_woken(struct egress_sender *sender)
{
    container_of(sender, struct site, sender)->woken++;
}

static void site_init(struct site *site, struct egress *egress, enum rank rank, const char *tenant)
{
    *site = (struct site){
        .sender = {.engine = engine, .woken = on_woken},
        .egress = egress,
        .mail = {.rank = rank, .tenant = {.name = bytes_of(tenant), .weight = 1}},
    };
}

static bool take(struct site *site)
{
    if (!egress_share_take(site->egress, &site->sender, &site->mail, engine_now_ms(engine)))
        return false;
    (void)egress_charge(site->egress, NULL, &site->mail, 1);
    site->sent++;
    return true;
}

static void change(struct site *site, enum rank rank, const char *tenant, bool is_fresh)
{
    site->mail = (struct egress_mail){.rank = rank,
                                      .is_fresh = is_fresh,
                                      .tenant = {.name = bytes_of(tenant)}};
    egress_share_change(site->egress, &site->sender, &site->mail);
}

/* Timeouts and letters; a letter may bring another one. */
static void later(int64_t ms)
{
    fake_advance_ms(engine, ms);
    for (unsigned i = 0; i < 3; i++)
        engine_turn(engine, 0);
}

static bool is_woken(struct site *site)
{
    bool is_woken = site->woken > 0;

    assert_true(!is_woken || !egress_share_is_waiting(&site->sender));
    site->woken = 0;
    return is_woken;
}

/* A second later this one of them was told, and nobody else. */
static void expect_next(struct site *const sites[], size_t count, const struct site *next)
{
    later(999);
    for (size_t i = 0; i < count; i++)
        assert_false(is_woken(sites[i]));
    later(1);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(is_woken(sites[i]), sites[i] == next);
}

static void site_end(struct site *site)
{
    if (egress_share_drop(&site->sender))
        return;
    later(0);
    assert_true(egress_share_drop(&site->sender));
}

/* --- one set of hosts ------------------------------------------------------------------------- */

TEST(higher_class_has_the_next_share)
{
    begin();
    struct egress *egress = get(1);
    struct site bulk, normal, high;
    struct site *const all[] = {&bulk, &normal, &high};

    site_init(&bulk, egress, RANK_BULK, "");
    site_init(&normal, egress, RANK_NORMAL, "");
    site_init(&high, egress, RANK_HIGH, "");
    assert_true(take(&bulk));
    assert_null(bulk.sender.share); /* nobody who goes at once has anything to remember */
    assert_false(take(&bulk));
    assert_false(take(&normal));
    assert_false(take(&bulk)); /* it stays where it is */
    int64_t now_ms = engine_now_ms(engine);
    assert_int_equal(egress_share_at_ms(&normal.sender, now_ms), now_ms + 1000);
    assert_int_equal(egress_share_at_ms(&bulk.sender, now_ms), now_ms + 2000);
    assert_false(take(&high));
    assert_int_equal(egress_share_at_ms(&bulk.sender, now_ms), now_ms + 3000);
    expect_next(all, ARRAY_LEN(all), &high);
    assert_int_equal(egress_share_at_ms(&high.sender, engine_now_ms(engine)), 0);
    assert_true(take(&high));
    expect_next(all, ARRAY_LEN(all), &normal);
    expect_next(all, ARRAY_LEN(all), &bulk);
    assert_true(take(&bulk));
    assert_true(take(&normal));
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        site_end(all[i]);
    egress_put(&egress);
    end();
}

TEST(share_that_was_given_is_not_taken_away)
{
    begin();
    struct egress *egress = get(1);
    struct site bulk, high;

    site_init(&bulk, egress, RANK_BULK, "");
    site_init(&high, egress, RANK_HIGH, "");
    assert_true(take(&bulk));
    assert_false(take(&bulk));
    later(1000);
    assert_false(take(&high));
    assert_true(take(&bulk));
    assert_false(take(&bulk)); /* once */
    site_end(&bulk);
    site_end(&high);
    egress_put(&egress);
    end();
}

TEST(site_in_line_with_other_mail_than_before_has_the_place_of_that)
{
    begin();
    struct egress *egress = get(1);
    struct site one, other;
    struct site *const all[] = {&one, &other};

    site_init(&one, egress, RANK_BULK, "");
    site_init(&other, egress, RANK_BULK, "");
    change(&one, RANK_BULK, "", false); /* it does not wait */
    assert_true(take(&one));
    assert_false(take(&one));
    assert_false(take(&other));
    change(&other, RANK_NORMAL, "", false); /* which has a connection */
    expect_next(all, ARRAY_LEN(all), &other);
    assert_true(take(&other));
    assert_false(take(&other));
    change(&one, RANK_HIGH, "", false);
    change(&one, RANK_BULK, "", false); /* that was sent elsewhere */
    expect_next(all, ARRAY_LEN(all), &other);
    site_end(&one);
    site_end(&other);
    egress_put(&egress);
    end();
}

TEST(tenant_that_comes_anew_has_the_next_share_of_its_class)
{
    begin();
    struct egress *egress = get(1);
    struct site one, other;
    struct site *const all[] = {&one, &other};

    site_init(&one, egress, RANK_NORMAL, "many");
    site_init(&other, egress, RANK_NORMAL, "many");
    assert_true(take(&one));
    assert_false(take(&one));
    assert_false(take(&other));
    change(&other, RANK_NORMAL, "small", true);
    expect_next(all, ARRAY_LEN(all), &other);
    assert_true(take(&other));
    expect_next(all, ARRAY_LEN(all), &one);
    site_end(&one);
    site_end(&other);
    egress_put(&egress);
    end();
}

/* Where it waits for its tenant's turn at one site, mail of it at another one is not new. */
TEST(tenant_in_line_does_not_come_anew_at_another_site)
{
    begin();
    struct egress *egress = get(1);
    const struct egress_mail much = {.rank = RANK_BULK, .tenant = {BYTES("much"), 1}};
    struct site other, first, second;
    struct site *const all[] = {&other, &first, &second};

    site_init(&other, egress, RANK_BULK, "other");
    site_init(&first, egress, RANK_BULK, "one");
    site_init(&second, egress, RANK_BULK, "one");
    other.mail.tenant.weight = 2;
    first.mail.is_fresh = second.mail.is_fresh = true;
    assert_true(take(&other));
    for (size_t i = 0; i < 3; i++)
        assert_false(take(all[i]));
    (void)egress_charge(egress, NULL, &much, 10); /* nobody is in advance of all */
    change(&second, RANK_BULK, "one", false);
    change(&second, RANK_BULK, "one", true);
    expect_next(all, 3, &first);
    assert_true(take(&first));
    expect_next(all, 3, &other);
    assert_true(take(&other));
    assert_false(take(&other));
    expect_next(all, 3, &other);
    for (size_t i = 0; i < 3; i++)
        site_end(all[i]);
    egress_put(&egress);
    end();
}

TEST(share_that_is_fetched_too_late_is_void)
{
    begin();
    struct egress *egress = get(1);
    struct site one, other;

    site_init(&one, egress, RANK_BULK, "");
    site_init(&other, egress, RANK_BULK, "");
    assert_true(take(&one));
    assert_false(take(&one));
    assert_false(take(&other));
    later(1000);
    later(1000);
    later(70000);
    assert_true(take(&one)); /* another one: both are much too late, and go one after the other */
    assert_false(take(&other));
    site_end(&one);
    site_end(&other);
    egress_put(&egress);
    end();
}

TEST(who_waits_for_a_slow_rate_does_not_wait_for_it_once_it_is_faster)
{
    begin();
    struct egress *egress = get(0.001);
    struct egress_limits faster = {.connections_max = 10, .messages_per_s = 1, .generation = 1};
    struct egress_limits none = {.connections_max = 10, .generation = 2};
    struct site sites[4];

    for (size_t i = 0; i < ARRAY_LEN(sites); i++) {
        site_init(&sites[i], egress, RANK_BULK, "");
        assert_int_equal(take(&sites[i]), i == 0);
    }
    egress_limit(egress, &faster);
    later(0);
    assert_true(is_woken(&sites[1]));
    later(1000);
    assert_true(is_woken(&sites[2]));
    assert_false(is_woken(&sites[3]));
    assert_false(take(&sites[0]));
    egress_limit(egress, &none);
    later(0);
    assert_true(is_woken(&sites[3]));
    assert_true(is_woken(&sites[0]));
    for (size_t i = 0; i < ARRAY_LEN(sites); i++) {
        assert_true(take(&sites[i]));
        site_end(&sites[i]);
    }
    egress_put(&egress);
    end();
}

TEST(who_waits_for_a_rate_waits_longer_once_it_is_slower)
{
    begin();
    struct egress *egress = get(1);
    struct egress_limits slower = {.connections_max = 10, .messages_per_s = 0.5, .generation = 1};
    struct site one, other;

    site_init(&one, egress, RANK_BULK, "");
    site_init(&other, egress, RANK_BULK, "");
    assert_true(take(&one));
    assert_false(take(&one));
    egress_limit(egress, &slower);
    assert_false(take(&other)); /* the first of the new rate is not its */
    later(0);
    assert_true(is_woken(&one));
    later(1999);
    assert_false(is_woken(&other));
    later(1);
    assert_true(is_woken(&other));
    site_end(&one);
    site_end(&other);
    egress_put(&egress);
    end();
}

/* As much as it may. */
static unsigned send_all(struct site *site)
{
    unsigned before = site->sent;

    while (take(site))
        ;
    return site->sent - before;
}

/* What is told sends, and stands in line again; time goes by until `total` were sent. */
static void run(struct site *sites, size_t count, unsigned total)
{
    unsigned sent = 0;

    fake_clock_runs(engine, true);
    for (size_t i = 0; i < count; i++)
        sent += send_all(&sites[i]);
    while (sent < total) {
        engine_turn(engine, -1);
        for (size_t i = 0; i < count; i++)
            if (is_woken(&sites[i]))
                sent += send_all(&sites[i]);
    }
    fake_clock_runs(engine, false);
    for (size_t i = 0; i < count; i++)
        site_end(&sites[i]);
}

/* And keeps the rate. */
static void run_at(struct site *sites, size_t count, unsigned total, int64_t interval_ms)
{
    int64_t began_ms = engine_now_ms(engine);

    run(sites, count, total);
    assert_in_range(engine_now_ms(engine) - began_ms, (total - 1) * interval_ms,
                    total * interval_ms + 10);
}

TEST(lower_classes_keep_their_guaranteed_turns)
{
    begin();
    struct egress *egress = get(1);
    struct site sites[3];

    for (size_t i = 0; i < ARRAY_LEN(sites); i++)
        site_init(&sites[i], egress, (enum rank)i, "");
    run_at(sites, ARRAY_LEN(sites), 2100, 1000);
    assert_in_range(sites[RANK_BULK].sent, 95, 105);
    assert_in_range(sites[RANK_HIGH].sent, 1590, 1610);
    assert_in_range(sites[RANK_NORMAL].sent, 390, 410);
    site_init(&sites[0], egress, RANK_HIGH, "");
    site_init(&sites[1], egress, RANK_BULK, "");
    run_at(sites, 2, 2100, 1000);
    assert_in_range(sites[1].sent, 2100 / 18, 2100 / 16); /* one of seventeen */
    egress_put(&egress);
    end();
}

TEST(equal_classes_go_in_turn)
{
    begin();
    struct egress *egress = get(1);
    struct site sites[3];

    for (size_t i = 0; i < ARRAY_LEN(sites); i++)
        site_init(&sites[i], egress, RANK_BULK, "");
    run_at(sites, ARRAY_LEN(sites), 300, 1000);
    for (size_t i = 0; i < ARRAY_LEN(sites); i++)
        assert_in_range(sites[i].sent, 99, 101);
    egress_put(&egress);
    end();
}

/* Each sends its next only once the last is gone, so that it comes anew every time. */
TEST(tenants_that_come_anew_again_and_again_leave_others_their_share)
{
    begin();
    struct egress *egress = get(1);
    struct site sites[3];

    site_init(&sites[0], egress, RANK_NORMAL, "many");
    site_init(&sites[1], egress, RANK_NORMAL, "one");
    site_init(&sites[2], egress, RANK_NORMAL, "other");
    sites[1].mail.is_fresh = sites[2].mail.is_fresh = true;
    run_at(sites, 3, 3000, 1000);
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(sites[i].sent, 900, 1100);
    egress_put(&egress);
    end();
}

TEST(fast_rates_are_kept_exactly)
{
    static const unsigned rates[] = {2, 9, 30, 400, 5000};

    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        begin();
        struct egress *egress = get(rates[i]);
        struct site sites[3];

        for (size_t j = 0; j < ARRAY_LEN(sites); j++)
            site_init(&sites[j], egress, RANK_BULK, "");
        int64_t began_ms = engine_now_ms(engine);

        run(sites, ARRAY_LEN(sites), rates[i] * 20);
        assert_in_range(engine_now_ms(engine) - began_ms, 19400, 20010); /* a burst of 100 ms */
        egress_put(&egress);
        end();
    }
}

/* --- a provider's ----------------------------------------------------------------------------- */

enum { SITES = 100 };

static void get_sites(struct site *sites, size_t count, double provider_per_s, enum rank rank)
{
    for (unsigned i = 0; i < count; i++)
        site_init(&sites[i], get_of(i, provider_per_s, 0), rank, "");
}

static void put_sites(struct site *sites, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        site_end(&sites[i]);
        egress_put(&sites[i].egress);
    }
}

TEST(high_mail_for_one_site_has_the_next_share_before_a_hundred_others_with_bulk)
{
    begin();
    struct site sites[SITES + 1];

    get_sites(sites, SITES + 1, 1, RANK_BULK);
    for (unsigned i = 0; i < SITES; i++)
        assert_int_equal(take(&sites[i]), i == 0);
    struct site *high = &sites[SITES];

    high->mail.rank = RANK_HIGH;
    assert_false(take(high));
    int64_t now_ms = engine_now_ms(engine);

    assert_int_equal(egress_share_at_ms(&high->sender, now_ms), now_ms + 1000);
    assert_int_equal(egress_share_at_ms(&sites[SITES - 1].sender, now_ms), now_ms + 100 * 1000);
    later(1000);
    assert_true(is_woken(high));
    assert_true(take(high));
    for (unsigned i = 1; i < SITES; i++) { /* they keep their order */
        later(1000);
        assert_true(is_woken(&sites[i]));
    }
    put_sites(sites, SITES + 1);
    end();
}

TEST(classes_have_their_turns_of_a_rate_over_all_sites_of_a_provider)
{
    begin();
    struct site sites[SITES];
    unsigned sent[RANK_COUNT] = {0};

    get_sites(sites, SITES, 1, RANK_BULK);
    for (unsigned i = 0; i < SITES; i++) /* most have bulk */
        sites[i].mail.rank = i < 3 ? RANK_HIGH : i < 20 ? RANK_NORMAL : RANK_BULK;
    run_at(sites, SITES, 2100, 1000);
    for (unsigned i = 0; i < SITES; i++)
        sent[sites[i].mail.rank] += sites[i].sent;
    assert_in_range(sent[RANK_HIGH], 1590, 1610);
    assert_in_range(sent[RANK_NORMAL], 390, 410);
    assert_in_range(sent[RANK_BULK], 95, 105);
    for (unsigned i = 20; i < SITES; i++) /* each as much as the others of its class */
        assert_in_range(sites[i].sent, 1, 2);
    put_sites(sites, SITES);
    end();
}

/* Weights 1, 2 and 4; how many of the sites are whose has nothing to do with it. */
static void expect_weights(unsigned a_sites, unsigned b_sites, unsigned c_sites)
{
    enum { TOTAL = 7000, MOST = 600 };
    static const char *const names[] = {"a", "b", "c"};
    unsigned count = a_sites + b_sites + c_sites;
    unsigned sent[3] = {0};
    static struct site sites[MOST];

    begin();
    get_sites(sites, count, 2, RANK_NORMAL);
    for (unsigned i = 0; i < count; i++) {
        unsigned whose = i < a_sites ? 0 : i < a_sites + b_sites ? 1 : 2;

        sites[i].mail.tenant = (struct egress_tenant){bytes_of(names[whose]), 1U << whose};
    }
    run_at(sites, count, TOTAL, 500);
    for (unsigned i = 0; i < count; i++)
        sent[sites[i].mail.tenant.name.ptr[0] - 'a'] += sites[i].sent;
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(sent[i] * 100, (TOTAL / 7 << i) * 95, (TOTAL / 7 << i) * 105);
    put_sites(sites, count);
    end();
}

TEST(tenants_have_a_rate_by_weight_over_all_sites_of_a_provider)
{
    expect_weights(1, 1, 1);
    expect_weights(30, 30, 30);
    expect_weights(400, 20, 4);
    expect_weights(4, 100, 400);
}

TEST(tenant_that_comes_anew_has_the_next_share_before_hundreds_of_others)
{
    enum { TENANTS = 300 };
    static struct site sites[TENANTS + 1];
    static char names[TENANTS][8];
    struct site *anew = &sites[TENANTS];

    begin();
    get_sites(sites, TENANTS + 1, 1, RANK_NORMAL);
    for (unsigned i = 0; i < TENANTS; i++) {
        snprintf(names[i], sizeof(names[i]), "t%u", i);
        sites[i].mail.tenant = (struct egress_tenant){bytes_of(names[i]), 1};
        (void)take(&sites[i]);
    }
    for (unsigned round = 0; round < 20; round++) {
        char name[8];

        snprintf(name, sizeof(name), "n%u", round);
        anew->mail.tenant.name = bytes_of(name);
        anew->mail.is_fresh = true;
        assert_false(take(anew));
        later(1000);
        assert_true(is_woken(anew));
        assert_true(take(anew));
        for (unsigned i = 0; i < 20; i++) { /* others come forward meanwhile */
            later(1000);
            for (unsigned k = 0; k < TENANTS; k++)
                if (is_woken(&sites[k]))
                    (void)(take(&sites[k]) && take(&sites[k]));
        }
    }
    put_sites(sites, TENANTS + 1);
    end();
}

/* More have had much than are compared at once, and they have waited the longest. */
TEST(tenants_that_had_less_all_get_on_behind_many_that_had_more)
{
    enum { TENANTS = 300, AHEAD = 120, MUCH = 100, TURNS = 10 };
    static struct site sites[TENANTS];
    static char names[TENANTS][8];

    begin();
    get_sites(sites, TENANTS, 2, RANK_NORMAL);
    for (unsigned i = 0; i < TENANTS; i++) {
        snprintf(names[i], sizeof(names[i]), "t%u", i);
        sites[i].mail.tenant = (struct egress_tenant){bytes_of(names[i]), 1};
        (void)take(&sites[i]);
    }
    for (unsigned i = 0; i < AHEAD; i++)
        (void)egress_charge(sites[i].egress, NULL, &sites[i].mail, MUCH);
    run(sites, TENANTS, (TENANTS - AHEAD) * TURNS);
    for (unsigned i = 0; i < TENANTS; i++)
        expect_row(i, sites[i].sent <= (i < AHEAD ? 2 : TURNS + 2));
    for (unsigned i = AHEAD; i < TENANTS; i++)
        expect_row(i, sites[i].sent >= TURNS - 2);
    put_sites(sites, TENANTS);
    end();
}

TEST(both_rates_hold_of_the_set_and_of_its_provider)
{
    begin();
    struct site sites[3];

    for (unsigned i = 0; i < 3; i++)
        site_init(&sites[i], get_of(i, 1, i == 0 ? 0.1 : 0), i == 0 ? RANK_HIGH : RANK_BULK, "");
    run_at(sites, 3, 1000, 1000); /* nothing is lost of the provider's while the slow one waits */
    assert_in_range(sites[0].sent, 99, 101);
    assert_in_range(sites[1].sent, 449, 451);
    put_sites(sites, 3);
    end();
}

/* The provider's line is longer than the set's own interval. */
TEST(wait_for_the_provider_is_no_loss_of_the_sets_own_rate)
{
    begin();
    struct site sites[10];

    for (unsigned i = 0; i < 10; i++)
        site_init(&sites[i], get_of(i, 1, i == 0 ? 0.11 : 0), RANK_BULK, "");
    run_at(sites, 10, 1000, 1000);
    for (unsigned i = 0; i < 10; i++)
        assert_in_range(sites[i].sent, 98, 102);
    put_sites(sites, 10);
    end();
}

TEST(who_goes_on_to_its_providers_line_alone_is_told_of_its_share)
{
    begin();
    struct site one, other;

    site_init(&one, get_of(0, 1, 0.5), RANK_BULK, "");
    site_init(&other, get_of(1, 1, 0), RANK_BULK, "");
    assert_true(take(&one));
    assert_false(take(&one));
    later(1900);
    assert_true(take(&other));
    later(100);
    assert_false(is_woken(&one)); /* from its own line to the other */
    later(899);
    assert_false(is_woken(&one));
    later(1);
    assert_true(is_woken(&one));
    assert_true(take(&one));
    site_end(&one);
    egress_put(&one.egress);
    egress_put(&other.egress);
    end();
}

TEST(site_that_stops_while_it_waits_or_has_a_share_stops_nobody)
{
    begin();
    struct site sites[SITES];

    get_sites(sites, SITES, 1, RANK_BULK);
    for (unsigned i = 0; i < SITES; i++)
        (void)take(&sites[i]);
    for (unsigned i = 1; i < SITES - 10; i++)
        (void)egress_share_drop(&sites[i].sender);
    for (unsigned i = SITES - 10; i < SITES; i++) { /* no time is lost for those that went */
        later(1000);
        assert_true(is_woken(&sites[i])); /* who does not use it, as one whose host is gone */
        assert_true(i % 2 == 0 || take(&sites[i]));
    }
    put_sites(sites, SITES);
    end();
}

/* As where mail turns out to be held back. Later it is nobody's: two would go at once. */
TEST(share_that_is_given_back_at_once_is_the_next_ones)
{
    for (unsigned own = 0; own < 2; own++) {
        begin();
        struct site sites[4];

        for (unsigned i = 0; i < ARRAY_LEN(sites); i++) {
            site_init(&sites[i], get_of(i, 1, own == 1 ? 0.9 : 0), RANK_BULK, "");
            assert_int_equal(take(&sites[i]), i == 0);
        }
        later(1000);
        assert_true(is_woken(&sites[1]));
        site_end(&sites[1]);
        later(100);
        assert_true(is_woken(&sites[2]));
        assert_false(is_woken(&sites[3]));
        site_end(&sites[2]);
        later(0);
        assert_true(is_woken(&sites[3]));
        later(101);
        site_end(&sites[3]);
        assert_false(take(&sites[1]));
        put_sites(sites, ARRAY_LEN(sites));
        end();
    }
}

static int64_t due_after_ms(const struct site *site)
{
    return egress_share_at_ms(&site->sender, engine_now_ms(engine)) - engine_now_ms(engine);
}

/* Ten seconds until the provider's next share, one until the set's; whoever has that waits for the
 * other one. */
TEST(share_of_its_sets_rate_is_given_back_by_who_leaves_its_providers_line)
{
    begin();
    struct site sites[5];

    for (unsigned i = 0; i < 5; i++)
        site_init(&sites[i], get_of(i == 0 ? 0 : 1, 0.1, 1), RANK_BULK, "");
    assert_true(take(&sites[0]));
    assert_false(take(&sites[1]));
    site_end(&sites[1]);
    assert_false(take(&sites[2])); /* it is there to be taken, */
    assert_in_range(due_after_ms(&sites[2]), 5000, 10000);
    assert_false(take(&sites[3]));
    assert_in_range(due_after_ms(&sites[3]), 1, 1000);
    site_end(&sites[2]);
    later(0);
    assert_in_range(due_after_ms(&sites[3]), 5000, 10000); /* or is who waits for one's; */
    later(1000);
    assert_false(take(&sites[4]));
    site_end(&sites[3]);
    assert_false(take(&sites[1])); /* but not where the next was taken since */
    assert_in_range(due_after_ms(&sites[1]), 1, 1000);
    put_sites(sites, 5);
    end();
}

static struct site *looked_at;

static void on_look(struct timeout *timeout)
{
    (void)timeout;
    assert_false(egress_share_is_waiting(&looked_at->sender));
    assert_int_equal(looked_at->woken, 0);
    assert_true(egress_share_is_awaited(&looked_at->sender));
    looked_at = NULL;
}

/* Only then its site is driven: until then it must not be taken for one that nothing drives. */
TEST(share_that_was_given_is_awaited_until_its_site_is_told)
{
    begin();
    struct site sites[3];
    struct timeout look; /* due behind the bell, which another one has */

    get_sites(sites, 3, 1, RANK_BULK);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(take(&sites[i]), i == 0);
    assert_false(egress_share_is_awaited(&sites[0].sender));
    assert_true(egress_share_is_awaited(&sites[2].sender));
    change(&sites[2], RANK_HIGH, "", false);
    looked_at = &sites[2];
    timeout_init(&look, on_look);
    engine_timeout(engine, &look, 1000);
    later(1000);
    assert_null(looked_at);
    assert_true(is_woken(&sites[2]));
    assert_false(egress_share_is_awaited(&sites[2].sender));
    put_sites(sites, 3);
    end();
}

/* Whoever it is that has the bell, it goes on to another. */
TEST(bell_goes_on_when_its_site_goes)
{
    for (unsigned at = 0; at < 4; at++) {
        begin();
        struct site sites[4];

        get_sites(sites, 4, 1, RANK_BULK);
        assert_true(take(&sites[0]));
        sites[0].woken = 0;
        for (unsigned i = 0; i < 4; i++)
            assert_false(take(&sites[i]));
        if (at % 2 == 0)
            later(1000); /* somebody was served meanwhile */
        site_end(&sites[at]);
        later(1000);
        later(1000);
        later(1000);
        for (unsigned i = 0; i < 4; i++)
            assert_true(i == at || is_woken(&sites[i]));
        put_sites(sites, 4);
        end();
    }
}

/* On the same turn as it is given a share, or is asked to ring the bell. */
TEST(site_that_goes_while_its_letter_is_on_the_way_is_told_when_it_has_come)
{
    begin();
    struct site sites[3];

    get_sites(sites, 3, 1, RANK_BULK);
    assert_true(take(&sites[0]));
    assert_false(take(&sites[0]));
    assert_false(take(&sites[1]));
    assert_true(egress_share_drop(&sites[0].sender)); /* the other is to ring it */
    assert_false(egress_share_drop(&sites[1].sender));
    assert_false(take(&sites[2])); /* not left to that */
    later(0);
    assert_int_equal(sites[1].woken, 1);
    assert_true(egress_share_drop(&sites[1].sender));
    later(1000);
    assert_true(is_woken(&sites[2]));
    put_sites(sites, 3);
    end();
}

TEST(who_waits_for_its_own_rate_goes_on_to_its_providers_when_that_is_lifted)
{
    begin();
    struct site sites[3];
    struct egress_limits none = {.connections_max = 10, .generation = 1};

    get_sites(sites, 3, 1, RANK_BULK);
    egress_put(&sites[2].egress);
    sites[2].egress = get_of(7, 1, 0.001);
    assert_true(take(&sites[2]));
    assert_false(take(&sites[2]));
    assert_false(take(&sites[0]));
    egress_limit(sites[2].egress, &none);
    later(0);
    assert_false(is_woken(&sites[2]));
    later(1000);
    assert_true(is_woken(&sites[0]));
    later(1000);
    assert_true(is_woken(&sites[2]));
    /* And where the provider's is lifted all go. */
    for (unsigned i = 0; i < 3; i++)
        (void)take(&sites[i]);
    egress_limit(egress_provider(sites[0].egress), &none);
    later(0);
    for (unsigned i = 0; i < 3; i++)
        assert_false(egress_share_is_waiting(&sites[i].sender));
    put_sites(sites, 3);
    end();
}

TEST(turns_of_a_hundred_thousand_sites_cost_as_much_as_of_a_few)
{
    enum { MANY = 100 * 1000 };
    struct site *sites = calloc(MANY + 1, sizeof(*sites));

    assert_non_null(sites);
    begin();
    get_sites(sites, MANY + 1, 1, RANK_BULK);
    for (unsigned i = 0; i < MANY; i++)
        (void)take(&sites[i]);
    sites[MANY].mail.rank = RANK_HIGH;
    for (unsigned i = 0; i < 1000; i++) {
        assert_false(take(&sites[MANY]));
        later(1000);
        assert_int_equal(is_woken(&sites[MANY]), i % 17 != 16);
        if (i % 17 != 16)
            assert_true(take(&sites[MANY]));
    }
    put_sites(sites, MANY + 1);
    end();
    free(sites);
}
