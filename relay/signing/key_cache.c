/* key_cache.c - entries by the row of their key; idle ones in the order of their last use. */
#include "signing/key_cache.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/map.h"
#include "base/metric.h"
#include "signing/key_file.h"

enum { PATH_SIZE = 4096 };

struct key_entry {
    struct map_node node;
    uint32_t id; /* the map's key */
    bool is_loading;
    unsigned uses;
    struct dkim_key *key;
    const char *why;       /* key NULL: it could not be read */
    int64_t failed_ms;     /* monotonic; 0: at no time that is to be waited for */
    struct list waiting;   /* key_use.node */
    struct list_node idle; /* linked while nobody uses it and it is not being read */
};

struct key_cache {
    struct engine *engine;
    struct blocking_pool *pool;
    const char *state_dir;
    unsigned keys_max;
    struct map entries;
    struct list idle; /* the one that was used longest ago first */
    unsigned loading;
    void (*stopped)(void *context);
    void *stopped_context;
};

/* One key that is read; it has all it needs, for the cache's own is the engine's. */
struct key_load {
    struct chore chore;
    struct key_cache *cache;
    uint32_t id;
    uint64_t public_hash;
    struct dkim_key_file file;
    char path[PATH_SIZE];
};

struct key_cache *key_cache_create(struct engine *engine, struct blocking_pool *pool,
                                   const char *state_dir, unsigned keys_max)
{
    struct key_cache *cache = calloc(1, sizeof(*cache));

    check(cache != NULL);
    cache->engine = engine;
    cache->pool = pool;
    cache->state_dir = state_dir;
    cache->keys_max = keys_max;
    map_init(&cache->entries);
    list_init(&cache->idle);
    return cache;
}

/* --- entries ---------------------------------------------------------------------------------- */

static struct key_entry *find(struct key_cache *cache, uint32_t id)
{
    struct map_node *node = map_find(&cache->entries, bytes_range(&id, sizeof(id)));

    return node == NULL ? NULL : container_of(node, struct key_entry, node);
}

static void free_entry(struct key_cache *cache, struct key_entry *entry)
{
    check(entry->uses == 0 && !entry->is_loading);
    list_remove(&entry->idle);
    map_remove(&cache->entries, &entry->node);
    if (entry->key != NULL)
        metric_dec(METRIC_DKIM_KEYS);
    dkim_key_free(&entry->key);
    free(entry);
}

static void make_room(struct key_cache *cache, unsigned keys_max)
{
    struct list_node *oldest;

    while (cache->entries.count > keys_max && (oldest = list_first(&cache->idle)) != NULL)
        free_entry(cache, container_of(oldest, struct key_entry, idle));
}

static struct key_entry *add(struct key_cache *cache, uint32_t id)
{
    struct key_entry *entry = calloc(1, sizeof(*entry));

    check(entry != NULL);
    entry->id = id;
    list_init(&entry->waiting);
    list_node_init(&entry->idle);
    make_room(cache, cache->keys_max - 1);
    map_insert(&cache->entries, &entry->node, bytes_range(&entry->id, sizeof(entry->id)));
    return entry;
}

static void rest(struct key_cache *cache, struct key_entry *entry)
{
    if (entry->uses > 0 || entry->is_loading)
        return;
    list_push_back(&cache->idle, &entry->idle);
    make_room(cache, cache->keys_max);
}

