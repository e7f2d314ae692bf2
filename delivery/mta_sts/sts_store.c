/* sts_store.c - what is known of domains, the least lately used first. */
#include "delivery/mta_sts/sts_store.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metric.h"
#include "delivery/mta_sts/sts_file.h"
#include "delivery/mta_sts/sts_private.h"

enum { THREADS = 8, WAITING_MAX = 1024, LOOKS_MAX = 200 /* a second and engine */ };

struct entry {
    struct map_node node;
    struct list_node used;  /* the store's, least lately first */
    struct list_node aging; /* the store's, the next to be looked at for its age */
    int64_t used_ms;        /* mail went there; monotonic */
    int64_t asked_ms;       /* sts_store_next_old() named it; monotonic, 0: never */
    struct sts_policy *policy;
    enum sts_problem problem;
    int64_t retry_ms;
    char id[MTA_STS_ID_MAX + 1];
    char why[STS_WHY_MAX];
    size_t domain_len;
    char domain[];
};

struct sts_store {
    pthread_mutex_t lock;
    struct map entries;
    struct list used, aging;
    size_t bytes;
    struct sts_file *file; /* NULL: none is written */
    struct blocking_pool *pool;
    struct list requests;
    char *authorities;
    _Atomic bool is_stopping;
};

const char *sts_problem_name(enum sts_problem problem)
{
    static const char *const names[] = {
        [STS_FINE] = "none",
        [STS_FETCH_FAILED] = STS_FETCH_FAILED_NAME,
        [STS_POLICY_INVALID] = STS_POLICY_INVALID_NAME,
        [STS_WEBPKI_INVALID] = STS_WEBPKI_INVALID_NAME,
    };

    return names[problem];
}

/* --- entries: under the lock ------------------------------------------------------------------ */

static size_t entry_bytes(const struct entry *entry)
{
    return sizeof(*entry) + entry->domain_len +
           (entry->policy != NULL ? sizeof(*entry->policy) + entry->policy->policy.text.len : 0);
}

static void entry_drop(struct sts_store *store, struct entry *entry)
{
    store->bytes -= entry_bytes(entry);
    if (entry->policy != NULL)
        metric_dec(METRIC_STS_POLICIES);
    map_remove(&store->entries, &entry->node);
    list_remove(&entry->used);
    list_remove(&entry->aging);
    sts_policy_release(&entry->policy);
    free(entry);
}

static struct entry *entry_find(struct sts_store *store, struct bytes domain)
{
    struct map_node *node = map_find(&store->entries, domain);

    return node == NULL ? NULL : container_of(node, struct entry, node);
}

static struct entry *entry_get(struct sts_store *store, struct bytes domain)
{
    struct entry *entry = entry_find(store, domain);

    if (entry == NULL) {
        entry = calloc(1, sizeof(*entry) + domain.len);
        check(entry != NULL);
        memcpy(entry->domain, domain.ptr, domain.len);
        entry->domain_len = domain.len;
        entry->used_ms = clock_monotonic_ms();
        list_node_init(&entry->used);
        list_node_init(&entry->aging);
        list_push_back(&store->used, &entry->used);
        list_push_back(&store->aging, &entry->aging);
        map_insert(&store->entries, &entry->node, bytes_range(entry->domain, domain.len));
        store->bytes += entry_bytes(entry);
    }
    return entry;
}

static void set_policy(struct sts_store *store, struct entry *entry, struct sts_policy *policy)
{
    store->bytes -= entry_bytes(entry);
    metric_add(METRIC_STS_POLICIES, (policy != NULL) - (entry->policy != NULL));
    sts_policy_release(&entry->policy);
    entry->policy = policy;
    store->bytes += entry_bytes(entry);
}

/* What the file has of those that go goes as well: it is not larger than what is in memory. */
static void keep_bounds(struct sts_store *store)
{
    while (store->entries.count > STS_DOMAINS_MAX || store->bytes > STS_BYTES_MAX) {
        struct entry *oldest = container_of(list_first(&store->used), struct entry, used);

        if (store->file != NULL && oldest->policy != NULL)
            (void)sts_file_forget(store->file, oldest->node.key);
        entry_drop(store, oldest);
    }
}

/* --- what is known ---------------------------------------------------------------------------- */

static void find(struct sts_store *store, struct bytes domain, int64_t now_ms, bool is_use,
                 struct sts_known *out)
{
    *out = (struct sts_known){.policy = NULL};
    pthread_mutex_lock(&store->lock);
    struct entry *entry = entry_find(store, domain);

