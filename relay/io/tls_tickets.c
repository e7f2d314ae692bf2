/* tls_tickets.c - one key that seals, one that still opens. */
#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "io/tls_private.h"

enum { NAME_SIZE = 16, SECRET_SIZE = 32, OPENS = 1, OPENS_AND_IS_OLD = 2, OPENS_NOT = 0 };

struct ticket_key {
    uint8_t name[NAME_SIZE], cipher[SECRET_SIZE], mac[SECRET_SIZE];
    bool is_set;
};

struct tls_tickets {
    pthread_mutex_t lock;
    int64_t (*now_ms)(void);
    int64_t since_ms; /* the key that seals */
    struct ticket_key sealing, opening;
};

struct tls_tickets *tls_tickets_create(int64_t (*now_ms)(void))
{
    struct tls_tickets *tickets = calloc(1, sizeof(*tickets));

    check(tickets != NULL);
    tickets->now_ms = now_ms;
    pthread_mutex_init(&tickets->lock, NULL);
    return tickets;
}

void tls_tickets_free(struct tls_tickets **tickets)
{
    struct tls_tickets *freed = *tickets;

    *tickets = NULL;
    if (freed == NULL)
        return;
    pthread_mutex_destroy(&freed->lock);
    OPENSSL_cleanse(freed, sizeof(*freed));
    free(freed);
}

/* False: no randomness. */
static bool make_key(struct ticket_key *key)
{
    key->is_set = RAND_bytes(key->name, sizeof(key->name)) == 1 &&
                  RAND_priv_bytes(key->cipher, sizeof(key->cipher)) == 1 &&
                  RAND_priv_bytes(key->mac, sizeof(key->mac)) == 1;
    return key->is_set;
}

/* Under the lock. */
static void rotate(struct tls_tickets *tickets)
{
    int64_t age_ms = tickets->now_ms() - tickets->since_ms;

    if (tickets->sealing.is_set && age_ms < TLS_TICKETS_LIFE_MS)
        return;
    /* Nobody came for so long that the one before is over, too. */
    if (age_ms >= 2 * (int64_t)TLS_TICKETS_LIFE_MS)
        OPENSSL_cleanse(&tickets->sealing, sizeof(tickets->sealing));
    tickets->opening = tickets->sealing;
    tickets->since_ms += age_ms;
    if (!make_key(&tickets->sealing))
        OPENSSL_cleanse(&tickets->sealing, sizeof(tickets->sealing));
}

/* The key for it, as a copy: `name` is filled in where it is to seal. */
static int find(struct tls_tickets *tickets, unsigned char *name, bool is_sealing,
                struct ticket_key *key_out)
{
    int found = OPENS_NOT;

    pthread_mutex_lock(&tickets->lock);
    rotate(tickets);
    if (is_sealing && tickets->sealing.is_set) {
        *key_out = tickets->sealing;
        memcpy(name, key_out->name, NAME_SIZE);
        found = OPENS;
    } else if (!is_sealing && tickets->sealing.is_set &&
               memcmp(name, tickets->sealing.name, NAME_SIZE) == 0) {
        *key_out = tickets->sealing;
        found = OPENS;
    } else if (!is_sealing && tickets->opening.is_set &&
               memcmp(name, tickets->opening.name, NAME_SIZE) == 0) {
        *key_out = tickets->opening;
        found = OPENS_AND_IS_OLD;
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

static bool prepare(const struct ticket_key *key, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac, bool is_sealing)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac,
                                          SECRET_SIZE),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"sha256"}, 0),
        OSSL_PARAM_construct_end(),
    };

    if (is_sealing && RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
        return false;
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, is_sealing) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

int tls_tickets_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac, int is_sealing)
{
    const struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct ticket_key key;
    int found = find(context->tickets, name, is_sealing != 0, &key);

    if (found == OPENS_NOT)
        return is_sealing ? -1 : OPENS_NOT; /* of an unknown key: a whole handshake */
    bool is_ready = prepare(&key, iv, cipher, mac, is_sealing != 0);
    OPENSSL_cleanse(&key, sizeof(key));
    return is_ready ? found : -1;
}