void key_cache_configure(struct key_cache *cache, unsigned keys_max)
{
    cache->keys_max = keys_max;
    make_room(cache, keys_max);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* A file that came from elsewhere, a backup of another day: what it signs nobody could verify. */
static bool is_of_record(const struct dkim_key *key, uint64_t public_hash)
{
    struct buf text;

    buf_init(&text, DKIM_PEM_MAX);
    bool is_same = dkim_key_public(key, &text) && bytes_hash(buf_bytes(&text)) == public_hash;
    buf_free(&text);
    return is_same;
}

/* On a thread of the pool. */
static void work(struct chore *chore)
{
    struct key_load *load = container_of(chore, struct key_load, chore);

    dkim_key_file_read(load->path, &load->file);
    if (load->file.key != NULL && !is_of_record(load->file.key, load->public_hash)) {
        dkim_key_free(&load->file.key);
        load->file.why = "it is not the key that its record in DNS is made of";
    }
}

static void tell(const struct key_load *load)
{
    if (load->file.key == NULL)
        log_limited(LOG_LEVEL_ERROR,
                    "key=%s why=%s what=\"mail of its domain waits: it is not "
                    "sent without a signature\"",
                    LOG_STRING(load->path), LOG_STRING(load->file.why));
    else if (load->file.is_open)
        log_limited(LOG_LEVEL_WARN,
                    "key=%s what=\"others than its owner may read it; chmod 600 "
                    "ends that\"",
                    LOG_STRING(load->path));
}

static void settle(struct key_cache *cache, struct key_entry *entry)
{
    struct list waiting;
    struct list_node *node;

    list_init(&waiting);
    list_splice(&waiting, &entry->waiting);
    entry->uses++; /* who is told may drop it */
    while ((node = list_pop_front(&waiting)) != NULL) {
        struct key_use *use = container_of(node, struct key_use, node);

        use->settled(use);
    }
    entry->uses--;
    rest(cache, entry);
}

static void open_load(struct letter *letter, struct engine *engine)
{
    struct key_load *load = container_of(letter, struct key_load, chore.letter);
    struct key_cache *cache = load->cache;
    struct key_entry *entry = find(cache, load->id);

    check(entry != NULL && entry->is_loading);
    tell(load);
    metric_inc(load->file.key != NULL ? METRIC_DKIM_KEYS_READ : METRIC_DKIM_KEYS_UNREADABLE);
    entry->is_loading = false;
    entry->key = load->file.key;
    entry->why = load->file.why;
    entry->failed_ms = engine_now_ms(engine);
    if (entry->key != NULL)
        metric_inc(METRIC_DKIM_KEYS);
    free(load);
    cache->loading--;
    settle(cache, entry);
    if (cache->loading == 0 && cache->stopped != NULL)
        cache->stopped(cache->stopped_context);
}

/* False: it cannot be asked for, and the entry says why. */
static bool begin_load(struct key_cache *cache, struct key_entry *entry,
                       const struct directory_key *key)
{
    struct key_load *load = malloc(sizeof(*load));

    check(load != NULL);
    load->cache = cache;
    load->id = key->id;
    load->public_hash = key->public_hash;
    load->chore = (struct chore){.letter.open = open_load, .engine = cache->engine, .work = work};
    int len = snprintf(load->path, sizeof(load->path), "%s/keys/%.*s", cache->state_dir,
                       BYTES_ARG(key->file));
    entry->why =
        len < (int)sizeof(load->path) ? "too many keys are being read" : "its path is too long";
    entry->failed_ms = 0;
    if (len >= (int)sizeof(load->path) || !blocking_run(cache->pool, &load->chore)) {
        log_limited(LOG_LEVEL_WARN, "key=%s why=%s what=\"mail of its domain waits\"",
                    LOG_TEXT(key->file), LOG_STRING(entry->why));
        free(load);
        return false;
    }
    entry->is_loading = true;
    cache->loading++;
    return true;
}

/* --- uses ------------------------------------------------------------------------------------- */

static bool is_to_be_read(const struct key_cache *cache, const struct key_entry *entry)
{
    if (entry->key != NULL || entry->is_loading || entry->uses > 0)
        return false; /* what others wait with is not changed under them */
    return entry->failed_ms == 0 || engine_now_ms(cache->engine) >= entry->failed_ms + KEY_RETRY_MS;
}

bool key_cache_take(struct key_cache *cache, const struct directory_key *key, struct key_use *use)
{
    struct key_entry *entry = find(cache, key->id);

    check(use->entry == NULL && cache->stopped == NULL);
    if (entry == NULL)
        entry = add(cache, key->id);
    if (is_to_be_read(cache, entry))
        (void)begin_load(cache, entry, key);
    list_remove(&entry->idle);
    entry->uses++;
    use->entry = entry;
    list_node_init(&use->node);
    if (entry->is_loading)
        list_push_back(&entry->waiting, &use->node);
    return !entry->is_loading;
}

void key_cache_drop(struct key_cache *cache, struct key_use *use)
{
    struct key_entry *entry = use->entry;

    if (entry == NULL)
        return;
    use->entry = NULL;
    list_remove(&use->node);
    check(entry->uses > 0);
    entry->uses--;
    rest(cache, entry);
}

struct dkim_key *key_cache_key(const struct key_use *use)
{
    check(!use->entry->is_loading);
    return use->entry->key;
}

const char *key_cache_why(const struct key_use *use)
{
    check(!use->entry->is_loading);
    return use->entry->why;
}

/* --- the end ---------------------------------------------------------------------------------- */

void key_cache_stop(struct key_cache *cache, void (*stopped)(void *context), void *context)
{
    cache->stopped = stopped;
    cache->stopped_context = context;
    if (cache->loading == 0)
        stopped(context);
}

static void drop(void *context, struct map_node *node)
{
    free_entry(context, container_of(node, struct key_entry, node));
}

void key_cache_free(struct key_cache **cache)
{
    struct key_cache *freed = *cache;

    *cache = NULL;
    check(freed->loading == 0);
    map_for_each(&freed->entries, drop, freed);
    map_free(&freed->entries);
    free(freed);
}
