/*
 * egress.c - what engines share about one site reached from one source.
 *
 * The ways that are taken for every message (a slot, a share of the rate, "does anybody wait?")
 * are atomics. Who finds the limit reached, and who releases while somebody waits, takes the
 * table's lock: that happens at most once a connection, not once a message.
 *
 * No wake is lost: begin() announces its waiter before it looks at the count once more, end()
 * lowers the count before it looks for waiters, both in one total order (seq_cst). A waiter that
 * changes lines is counted in the new one before it leaves the old. And who finds a limit reached
 * has raised a count for a moment, which may have turned another away: it looks after who waits
 * before it goes.
 */
#include "delivery/line/egress.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "delivery/line/delivery.h"

enum {
    REST_FIRST_MS = 30 * 1000,
    REST_MAX_MS = 30 * 60 * 1000,
    RATE_BURST_US = 100 * 1000, /* messages of this much time may go at once: clocks tick in ms */
    SWEEP_MIN = 10000,
    ANY = INT_MAX, /* connections that a receiver allows of which nothing was learned */
    PROBE_FIRST_MS = 5 * 1000,
    PROBE_MAX_MS = 60 * 1000,
    /* A receiver counts a session down a moment after it has ended. */
    COUNTS_DOWN_MS = 10 * 1000,
    RETRY_MS = 1000,
    SERVED_MS = 60 * 1000, /* a site that serves has served somebody within it */
    SERVED_STEP_MS = 1000,
};

struct egress {
    struct map_node node; /* key: site, NUL, source */
    struct egress_table *table;
    unsigned references; /* under the lock */
    unsigned generation; /* of the limits; under the lock */
    _Atomic unsigned connections_max;
    _Atomic int64_t interval_us; /* between messages; 0: no limit */
    _Atomic int connections;
    _Atomic int ready;         /* of these, let in */
    _Atomic int allowed;       /* of these, by the receiver; ANY */
    _Atomic int64_t let_in_ms; /* one was, for the last time; 0: never */
    _Atomic int64_t served_ms; /* a message came to an end, to the second */
    int known;                 /* so many were in at once since one was turned away; under the lock,
                                  as the next ones are */
    int64_t probe_at_ms, probe_wait_ms;
    bool is_probing; /* one more than is known to be allowed was let try */
    _Atomic int waiter_count;
    struct list waiters;     /* under the lock */
    _Atomic int64_t next_us; /* GCRA: when the next message would be exactly on time */
    _Atomic unsigned failures;
    _Atomic int64_t resting_until_ms;
};

struct egress_table {
    pthread_mutex_t lock; /* of the map, the waiters' lists and what changes seldom */
    struct map egresses;
    int connections_max;
    _Atomic int connections;
    _Atomic int waiter_count;
    struct list lines[2];   /* for a slot of the process: [1] who is urgent */
    unsigned line;          /* whose turn it is */
    _Atomic int64_t now_ms; /* of the last failure: good enough to forget by */
    size_t sweep_at;
};

struct egress_table *egress_table_create(unsigned connections_max)
{
    struct egress_table *table = calloc(1, sizeof(*table));

    check(table != NULL);
    int error = pthread_mutex_init(&table->lock, NULL);

    check(error == 0);
    map_init(&table->egresses);
    list_init(&table->lines[0]);
    list_init(&table->lines[1]);
    table->sweep_at = SWEEP_MIN;
    table->connections_max =
        connections_max != 0 ? (int)connections_max : DELIVERY_CONNECTIONS_DEFAULT;
    return table;
}

static void drop(void *context, struct map_node *node)
{
    struct egress_table *table = context;
    struct egress *egress = container_of(node, struct egress, node);

    check(egress->references == 0);
    map_remove(&table->egresses, node);
    free(egress);
}

void egress_table_free(struct egress_table **table)
{
    map_for_each(&(*table)->egresses, drop, *table);
    map_free(&(*table)->egresses);
    pthread_mutex_destroy(&(*table)->lock);
    free(*table);
    *table = NULL;
}

static struct egress *egress_new(struct egress_table *table, const uint8_t *key, size_t len)
{
    struct egress *egress = calloc(1, sizeof(*egress) + len);

    check(egress != NULL);
    uint8_t *copy = (uint8_t *)(egress + 1);

    memcpy(copy, key, len);
    egress->table = table;
    atomic_init(&egress->allowed, ANY);
    list_init(&egress->waiters);
    map_insert(&table->egresses, &egress->node, (struct bytes){copy, len});
    return egress;
}

