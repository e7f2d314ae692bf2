/* admission.c - counts of sessions: one of all, and those a client address in stripes. */
#include "serve/admission.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

enum { STRIPES = 64 };

struct client {
    struct map_node node;
    struct admission_key key;
    unsigned count; /* never 0 while it is in the map */
};

struct stripe {
    _Alignas(64) pthread_mutex_t lock; /* of clients */
    struct map clients;
};

static _Atomic unsigned total;
static struct stripe stripes[STRIPES];
static pthread_once_t stripes_once = PTHREAD_ONCE_INIT;

static void stripes_init(void)
{
    for (size_t i = 0; i < STRIPES; i++) {
        pthread_mutex_init(&stripes[i].lock, NULL);
        map_init(&stripes[i].clients);
    }
}

static struct bytes key_bytes(const struct admission_key *key)
{
    return (struct bytes){key->bytes, sizeof(key->bytes)};
}

/* Locked; to be unlocked by the caller. */
static struct stripe *lock_stripe(const struct admission_key *key)
{
    int error = pthread_once(&stripes_once, stripes_init);
    struct stripe *stripe = &stripes[bytes_hash(key_bytes(key)) % STRIPES];

    check(error == 0);
    pthread_mutex_lock(&stripe->lock);
    return stripe;
}

static struct client *find(struct stripe *stripe, const struct admission_key *key)
{
    struct map_node *node = map_find(&stripe->clients, key_bytes(key));

    return node != NULL ? container_of(node, struct client, node) : NULL;
}

struct admission_key admission_key_of(const struct address *client)
{
    struct admission_key key = {{0}};

    if (client->any.sa_family == AF_INET) {
        key.bytes[10] = 0xff;
        key.bytes[11] = 0xff;
        memcpy(key.bytes + 12, &client->v4.sin_addr, 4);
    } else if (client->any.sa_family == AF_INET6) {
        bool is_mapped = IN6_IS_ADDR_V4MAPPED(&client->v6.sin6_addr);
        memcpy(key.bytes, &client->v6.sin6_addr, is_mapped ? 16 : 8);
    }
    return key;
}

struct admission_key admission_network_of(const struct address *client)
{
    struct admission_key key = admission_key_of(client);
    bool is_v4 = key.bytes[10] == 0xff && key.bytes[11] == 0xff;

    /* No client's key has a mark there: of IPv6 eight octets are kept, of IPv4 the first ten are
     * zero. */
    memset(key.bytes + (is_v4 ? 15 : 6), 0, is_v4 ? 1 : 10);
    key.bytes[is_v4 ? 0 : 15] = 1;
    return key;
}

bool admission_enter(const struct admission_key *key, unsigned max)
{
    struct stripe *stripe = lock_stripe(key);
    struct client *client = find(stripe, key);
    bool enters = client == NULL || max == 0 || client->count < max;

    if (enters && client == NULL) {
        client = calloc(1, sizeof(*client));
        check(client != NULL);
        client->key = *key;
        map_insert(&stripe->clients, &client->node, key_bytes(&client->key));
    }
    if (enters)
        client->count++;
    pthread_mutex_unlock(&stripe->lock);
    return enters;
}

void admission_leave(const struct admission_key *key)
{
    struct stripe *stripe = lock_stripe(key);
    struct client *client = find(stripe, key);

    check(client != NULL);
    check(client->count > 0);
    if (--client->count == 0) {
        map_remove(&stripe->clients, &client->node);
        free(client);
    }
    pthread_mutex_unlock(&stripe->lock);
}

unsigned admission_count(const struct admission_key *key)
{
    struct stripe *stripe = lock_stripe(key);
    const struct client *client = find(stripe, key);
    unsigned count = client != NULL ? client->count : 0;

    pthread_mutex_unlock(&stripe->lock);
    return count;
}

bool admission_enter_total(unsigned max)
{
    unsigned before = atomic_load(&total);

    do
        if (max != 0 && before >= max)
            return false;
    while (!atomic_compare_exchange_weak(&total, &before, before + 1));
    return true;
}

void admission_leave_total(void)
{
    unsigned before = atomic_fetch_sub(&total, 1);

    check(before > 0);
}

unsigned admission_total(void)
{
    return atomic_load(&total);
}
