/*
 * egress_classes.c - connections that give way to a higher class, or to another tenant.
 *
 * A connection that goes on with a lower class than waits for a slot ends after its message. It
 * does not where the lower one has its guaranteed turns (classes.h): for this the messages on a
 * connection are charged to their class where others wait, those of a whole connection too, so
 * that a hundred messages on a high one are worth as many turns and not one.
 */
#include "delivery/line/egress_state.h"

enum { COUNTING = 200 /* recipients that count after another tenant waited last */ };

static unsigned waiting_above(const struct egress_line *line, enum rank rank)
{
    return atomic_load_explicit(&line->waiting, memory_order_relaxed) & (RANK_BIT(rank) - 1);
}

/* Under the lock. */
static void charge(struct egress_line *line, const struct egress_use *use)
{
    if (atomic_load_explicit(&line->waiting, memory_order_relaxed) == 0)
        return; /* nobody was kept from anything */
    for (unsigned i = 0; i < RANK_COUNT; i++)
        classes_charge(&line->classes, (enum rank)i,
                       MIN((int)use->messages[i], (int)CLASSES_CHARGE_MAX));
}

static void charge_all(struct egress *egress, struct egress_use *use)
{
    charge(&egress->line, use);
    if (egress->provider != NULL)
        charge(&egress->provider->line, use);
    charge(&egress->table->line, use);
    *use = (struct egress_use){0};
}

static unsigned count_up_to(const struct list_node *ring, unsigned count_max)
{
    const struct list_node *node = ring;
    unsigned count = 0;

    while (node != NULL && count < count_max) {
        count++;
        node = node->next != ring ? node->next : NULL;
    }
    return count;
}

/* More wait above this class than connections end for already. */
static unsigned count_above(const struct egress_table *table, const struct egress_line *line,
                            enum rank rank, unsigned wanted)
{
    unsigned count = 0;

    if (classes_peek(&line->classes, waiting_above(line, rank) | RANK_BIT(rank)) >= rank)
        return 0;
    for (unsigned i = 0; i < (unsigned)rank; i++) {
        count += count_up_to(line->waiters[i], wanted);
        if (line == &table->line)
            count += count_up_to(table->urgent[i], wanted);
    }
    return count;
}

/* Under the lock. More wait for whom it is to end than connections end for already. */
static bool gives_way_to(const struct egress_table *table, struct egress_line *line,
                         const struct egress_waiter *own, const struct egress_mail *next)
{
    unsigned wanted = (unsigned)line->gives_way + 1;

    if (wanted > UINT8_MAX)
        return false;
    unsigned count = count_above(table, line, next->rank, wanted);

    if (count < wanted && line != &table->line)
        count += egress_count_before(line, own, next, wanted - count);
    if (count < wanted)
        return false;
    line->gives_way++;
    return true;
}

static bool has_other(const struct egress_line *line, uint64_t tenant)
{
    const struct egress_fairness *fairness = atomic_load(&line->fairness);

    return fairness != NULL && egress_has_other(&fairness->slots, tenant);
}

static bool may_give_way_to(const struct egress_line *line, const struct egress_mail *next,
                            uint64_t tenant)
{
    return waiting_above(line, next->rank) != 0 || (tenant != 0 && has_other(line, tenant));
}

bool egress_gives_way(struct egress *egress, const struct egress_waiter *own,
                      struct egress_use *use, const struct egress_mail *next)
{
    struct egress_table *table = egress->table;
    struct egress *provider = egress->provider;

    if (!egress_has_waiters(egress, own != NULL))
        return false;
    uint64_t tenant = egress_tenant_hash(next->tenant.name);

    if (!may_give_way_to(&egress->line, next, tenant) && !may_give_way_to(&table->line, next, 0) &&
        (provider == NULL || !may_give_way_to(&provider->line, next, tenant)))
        return false;
    pthread_mutex_lock(&table->lock);
    charge_all(egress, use);
    bool gives_way = gives_way_to(table, &egress->line, own, next) ||
                     (provider != NULL && gives_way_to(table, &provider->line, own, next)) ||
                     gives_way_to(table, &table->line, own, next);

    pthread_mutex_unlock(&table->lock);
    return gives_way;
}

void egress_used(struct egress *egress, struct egress_use *use)
{
    if (!egress_has_waiters(egress, false))
        return;
    pthread_mutex_lock(&egress->table->lock);
    charge_all(egress, use);
    pthread_mutex_unlock(&egress->table->lock);
}

/* --- what tenants had ------------------------------------------------------------------------- */

/* Of one limit, for a message of this tenant. */
struct counted {
    bool is_waited_for; /* by another one */
    bool is_counted;
};

static struct counted look(const struct egress_tenants *tenants, uint64_t tenant, bool is_alone)
{
    bool is_waited_for = !is_alone && egress_has_other(tenants, tenant);

    return (struct counted){
        .is_waited_for = is_waited_for,
        .is_counted =
            is_waited_for || atomic_load_explicit(&tenants->counting, memory_order_relaxed) > 0,
    };
}

/* Under the lock. */
static uint64_t charge_tenant(struct egress_tenants *tenants, const struct egress_tenant *tenant,
                              unsigned count, bool is_waited_for)
{
    int32_t left = is_waited_for ? COUNTING : atomic_load(&tenants->counting) - (int32_t)count;
    struct tally *tally = egress_tally_of(tenants, tenant);
    uint64_t total = tally_charge(tally, count);

    tally_put(&tally);
    if (left <= 0)
        tallies_forgive(tenants->tallies);
    atomic_store(&tenants->counting, MAX(left, 0));
    return total;
}

uint64_t egress_charge(struct egress *egress, const struct egress_waiter *own,
                       const struct egress_mail *mail, unsigned count)
{
    struct egress *provider = egress->provider;
    struct egress_fairness *fairness = atomic_load(&egress->line.fairness);
    struct egress_fairness *of_provider =
        provider != NULL ? atomic_load(&provider->line.fairness) : NULL;
    struct counted slots = {0}, shares = {0}, slots_there = {0}, shares_there = {0};

    if (fairness == NULL && of_provider == NULL)
        return 0;
    bool is_alone = !egress_has_waiters(egress, own != NULL);
    uint64_t tenant = egress_tenant_hash(mail->tenant.name), total;

    if (fairness != NULL) {
        slots = look(&fairness->slots, tenant, is_alone);
        shares = look(&fairness->shares, tenant, false); /* its own has just been used */
    }
    if (of_provider != NULL) {
        slots_there = look(&of_provider->slots, tenant, is_alone);
        shares_there = look(&of_provider->shares, tenant, false);
    }
    if (!slots.is_counted && !shares.is_counted && !slots_there.is_counted &&
        !shares_there.is_counted)
        return 0;
    pthread_mutex_lock(&egress->table->lock);
    fairness = egress_fairness(&egress->line);
    /* These are the ones that say what it had in all. */
    total = charge_tenant(&fairness->slots, &mail->tenant, count,
                          slots.is_waited_for || shares.is_waited_for ||
                              slots_there.is_waited_for || shares_there.is_waited_for);
    if (shares.is_counted)
        (void)charge_tenant(&fairness->shares, &mail->tenant, count, shares.is_waited_for);
    if (slots_there.is_counted)
        (void)charge_tenant(&of_provider->slots, &mail->tenant, count, slots_there.is_waited_for);
    if (shares_there.is_counted)
        (void)charge_tenant(&of_provider->shares, &mail->tenant, count, shares_there.is_waited_for);
    pthread_mutex_unlock(&egress->table->lock);
    return total;
}
