/* mail_store.c - who waits at which account, and which thread takes it. */
#include "inbound/store/mail_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "inbound/store/mail_file.h"
#include "inbound/store/mail_store_private.h"

enum {
    ACCOUNT_WAITING_MAX = 64, /* messages, of an account whose first waits for longer than */
    ACCOUNT_WAITS_MS = 1000,
    SLOW_MS = 1000, /* a batch that took so long */
    IDLE_ACCOUNTS_MAX = 4096,
    OPEN_AGAIN_MS = 10 * 1000,
    COUNTS_MAX = 16,          /* accounts, of a batch that only counts */
    COUNTS_WAITING_MAX = 256, /* accounts whose count is asked for */
};

/* --- accounts (with the mutex) ---------------------------------------------------------------- */

static void forget(struct mail_store *store, struct mail_account *account)
{
    list_remove(&account->in_all);
    map_remove(&store->accounts, &account->node);
    store->status.accounts--;
    free(account);
}

static void go_idle(struct mail_store *store, struct mail_account *account)
{
    if (account->is_in_doubt)
        return; /* what is known of it must not be forgotten */
    list_push_back(&store->idle, &account->in_all);
    if (++store->idle_count <= IDLE_ACCOUNTS_MAX)
        return;
    struct list_node *node = list_pop_front(&store->idle);

    store->idle_count--;
    forget(store, container_of(node, struct mail_account, in_all));
}

static struct mail_account *need_account(struct mail_store *store, struct bytes key)
{
    struct map_node *node = map_find(&store->accounts, key);
    struct bytes rest = key, domain;

    if (node != NULL)
        return container_of(node, struct mail_account, node);
    if (!bytes_take_until(&rest, '/', &domain) || domain.len > MAIL_NAME_MAX ||
        rest.len > MAIL_NAME_MAX)
        return NULL;
    struct mail_account *account = calloc(1, sizeof(*account) + key.len);

    check(account != NULL);
    memcpy(account->key, key.ptr, key.len);
    memcpy(account->domain, domain.ptr, domain.len);
    memcpy(account->local, rest.ptr, rest.len);
    list_node_init(&account->in_all);
    list_node_init(&account->in_ready);
    list_init(&account->waiting);
    map_insert(&store->accounts, &account->node, bytes_range(account->key, key.len));
    store->status.accounts++;
    return account;
}

static void on_doubtful(void *context, struct bytes key)
{
    struct mail_store *store = context;

    pthread_mutex_lock(&store->mutex);
    struct mail_account *account = need_account(store, key);

    if (account != NULL)
        account->is_in_doubt = true;
    pthread_mutex_unlock(&store->mutex);
}

/* --- batches ---------------------------------------------------------------------------------- */

static size_t slow_running(const struct mail_store *store)
{
    size_t count = 0;

    for (unsigned i = 0; i < store->settings.threads; i++)
        count += store->batches[i].account_count == 1 && store->batches[i].accounts[0]->is_slow;
    return count;
}

static void take_account(struct batch *batch, struct mail_account *account)
{
    struct mail_store *store = batch->store;
    struct list_node *node;

    list_remove(&account->in_ready);
    account->is_running = true;
    batch->only_counts = account->waiting_count == 0;
    store->counts_waiting -= account->count_for > 0;
    account->counts_for = account->count_for; /* filing looks by itself */
    account->count_for = 0;
    account->has_use = false;
    batch->accounts[batch->account_count++] = account;
    while (batch->count < BATCH_MAX && (node = list_pop_front(&account->waiting)) != NULL) {
        struct filing *filing = container_of(node, struct filing, node);

        filing->account = account;
        account->waiting_count--;
        batch->filings[batch->count++] = filing;
    }
    account->waiting_since_ms = batch->began_ms;
}

/* Counting and filing are batches of their own: who waits for a message does not wait for a count
 * of many files. */
static bool may_join(const struct batch *batch, const struct mail_account *account)
{
    return batch->account_count == 0 ||
           (batch->only_counts ? account->waiting_count == 0 && batch->account_count < COUNTS_MAX
                               : account->waiting_count > 0);
}

/* A slow one alone, and never all threads for slow ones where there are several. */
static void gather(struct mail_store *store, struct batch *batch)
{
    bool may_be_slow = slow_running(store) < MAX(store->settings.threads - 1, 1U);
    struct list_node *node = list_first(&store->ready), *next;

    batch->count = batch->account_count = 0;
    batch->began_ms = clock_monotonic_ms();
    for (; node != NULL && batch->count < BATCH_MAX; node = next) {
        struct mail_account *account = container_of(node, struct mail_account, in_ready);

        next = node->next != &store->ready.head ? node->next : NULL;
        if (account->is_slow && (!may_be_slow || batch->account_count > 0))
            continue;
        if (!may_join(batch, account))
            continue;
        take_account(batch, account);
        if (account->is_slow)
            break;
    }
    store->status.waiting -= batch->count;
    store->status.running += batch->count;
    metric_add(METRIC_STORE_WAITING, -(int64_t)batch->count);
    metric_add(METRIC_STORE_RUNNING, (int64_t)batch->count);
}