    if (entry != NULL && is_use) {
        entry->used_ms = now_ms;
        list_remove(&entry->used);
        list_push_back(&store->used, &entry->used);
    }
    if (entry != NULL) {
        if (entry->policy != NULL && entry->policy->expires_ms <= now_ms)
            set_policy(store, entry, NULL);
        if (entry->policy != NULL)
            out->policy = sts_policy_keep(entry->policy);
        if (entry->retry_ms > now_ms) {
            out->problem = entry->problem;
            out->retry_ms = entry->retry_ms;
            memcpy(out->id, entry->id, sizeof(out->id));
            memcpy(out->why, entry->why, sizeof(out->why));
        }
    }
    pthread_mutex_unlock(&store->lock);
}

void sts_store_find(struct sts_store *store, struct bytes domain, int64_t now_ms,
                    struct sts_known *out)
{
    find(store, domain, now_ms, true, out);
}

void sts_store_peek(struct sts_store *store, struct bytes domain, int64_t now_ms,
                    struct sts_known *out)
{
    find(store, domain, now_ms, false, out);
}

static bool wants_refresh(const struct entry *entry, int64_t now_ms)
{
    const struct sts_policy *policy = entry->policy;

    return policy != NULL && policy->expires_ms > now_ms && sts_policy_is_old(policy, now_ms) &&
           now_ms - entry->used_ms < STS_USED_MS && entry->retry_ms <= now_ms &&
           (entry->asked_ms == 0 || now_ms - entry->asked_ms >= STS_FAILURE_MS);
}

bool sts_store_next_old(struct sts_store *store, int64_t now_ms,
                        char domain_out[static STS_DOMAIN_MAX + 1])
{
    bool is_found = false;

    pthread_mutex_lock(&store->lock);
    for (unsigned i = 0; i < LOOKS_MAX && i < store->entries.count && !is_found; i++) {
        struct list_node *node = list_pop_front(&store->aging);
        struct entry *entry = container_of(node, struct entry, aging);

        list_push_back(&store->aging, node);
        if (entry->domain_len > STS_DOMAIN_MAX || !wants_refresh(entry, now_ms))
            continue;
        entry->asked_ms = now_ms;
        memcpy(domain_out, entry->domain, entry->domain_len);
        domain_out[entry->domain_len] = '\0';
        is_found = true;
    }
    pthread_mutex_unlock(&store->lock);
    return is_found;
}

void sts_store_put(struct sts_store *store, struct bytes domain, struct sts_policy *policy)
{
    pthread_mutex_lock(&store->lock);
    struct entry *entry = entry_get(store, domain);

    set_policy(store, entry, sts_policy_keep(policy));
    entry->problem = STS_FINE;
    entry->retry_ms = 0;
    entry->asked_ms = 0;
    if (store->file != NULL)
        (void)sts_file_put(store->file, domain, policy);
    keep_bounds(store);
    pthread_mutex_unlock(&store->lock);
}

void sts_store_fail(struct sts_store *store, struct bytes domain, struct bytes id,
                    enum sts_problem problem, const char *why)
{
    pthread_mutex_lock(&store->lock);
    struct entry *entry = entry_get(store, domain);

    check(problem != STS_FINE && id.len <= MTA_STS_ID_MAX);
    entry->problem = problem;
    entry->retry_ms = clock_monotonic_ms() + STS_FAILURE_MS;
    snprintf(entry->id, sizeof(entry->id), "%.*s", BYTES_ARG(id));
    snprintf(entry->why, sizeof(entry->why), "%s", why);
    keep_bounds(store);
    pthread_mutex_unlock(&store->lock);
}

size_t sts_store_count(struct sts_store *store)
{
    pthread_mutex_lock(&store->lock);
    size_t count = store->entries.count;

    pthread_mutex_unlock(&store->lock);
    return count;
}

/* --- requests --------------------------------------------------------------------------------- */

static void tell(const struct sts_request *request)
{
    const struct sts_fetch *fetch = &request->fetch;

    metric_inc(METRIC_STS_FETCHES);
    if (fetch->problem == STS_FINE) {
        log_info("domain=%s id=%s mode=%s max_age_s=%u what=\"fetched an MTA-STS policy\"",
                 LOG_STRING(request->domain), LOG_STRING(request->id),
                 LOG_STRING(mta_sts_mode_name(request->policy->policy.mode)),
                 request->policy->policy.max_age_s);
        return;
    }
    metric_inc(fetch->problem == STS_FETCH_FAILED     ? METRIC_STS_FETCHES_FAILED
               : fetch->problem == STS_POLICY_INVALID ? METRIC_STS_FETCHES_INVALID
                                                      : METRIC_STS_FETCHES_WEBPKI);
    log_limited(LOG_LEVEL_INFO, "domain=%s id=%s result=%s what=\"no MTA-STS policy\" why=%s",
                LOG_STRING(request->domain), LOG_STRING(request->id),
                LOG_STRING(sts_problem_name(fetch->problem)), LOG_STRING(fetch->why));
}

