/* allowance.c - buckets and counts of periods in atomics; allowances by tenant in a table of two
 * levels. */
#include "queue/allowance.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"

enum {
    CHUNK = 4096,
    CHUNKS = 65536,
    UNKNOWN_MS = 20, /* that a start takes to be told what was before it: asked again then */
    CREDIT_NS = 50 * 1000 * 1000, /* late wakes of so much are made good */
    HOUR_S = 3600,
    DAY_S = 86400,
};

static const int64_t SECOND_NS = 1000000000;

typedef _Atomic(struct allowance *) allowance_slot;

static _Atomic(allowance_slot *) chunks[CHUNKS];
static _Atomic int64_t clock_offset_ms; /* from monotonic to the periods' clock */

/* What events told of tenants, which is what stays over a restart. */
struct memory {
    struct map_node node; /* key: the name */
    uint64_t counts[ALLOWANCE_COUNTS];
    struct allowance *allowance; /* NULL: it has none so far */
    struct list_node in_changed; /* since they were visited */
    uint8_t name[];
};
static pthread_mutex_t memories_lock = PTHREAD_MUTEX_INITIALIZER;
static struct map memories;
static struct list changed_memories; /* where there are memories */
static bool has_memories;
static _Atomic bool are_unknown;

static const struct {
    const char *name;
    enum allowance_count count;
} limits_table[ALLOWANCE_LIMIT_COUNT] = {
    [ALLOWANCE_PER_SECOND] = {"messages_per_second", ALLOWANCE_COUNTS},
    [ALLOWANCE_PER_HOUR] = {"messages_per_hour", ALLOWANCE_SENT_HOUR},
    [ALLOWANCE_PER_DAY] = {"messages_per_day", ALLOWANCE_SENT_DAY},
    [ALLOWANCE_PER_MONTH] = {"messages_per_month", ALLOWANCE_SENT_MONTH},
    [ALLOWANCE_QUOTA_DAY] = {"quota_per_day", ALLOWANCE_ACCEPTED_DAY},
    [ALLOWANCE_QUOTA_MONTH] = {"quota_per_month", ALLOWANCE_ACCEPTED_MONTH},
    [ALLOWANCE_BACKLOG] = {"backlog", ALLOWANCE_COUNTS},
};

const char *allowance_limit_name(enum allowance_limit limit)
{
    check((unsigned)limit < ALLOWANCE_LIMIT_COUNT);
    return limits_table[limit].name;
}

bool allowance_limits_any(const struct allowance_limits *limits)
{
    for (unsigned i = 0; i < ALLOWANCE_BACKLOG; i++)
        if (limits->max[i] != 0)
            return true;
    return false;
}

/* --- periods ---------------------------------------------------------------------------------- */

/* Days since 1970 to months since year 0 and back; eras of 400 years from 1 March on, so that leap
 * days come last. */
static uint32_t month_of_day(int64_t day)
{
    uint64_t days = (uint64_t)(day + 719468);
    uint64_t of_era = days % 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t from_march = (5 * of_year + 2) / 153;

    return (uint32_t)((days / 146097 * 400 + year) * 12 + from_march + 2);
}

static int64_t day_of_month(uint32_t month)
{
    uint64_t from_march = month - 2;
    uint64_t year = from_march / 12;
    uint64_t era = year / 400, of_era = year % 400;
    uint64_t of_year = (153 * (from_march % 12) + 2) / 5;

    return (int64_t)(era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year) - 719468;
}

void allowances_begin(int64_t now_ms, int64_t wall_ms)
{
    atomic_store(&clock_offset_ms, wall_ms - now_ms);
}

struct allowance_moment allowance_moment(int64_t now_ms)
{
    int64_t seconds =
        MAX((now_ms + atomic_load_explicit(&clock_offset_ms, memory_order_relaxed)), (int64_t)0) /
        1000;
    uint32_t hour = (uint32_t)(seconds / HOUR_S), day = (uint32_t)(seconds / DAY_S);
    uint32_t month = month_of_day(day);

    return (struct allowance_moment){now_ms, {hour, day, month, day, month}};
}