static void start_batches(struct mail_store *store)
{
    for (unsigned i = 0; i < store->settings.threads; i++) {
        struct batch *batch = &store->batches[i];

        if (batch->is_running || list_is_empty(&store->ready))
            continue;
        batch->is_running = true;
        check(blocking_run(store->pool, &batch->chore));
        return; /* it takes what there is; a second one is started by what comes meanwhile */
    }
}

static void count_results(struct mail_store *store, const struct batch *batch)
{
    uint64_t filed = 0;

    if (batch->count == 0)
        return;
    for (size_t i = 0; i < batch->count; i++)
        filed += batch->filings[i]->result == FILING_DONE;
    store->status.batches++;
    store->status.filed += filed;
    store->status.failed += batch->count - filed;
    metric_inc(METRIC_STORE_BATCHES);
    metric_add(METRIC_STORE_FILED, (int64_t)filed);
    metric_add(METRIC_STORE_NOT_FILED, (int64_t)(batch->count - filed));
    metric_observe_us(HISTOGRAM_STORE_BATCH, (clock_monotonic_ms() - batch->began_ms) * 1000);
}

static void let_go(struct mail_store *store, struct batch *batch)
{
    bool was_slow = clock_monotonic_ms() - batch->began_ms >= SLOW_MS;

    for (size_t i = 0; i < batch->account_count; i++) {
        struct mail_account *account = batch->accounts[i];

        account->is_running = false;
        account->is_slow = was_slow;
        if (account->has_use)
            mail_use_set(store->uses, account->node.key, account->usage.bytes,
                         clock_monotonic_ms());
        if (account->waiting_count > 0 || account->count_for > 0)
            list_push_back(&store->ready, &account->in_ready);
        else
            go_idle(store, account);
    }
    store->status.running -= batch->count;
    metric_add(METRIC_STORE_RUNNING, -(int64_t)batch->count);
    batch->account_count = 0;
}

static void work(struct chore *chore)
{
    struct batch *batch = container_of(chore, struct batch, chore);
    struct mail_store *store = batch->store;

    pthread_mutex_lock(&store->mutex);
    gather(store, batch);
    batch->has_worked = batch->account_count > 0;
    if (batch->has_worked)
        start_batches(store);
    pthread_mutex_unlock(&store->mutex);
    int error = batch->has_worked ? mail_store_take_files(store, on_doubtful) : 0;

    if (error < 0)
        batch_fail(batch, error);
    else if (batch->count > 0)
        batch_run(batch);
    else if (batch->has_worked)
        batch_count(batch);
    if (batch->has_worked && error == 0)
        mail_store_give_files(store);
    pthread_mutex_lock(&store->mutex);
    count_results(store, batch);
    let_go(store, batch);
    pthread_mutex_unlock(&store->mutex);
    /* Each may be gone once it was answered. */
    for (size_t i = 0; i < batch->count; i++)
        engine_post(batch->filings[i]->engine, &batch->filings[i]->answer);
    batch->count = 0;
}

static void on_worked(struct letter *letter, struct engine *engine)
{
    struct batch *batch = container_of(letter, struct batch, chore.letter);
    struct mail_store *store = batch->store;

    (void)engine;
    pthread_mutex_lock(&store->mutex);
    batch->is_running = false;
    /* Where it found but slow ones, whose turn is when another batch ends, so would the next. */
    if (batch->has_worked && !store->is_closing)
        start_batches(store);
    pthread_mutex_unlock(&store->mutex);
}

/* --- asking ----------------------------------------------------------------------------------- */

/* "DOMAIN/LOCAL" */
static bool make_key(struct bytes domain, struct bytes local,
                     char out[static 2 * MAIL_NAME_MAX + 2])
{
    char domain_name[MAIL_NAME_MAX + 1], local_name[MAIL_NAME_MAX + 1];

    if (!mail_name_encode(domain, domain_name) || !mail_name_encode(local, local_name))
        return false;
    snprintf(out, 2 * MAIL_NAME_MAX + 2, "%s/%s", domain_name, local_name);
    return true;
}

/* It has work, and is nobody's yet. */
static void make_ready(struct mail_store *store, struct mail_account *account)
{
    if (list_is_linked(&account->in_all)) {
        list_remove(&account->in_all);
        store->idle_count--;
    }
    if (!account->is_running && !list_is_linked(&account->in_ready))
        list_push_back(&store->ready, &account->in_ready);
    start_batches(store);
}

