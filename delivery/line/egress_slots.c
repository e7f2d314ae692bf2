/*
 * egress_slots.c - connection slots, of up to three limits at once, and who waits for one.
 *
 * A connection has a slot of its egress, one of the provider's if there is one, and one of the
 * process. A waiter stands in the line of the limit that stopped it last.
 *
 * No wake is lost: begin() announces its waiter before it looks at the counts once more, end()
 * lowers the counts before it looks for waiters, all in one total order (seq_cst). A waiter that
 * changes lines is counted in the new one before it leaves the old. And who finds a limit reached
 * has raised a count for a moment, which may have turned another away: it looks after who waits
 * before it goes.
 */
#include "delivery/line/egress_state.h"
#include "delivery/line/ring.h"

static bool take_slot(_Atomic int *count, int count_max)
{
    if (atomic_fetch_add(count, 1) < count_max)
        return true;
    atomic_fetch_sub(count, 1);
    return false;
}

static bool take_slot_of(struct egress *egress)
{
    return take_slot(&egress->connections, MIN((int)atomic_load(&egress->connections_max),
                                               atomic_load(&egress->allowed)));
}

/* A slot of each limit, or none; *full_out is the line of the limit that was reached. */
static bool take_slots(struct egress *egress, struct egress_line **full_out)
{
    struct egress_table *table = egress->table;
    struct egress *provider = egress->provider;

    *full_out = &egress->line;
    if (!take_slot_of(egress))
        return false;
    if (provider != NULL) {
        *full_out = &provider->line;
        if (!take_slot_of(provider))
            goto give_back;
    }
    *full_out = &table->line;
    if (take_slot(&table->connections, table->connections_max))
        return true;
    if (provider != NULL)
        atomic_fetch_sub(&provider->connections, 1);
give_back:
    atomic_fetch_sub(&egress->connections, 1);
    return false;
}

/* --- lines ------------------------------------------------------------------------------------ */

static struct egress_waiter *waiter_at(struct list_node *node)
{
    return node != NULL ? container_of(node, struct egress_waiter, node) : NULL;
}

static struct list_node **ring_of(const struct egress_waiter *waiter)
{
    struct egress_table *table = waiter->egress->table;

    return waiter->line == &table->line && waiter->is_urgent ? &table->urgent[waiter->rank]
                                                             : &waiter->line->waiters[waiter->rank];
}

/* A class came or went: it is there for all to see. */
static void show(const struct egress_waiter *waiter)
{
    struct egress_table *table = waiter->egress->table;
    struct egress_line *line = waiter->line;
    unsigned bit = RANK_BIT(waiter->rank);
    unsigned before = atomic_load_explicit(&line->waiting, memory_order_relaxed);
    bool is_there = line->waiters[waiter->rank] != NULL ||
                    (line == &table->line && table->urgent[waiter->rank] != NULL);

    atomic_store(&line->waiting, (uint8_t)(is_there ? before | bit : before & ~bit));
}

/* Of the table's line nobody asks. */
static void show_tenants(struct egress_line *line)
{
    struct egress_tenants *tenants = &egress_fairness(line)->slots;
    const struct egress_waiter *any = NULL;
    uint64_t tenant = 0;

    if (tenants->tallies->waiting_count > 1)
        tenant = EGRESS_TENANTS_MANY;
    for (unsigned i = 0; i < RANK_COUNT && tenant == 0 && any == NULL; i++)
        any = waiter_at(line->waiters[i]);
    if (any != NULL)
        tenant = egress_tenant_hash(any->tallies[0]->node.key);
    atomic_store(&tenants->waiting, tenant);
}

/* In its line, of those of its class. */
static void stand(struct egress_waiter *waiter)
{
    bool is_of_process = waiter->line == &waiter->egress->table->line;

    if (waiter->keeps_place && !is_of_process)
        ring_push_front(ring_of(waiter), &waiter->node);
    else
        ring_push_back(ring_of(waiter), &waiter->node);
    waiter->keeps_place = false;
    egress_tallies_wait(waiter, true);
    show(waiter);
    show_tenants(waiter->line);
}

static void step_out(struct egress_waiter *waiter)
{
    ring_remove(ring_of(waiter), &waiter->node);
    egress_tallies_wait(waiter, false);
    show(waiter);
    show_tenants(waiter->line);
}

