/*
 * test_egress_shares_random.c - what sites of several engines do while they wait for shares of a
 * rate, in random order: they come, send, have other mail, go, and the rates change.
 *
 * The engines' clocks are a little apart. After each step every line in which somebody stands has a
 * bell that will ring in time; in the end nobody was forgotten.
 */
#include <stdio.h>
#include <string.h>

#include "delivery/line/egress_state.h"
#include "support/engine_fake.h"
#include "support/unit.h"

enum { ENGINES = 3, SETS = 5, SITES = ENGINES * SETS, STEPS = 3000, APART_MS = 30 };

static const char *const tenants[] = {"", "small", "large", "other"};
static const double rates[] = {0, 0.2, 1, 7, 50, 3000};

struct site {
    struct egress_sender sender;
    unsigned set;
    struct egress_mail mail;
    unsigned sent;
    bool is_told; /* and has not looked since */
};

static uint64_t random_state;
static struct egress_table *table;
static struct engine *engines[ENGINES];
static struct egress *sets[SETS];
static struct site sites[SITES];
static unsigned generation;

static unsigned below(unsigned count)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % count;
}

static void on_woken(struct egress_sender *sender)
{
    struct site *site = container_of(sender, struct site, sender);

    assert_false(egress_share_is_waiting(sender));
    site->is_told = true;
}

static struct egress_limits limits_at(double messages_per_s)
{
    return (struct egress_limits){.connections_max = 10,
                                  .messages_per_s = messages_per_s,
                                  .generation = generation};
}

static void begin(uint64_t seed)
{
    struct engine_settings settings = {0};

    random_state = seed * 0x9e3779b97f4a7c15U + 1;
    fake_seed(seed);
    table = egress_table_create(100);
    for (unsigned i = 0; i < ENGINES; i++)
        engines[i] = engine_create(&settings);
    for (unsigned i = 0; i < SETS; i++) {
        struct egress_limits of_provider = limits_at(2), own = limits_at(i % 2 == 0 ? 0 : 1);
        char name[8];

        snprintf(name, sizeof(name), "%u", i);
        sets[i] = egress_get_of(table, BYTES("p"), &of_provider, bytes_of(name), BYTES("s"), &own);
    }
    for (unsigned i = 0; i < SITES; i++) {
        sites[i] = (struct site){.set = i % SETS};
        sites[i].sender.engine = engines[i / SETS];
        sites[i].sender.woken = on_woken;
    }
}

/* --- what holds always ------------------------------------------------------------------------ */

static void check_line(struct egress *place)
{
    unsigned count = 0;

    for (unsigned i = 0; i < SITES; i++) {
        const struct egress_share *share = sites[i].sender.share;

        count += share != NULL && share->place == place;
    }
    assert_int_equal(atomic_load(&place->throttled), count);
    if (count == 0)
        return;
    const struct egress_share *bell = atomic_load(&place->line.fairness)->queue.bell;

    assert_non_null(bell);
    assert_ptr_equal(bell->place, place);
    if (atomic_load(&bell->is_posted))
        return;
    int64_t interval_us = atomic_load(&place->interval_us);
    int64_t early_us = MAX(100000 - interval_us, (int64_t)0);
    int64_t due_ms = (atomic_load(&place->next_us) - early_us + 999) / 1000;
    int64_t soon_ms = engine_now_ms(bell->sender->engine) + 1;

    assert_true(list_is_linked(&bell->timeout.node));
    assert_true(bell->timeout.at_ms <= MAX(due_ms, soon_ms));
}

static void check_site(const struct site *site)
{
    const struct egress_share *share = site->sender.share;

    if (share == NULL)
        return;
    assert_int_equal(atomic_load(&share->is_waiting), share->place != NULL);
    if (share->place != NULL)
        assert_int_equal(atomic_load(&share->granted_ms), 0);
    /* Given, and told or about to be. */
    if (atomic_load(&share->granted_ms) != 0)
        assert_true(site->is_told || atomic_load(&share->is_posted));
}