bool mail_store_file(struct mail_store *store, struct filing *filing)
{
    char key[2 * MAIL_NAME_MAX + 2];
    int64_t now_ms = clock_monotonic_ms();
    bool is_busy = false;

    check(filing->answer.open != NULL);
    list_node_init(&filing->node);
    filing->was_filed = false;
    filing->error = 0;
    if (!make_key(filing->domain, filing->local, key)) {
        filing->result = FILING_FAILED;
        snprintf(filing->why, sizeof(filing->why), "the account's name is too long for a file");
        engine_post(filing->engine, &filing->answer);
        return true;
    }
    pthread_mutex_lock(&store->mutex);
    struct mail_account *account = need_account(store, bytes_of(key));

    check(account != NULL);
    if (account->waiting_count >= ACCOUNT_WAITING_MAX &&
        now_ms - account->waiting_since_ms >= ACCOUNT_WAITS_MS) {
        is_busy = true;
    } else {
        if (account->waiting_count++ == 0)
            account->waiting_since_ms = now_ms;
        list_push_back(&account->waiting, &filing->node);
        store->status.waiting++;
        metric_inc(METRIC_STORE_WAITING);
        make_ready(store, account);
    }
    pthread_mutex_unlock(&store->mutex);
    return !is_busy;
}

static void ask_count(struct mail_store *store, struct bytes key, uint64_t quota)
{
    pthread_mutex_lock(&store->mutex);
    struct mail_account *account =
        store->counts_waiting < COUNTS_WAITING_MAX ? need_account(store, key) : NULL;

    if (account != NULL) {
        store->counts_waiting += account->count_for == 0;
        account->count_for = quota;
        if (account->waiting_count == 0)
            account->waiting_since_ms = clock_monotonic_ms();
        make_ready(store, account);
    }
    pthread_mutex_unlock(&store->mutex);
}

bool mail_store_use(struct mail_store *store, struct bytes domain, struct bytes local,
                    uint64_t quota, uint64_t *bytes_out)
{
    char key[2 * MAIL_NAME_MAX + 2];
    bool counts = false;

    check(quota > 0);
    if (!make_key(domain, local, key))
        return false;
    bool is_known =
        mail_use_find(store->uses, bytes_of(key), clock_monotonic_ms(), bytes_out, &counts);

    if (counts)
        ask_count(store, bytes_of(key), quota);
    return is_known;
}

void mail_store_status(struct mail_store *store, struct mail_store_status *out)
{
    int64_t now_ms = clock_monotonic_ms();

    pthread_mutex_lock(&store->mutex);
    *out = store->status;
    list_for_each(node, &store->ready) {
        const struct mail_account *account = container_of(node, struct mail_account, in_ready);

        out->oldest_ms = MAX(out->oldest_ms, now_ms - account->waiting_since_ms);
    }
    for (unsigned i = 0; i < store->settings.threads; i++)
        if (store->batches[i].is_running && store->batches[i].account_count > 0)
            out->oldest_ms = MAX(out->oldest_ms, now_ms - store->batches[i].began_ms);
    pthread_mutex_unlock(&store->mutex);
}

/* --- open and close --------------------------------------------------------------------------- */

struct mail_store *mail_store_open(const struct mail_store_settings *settings)
{
    struct mail_store *store = calloc(1, sizeof(*store));
    struct blocking_settings pool = {
        .name = "store",
        .threads = settings->threads,
        .waiting_max = settings->threads,
    };

    check(store != NULL);
    check(settings->threads > 0);
    store->settings = *settings;
    if (store->settings.open_again_ms == 0)
        store->settings.open_again_ms = OPEN_AGAIN_MS;
    store->fd = -1;
    pthread_mutex_init(&store->mutex, NULL);
    pthread_mutex_init(&store->opening, NULL);
    map_init(&store->accounts);
    list_init(&store->ready);
    list_init(&store->idle);
    store->uses = mail_uses_create(MAIL_USE_MAX);
    store->batches = calloc(settings->threads, sizeof(*store->batches));
    check(store->batches != NULL);
    for (unsigned i = 0; i < settings->threads; i++) {
        store->batches[i].store = store;
        store->batches[i].chore.work = work;
        store->batches[i].chore.letter.open = on_worked;
    }
    store->pool = blocking_pool_start(&pool);
    if (store->pool == NULL) {
        int error = errno;

        mail_store_close(&store);
        errno = error;
        return NULL;
    }
    if (mail_store_take_files(store, on_doubtful) == 0) /* else when there is something to file */
        mail_store_give_files(store);
    return store;
}

static void free_account(void *context, struct map_node *node)
{
    struct mail_account *account = container_of(node, struct mail_account, node);

    (void)context;
    check(account->waiting_count == 0);
    check(!account->is_running);
    free(account);
}

void mail_store_close(struct mail_store **store)
{
    struct mail_store *s = *store;

    *store = NULL;
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->mutex);
    s->is_closing = true;
    pthread_mutex_unlock(&s->mutex);
    if (s->pool != NULL)
        blocking_pool_stop(&s->pool);
    map_for_each(&s->accounts, free_account, NULL);
    mail_uses_free(&s->uses);
    map_free(&s->accounts);
    mail_store_close_files(s);
    pthread_mutex_destroy(&s->opening);
    pthread_mutex_destroy(&s->mutex);
    free(s->batches);
    free(s);
}

struct blocking_pool *mail_store_pool(const struct mail_store *store)
{
    return store->pool;
}
