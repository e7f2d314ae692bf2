/* egress_tenants.c - tenants in line: what they had, and who is before whom. */
#include <stdlib.h>

#include "delivery/line/egress_state.h"

enum {
    /* Where thousands of a provider's sites stand in line the first of them are looked at; those
     * behind come forward with every slot. And who comes anew, among the last. */
    LOOK_MAX = 64,
    LOOK_BACK_MAX = 16,
};

uint64_t egress_tenant_hash(struct bytes tenant)
{
    uint64_t hash = bytes_hash(tenant);

    return hash != 0 && hash != EGRESS_TENANTS_MANY ? hash : 1;
}

/* --- who waits -------------------------------------------------------------------------------- */

struct egress_fairness *egress_fairness(struct egress_line *line)
{
    struct egress_fairness *fairness = atomic_load(&line->fairness);

    if (fairness != NULL)
        return fairness;
    fairness = calloc(1, sizeof(*fairness));
    check(fairness != NULL);
    fairness->slots.tallies = tallies_create();
    fairness->shares.tallies = tallies_create();
    atomic_store(&line->fairness, fairness);
    return fairness;
}

void egress_fairness_free(struct egress_line *line)
{
    struct egress_fairness *fairness = atomic_exchange(&line->fairness, NULL);

    if (fairness == NULL)
        return;
    tallies_free(&fairness->slots.tallies);
    tallies_free(&fairness->shares.tallies);
    free(fairness);
}

struct tally *egress_tally_of(struct egress_tenants *tenants, const struct egress_tenant *tenant)
{
    return tally_get(tenants->tallies, tenant->name, tenant->weight);
}

void egress_tallies_take(struct egress_waiter *waiter, const struct egress_mail *mail)
{
    struct egress_tenants *tenants = &egress_fairness(waiter->line)->slots;
    unsigned count = MIN(mail->other_count, (unsigned)EGRESS_TENANTS_MAX - 1);

    check(waiter->tallies == NULL);
    waiter->tallies = calloc(EGRESS_TENANTS_MAX, sizeof(struct tally *));
    check(waiter->tallies != NULL);
    waiter->is_fresh = mail->is_fresh;
    waiter->tallies[0] = egress_tally_of(tenants, &mail->tenant);
    for (unsigned i = 0; i < count; i++)
        waiter->tallies[i + 1] = egress_tally_of(tenants, &mail->others[i]);
}

void egress_tallies_move(struct egress_waiter *waiter, struct egress_line *line)
{
    struct egress_tenants *tenants = &egress_fairness(line)->slots;

    for (unsigned i = 0; i < EGRESS_TENANTS_MAX && waiter->tallies[i] != NULL; i++) {
        struct tally *before = waiter->tallies[i];
        const struct egress_tenant tenant = {before->node.key, before->weight};

        waiter->tallies[i] = egress_tally_of(tenants, &tenant);
        tally_put(&before);
    }
}

void egress_tallies_put(struct egress_waiter *waiter)
{
    for (unsigned i = 0; i < EGRESS_TENANTS_MAX && waiter->tallies[i] != NULL; i++)
        tally_put(&waiter->tallies[i]);
    free(waiter->tallies);
    waiter->tallies = NULL;
}

void egress_tallies_wait(struct egress_waiter *waiter, bool waits)
{
    for (unsigned i = 0; i < EGRESS_TENANTS_MAX && waiter->tallies[i] != NULL; i++)
        tally_wait(waiter->tallies[i], waits);
}

/* --- who is next ------------------------------------------------------------------------------ */

static struct egress_waiter *waiter_of(struct list_node *node)
{
    return container_of(node, struct egress_waiter, node);
}

/* Of its tenants, the one by which it comes first. */
static const struct tally *best_of(const struct egress_waiter *waiter, bool heeds_fresh,
                                   bool *is_fresh_out)
{
    const struct tally *best = waiter->tallies[0];

    *is_fresh_out = heeds_fresh && waiter->is_fresh;
    for (unsigned i = 1; i < EGRESS_TENANTS_MAX && waiter->tallies[i] != NULL; i++)
        if (tally_is_before(waiter->tallies[i], false, best, *is_fresh_out)) {
            best = waiter->tallies[i];
            *is_fresh_out = false;
        }
    return best;
}

/* Of a ring; those behind the first LOOK_MAX come anew. */
static unsigned look(struct list_node *ring,
                     struct egress_waiter *waiters_out[static LOOK_MAX + LOOK_BACK_MAX])
{
    struct list_node *node = ring, *end;
    unsigned count = 0;

    do {
        waiters_out[count++] = waiter_of(node);
        node = node->next;
    } while (node != ring && count < LOOK_MAX);
    end = node;
    node = ring;
    for (unsigned i = 0; i < LOOK_BACK_MAX && node != end; i++) {
        node = node->prev;
        if (waiter_of(node)->is_fresh)
            waiters_out[count++] = waiter_of(node);
    }
    return count;
}

struct egress_waiter *egress_first_by_tenant(const struct egress_line *line, enum rank rank)
{
    struct egress_waiter *waiters[LOOK_MAX + LOOK_BACK_MAX];
    bool heeds_fresh = (line->anew & RANK_BIT(rank)) == 0;
    unsigned count = look(line->waiters[rank], waiters);
    bool is_first_fresh, is_fresh;
    struct egress_waiter *first = waiters[0];
    const struct tally *first_tally = best_of(first, heeds_fresh, &is_first_fresh);

    for (unsigned i = 1; i < (heeds_fresh ? count : MIN(count, (unsigned)LOOK_MAX)); i++) {
        const struct tally *tally = best_of(waiters[i], heeds_fresh, &is_fresh);

        if (!tally_is_before(tally, is_fresh, first_tally, is_first_fresh))
            continue;
        first = waiters[i];
        first_tally = tally;
        is_first_fresh = is_fresh;
    }
    return first;
}

/* For a tenant that comes anew a connection of another one ends, unless it has had more than its
 * share. For one that has had less none does, or there would be a new connection for each message:
 * it gets the next slot that comes free. */
static bool is_to_end(const struct tally *tally, const struct egress_waiter *waiter)
{
    return waiter->is_fresh && waiter->tallies[0] != tally &&
           !tally_is_in_advance(waiter->tallies[0]);
}

unsigned egress_count_before(const struct egress_line *line, const struct egress_waiter *own,
                             const struct egress_mail *mail, unsigned most)
{
    struct egress_waiter *waiters[LOOK_MAX + LOOK_BACK_MAX];
    unsigned count = 0;

    if (line->waiters[mail->rank] == NULL)
        return 0;
    const struct tally *tally =
        tally_find(atomic_load(&line->fairness)->slots.tallies, mail->tenant.name);

    unsigned looked_at = look(line->waiters[mail->rank], waiters);

    for (unsigned i = 0; i < looked_at && count < most; i++)
        count += waiters[i] != own && is_to_end(tally, waiters[i]);
    return count;
}