static void check_all(void)
{
    for (unsigned i = 0; i < SETS; i++)
        check_line(sets[i]);
    check_line(egress_provider(sets[0]));
    for (unsigned i = 0; i < SITES; i++)
        check_site(&sites[i]);
}

/* --- what they do ----------------------------------------------------------------------------- */

static void give_mail(struct site *site)
{
    site->mail = (struct egress_mail){
        .rank = (enum rank)below(RANK_COUNT),
        .is_fresh = below(4) == 0,
        .tenant = {bytes_of(tenants[below(ARRAY_LEN(tenants))]), 1 + below(4)},
    };
}

static bool take(struct site *site)
{
    site->is_told = false;
    if (!egress_share_take(sets[site->set], &site->sender, &site->mail,
                           engine_now_ms(site->sender.engine)))
        return false;
    (void)egress_charge(sets[site->set], NULL, &site->mail, 1 + below(3));
    site->sent++;
    give_mail(site);
    return true;
}

static void change_limits(void)
{
    struct egress_limits limits;

    generation += below(2);
    limits = limits_at(rates[below(ARRAY_LEN(rates))]);
    egress_limit(below(2) == 0 ? egress_provider(sets[0]) : sets[below(SETS)], &limits);
}

/* No clock is far ahead of another. */
static void go_on(int64_t most_ms)
{
    unsigned i = below(ENGINES);
    int64_t ms = (int64_t)below((unsigned)most_ms), last_ms = INT64_MAX;

    for (unsigned k = 0; k < ENGINES; k++)
        last_ms = MIN(last_ms, engine_now_ms(engines[k]));
    if (engine_now_ms(engines[i]) + ms <= last_ms + APART_MS)
        fake_advance_ms(engines[i], ms);
    engine_turn(engines[i], 0);
}

static void step(void)
{
    struct site *site = &sites[below(SITES)];

    switch (below(16)) {
    case 0:
        give_mail(site);
        egress_share_change(sets[site->set], &site->sender, &site->mail);
        break;
    case 1:
        if (egress_share_drop(&site->sender))
            assert_null(site->sender.share);
        break;
    case 2:
        if (below(10) == 0)
            change_limits();
        break;
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
        (void)take(site);
        break;
    default:
        go_on(20);
    }
}

/* Everybody asks until it has sent once more. */
static void expect_all_served(void)
{
    struct egress_limits limits;
    unsigned left = SITES;

    generation++;
    limits = limits_at(10);
    egress_limit(egress_provider(sets[0]), &limits);
    for (unsigned i = 0; i < SETS; i++)
        egress_limit(sets[i], &limits);
    for (unsigned i = 0; i < SITES; i++)
        sites[i].sent = 0;
    for (unsigned i = 0; i < SITES; i++)
        (void)take(&sites[i]); /* no other time than this unless it is told */
    for (unsigned i = 0; left > 0; i++) {
        assert_true(i < 10000);
        left = 0;
        go_on(20);
        check_all();
        for (unsigned k = 0; k < SITES; k++) {
            if (sites[k].sent == 0 && sites[k].is_told)
                (void)take(&sites[k]);
            left += sites[k].sent == 0;
        }
    }
}

static void end(void)
{
    unsigned left = SITES;

    while (left > 0) {
        left = 0;
        for (unsigned i = 0; i < SITES; i++)
            left += !egress_share_drop(&sites[i].sender);
        check_all();
        for (unsigned i = 0; i < ENGINES; i++)
            engine_turn(engines[i], 0);
    }
    for (unsigned i = 0; i < SETS; i++)
        egress_put(&sets[i]);
    egress_table_free(&table);
    for (unsigned i = 0; i < ENGINES; i++)
        engine_destroy(&engines[i]);
}

TEST(no_wake_is_lost_whatever_sites_do_in_line)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        begin(seed);
        for (unsigned i = 0; i < STEPS; i++) {
            step();
            check_all();
        }
        expect_all_served();
        end();
    }
}