static void enlist(struct egress_waiter *waiter, struct egress_line *line,
                   const struct egress_mail *mail)
{
    waiter->line = line;
    waiter->rank = (uint8_t)mail->rank;
    egress_tallies_take(waiter, mail);
    atomic_fetch_add(&line->count, 1);
    stand(waiter);
}

/* What gave way for those in its line may have been for it. */
static void delist(struct egress_waiter *waiter)
{
    struct egress_line *line = waiter->line;

    step_out(waiter);
    if (line->gives_way > 0)
        line->gives_way--;
    atomic_fetch_sub(&line->count, 1);
}

/* For good. */
static void leave_line(struct egress_waiter *waiter)
{
    delist(waiter);
    egress_tallies_put(waiter);
    waiter->is_waiting = false;
}

/* Another limit is what stops it now. It is counted there before it is not here any more. */
static void change_line(struct egress_waiter *waiter, struct egress_line *line)
{
    atomic_fetch_add(&line->count, 1);
    delist(waiter);
    egress_tallies_move(waiter, line);
    waiter->line = line;
    stand(waiter);
    egress_ring_idle(waiter->egress, line, waiter->own);
}

/* Who is to get the next slot of this line's; NULL: nobody waits. */
static struct egress_waiter *first_in_line(struct egress_table *table, struct egress_line *line)
{
    unsigned waiting = atomic_load_explicit(&line->waiting, memory_order_relaxed);

    if (waiting == 0)
        return NULL;
    enum rank rank = classes_peek(&line->classes, waiting);

    if (line != &table->line)
        return egress_first_by_tenant(line, rank);
    struct egress_waiter *first = waiter_at(line->waiters[rank]);
    struct egress_waiter *urgent = waiter_at(table->urgent[rank]);

    if (first == NULL || (urgent != NULL && table->is_turn_of_urgent))
        return urgent;
    return first;
}

/* --- who gets a slot -------------------------------------------------------------------------- */

static void open_letter(struct letter *letter, struct engine *engine)
{
    struct egress_waiter *waiter = container_of(letter, struct egress_waiter, letter);

    (void)engine;
    waiter->is_posted = false;
    waiter->woken(waiter);
}

/* Never twice in a row for one that came anew. */
static void note_anew(const struct egress_waiter *waiter)
{
    struct egress_line *line = waiter->line;
    unsigned bit = RANK_BIT(waiter->rank);
    bool is_anew = waiter->is_fresh && (line->anew & bit) == 0;

    line->anew = (uint8_t)(is_anew ? line->anew | bit : line->anew & ~bit);
}

/* Under the lock: the slot was taken for the waiter, so nobody can be faster than its letter. */
static void grant(struct egress_waiter *waiter)
{
    struct classes *classes = &waiter->line->classes;

    (void)classes_next(classes, atomic_load_explicit(&waiter->line->waiting, memory_order_relaxed));
    classes_charge(classes, (enum rank)waiter->rank, 1);
    note_anew(waiter);
    leave_line(waiter);
    waiter->is_posted = true;
    waiter->letter.open = open_letter;
    engine_post(waiter->engine, &waiter->letter);
}

/* Under the lock. */
static void grant_in_line(struct egress_table *table, struct egress_line *line)
{
    struct egress_waiter *waiter;
    struct egress_line *full;

    while ((waiter = first_in_line(table, line)) != NULL) {
        if (take_slots(waiter->egress, &full)) {
            grant(waiter);
            table->is_turn_of_urgent ^= line == &table->line;
        } else if (full != line) {
            change_line(waiter, full);
        } else {
            return;
        }
    }
}

/* The wider limit first, or one site of a provider would hand its slots to itself for ever. Who
 * goes to a wider line must be looked at once more from there: the slot that was missing may have
 * come free before, by somebody who looks at that line but not at the one it came from. Going to a
 * narrower one is safe: whoever frees a slot of that looks at the wider lines too. */
void egress_grant_waiting(struct egress *egress)
{
    struct egress_table *table = egress->table;
    struct egress *provider = egress->provider;

    grant_in_line(table, &table->line);
    if (provider != NULL)
        grant_in_line(table, &provider->line);
    grant_in_line(table, &egress->line);
    if (provider != NULL)
        grant_in_line(table, &provider->line);
    grant_in_line(table, &table->line);
}

static void announce(struct egress *egress, int change)
{
    atomic_fetch_add(&egress->line.count, change);
    if (egress->provider != NULL)
        atomic_fetch_add(&egress->provider->line.count, change);
    atomic_fetch_add(&egress->table->line.count, change);
}

