/*
 * key_cache.h - the private keys that an engine signs with, read when they are first needed.
 *
 *   key_cache_take(cache, key, &use)  --> use.entry is settled, or use.settled() is called later
 *   key_cache_key(&use)               --> the key, or NULL: it cannot be had
 *   key_cache_drop(cache, &use)       --> the cache may let go of it
 *
 * Reading one blocks and computes, so that a pool does it (io/blocking.h); an engine has keys of
 * its own, for using one is for one thread at a time. So many are kept as the cache was told; those
 * that nobody has in use go, the one that was used longest ago first. What could not be read is
 * tried again for who asks after KEY_RETRY_MS. A key is known by its row, which never changes: a
 * domain that was removed and added again has other rows.
 *
 * Thread: the engine's.
 */
#pragma once

#include "auth/dkim/private_key.h"
#include "base/list.h"
#include "directory/snapshot.h"
#include "io/blocking.h"

enum { KEY_RETRY_MS = 5000 };

struct key_cache;
struct key_entry;

/* Embedded in who needs a key; {0} before it is taken and after it was dropped. */
struct key_use {
    struct key_entry *entry;
    struct list_node node; /* of those that wait for it */
    void (*settled)(struct key_use *use);
};

/* `state_dir` must live as long as the cache. */
struct key_cache *key_cache_create(struct engine *engine, struct blocking_pool *pool,
                                   const char *state_dir, unsigned keys_max);
void key_cache_configure(struct key_cache *cache, unsigned keys_max);
/* Nothing is in use. Keys that are being read are waited for: stopped() is called once none is,
 * before this returns or later. Nothing may be asked for afterwards. */
void key_cache_stop(struct key_cache *cache, void (*stopped)(void *context), void *context);
void key_cache_free(struct key_cache **cache); /* stopped, or nothing was ever asked for */

/* True: it is settled already. Else settled() is called later, once, unless it is dropped. */
must_use bool key_cache_take(struct key_cache *cache, const struct directory_key *key,
                             struct key_use *use);
void key_cache_drop(struct key_cache *cache, struct key_use *use); /* also one that was not taken */
/* Of what is settled. */
struct dkim_key *key_cache_key(const struct key_use *use);
const char *key_cache_why(const struct key_use *use); /* why there is none, a static string */
