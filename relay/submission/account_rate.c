/* account_rate.c - two counts of an account, this hour's and the one before, in sets of a few. */
#include "submission/account_rate.h"

#include <pthread.h>
#include <string.h>

enum { WAYS = 8, SETS = ACCOUNT_RATES_MAX / WAYS, STRIPES = 64 };

static const int64_t HOUR_MS = 3600 * 1000;

struct count {
    uint32_t messages, recipients;
};

/* Of this hour, and of the one before. */
struct hours {
    struct count now, before;
};

struct entry {
    uint32_t account; /* 0: free */
    bool is_changed;  /* noted, and not visited since */
    int64_t began_ms; /* of this hour */
    int64_t last_ms;
    struct hours counted, noted;
};

static struct entry entries[SETS][WAYS];
static struct {
    _Alignas(64) pthread_mutex_t lock;
    bool is_changed; /* an entry of its sets */
} stripes[STRIPES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init(void)
{
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_init(&stripes[i].lock, NULL);
}

static size_t set_of(uint32_t account)
{
    return bytes_hash(bytes_range(&account, sizeof(account))) % SETS;
}

static void move_on(struct hours *hours, int64_t count)
{
    hours->before = count == 1 ? hours->now : (struct count){0};
    hours->now = (struct count){0};
}

/* Moves the hours on. */
static void pass(struct entry *entry, int64_t now_ms)
{
    int64_t hours = (now_ms - entry->began_ms) / HOUR_MS;

    if (hours <= 0)
        return;
    move_on(&entry->counted, hours);
    move_on(&entry->noted, hours);
    entry->began_ms += hours * HOUR_MS;
}

/* Locked. */
static struct entry *need(uint32_t account, int64_t now_ms)
{
    struct entry *set = entries[set_of(account)];
    struct entry *place = &set[0];

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].account == account) {
            pass(&set[i], now_ms);
            return &set[i];
        }
        if (place->account != 0 && (set[i].account == 0 || set[i].last_ms < place->last_ms))
            place = &set[i];
    }
    *place = (struct entry){.account = account, .began_ms = now_ms, .last_ms = now_ms};
    return place;
}

/* In the hour that ends now. */
static uint64_t used(const struct entry *entry, uint32_t now, uint32_t before, int64_t now_ms)
{
    int64_t left_ms = HOUR_MS - (now_ms - entry->began_ms);

    return now + (uint64_t)before * (uint64_t)left_ms / (uint64_t)HOUR_MS;
}

static enum account_rate_result judge(const struct entry *entry, const struct account_rate *rate,
                                      uint32_t recipients, int64_t now_ms)
{
    const struct hours *h = &entry->counted;
    uint64_t messages = used(entry, h->now.messages, h->before.messages, now_ms);
    uint64_t sent = used(entry, h->now.recipients, h->before.recipients, now_ms);

    if (rate->messages_max != 0 && messages + 1 > rate->messages_max)
        return ACCOUNT_RATE_MESSAGES;
    if (rate->recipients_max != 0 && sent > 0 && sent + recipients > rate->recipients_max)
        return ACCOUNT_RATE_RECIPIENTS;
    return ACCOUNT_RATE_OK;
}

static pthread_mutex_t *lock_of(uint32_t account)
{
    pthread_once(&once, init);
    return &stripes[set_of(account) % STRIPES].lock;
}

enum account_rate_result account_rate_take(uint32_t account, const struct account_rate *rate,
                                           uint32_t recipients, int64_t now_ms)
{
    pthread_mutex_t *lock = lock_of(account);

    check(account != 0);
    if (rate->messages_max == 0 && rate->recipients_max == 0)
        return ACCOUNT_RATE_OK;
    pthread_mutex_lock(lock);
    struct entry *entry = need(account, now_ms);
    enum account_rate_result result = judge(entry, rate, recipients, now_ms);

    if (result == ACCOUNT_RATE_OK) {
        entry->counted.now.messages++;
        entry->counted.now.recipients += recipients;
        entry->last_ms = now_ms;
    }
    pthread_mutex_unlock(lock);
    return result;
}