static void fetch_on_pool(struct chore *chore)
{
    struct sts_request *request = container_of(chore, struct sts_request, chore);
    struct sts_fetch *fetch = &request->fetch;

    if (atomic_load(&request->store->is_stopping)) {
        fetch->problem = STS_FETCH_FAILED;
        snprintf(fetch->why, sizeof(fetch->why), "the program ends");
        return;
    }
    sts_fetch_run(fetch);
    if (fetch->problem == STS_FINE)
        request->policy =
            sts_policy_make(bytes_of(request->id), bytes_range(fetch->text, fetch->text_len),
                            clock_monotonic_ms());
    tell(request);
    if (request->policy != NULL)
        sts_store_put(request->store, fetch->domain, request->policy);
    else
        sts_store_fail(request->store, fetch->domain, bytes_of(request->id), fetch->problem,
                       fetch->why);
}

/* On the pool's thread: the engine may be the last to see the request. */
static void post(struct letter *letter, struct engine *none)
{
    struct sts_request *request =
        container_of(container_of(letter, struct chore, letter), struct sts_request, chore);

    (void)none;
    engine_post(request->engine, &request->letter);
}

/* In place of what was there; NULL: none. */
static void set_text(char **text, const char *from)
{
    free(*text);
    *text = from != NULL ? strdup(from) : NULL;
    check((*text == NULL) == (from == NULL));
}

void sts_store_believe(struct sts_store *store, const char *authorities)
{
    pthread_mutex_lock(&store->lock);
    set_text(&store->authorities, authorities);
    pthread_mutex_unlock(&store->lock);
}

bool sts_store_run(struct sts_store *store, struct sts_request *request)
{
    request->store = store;
    request->chore = (struct chore){.letter.open = post, .work = fetch_on_pool};
    request->fetch.is_stopping = &store->is_stopping;
    pthread_mutex_lock(&store->lock);
    set_text(&request->authorities, store->authorities);
    request->fetch.authorities = request->authorities;
    bool has_begun =
        !atomic_load(&store->is_stopping) && blocking_run(store->pool, &request->chore);

    if (has_begun) {
        list_node_init(&request->node);
        list_push_back(&store->requests, &request->node);
    }
    pthread_mutex_unlock(&store->lock);
    return has_begun;
}

static void request_release(struct sts_request *request)
{
    sts_policy_release(&request->policy);
    free(request->authorities);
    free(request);
}

void sts_request_free(struct sts_request **request)
{
    struct sts_request *r = *request;

    *request = NULL;
    if (r->store != NULL) {
        pthread_mutex_lock(&r->store->lock);
        list_remove(&r->node);
        pthread_mutex_unlock(&r->store->lock);
    }
    request_release(r);
}

/* --- open, close ------------------------------------------------------------------------------ */

static void on_row(void *context, struct bytes domain, struct sts_policy *policy)
{
    struct sts_store *store = context;

    set_policy(store, entry_get(store, domain), policy);
}

struct sts_store *sts_store_open(const struct sts_settings *settings)
{
    const struct blocking_settings pool = {.name = "mta-sts",
                                           .threads = THREADS,
                                           .waiting_max = WAITING_MAX};
    struct sts_store *store = calloc(1, sizeof(*store));

    check(store != NULL);
    check(pthread_mutex_init(&store->lock, NULL) == 0);
    map_init(&store->entries);
    list_init(&store->used);
    list_init(&store->aging);
    list_init(&store->requests);
    set_text(&store->authorities, settings->authorities);
    store->pool = blocking_pool_start(&pool);
    if (store->pool == NULL) {
        int error = errno;

        sts_store_free(&store);
        errno = error;
        return NULL;
    }
    if (settings->state_dir == NULL)
        return store;
    struct sts_file *file = sts_file_open(settings->state_dir, settings->is_readonly);

    if (file != NULL) {
        sts_file_load(file, on_row, store);
        keep_bounds(store);
    }
    if (file != NULL && settings->is_readonly)
        sts_file_close(&file);
    store->file = file;
    return store;
}

void sts_store_stop(struct sts_store *store)
{
    pthread_mutex_lock(&store->lock);
    atomic_store(&store->is_stopping, true);
    pthread_mutex_unlock(&store->lock);
    blocking_pool_stop(&store->pool);
}

struct blocking_pool *sts_store_pool(const struct sts_store *store)
{
    return store->pool;
}

void sts_store_free(struct sts_store **store)
{
    struct sts_store *s = *store;
    struct list_node *node;

    *store = NULL;
    if (s == NULL)
        return;
    if (s->pool != NULL)
        sts_store_stop(s);
    while ((node = list_pop_front(&s->requests)) != NULL)
        request_release(container_of(node, struct sts_request, node));
    while ((node = list_first(&s->used)) != NULL)
        entry_drop(s, container_of(node, struct entry, used));
    map_free(&s->entries);
    sts_file_close(&s->file);
    pthread_mutex_destroy(&s->lock);
    free(s->authorities);
    free(s);
}
