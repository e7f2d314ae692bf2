/* greylist.c - hashes of who was seen, in sets of a few with a lock for many sets. */
#include "inbound/receive/greylist.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/siphash.h"

enum { WAYS = 4, SETS = GREYLIST_MAX / WAYS, STRIPES = 64, KEY_MAX = 16 + 2 * 320 };

struct entry {
    uint64_t hash; /* 0: free */
    int64_t first_ms, last_ms;
    bool is_known; /* a network, not a triplet */
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

static size_t put_network(const struct address *client, uint8_t out[static 16])
{
    memset(out, 0, 16);
    if (client->any.sa_family == AF_INET)
        memcpy(out + 12, &client->v4.sin_addr, 3);
    else
        memcpy(out, &client->v6.sin6_addr, 8);
    return 16;
}

/* Case does not tell addresses apart here: who changes it is no other sender. */
static size_t put_text(struct bytes text, uint8_t *out)
{
    size_t len = MIN(text.len, (size_t)319);

    for (size_t i = 0; i < len; i++)
        out[i] = byte_lower(text.ptr[i]);
    out[len] = '\0';
    return len + 1;
}

static uint64_t hash_of(const uint8_t *bytes, size_t len)
{
    uint64_t hash = siphash(&key, bytes_range(bytes, len));

    return hash != 0 ? hash : 1;
}

static bool is_old(const struct entry *entry, int64_t now_ms)
{
    int64_t life_s = entry->is_known ? GREYLIST_KNOWN_S : GREYLIST_WAITS_S;

    return now_ms - entry->last_ms > life_s * 1000;
}

/* Locked. NULL: it was not seen. */
static struct entry *find(uint64_t hash, int64_t now_ms)
{
    struct entry *set = entries[hash % SETS];

    for (size_t i = 0; i < WAYS; i++)
        if (set[i].hash == hash && !is_old(&set[i], now_ms))
            return &set[i];
    return NULL;
}

static void make(uint64_t hash, bool is_known, int64_t now_ms)
{
    struct entry *set = entries[hash % SETS];
    struct entry *place = &set[0];

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].hash == 0 || set[i].hash == hash) {
            place = &set[i];
            break;
        }
        if (set[i].last_ms < place->last_ms)
            place = &set[i];
    }
    *place = (struct entry){hash, now_ms, now_ms, is_known};
}

static pthread_mutex_t *lock_of(uint64_t hash)
{
    return &stripes[hash % SETS % STRIPES].lock;
}

static bool touch(uint64_t hash, int64_t now_ms)
{
    pthread_mutex_lock(lock_of(hash));
    struct entry *entry = find(hash, now_ms);
    if (entry != NULL)
        entry->last_ms = now_ms;
    pthread_mutex_unlock(lock_of(hash));
    return entry != NULL;
}

/* Was it here for the first time so long ago? Written down if it was not here at all. */
static bool has_waited(uint64_t hash, int64_t delay_ms, int64_t now_ms)
{
    pthread_mutex_lock(lock_of(hash));
    struct entry *entry = find(hash, now_ms);
    bool has = entry != NULL && now_ms - entry->first_ms >= delay_ms;
    if (entry == NULL)
        make(hash, false, now_ms);
    pthread_mutex_unlock(lock_of(hash));
    return has;
}

bool greylist_passes(const struct address *client, struct bytes sender, struct bytes recipient,
                     int64_t delay_ms, int64_t now_ms)
{
    uint8_t text[KEY_MAX];
    int error = pthread_once(&once, init);
    size_t len = put_network(client, text);
    uint64_t network = hash_of(text, len);

    check(error == 0);
    if (touch(network, now_ms))
        return true;
    len += put_text(sender, text + len);
    len += put_text(recipient, text + len);
    if (!has_waited(hash_of(text, len), delay_ms, now_ms))
        return false;
    pthread_mutex_lock(lock_of(network));
    make(network, true, now_ms);
    pthread_mutex_unlock(lock_of(network));
    return true;
}

void greylist_forget_all(void)
{
    (void)pthread_once(&once, init);
    for (size_t i = 0; i < SETS; i++) {
        pthread_mutex_lock(lock_of(i));
        memset(entries[i], 0, sizeof(entries[i]));
        pthread_mutex_unlock(lock_of(i));
    }
}