static bool has_any(const struct egress_line *line)
{
    return atomic_load_explicit(&line->waiting, memory_order_relaxed) != 0;
}

/* The line that one who comes now would have to stand in; NULL: nobody waits. */
static struct egress_line *line_before(struct egress *egress)
{
    struct egress_table *table = egress->table;

    if (has_any(&egress->line))
        return &egress->line;
    if (egress->provider != NULL && has_any(&egress->provider->line))
        return &egress->provider->line;
    return has_any(&table->line) ? &table->line : NULL;
}

/* Under the lock: a slot, or a place in line. */
static bool take_or_enlist(struct egress *egress, struct egress_waiter *waiter,
                           const struct egress_mail *mail)
{
    /* Announced before the second look, so that one of us sees the other: we the free slot, or the
     * releaser our announcement. */
    announce(egress, 1);
    struct egress_line *line = line_before(egress);
    bool taken = line == NULL && take_slots(egress, &line);

    if (!taken) {
        waiter->egress = egress;
        waiter->is_waiting = true;
        enlist(waiter, line, mail);
    }
    announce(egress, -1);
    return taken;
}

bool egress_connect_begin(struct egress *egress, struct egress_waiter *waiter,
                          const struct egress_mail *mail)
{
    struct egress_table *table = egress->table;
    struct egress_line *full;
    bool taken = false;

    /* Who comes now does not overtake those who wait. */
    if (!egress_has_waiters(egress, false) && take_slots(egress, &full))
        return true;
    pthread_mutex_lock(&table->lock);
    if (!waiter->is_waiting && !waiter->is_posted)
        taken = take_or_enlist(egress, waiter, mail);
    if (!taken)
        egress_grant_waiting(egress);
    if (waiter->is_waiting)
        egress_ring_idle(egress, waiter->line, waiter->own);
    pthread_mutex_unlock(&table->lock);
    return taken;
}

static void free_slot(_Atomic int *count)
{
    int before = atomic_fetch_sub(count, 1);

    check(before > 0);
}

void egress_connect_end(struct egress *egress)
{
    struct egress_table *table = egress->table;

    free_slot(&egress->connections);
    if (egress->provider != NULL)
        free_slot(&egress->provider->connections);
    free_slot(&table->connections);
    if (!egress_has_waiters(egress, false))
        return;
    pthread_mutex_lock(&table->lock);
    egress_grant_waiting(egress);
    pthread_mutex_unlock(&table->lock);
}

bool egress_waiter_cancel(struct egress *egress, struct egress_waiter *waiter)
{
    pthread_mutex_lock(&egress->table->lock);
    bool is_posted = waiter->is_posted;

    if (waiter->is_waiting) {
        check(waiter->egress == egress);
        leave_line(waiter);
    }
    pthread_mutex_unlock(&egress->table->lock);
    return !is_posted;
}

/* Under the lock. */
static void change(struct egress_waiter *waiter, const struct egress_mail *mail)
{
    egress_tallies_wait(waiter, false);
    egress_tallies_put(waiter);
    egress_tallies_take(waiter, mail);
    egress_tallies_wait(waiter, true);
    show_tenants(waiter->line);
    if (waiter->rank == (uint8_t)mail->rank)
        return;
    step_out(waiter);
    waiter->rank = (uint8_t)mail->rank;
    stand(waiter);
}

void egress_waiter_change(struct egress *egress, struct egress_waiter *waiter,
                          const struct egress_mail *mail)
{
    pthread_mutex_lock(&egress->table->lock);
    if (waiter->is_waiting)
        change(waiter, mail);
    pthread_mutex_unlock(&egress->table->lock);
}

void egress_waiter_last(struct egress *egress, struct egress_waiter *waiter)
{
    pthread_mutex_lock(&egress->table->lock);
    if (waiter->is_waiting) {
        step_out(waiter);
        stand(waiter);
    }
    pthread_mutex_unlock(&egress->table->lock);
}

bool egress_has_waiters(const struct egress *egress, bool is_waiting)
{
    int count = atomic_load(&egress->line.count) + atomic_load(&egress->table->line.count);

    if (egress->provider != NULL)
        count += atomic_load(&egress->provider->line.count);
    return count > (is_waiting ? 1 : 0);
}

unsigned egress_connections(const struct egress *egress)
{
    return (unsigned)MAX(atomic_load_explicit(&egress->connections, memory_order_relaxed), 0);
}