struct allowance_moment allowance_moment_of_wall(int64_t wall_ms)
{
    return allowance_moment(wall_ms - atomic_load(&clock_offset_ms));
}

int64_t allowance_clock_s(int64_t now_ms)
{
    return (now_ms + atomic_load_explicit(&clock_offset_ms, memory_order_relaxed)) / 1000;
}

int64_t allowance_period_end_ms(const struct allowance_moment *moment, enum allowance_count count)
{
    int64_t number = moment->number[count], end_s = 0;

    switch (count) {
    case ALLOWANCE_SENT_HOUR:
        end_s = (number + 1) * HOUR_S;
        break;
    case ALLOWANCE_SENT_DAY:
    case ALLOWANCE_ACCEPTED_DAY:
        end_s = (number + 1) * DAY_S;
        break;
    case ALLOWANCE_SENT_MONTH:
    case ALLOWANCE_ACCEPTED_MONTH:
        end_s = day_of_month((uint32_t)number + 1) * DAY_S;
        break;
    case ALLOWANCE_COUNTS:
        check(false);
    }
    return end_s * 1000 - atomic_load_explicit(&clock_offset_ms, memory_order_relaxed);
}

static uint32_t number_in(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

/* What a count is in the period `number`: of an earlier one nothing is left. A later one was
 * counted by somebody whose turn began behind ours. */
static uint64_t word_in(uint64_t word, uint32_t number)
{
    return number_in(word) >= number ? word : (uint64_t)number << 32;
}

/* False, and nothing is counted: it would be more than max. Where there is none the count ends at
 * what it can hold. */
static bool count_up(_Atomic uint64_t *at, uint32_t number, uint32_t count, uint32_t max)
{
    uint64_t old = atomic_load_explicit(at, memory_order_relaxed), word;

    do {
        word = word_in(old, number);
        uint64_t sum = (uint32_t)word + (uint64_t)count;

        if (max != 0 && sum > max)
            return false;
        if (sum > UINT32_MAX)
            return true;
    } while (!atomic_compare_exchange_weak_explicit(at, &old, word + count, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* In a period that is over there is nothing to be given back. */
static void count_down(_Atomic uint64_t *at, uint32_t number, uint32_t count)
{
    uint64_t old = atomic_load_explicit(at, memory_order_relaxed);

    while (number_in(old) == number && (uint32_t)old >= count &&
           !atomic_compare_exchange_weak_explicit(at, &old, old - count, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

/* --- the table -------------------------------------------------------------------------------- */

static struct memory *memory_of(struct bytes name)
{
    struct map_node *node = has_memories ? map_find(&memories, name) : NULL;

    return node != NULL ? container_of(node, struct memory, node) : NULL;
}

/* Made if new. Under the lock. */
static struct memory *memory_get(struct bytes name)
{
    if (!has_memories) {
        map_init(&memories);
        list_init(&changed_memories);
    }
    has_memories = true;
    struct memory *memory = memory_of(name);
    if (memory != NULL)
        return memory;
    memory = calloc(1, sizeof(*memory) + name.len);
    check(memory != NULL);
    memcpy(memory->name, name.ptr, name.len);
    list_node_init(&memory->in_changed);
    map_insert(&memories, &memory->node, bytes_range(memory->name, name.len));
    return memory;
}

void allowance_remember(struct bytes name, const uint64_t counts[static ALLOWANCE_COUNTS])
{
    pthread_mutex_lock(&memories_lock);
    struct memory *memory = memory_get(name);

    memcpy(memory->counts, counts, sizeof(memory->counts));
    pthread_mutex_unlock(&memories_lock);
}

void allowances_are_known(bool are_known)
{
    atomic_store(&are_unknown, !are_known);
}

bool allowances_known(void)
{
    return !atomic_load_explicit(&are_unknown, memory_order_relaxed);
}

/* Counts of periods to come are the present one's. */
static void recall(struct allowance *allowance, const struct memory *memory, int64_t now_ms)
{
    struct allowance_moment moment = allowance_moment(now_ms);

    for (unsigned i = 0; i < ALLOWANCE_COUNTS; i++) {
        uint64_t word = memory->counts[i];

        if (number_in(word) > moment.number[i])
            word = (uint64_t)moment.number[i] << 32 | (uint32_t)word;
        atomic_store(&allowance->counts[i], word);
    }
}

static void note(struct memory *memory, enum allowance_count first, enum allowance_count last,
                 const struct allowance_moment *moment, bool is_late)
{
    for (unsigned i = first; i <= last; i++) {
        uint64_t word = word_in(memory->counts[i], moment->number[i]);

        memory->counts[i] = (uint32_t)word == UINT32_MAX ? word : word + 1;
        if (is_late && memory->allowance != NULL)
            (void)count_up(&memory->allowance->counts[i], moment->number[i], 1, 0);
    }
    if (!list_is_linked(&memory->in_changed))
        list_push_back(&changed_memories, &memory->in_changed);
}

/* In no period to come: whoever counted there would forget the present one. */
static struct allowance_moment moment_of_late(int64_t now_ms, int64_t wall_ms)
{
    struct allowance_moment now = allowance_moment(now_ms);
    struct allowance_moment moment = allowance_moment_of_wall(wall_ms);

    for (unsigned i = 0; i < ALLOWANCE_COUNTS; i++)
        moment.number[i] = MIN(moment.number[i], now.number[i]);
    return moment;
}

void allowance_note(struct bytes name, enum allowance_count what, int64_t now_ms, bool is_late,
                    int64_t wall_ms)
{
    bool is_sent = what == ALLOWANCE_SENT_HOUR;

    check(is_sent || what == ALLOWANCE_ACCEPTED_DAY);
    pthread_mutex_lock(&memories_lock);
    struct allowance_moment moment =
        is_late ? moment_of_late(now_ms, wall_ms) : allowance_moment(now_ms);

    note(memory_get(name), what, is_sent ? ALLOWANCE_SENT_MONTH : ALLOWANCE_ACCEPTED_MONTH, &moment,
         is_late);
    pthread_mutex_unlock(&memories_lock);
}

struct visit {
    void (*visit)(void *context, struct bytes name, const uint64_t counts[static ALLOWANCE_COUNTS]);
    void *context;
};

static void visit_memory(void *context, struct map_node *node)
{
    const struct visit *visit = context;

    list_remove(&container_of(node, struct memory, node)->in_changed);
    visit->visit(visit->context, node->key, container_of(node, struct memory, node)->counts);
}

void allowances_visit(bool changed_only,
                      void (*visit)(void *context, struct bytes name,
                                    const uint64_t counts[static ALLOWANCE_COUNTS]),
                      void *context)
{
    struct visit each = {visit, context};
    struct list_node *node;

    pthread_mutex_lock(&memories_lock);
    if (has_memories && !changed_only)
        map_for_each(&memories, visit_memory, &each);
    while (has_memories && (node = list_first(&changed_memories)) != NULL)
        visit_memory(&each, &container_of(node, struct memory, in_changed)->node);
    pthread_mutex_unlock(&memories_lock);
}

static allowance_slot *slot_of(uint32_t tenant)
{
    _Atomic(allowance_slot *) *at = &chunks[tenant / CHUNK % CHUNKS];
    allowance_slot *chunk = atomic_load_explicit(at, memory_order_acquire);

    if (chunk == NULL) {
        allowance_slot *made = calloc(CHUNK, sizeof(*made));

        check(made != NULL);
        if (atomic_compare_exchange_strong(at, &chunk, made))
            chunk = made;
        else
            free(made);
    }
    return &chunk[tenant % CHUNK];
}

/* Under the lock: who makes it first has made it for all. */
static struct allowance *make(uint32_t tenant, struct bytes name, int64_t now_ms)
{
    struct allowance *allowance = aligned_alloc(64, sizeof(*allowance));
    struct memory *memory = memory_get(name);

    check(allowance != NULL);
    memset(allowance, 0, sizeof(*allowance));
    allowance->tenant = tenant;
    recall(allowance, memory, now_ms);
    memory->allowance = allowance;
    return allowance;
}

struct allowance *allowance_get(uint32_t tenant, struct bytes name, int64_t now_ms)
{
    allowance_slot *slot = slot_of(tenant);
    struct allowance *found = atomic_load_explicit(slot, memory_order_acquire);

    if (found != NULL)
        return found;
    pthread_mutex_lock(&memories_lock);
    found = atomic_load(slot);
    if (found == NULL) {
        found = make(tenant, name, now_ms);
        atomic_store_explicit(slot, found, memory_order_release);
    }
    pthread_mutex_unlock(&memories_lock);
    return found;
}

static void free_memory(void *context, struct map_node *node)
{
    (void)context;
    free(container_of(node, struct memory, node));
}

void allowances_forget(void)
{
    for (unsigned i = 0; i < CHUNKS; i++) {
        allowance_slot *chunk = atomic_exchange(&chunks[i], NULL);

        for (unsigned j = 0; chunk != NULL && j < CHUNK; j++)
            free(atomic_load(&chunk[j]));
        free(chunk);
    }
    if (!has_memories)
        return;
    map_for_each(&memories, free_memory, NULL);
    map_free(&memories);
    has_memories = false;
}

uint32_t allowance_used(struct allowance *allowance, const struct allowance_moment *moment,
                        enum allowance_count count)
{
    return (uint32_t)word_in(atomic_load(&allowance->counts[count]), moment->number[count]);
}

/* --- what is let go --------------------------------------------------------------------------- */

static int64_t interval_ns(uint32_t per_second, uint32_t count)
{
    return SECOND_NS * (int64_t)count / (int64_t)per_second;
}

/* The bucket: `next` moves on by what each takes, and never falls behind by more than the
 * credit. */
static bool take_second(struct allowance *allowance, uint32_t per_second, uint32_t count,
                        int64_t now_ms, int64_t *until_ms_out)
{
    int64_t now_ns = now_ms * 1000000, one_ns = interval_ns(per_second, 1);
    int64_t old = atomic_load_explicit(&allowance->next_ns, memory_order_relaxed), from;

    do {
        from = MAX(old, now_ns - CREDIT_NS);
        /* The last of them is the one that must not be early. */
        int64_t last_ns = from + interval_ns(per_second, count) - one_ns;

        if (last_ns > now_ns) {
            *until_ms_out = (last_ns + 999999) / 1000000;
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&allowance->next_ns, &old,
                                                    from + interval_ns(per_second, count),
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

static void give_back_second(struct allowance *allowance, uint32_t per_second, uint32_t count)
{
    if (per_second != 0)
        atomic_fetch_sub_explicit(&allowance->next_ns, interval_ns(per_second, count),
                                  memory_order_relaxed);
}

/* Counted with or without a limit, so that one that is set knows of what came before it. */
static bool take_period(struct allowance *allowance, const struct allowance_limits *limits,
                        enum allowance_limit limit, const struct allowance_moment *moment,
                        uint32_t count)
{
    enum allowance_count which = limits_table[limit].count;

    return count_up(&allowance->counts[which], moment->number[which], count, limits->max[limit]);
}

static void give_back_period(struct allowance *allowance, enum allowance_limit limit,
                             const struct allowance_moment *moment, uint32_t count)
{
    enum allowance_count which = limits_table[limit].count;

    count_down(&allowance->counts[which], moment->number[which], count);
}

enum allowance_limit allowance_take(struct allowance *allowance,
                                    const struct allowance_limits *limits,
                                    const struct allowance_moment *moment, uint32_t count,
                                    int64_t *until_ms_out)
{
    uint32_t per_second = limits->max[ALLOWANCE_PER_SECOND];
    enum allowance_limit limit = ALLOWANCE_PER_HOUR;

    if (!allowances_known()) {
        *until_ms_out = moment->now_ms + UNKNOWN_MS;
        return ALLOWANCE_PER_SECOND;
    }
    if (per_second != 0 && !take_second(allowance, per_second, count, moment->now_ms, until_ms_out))
        return ALLOWANCE_PER_SECOND;
    while (limit <= ALLOWANCE_PER_MONTH && take_period(allowance, limits, limit, moment, count))
        limit = (enum allowance_limit)(limit + 1);
    if (limit > ALLOWANCE_PER_MONTH)
        return ALLOWANCE_LIMIT_COUNT;
    for (unsigned taken = ALLOWANCE_PER_HOUR; taken < limit; taken++)
        give_back_period(allowance, (enum allowance_limit)taken, moment, count);
    give_back_second(allowance, per_second, count);
    *until_ms_out = allowance_period_end_ms(moment, limits_table[limit].count);
    return limit;
}

/* --- admission -------------------------------------------------------------------------------- */

static uint32_t backlog_of(const struct allowance_limits *limits)
{
    return limits->max[ALLOWANCE_BACKLOG] != 0 ? limits->max[ALLOWANCE_BACKLOG]
                                               : (uint32_t)ALLOWANCE_BACKLOG_DEFAULT;
}

static struct admission refuse(struct allowance *allowance, const struct allowance_limits *limits,
                               const struct allowance_moment *moment, enum admission_kind kind,
                               enum allowance_limit limit)
{
    struct admission refused = {.allowance = allowance,
                                .moment = *moment,
                                .kind = (uint8_t)kind,
                                .limit = (uint8_t)limit};

    refused.max = kind == ADMISSION_BACKLOG ? backlog_of(limits) : limits->max[limit];
    if (kind == ADMISSION_QUOTA)
        refused.until_ms = allowance_period_end_ms(moment, limits_table[limit].count);
    return refused;
}

static enum allowance_limit take_quotas(struct allowance *allowance,
                                        const struct allowance_limits *limits,
                                        const struct allowance_moment *moment, uint32_t count)
{
    if (!take_period(allowance, limits, ALLOWANCE_QUOTA_DAY, moment, count))
        return ALLOWANCE_QUOTA_DAY;
    if (take_period(allowance, limits, ALLOWANCE_QUOTA_MONTH, moment, count))
        return ALLOWANCE_LIMIT_COUNT;
    give_back_period(allowance, ALLOWANCE_QUOTA_DAY, moment, count);
    return ALLOWANCE_QUOTA_MONTH;
}

static void give_back_quotas(struct allowance *allowance, const struct allowance_moment *moment,
                             uint32_t count)
{
    give_back_period(allowance, ALLOWANCE_QUOTA_DAY, moment, count);
    give_back_period(allowance, ALLOWANCE_QUOTA_MONTH, moment, count);
}

static bool has_rate(const struct allowance_limits *limits)
{
    for (unsigned i = ALLOWANCE_PER_SECOND; i <= ALLOWANCE_PER_MONTH; i++)
        if (limits->max[i] != 0)
            return true;
    return false;
}

struct admission admission_foresee(struct allowance *allowance,
                                   const struct allowance_limits *limits, int64_t now_ms)
{
    struct allowance_moment moment = allowance_moment(now_ms);

    for (unsigned i = ALLOWANCE_QUOTA_DAY; i <= ALLOWANCE_QUOTA_MONTH; i++)
        if (limits->max[i] != 0 &&
            allowance_used(allowance, &moment, limits_table[i].count) >= limits->max[i])
            return refuse(allowance, limits, &moment, ADMISSION_QUOTA, (enum allowance_limit)i);
    if (has_rate(limits) && atomic_load(&allowance->waiting) >= backlog_of(limits))
        return refuse(allowance, limits, &moment, ADMISSION_BACKLOG, ALLOWANCE_BACKLOG);
    return (struct admission){0};
}

int64_t allowance_foresee_ms(const struct allowance_limits *limits,
                             const struct allowance_moment *moment, enum allowance_limit limit,
                             uint32_t waiting)
{
    uint32_t max = limits->max[limit];

    if (limit == ALLOWANCE_PER_SECOND)
        return moment->now_ms + (int64_t)waiting * 1000 / max;
    int64_t end_ms = allowance_period_end_ms(moment, limits_table[limit].count);
    static const int64_t lengths_s[] = {HOUR_S, DAY_S, 30 * (int64_t)DAY_S};
    uint32_t more = waiting == 0 ? 0 : (waiting - 1) / max; /* whole periods behind that */

    return end_ms + more * lengths_s[limit - ALLOWANCE_PER_HOUR] * 1000;
}

/* Behind those that wait already. */
static struct admission wait_behind(struct allowance *allowance,
                                    const struct allowance_limits *limits,
                                    const struct allowance_moment *moment,
                                    enum allowance_limit limit, uint32_t count)
{
    uint32_t backlog = backlog_of(limits);
    uint32_t waiting = atomic_load_explicit(&allowance->waiting, memory_order_relaxed);

    do {
        if ((uint64_t)waiting + count > backlog)
            return refuse(allowance, limits, moment, ADMISSION_BACKLOG, limit);
    } while (!atomic_compare_exchange_weak_explicit(&allowance->waiting, &waiting, waiting + count,
                                                    memory_order_relaxed, memory_order_relaxed));
    return (struct admission){
        .allowance = allowance,
        .moment = *moment,
        .kind = ADMISSION_WAITS,
        .limit = (uint8_t)limit,
        .count = count,
        .max = limits->max[limit],
        .until_ms = allowance_foresee_ms(limits, moment, limit, waiting + count),
    };
}

enum allowance_limit allowance_stopper(struct allowance *allowance,
                                       const struct allowance_limits *limits,
                                       const struct allowance_moment *moment)
{
    for (unsigned i = ALLOWANCE_PER_MONTH; i >= ALLOWANCE_PER_HOUR; i--)
        if (limits->max[i] != 0 &&
            allowance_used(allowance, moment, limits_table[i].count) >= limits->max[i])
            return (enum allowance_limit)i;
    if (limits->max[ALLOWANCE_PER_SECOND] != 0)
        return ALLOWANCE_PER_SECOND;
    for (unsigned i = ALLOWANCE_PER_HOUR; i <= ALLOWANCE_PER_MONTH; i++)
        if (limits->max[i] != 0)
            return (enum allowance_limit)i;
    return ALLOWANCE_LIMIT_COUNT;
}

struct admission admission_ask(struct allowance *allowance, const struct allowance_limits *limits,
                               uint32_t count, int64_t now_ms)
{
    struct allowance_moment moment = allowance_moment(now_ms);
    enum allowance_limit limit = take_quotas(allowance, limits, &moment, count);
    int64_t until_ms;

    if (limit != ALLOWANCE_LIMIT_COUNT)
        return refuse(allowance, limits, &moment, ADMISSION_QUOTA, limit);
    /* Who waits already is not overtaken. */
    bool must_wait =
        has_rate(limits) && atomic_load_explicit(&allowance->waiting, memory_order_relaxed) > 0;
    limit = must_wait ? allowance_stopper(allowance, limits, &moment)
                      : allowance_take(allowance, limits, &moment, count, &until_ms);
    if (limit == ALLOWANCE_LIMIT_COUNT)
        return (struct admission){.allowance = allowance,
                                  .moment = moment,
                                  .kind = ADMISSION_LET,
                                  .limit = ALLOWANCE_LIMIT_COUNT,
                                  .count = count,
                                  .max = limits->max[ALLOWANCE_PER_SECOND]};
    struct admission waits = wait_behind(allowance, limits, &moment, limit, count);
    if (waits.kind == ADMISSION_BACKLOG)
        give_back_quotas(allowance, &moment, count);
    return waits;
}

void admission_give_back(struct admission *admission)
{
    struct allowance *allowance = admission->allowance;
    const struct allowance_moment *moment = &admission->moment;

    if (admission->kind == ADMISSION_LET) {
        for (unsigned i = ALLOWANCE_PER_HOUR; i <= ALLOWANCE_PER_MONTH; i++)
            give_back_period(allowance, (enum allowance_limit)i, moment, admission->count);
        give_back_second(allowance, admission->max, admission->count);
    } else if (admission->kind == ADMISSION_WAITS) {
        allowance_wait_over(allowance, admission->count);
    }
    if (admission->kind == ADMISSION_LET || admission->kind == ADMISSION_WAITS)
        give_back_quotas(allowance, moment, admission->count);
    *admission = (struct admission){0};
}

void allowance_wait(struct allowance *allowance, uint32_t count)
{
    atomic_fetch_add_explicit(&allowance->waiting, count, memory_order_relaxed);
}

void allowance_wait_over(struct allowance *allowance, uint32_t count)
{
    uint32_t before = atomic_fetch_sub_explicit(&allowance->waiting, count, memory_order_relaxed);

    check(before >= count);
}
