/* login_guard.c - failed logins by network, in sets of a few with a lock for many sets. */
#include "serve/login_guard.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/siphash.h"

enum {
    SETS = 4096,
    WAYS = 4,
    STRIPES = 64,
    DELAY_MS_FIRST = 250,
    USER_MAX = 512,   /* of a name: an address has no more */
    USER_MARK = 0xff, /* no /64 of IPv6 ends like this, nor an IPv4 address */
    DOUBLINGS = 5,    /* up to LOGIN_GUARD_DELAY_MS_MAX */
};

_Static_assert(DELAY_MS_FIRST << DOUBLINGS == LOGIN_GUARD_DELAY_MS_MAX, "as the header says");

struct entry {
    uint64_t network; /* its hash; 0: free */
    int64_t last_ms;
    int64_t blocked_until_ms; /* 0: it is not */
    unsigned failures;
};

static struct entry entries[SETS][WAYS];
static struct {
    _Alignas(64) pthread_mutex_t lock;
} stripes[STRIPES];
static struct siphash_key key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init(void)
{
    ssize_t got = getrandom(&key, sizeof(key), 0);

    check(got == (ssize_t)sizeof(key));
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_init(&stripes[i].lock, NULL);
}

static uint64_t hash_of(const struct admission_key *network)
{
    int error = pthread_once(&once, init);
    uint64_t hash = siphash(&key, bytes_range(network->bytes, sizeof(network->bytes)));

    check(error == 0);
    return hash != 0 ? hash : 1;
}

struct admission_key login_guard_user(const struct admission_key *network, struct bytes user)
{
    uint8_t text[sizeof(network->bytes) + USER_MAX];
    struct admission_key made = {0};
    size_t len = MIN(user.len, (size_t)USER_MAX);

    memcpy(text, network->bytes, sizeof(network->bytes));
    for (size_t i = 0; i < len; i++)
        text[sizeof(network->bytes) + i] = byte_lower(user.ptr[i]);
    int error = pthread_once(&once, init);
    uint64_t hash = siphash(&key, bytes_range(text, sizeof(network->bytes) + len));

    check(error == 0);
    memcpy(made.bytes, &hash, sizeof(hash));
    memset(made.bytes + sizeof(hash), USER_MARK, sizeof(made.bytes) - sizeof(hash));
    return made;
}

static pthread_mutex_t *lock_of(uint64_t hash)
{
    return &stripes[hash % SETS % STRIPES].lock;
}

static bool is_blocked(const struct entry *entry, int64_t now_ms)
{
    return entry->blocked_until_ms > now_ms;
}

/* NULL: nothing is remembered of it. */
static struct entry *find(uint64_t hash, int64_t now_ms)
{
    struct entry *set = entries[hash % SETS];

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].network != hash)
            continue;
        if (is_blocked(&set[i], now_ms) || now_ms - set[i].last_ms < LOGIN_GUARD_FORGET_MS)
            return &set[i];
        set[i] = (struct entry){0};
    }
    return NULL;
}

static struct entry *make(uint64_t hash, int64_t now_ms)
{
    struct entry *set = entries[hash % SETS];
    struct entry *worst = &set[0];

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].network == 0) {
            worst = &set[i];
            break;
        }
        bool is_blocked_more = is_blocked(worst, now_ms) && !is_blocked(&set[i], now_ms);
        bool is_as_blocked = is_blocked(worst, now_ms) == is_blocked(&set[i], now_ms);
        if (is_blocked_more || (is_as_blocked && set[i].last_ms < worst->last_ms))
            worst = &set[i];
    }
    *worst = (struct entry){.network = hash};
    return worst;
}

bool login_guard_blocks(const struct admission_key *network, int64_t now_ms)
{
    uint64_t hash = hash_of(network);

    pthread_mutex_lock(lock_of(hash));
    const struct entry *entry = find(hash, now_ms);
    bool blocks = entry != NULL && is_blocked(entry, now_ms);
    pthread_mutex_unlock(lock_of(hash));
    return blocks;
}

int64_t login_guard_failed(const struct admission_key *network, const struct login_guard_rule *rule,
                           int64_t now_ms, bool *begins_block_out)
{
    uint64_t hash = hash_of(network);

    pthread_mutex_lock(lock_of(hash));
    struct entry *entry = find(hash, now_ms);
    if (entry == NULL)
        entry = make(hash, now_ms);
    entry->last_ms = now_ms;
    if (entry->failures < UINT16_MAX)
        entry->failures++;
    unsigned doublings = MIN(entry->failures - 1, (unsigned)DOUBLINGS);
    bool was_blocked = is_blocked(entry, now_ms);
    bool is_too_many = rule->failures_max != 0 && entry->failures >= rule->failures_max;
    if (is_too_many && !was_blocked) {
        entry->blocked_until_ms = now_ms + rule->block_ms;
        entry->failures = 0; /* afterwards it has as many again */
    }
    *begins_block_out = is_too_many && !was_blocked;
    pthread_mutex_unlock(lock_of(hash));
    return DELAY_MS_FIRST << doublings;
}

void login_guard_passed(const struct admission_key *network, int64_t now_ms)
{
    uint64_t hash = hash_of(network);

    pthread_mutex_lock(lock_of(hash));
    struct entry *entry = find(hash, now_ms);
    if (entry != NULL)
        entry->failures /= 2;
    pthread_mutex_unlock(lock_of(hash));
}

void login_guard_forget_all(void)
{
    for (size_t i = 0; i < SETS; i++) {
        pthread_mutex_t *lock = lock_of(i);

        (void)pthread_once(&once, init);
        pthread_mutex_lock(lock);
        memset(entries[i], 0, sizeof(entries[i]));
        pthread_mutex_unlock(lock);
    }
}