static int64_t interval_us(const struct egress_limits *limits)
{
    return limits->messages_per_s > 0 ? (int64_t)(1e6 / limits->messages_per_s) : 0;
}

/* Under the lock. */
static void set_limits(struct egress *egress, const struct egress_limits *limits)
{
    egress->generation = limits->generation;
    atomic_store(&egress->connections_max, MAX(limits->connections_max, 1U));
    atomic_store(&egress->interval_us, interval_us(limits));
}

struct egress *egress_get(struct egress_table *table, struct bytes site, struct bytes source,
                          const struct egress_limits *limits)
{
    uint8_t key[1024];
    size_t site_len = MIN(site.len, sizeof(key) / 2);
    size_t source_len = MIN(source.len, sizeof(key) / 2 - 1);

    memcpy(key, site.ptr, site_len);
    key[site_len] = '\0';
    memcpy(key + site_len + 1, source.ptr, source_len);
    struct bytes name = {key, site_len + 1 + source_len};

    pthread_mutex_lock(&table->lock);
    struct map_node *node = map_find(&table->egresses, name);
    struct egress *egress = node != NULL ? container_of(node, struct egress, node)
                                         : egress_new(table, name.ptr, name.len);

    if (egress->references++ == 0)
        set_limits(egress, limits);
    pthread_mutex_unlock(&table->lock);
    egress_limit(egress, limits);
    return egress;
}

/* One that receivers complained about, or whose rate is in use, is remembered for a while: it is
 * what the next site of this name must know. */
static bool is_forgettable(const struct egress *egress, int64_t now_ms)
{
    if (egress->references > 0)
        return false;
    return atomic_load(&egress->resting_until_ms) <= now_ms &&
           (atomic_load(&egress->allowed) == ANY || egress->probe_at_ms <= now_ms) &&
           atomic_load(&egress->next_us) <= now_ms * 1000;
}

static void forget(void *context, struct map_node *node)
{
    struct egress_table *table = context;
    struct egress *egress = container_of(node, struct egress, node);

    if (!is_forgettable(egress, atomic_load(&table->now_ms)))
        return;
    check(atomic_load(&egress->connections) == 0);
    check(list_is_empty(&egress->waiters));
    map_remove(&table->egresses, node);
    free(egress);
}

void egress_put(struct egress **egress)
{
    struct egress *e = *egress;
    struct egress_table *table = e->table;

    *egress = NULL;
    pthread_mutex_lock(&table->lock);
    check(e->references > 0);
    e->references--;
    if (atomic_load(&e->failures) == 0)
        forget(table, &e->node);
    /* The others go once they are many: twice as many as were kept the last time. */
    if (table->egresses.count > table->sweep_at) {
        map_for_each(&table->egresses, forget, table);
        table->sweep_at = MAX(table->egresses.count * 2, (size_t)SWEEP_MIN);
    }
    pthread_mutex_unlock(&table->lock);
}

/* --- connections ----------------------------------------------------------------------------- */

static bool take_slot(_Atomic int *count, int count_max)
{
    if (atomic_fetch_add(count, 1) < count_max)
        return true;
    atomic_fetch_sub(count, 1);
    return false;
}

/* Takes a slot of the egress and one of the process; *full_out is the limit that was reached. */
static bool take_slots(struct egress *egress, bool *process_is_full_out)
{
    struct egress_table *table = egress->table;

    int max = MIN((int)atomic_load(&egress->connections_max), atomic_load(&egress->allowed));

    *process_is_full_out = false;
    if (!take_slot(&egress->connections, max))
        return false;
    if (take_slot(&table->connections, table->connections_max))
        return true;
    atomic_fetch_sub(&egress->connections, 1);
    *process_is_full_out = true;
    return false;
}

/* Who is to get the next slot of the process. */
static struct list_node *first_of_process(const struct egress_table *table)
{
    const struct list *line = &table->lines[table->line];

    return list_first(list_is_empty(line) ? &table->lines[1 - table->line] : line);
}

static _Atomic int *count_of_line(const struct egress_waiter *waiter, bool of_process)
{
    return of_process ? &waiter->egress->table->waiter_count : &waiter->egress->waiter_count;
}

