/*
 * egress_idle.c - connections that have nothing to send, and who waits for their slots.
 *
 * A holder stands in the ring of its provider, or of its egress where there is none, while it has a
 * connection; how many of those are idle is an atomic, as that changes with every message. No wake
 * is lost: who goes idle counts itself before it looks for waiters, who waits stands in line before
 * it looks for holders, all in one total order (seq_cst). One holder is rung for each that waits,
 * the first in the ring that has an idle one; when it has none any more the next one is rung.
 */
#include <stdlib.h>

#include "delivery/line/egress_state.h"
#include "delivery/line/ring.h"

struct egress_holder {
    struct engine *engine;
    void (*rung)(void *context);
    void *context;
    struct egress *egress;
    struct list_node node; /* in the ring */
    bool is_held;          /* it is in there: its engine's alone */
    _Atomic bool is_rung;  /* its letter is on the way */
    _Atomic unsigned idle;
    struct letter letter;
};

enum { LOOK_MAX = 256 /* holders; behind them who is idle looks for itself, once a second */ };

static struct egress *place_of(struct egress *egress)
{
    return egress->provider != NULL ? egress->provider : egress;
}

static int count_waiting(const struct egress *egress)
{
    int count = atomic_load(&egress->line.count);

    return egress->provider != NULL ? count + atomic_load(&egress->provider->line.count) : count;
}

static void open_letter(struct letter *letter, struct engine *engine)
{
    struct egress_holder *holder = container_of(letter, struct egress_holder, letter);
    struct egress *egress = holder->egress;

    (void)engine;
    atomic_store(&holder->is_rung, false);
    if (atomic_load(&holder->idle) == 0 && count_waiting(egress) > 0) {
        pthread_mutex_lock(&egress->table->lock);
        egress_ring_idle(egress, &place_of(egress)->line, NULL);
        pthread_mutex_unlock(&egress->table->lock);
    }
    holder->rung(holder->context);
}

/* For who waits in this line. */
static bool is_to_be_rung(const struct egress_holder *holder, const struct egress *egress,
                          const struct egress_line *line)
{
    if (line == &egress->line && holder->egress != egress)
        return false; /* its slots are of no use there */
    return atomic_load(&holder->idle) > 0 && !atomic_load(&holder->is_rung);
}

static void ring(struct egress_holder *holder)
{
    atomic_store(&holder->is_rung, true);
    holder->letter.open = open_letter;
    engine_post(holder->engine, &holder->letter);
}

void egress_ring_idle(struct egress *egress, const struct egress_line *line,
                      const struct egress_holder *own)
{
    struct list_node **holders = &place_of(egress)->holders;
    struct list_node *node = *holders;

    if (line == &egress->table->line)
        return;
    for (unsigned i = 0; i < LOOK_MAX && node != NULL; i++) {
        struct egress_holder *holder = container_of(node, struct egress_holder, node);

        if (holder != own && is_to_be_rung(holder, egress, line)) {
            ring_remove(holders, node);
            ring_push_back(holders, node);
            ring(holder);
            return;
        }
        node = node->next != *holders ? node->next : NULL;
    }
}

static struct egress_holder *holder_new(struct egress *egress, struct engine *engine,
                                        void (*rung)(void *context), void *context)
{
    struct egress_holder *holder = calloc(1, sizeof(*holder));

    check(holder != NULL);
    *holder = (struct egress_holder){.engine = engine,
                                     .rung = rung,
                                     .context = context,
                                     .egress = egress};
    list_node_init(&holder->node);
    return holder;
}

void egress_hold(struct egress_holder **holder, struct egress *egress, struct engine *engine,
                 void (*rung)(void *context), void *context)
{
    if (*holder == NULL)
        *holder = holder_new(egress, engine, rung, context);
    pthread_mutex_lock(&egress->table->lock);
    check(!(*holder)->is_held);
    (*holder)->is_held = true;
    ring_push_back(&place_of(egress)->holders, &(*holder)->node);
    pthread_mutex_unlock(&egress->table->lock);
}

bool egress_hold_end(struct egress_holder **holder)
{
    struct egress_holder *h = *holder;
    struct egress *egress = h->egress;

    check(atomic_load(&h->idle) == 0);
    if (h->is_held) {
        pthread_mutex_lock(&egress->table->lock);
        ring_remove(&place_of(egress)->holders, &h->node);
        pthread_mutex_unlock(&egress->table->lock);
        h->is_held = false;
    }
    if (atomic_load(&h->is_rung))
        return false;
    free(h);
    *holder = NULL;
    return true;
}

void egress_idle_begin(struct egress_holder *holder)
{
    atomic_fetch_add(&holder->idle, 1);
}

void egress_idle_end(struct egress_holder *holder)
{
    unsigned before = atomic_fetch_sub(&holder->idle, 1);

    check(before > 0);
}

/* Under the lock: more wait than connections end for already. */
static bool gives_way_to(struct egress_line *line, const struct egress_waiter *own)
{
    bool has_own = own != NULL && own->is_waiting && own->line == line;
    int count = atomic_load(&line->count) - (has_own ? 1 : 0);

    if (count <= (int)line->gives_way || line->gives_way == UINT8_MAX)
        return false;
    line->gives_way++;
    return true;
}

bool egress_is_waited_for(struct egress *egress, const struct egress_waiter *own)
{
    return count_waiting(egress) > (own != NULL ? 1 : 0);
}

bool egress_idle_gives_way(struct egress *egress, const struct egress_waiter *own)
{
    struct egress *provider = egress->provider;

    if (!egress_is_waited_for(egress, own))
        return false;
    pthread_mutex_lock(&egress->table->lock);
    bool gives_way = gives_way_to(&egress->line, own) ||
                     (provider != NULL && gives_way_to(&provider->line, own));

    pthread_mutex_unlock(&egress->table->lock);
    return gives_way;
}