/* --- what is kept ----------------------------------------------------------------------------- */

static void add(struct hours *hours, bool is_before, uint32_t messages, uint32_t recipients)
{
    struct count *count = is_before ? &hours->before : &hours->now;

    count->messages += messages;
    count->recipients += recipients;
}

void account_rate_note(uint32_t account, uint32_t messages, uint32_t recipients, bool is_late,
                       int64_t at_ms, int64_t now_ms)
{
    pthread_mutex_t *lock = lock_of(account);

    check(account != 0);
    if (now_ms - at_ms >= 2 * HOUR_MS)
        return;
    pthread_mutex_lock(lock);
    struct entry *entry = need(account, at_ms);

    pass(entry, now_ms);
    if (at_ms >= entry->began_ms - HOUR_MS) {
        bool is_before = at_ms < entry->began_ms;

        add(&entry->noted, is_before, messages, recipients);
        if (is_late)
            add(&entry->counted, is_before, messages, recipients);
        entry->last_ms = MAX(entry->last_ms, at_ms);
        entry->is_changed = stripes[set_of(account) % STRIPES].is_changed = true;
    }
    pthread_mutex_unlock(lock);
}

void account_rate_remember(const struct account_rate_noted *noted, int64_t now_ms)
{
    pthread_mutex_t *lock = lock_of(noted->account);
    int64_t began_ms = MIN(noted->began_ms, now_ms);

    if (noted->account == 0 || now_ms - began_ms >= 2 * HOUR_MS)
        return;
    pthread_mutex_lock(lock);
    struct entry *entry = need(noted->account, began_ms);

    entry->began_ms = entry->last_ms = began_ms;
    entry->noted = (struct hours){.now = {noted->messages, noted->recipients},
                                  .before = {noted->messages_before, noted->recipients_before}};
    entry->counted = entry->noted;
    pthread_mutex_unlock(lock);
}

static struct account_rate_noted noted_of(const struct entry *entry)
{
    const struct hours *noted = &entry->noted;

    return (struct account_rate_noted){
        .account = entry->account,
        .began_ms = entry->began_ms,
        .messages = noted->now.messages,
        .recipients = noted->now.recipients,
        .messages_before = noted->before.messages,
        .recipients_before = noted->before.recipients,
    };
}

/* What a set has noted; how many they are. */
static size_t copy_set(size_t set, bool changed_only, int64_t now_ms,
                       struct account_rate_noted out[static WAYS])
{
    pthread_mutex_t *lock = &stripes[set % STRIPES].lock;
    size_t count = 0;

    pthread_mutex_lock(lock);
    for (size_t i = 0; i < WAYS; i++) {
        struct entry *entry = &entries[set][i];

        if (entry->account == 0 || (changed_only && !entry->is_changed))
            continue;
        pass(entry, now_ms);
        entry->is_changed = false;
        out[count] = noted_of(entry);
        count += out[count].recipients > 0 || out[count].recipients_before > 0;
    }
    pthread_mutex_unlock(lock);
    return count;
}

static bool take_changed(size_t stripe)
{
    pthread_mutex_lock(&stripes[stripe].lock);
    bool is_changed = stripes[stripe].is_changed;
    stripes[stripe].is_changed = false;
    pthread_mutex_unlock(&stripes[stripe].lock);
    return is_changed;
}

/* No lock is held while one is visited: it may be written to a disk. */
void account_rates_visit(bool changed_only, int64_t now_ms,
                         void (*visit)(void *context, const struct account_rate_noted *noted),
                         void *context)
{
    struct account_rate_noted noted[WAYS];

    pthread_once(&once, init);
    for (size_t stripe = 0; stripe < STRIPES; stripe++) {
        if (!take_changed(stripe) && changed_only)
            continue;
        for (size_t set = stripe; set < SETS; set += STRIPES)
            for (size_t i = 0, count = copy_set(set, changed_only, now_ms, noted); i < count; i++)
                visit(context, &noted[i]);
    }
}

void account_rates_clear(void)
{
    memset(entries, 0, sizeof(entries));
}