static void enlist(struct egress_waiter *waiter, bool of_process)
{
    struct egress_table *table = waiter->egress->table;

    waiter->of_process = of_process;
    atomic_fetch_add(count_of_line(waiter, of_process), 1);
    struct list *line = of_process ? &table->lines[waiter->is_urgent] : &waiter->egress->waiters;

    if (waiter->keeps_place && !of_process)
        list_push_front(line, &waiter->node);
    else
        list_push_back(line, &waiter->node);
    waiter->keeps_place = false;
}

static void delist(struct egress_waiter *waiter)
{
    list_remove(&waiter->node);
    atomic_fetch_sub(count_of_line(waiter, waiter->of_process), 1);
}

/* The other limit is what stops it now. */
static void change_line(struct egress_waiter *waiter)
{
    bool was_of_process = waiter->of_process;

    list_remove(&waiter->node);
    enlist(waiter, !was_of_process);
    atomic_fetch_sub(count_of_line(waiter, was_of_process), 1);
}

static void open_letter(struct letter *letter, struct engine *engine)
{
    struct egress_waiter *waiter = container_of(letter, struct egress_waiter, letter);

    (void)engine;
    waiter->is_posted = false;
    waiter->woken(waiter);
}

/* Under the lock: the slot was taken for the waiter, so nobody can be faster than its letter. */
static void grant(struct egress_waiter *waiter)
{
    delist(waiter);
    waiter->is_waiting = false;
    waiter->is_posted = true;
    waiter->letter.open = open_letter;
    engine_post(waiter->engine, &waiter->letter);
}

/* Under the lock. */
static void grant_of_egress(struct egress *egress)
{
    struct list_node *node;

    while ((node = list_first(&egress->waiters)) != NULL) {
        struct egress_waiter *waiter = container_of(node, struct egress_waiter, node);
        bool process_is_full;

        if (take_slots(egress, &process_is_full)) {
            grant(waiter);
        } else if (process_is_full) {
            change_line(waiter);
        } else {
            return;
        }
    }
}

static void grant_of_process(struct egress_table *table)
{
    struct list_node *node;

    while ((node = first_of_process(table)) != NULL) {
        struct egress_waiter *waiter = container_of(node, struct egress_waiter, node);
        bool process_is_full;

        if (take_slots(waiter->egress, &process_is_full)) {
            grant(waiter);
            table->line = 1 - table->line;
        } else if (process_is_full) {
            return;
        } else {
            change_line(waiter);
        }
    }
}

/* Under the lock: to whoever may have one now, by either limit. Who goes to the line of the process
 * must look once more from there: the slot that was missing may have come free before. */
static void grant_waiting(struct egress *egress)
{
    grant_of_process(egress->table);
    grant_of_egress(egress);
    grant_of_process(egress->table);
}

/* Under the lock: a slot, or a place in line. */
static bool take_or_enlist(struct egress *egress, struct egress_waiter *waiter)
{
    struct egress_table *table = egress->table;
    bool is_first = list_is_empty(&egress->waiters) && first_of_process(table) == NULL;
    bool process_is_full = list_is_empty(&egress->waiters);

    /* Announced before the second look, so that one of us sees the other: we the free slot, or the
     * releaser our announcement. */
    atomic_fetch_add(&egress->waiter_count, 1);
    atomic_fetch_add(&table->waiter_count, 1);
    bool taken = is_first && take_slots(egress, &process_is_full);

    if (!taken) {
        waiter->egress = egress;
        waiter->is_waiting = true;
        enlist(waiter, process_is_full);
    }
    atomic_fetch_sub(&egress->waiter_count, 1);
    atomic_fetch_sub(&table->waiter_count, 1);
    return taken;
}

bool egress_connect_begin(struct egress *egress, struct egress_waiter *waiter)
{
    struct egress_table *table = egress->table;
    bool process_is_full;
    bool taken = false;

    /* Who comes now does not overtake those who wait. */
    if (!egress_has_waiters(egress, false) && take_slots(egress, &process_is_full))
        return true;
    pthread_mutex_lock(&table->lock);
    if (!waiter->is_waiting && !waiter->is_posted)
        taken = take_or_enlist(egress, waiter);
    if (!taken)
        grant_waiting(egress);
    pthread_mutex_unlock(&table->lock);
    return taken;
}

void egress_connect_end(struct egress *egress)
{
    struct egress_table *table = egress->table;
    int before = atomic_fetch_sub(&egress->connections, 1);

    check(before > 0);
    before = atomic_fetch_sub(&table->connections, 1);
    check(before > 0);
    if (!egress_has_waiters(egress, false))
        return;
    pthread_mutex_lock(&table->lock);
    grant_waiting(egress);
    pthread_mutex_unlock(&table->lock);
}

