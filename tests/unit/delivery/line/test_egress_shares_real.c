/* link: real engine */
/*
 * test_egress_shares_real.c - sites on engines of several threads wait for one provider's rate, do
 * whatever sites do meanwhile, and go while others' letters to them are on the way. For
 * ThreadSanitizer above all.
 */
#include <pthread.h>
#include <stdio.h>

#include "base/random.h"
#include "delivery/line/egress.h"
#include "support/unit.h"

enum { THREADS = 4, SETS = 10, STORM_MS = 700, SERVED_MS = 20 * 1000 };

static const char *const tenants[] = {"", "small", "large"};
static const double rates[] = {0, 3, 200, 5000};

struct site {
    struct egress_sender sender;
    struct egress *egress;
    struct egress_mail mail;
    bool is_sent;
};

static struct egress_table *table;
static struct egress *sets[SETS];
static pthread_barrier_t barrier;
static _Atomic unsigned generation;

static unsigned below(unsigned count)
{
    return (unsigned)random_below(count);
}

static void give_mail(struct site *site)
{
    site->mail = (struct egress_mail){
        .rank = (enum rank)below(RANK_COUNT),
        .is_fresh = below(4) == 0,
        .tenant = {bytes_of(tenants[below(ARRAY_LEN(tenants))]), 1},
    };
}

static bool take(struct site *site)
{
    if (!egress_share_take(site->egress, &site->sender, &site->mail,
                           engine_now_ms(site->sender.engine)))
        return false;
    (void)egress_charge(site->egress, NULL, &site->mail, 1);
    site->is_sent = true;
    give_mail(site);
    return true;
}

static void on_woken(struct egress_sender *sender)
{
    struct site *site = container_of(sender, struct site, sender);

    if (!site->is_sent)
        (void)take(site);
}

static void change_limits(double provider_per_s, double own_per_s)
{
    struct egress_limits of_provider = {.connections_max = 10, .messages_per_s = provider_per_s};
    struct egress_limits own = {.connections_max = 10, .messages_per_s = own_per_s};

    of_provider.generation = own.generation = ++generation;
    egress_limit(egress_provider(sets[0]), &of_provider);
    for (unsigned i = 0; i < SETS; i++)
        egress_limit(sets[i], &own);
}

static void disturb(struct site *site)
{
    switch (below(8)) {
    case 0:
        give_mail(site);
        egress_share_change(site->egress, &site->sender, &site->mail);
        break;
    case 1:
        (void)egress_share_drop(&site->sender);
        break;
    case 2:
        (void)egress_share_at_ms(&site->sender, engine_now_ms(site->sender.engine));
        break;
    case 3:
        if (below(200) == 0)
            change_limits(rates[below(ARRAY_LEN(rates))], rates[below(ARRAY_LEN(rates))]);
        break;
    default:
        (void)take(site);
    }
}

static unsigned count_waiting(const struct site *sites)
{
    unsigned count = 0;

    for (unsigned i = 0; i < SETS; i++)
        count += !sites[i].is_sent;
    return count;
}

static void drop_all(struct engine *engine, struct site *sites)
{
    bool are_gone = false;

    while (!are_gone) {
        are_gone = true;
        for (unsigned i = 0; i < SETS; i++)
            are_gone = egress_share_drop(&sites[i].sender) && are_gone;
        engine_turn(engine, 0);
    }
}

static void *run(void *left_out)
{
    struct engine_settings settings = {0};
    struct engine *engine = engine_create(&settings);
    struct site sites[SETS] = {0};
    int64_t until_ms = engine_now_ms(engine) + STORM_MS;

    for (unsigned i = 0; i < SETS; i++) {
        sites[i].egress = sets[i];
        sites[i].sender = (struct egress_sender){.engine = engine, .woken = on_woken};
        give_mail(&sites[i]);
    }
    while (engine_now_ms(engine) < until_ms) {
        for (unsigned i = 0; i < 10; i++) {
            struct site *site = &sites[below(SETS)];

            site->is_sent = below(2) == 0; /* takes another when it is told, or not */
            disturb(site);
        }
        engine_turn(engine, below(8) == 0);
    }
    if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
        change_limits(200, 100);
    pthread_barrier_wait(&barrier);
    /* Each has one more, and nobody asks again who is not told to. */
    until_ms = engine_now_ms(engine) + SERVED_MS;
    for (unsigned i = 0; i < SETS; i++) {
        sites[i].is_sent = false;
        (void)take(&sites[i]);
    }
    while (count_waiting(sites) > 0 && engine_now_ms(engine) < until_ms)
        engine_turn(engine, 10);
    *(unsigned *)left_out = count_waiting(sites);
    drop_all(engine, sites);
    engine_destroy(&engine);
    return NULL;
}

TEST(nobody_is_forgotten_whatever_engines_do_at_once)
{
    struct egress_limits limits = {.connections_max = 10, .messages_per_s = 100};
    pthread_t threads[THREADS];
    unsigned left[THREADS];

    table = egress_table_create(100);
    for (unsigned i = 0; i < SETS; i++) {
        char name[8];

        snprintf(name, sizeof(name), "%u", i);
        sets[i] = egress_get_of(table, BYTES("p"), &limits, bytes_of(name), BYTES("s"), &limits);
    }
    assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, &left[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(left[i], 0);
    pthread_barrier_destroy(&barrier);
    for (unsigned i = 0; i < SETS; i++)
        egress_put(&sets[i]);
    egress_table_free(&table);
}
