/*
 * egress_classes.c - connections that give way to a higher class.
 *
 * A connection that goes on with a lower class than waits for a slot ends after its message. It
 * does not where the lower one has its guaranteed turns (classes.h): for this the messages on a
 * connection are charged to their class where others wait, those of a whole connection too, so
 * that a hundred messages on a high one are worth as many turns and not one.
 */
#include "delivery/line/egress_state.h"

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
static bool wants_another(const struct egress_table *table, const struct egress_line *line,
                          enum rank rank)
{
    unsigned wanted = (unsigned)line->gives_way + 1, count = 0;

    for (unsigned i = 0; i < (unsigned)rank; i++) {
        count += count_up_to(line->waiters[i], wanted);
        if (line == &table->line)
            count += count_up_to(table->urgent[i], wanted);
    }
    return count >= wanted;
}

/* Under the lock. */
static bool gives_way_to(const struct egress_table *table, struct egress_line *line, enum rank next)
{
    if (waiting_above(line, next) == 0 || line->gives_way == UINT8_MAX ||
        !wants_another(table, line, next))
        return false;
    if (classes_peek(&line->classes, waiting_above(line, next) | RANK_BIT(next)) >= next)
        return false;
    line->gives_way++;
    return true;
}

bool egress_gives_way(struct egress *egress, struct egress_use *use, enum rank next)
{
    struct egress_table *table = egress->table;
    struct egress *provider = egress->provider;

    if (waiting_above(&egress->line, next) == 0 && waiting_above(&table->line, next) == 0 &&
        (provider == NULL || waiting_above(&provider->line, next) == 0))
        return false;
    pthread_mutex_lock(&table->lock);
    charge_all(egress, use);
    bool gives_way = gives_way_to(table, &egress->line, next) ||
                     (provider != NULL && gives_way_to(table, &provider->line, next)) ||
                     gives_way_to(table, &table->line, next);

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
