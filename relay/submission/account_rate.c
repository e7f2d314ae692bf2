/* account_rate.c - two counts of an account, this hour's and the one before, in sets of a few. */
#include "submission/account_rate.h"

#include <pthread.h>
#include <string.h>

enum { WAYS = 8, SETS = ACCOUNT_RATES_MAX / WAYS, STRIPES = 64 };

static const int64_t HOUR_MS = 3600 * 1000;

struct count {
    uint32_t messages, recipients;
};

struct entry {
    uint32_t account; /* 0: free */
    int64_t began_ms; /* of this hour */
    int64_t last_ms;
    struct count now, before;
};

static struct entry entries[SETS][WAYS];
static struct {
    _Alignas(64) pthread_mutex_t lock;
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

/* Moves the hours on. */
static void pass(struct entry *entry, int64_t now_ms)
{
    int64_t hours = (now_ms - entry->began_ms) / HOUR_MS;

    if (hours <= 0)
        return;
    entry->before = hours == 1 ? entry->now : (struct count){0};
    entry->now = (struct count){0};
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
    uint64_t messages = used(entry, entry->now.messages, entry->before.messages, now_ms);
    uint64_t sent = used(entry, entry->now.recipients, entry->before.recipients, now_ms);

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
        entry->now.messages++;
        entry->now.recipients += recipients;
        entry->last_ms = now_ms;
    }
    pthread_mutex_unlock(lock);
    return result;
}

void account_rates_clear(void)
{
    memset(entries, 0, sizeof(entries));
}