bool egress_waiter_cancel(struct egress *egress, struct egress_waiter *waiter)
{
    pthread_mutex_lock(&egress->table->lock);
    bool is_posted = waiter->is_posted;

    if (waiter->is_waiting) {
        check(waiter->egress == egress);
        delist(waiter);
        waiter->is_waiting = false;
    }
    pthread_mutex_unlock(&egress->table->lock);
    return !is_posted;
}

bool egress_has_waiters(const struct egress *egress, bool is_waiting)
{
    return atomic_load(&egress->waiter_count) + atomic_load(&egress->table->waiter_count) >
           (is_waiting ? 1 : 0);
}

void egress_limit(struct egress *egress, const struct egress_limits *limits)
{
    pthread_mutex_lock(&egress->table->lock);
    if ((int)(limits->generation - egress->generation) > 0) {
        set_limits(egress, limits);
    } else if (limits->generation == egress->generation) {
        unsigned connections_max = MAX(limits->connections_max, 1U);

        if (connections_max < atomic_load(&egress->connections_max))
            atomic_store(&egress->connections_max, connections_max);
        if (interval_us(limits) > atomic_load(&egress->interval_us))
            atomic_store(&egress->interval_us, interval_us(limits));
    }
    grant_waiting(egress); /* there may be room for more now */
    pthread_mutex_unlock(&egress->table->lock);
}

/* --- what the receiver allows ---------------------------------------------------------------- */

/* Under the lock. */
static void allow(struct egress *egress, int count)
{
    atomic_store(&egress->allowed,
                 count < (int)atomic_load(&egress->connections_max) ? count : ANY);
    grant_waiting(egress);
}

void egress_let_in(struct egress *egress, int64_t now_ms)
{
    int ready = atomic_fetch_add(&egress->ready, 1) + 1;

    atomic_store(&egress->let_in_ms, now_ms);
    if (atomic_load(&egress->allowed) == ANY)
        return;
    pthread_mutex_lock(&egress->table->lock);
    /* More than before: perhaps one more still. */
    if (ready > egress->known) {
        egress->known = ready;
        egress->probe_wait_ms = PROBE_FIRST_MS;
        egress->probe_at_ms = now_ms + PROBE_FIRST_MS;
        egress->is_probing = true;
        allow(egress, ready + 1);
    }
    pthread_mutex_unlock(&egress->table->lock);
}

void egress_left(struct egress *egress, int64_t now_ms)
{
    int before = atomic_fetch_sub(&egress->ready, 1);

    check(before > 0);
    atomic_store(&egress->let_in_ms, now_ms);
}

/* Under the lock. */
static void learn(struct egress *egress, int ready, int64_t now_ms)
{
    if (egress->probe_wait_ms == 0)
        egress->probe_wait_ms = PROBE_FIRST_MS;
    else if (egress->is_probing)
        egress->probe_wait_ms = MIN(egress->probe_wait_ms * 2, (int64_t)PROBE_MAX_MS);
    egress->is_probing = false;
    egress->known = ready;
    egress->probe_at_ms = now_ms + (ready > 0 ? egress->probe_wait_ms : RETRY_MS);
    atomic_store(&egress->allowed, ready);
}

bool egress_turned_away(struct egress *egress, struct egress_waiter *waiter, bool by_reply,
                        int64_t now_ms)
{
    pthread_mutex_lock(&egress->table->lock);
    int ready = atomic_load(&egress->ready);
    int64_t let_in_ms = atomic_load(&egress->let_in_ms);
    /* Of connections that were opened together the first ones may be in by now and not know it. */
    bool may_be_full = atomic_load(&egress->connections) > 1 ||
                       (let_in_ms != 0 && now_ms - let_in_ms < COUNTS_DOWN_MS);
    bool has_enough = ready > 0 || (by_reply && may_be_full);

    /* It had the only slot there is, and the peer had not counted down yet: else those who never
     * have to wait for that would overtake it again and again. */
    waiter->keeps_place = has_enough && ready == 0;
    if (has_enough)
        learn(egress, ready, now_ms);
    else if (atomic_load(&egress->allowed) == 0)
        allow(egress, 1); /* of the next host, perhaps */
    pthread_mutex_unlock(&egress->table->lock);
    return has_enough;
}

void egress_served(struct egress *egress, int64_t now_ms)
{
    /* Not written for every message: engines share it. */
    if (now_ms - atomic_load_explicit(&egress->served_ms, memory_order_relaxed) >= SERVED_STEP_MS)
        atomic_store_explicit(&egress->served_ms, now_ms, memory_order_relaxed);
}

bool egress_turned_out(struct egress *egress, int64_t now_ms)
{
    pthread_mutex_lock(&egress->table->lock);
    int64_t served_ms = atomic_load_explicit(&egress->served_ms, memory_order_relaxed);
    int others = atomic_load(&egress->ready) - 1; /* it is one of them still */
    bool is_surplus = others > 0 && served_ms != 0 && now_ms - served_ms < SERVED_MS;

    if (is_surplus)
        learn(egress, others, now_ms);
    pthread_mutex_unlock(&egress->table->lock);
    return is_surplus;
}

int64_t egress_probe(struct egress *egress, int64_t now_ms)
{
    int64_t at_ms = 0;

    if (atomic_load(&egress->allowed) == ANY)
        return 0;
    pthread_mutex_lock(&egress->table->lock);
    if (now_ms >= egress->probe_at_ms) {
        egress->is_probing = true;
        egress->probe_at_ms = now_ms + egress->probe_wait_ms;
        allow(egress, egress->known + 1);
    }
    if (atomic_load(&egress->allowed) != ANY)
        at_ms = egress->probe_at_ms;
    pthread_mutex_unlock(&egress->table->lock);
    return at_ms;
}

void egress_forget_allowed(struct egress *egress)
{
    if (atomic_load(&egress->allowed) == ANY)
        return;
    pthread_mutex_lock(&egress->table->lock);
    allow(egress, ANY);
    pthread_mutex_unlock(&egress->table->lock);
}

unsigned egress_allowed(const struct egress *egress)
{
    int allowed = atomic_load_explicit(&egress->allowed, memory_order_relaxed);

    return allowed == ANY ? 0 : (unsigned)MAX(allowed, 1);
}

/* --- rate and health ------------------------------------------------------------------------- */

int64_t egress_rate_take(struct egress *egress, int64_t now_ms)
{
    int64_t interval_us = atomic_load_explicit(&egress->interval_us, memory_order_relaxed);
    int64_t now_us = now_ms * 1000;
    int64_t next_us = atomic_load(&egress->next_us);
    int64_t on_time_us;

    if (interval_us == 0)
        return 0;
    /* One message at a time may always go; more only where the interval is below the burst. */
    int64_t early_max_us = MAX(RATE_BURST_US - interval_us, (int64_t)0);

    do {
        on_time_us = MAX(next_us, now_us);
        if (on_time_us - now_us > early_max_us)
            return (on_time_us - now_us - early_max_us + 999) / 1000;
    } while (!atomic_compare_exchange_weak(&egress->next_us, &next_us, on_time_us + interval_us));
    return 0;
}

void egress_failed(struct egress *egress, int64_t now_ms)
{
    struct egress_table *table = egress->table;

    pthread_mutex_lock(&table->lock);
    atomic_store(&table->now_ms, now_ms);
    /* Many connections fail together when a site goes: that is one failure. */
    if (atomic_load(&egress->resting_until_ms) <= now_ms) {
        unsigned failures = atomic_fetch_add(&egress->failures, 1);
        int64_t rest_ms = failures >= 6 ? REST_MAX_MS : (int64_t)REST_FIRST_MS << failures;

        atomic_store(&egress->resting_until_ms, now_ms + MIN(rest_ms, (int64_t)REST_MAX_MS));
    }
    pthread_mutex_unlock(&table->lock);
}

void egress_succeeded(struct egress *egress)
{
    /* The usual case touches nothing that other engines read. */
    if (atomic_load_explicit(&egress->failures, memory_order_relaxed) == 0)
        return;
    pthread_mutex_lock(&egress->table->lock);
    atomic_store(&egress->failures, 0);
    atomic_store(&egress->resting_until_ms, 0);
    pthread_mutex_unlock(&egress->table->lock);
}

int64_t egress_resting_until_ms(const struct egress *egress)
{
    return atomic_load_explicit(&egress->resting_until_ms, memory_order_relaxed);
}

unsigned egress_connections(const struct egress *egress)
{
    return (unsigned)MAX(atomic_load_explicit(&egress->connections, memory_order_relaxed), 0);
}
