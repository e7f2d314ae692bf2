/* worker.c - one engine's graph: hooks are installed here and nowhere else. */
#include "relay/worker.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "delivery/client/smtp_client.h"
#include "delivery/filing/filer.h"
#include "delivery/line/egress.h"
#include "directory/directory_name.h"
#include "directory/return_path.h"
#include "inbound/returns/returns.h"
#include "relay/suspension_file.h"

_Static_assert((int)RETURN_PATH_MAX <= (int)SMTP_RETURN_PATH_MAX, "a return path fits");
_Static_assert((int)RETURN_PATH_KEY_LEN == (int)LOGIN_KEY_LEN, "its key is a key of the node");

/* --- hooks ------------------------------------------------------------------------------------ */

static void on_due(void *context, struct shard *shard, struct pending *pending)
{
    struct worker *worker = context;

    delivery_due(worker->delivery, shard, pending);
}

static void on_journaled(void *context, struct shard *shard, uint64_t position,
                         struct bytes records)
{
    struct worker *worker = context;

    publisher_push(worker->shared->publisher, shard_index(shard), position, records);
}

static void on_domain_idle(void *context, struct domain *domain)
{
    struct worker *worker = context;

    delivery_domain_idle(worker->delivery, domain);
}

static int64_t on_delay_max(void *context, const struct domain *domain)
{
    struct worker *worker = context;

    return delivery_delay_max_ms(worker->delivery, domain);
}

static bool on_is_hosted(void *context, struct bytes domain)
{
    struct worker *worker = context;
    bool is_hosted = recipient_domain_is_hosted(snapshot_begin(worker->reader), domain);

    snapshot_end(worker->reader);
    return is_hosted;
}

static uint64_t on_directory_version(void *context)
{
    struct worker *worker = context;
    uint64_t version = snapshot_version(snapshot_begin(worker->reader));

    snapshot_end(worker->reader);
    return version;
}

/* What the account may hold, and was lately seen to hold. Not known, filing will see. */
static enum mailbox_room on_room(void *context, const struct directory_account *account,
                                 uint64_t size)
{
    struct worker *worker = context;
    struct bytes domain = directory_address_domain(account->address);
    struct bytes local = bytes_slice(account->address, 0, account->address.len - domain.len - 1);
    uint64_t used;

    if (account->quota == 0)
        return MAILBOX_HAS_ROOM;
    if (size > account->quota)
        return MAILBOX_IS_TOO_SMALL;
    if (!mail_store_use(worker->shared->store, domain, local, account->quota, &used))
        return MAILBOX_HAS_ROOM;
    return used + MAX(size, (uint64_t)1) > account->quota ? MAILBOX_IS_FULL : MAILBOX_HAS_ROOM;
}

/* Signed, where the tenant has a domain for what comes back. */
static size_t on_return_path(void *context, const struct message *message, uint32_t recipient,
                             char out[static SMTP_RETURN_PATH_MAX])
{
    struct worker *worker = context;
    const struct return_path path = {message->id.value, recipient};
    size_t len = 0;

    /* What was rewritten to be forwarded leads back to who sent it already. */
    if (message->tenant.len == 0 || srs_is_claimed(message->reverse_path))
        return 0;
    struct bytes domain =
        return_path_domain(snapshot_begin(worker->reader), message->tenant, message->reverse_path);

    if (domain.len > 0) {
        return_path_sign(worker->shared->return_key, &path, domain, out);
        out[RETURN_PATH_LOCAL_LEN] = '@';
        memcpy(out + RETURN_PATH_LOCAL_LEN + 1, domain.ptr, domain.len);
        len = RETURN_PATH_LOCAL_LEN + 1 + domain.len;
    }
    snapshot_end(worker->reader);
    return len;
}

/* The main thread looks, and stops the program. */
static void on_recovery_failed(void *context, struct shard *shard, int error)
{
    struct worker *worker = context;

    (void)shard;
    atomic_store(&worker->run_error, error);
}

static void on_accepted(void *context, int fd, void *listener_context)
{
    struct worker *worker = context;
    size_t listener = (size_t)(uintptr_t)listener_context;

    switch (worker->services[listener]) {
    case SERVICE_SUBMISSION:
        submission_accept(worker->submission, fd, &worker->listeners[listener]);
        return;
    case SERVICE_INBOUND:
        receive_accept(worker->receive, fd, &worker->inbound_listeners[listener]);
        return;
    case SERVICE_IMAP:
        access_accept(worker->imap, fd, &worker->access_listeners[listener]);
        return;
    case SERVICE_POP3:
        access_accept(worker->pop3, fd, &worker->access_listeners[listener]);
        return;
    }
}

/* The last attempt that began under them has ended. */
static void on_settings_unused(void *context, const struct delivery_settings *settings)
{
    struct config *config =
        container_of((struct delivery_settings *)(uintptr_t)settings, struct config, delivery);

    (void)context;
    config_release(&config);
}

static void open_passed(struct letter *letter, struct engine *engine)
{
    struct passed *passed = container_of(letter, struct passed, letter);

    (void)engine;
    atomic_store(&passed->is_posted, false);
    shard_sink_passed(passed->shard, 0, atomic_load(&passed->position));
}

/* On the publisher's thread. */
static void on_published(void *context, unsigned shard, uint64_t position)
{
    struct passed *passed = context;

    (void)shard;
    atomic_store(&passed->position, position);
    if (!atomic_exchange(&passed->is_posted, true))
        engine_post(passed->worker->engine, &passed->letter);
}

/* --- start ------------------------------------------------------------------------------------ */

static int open_shard(struct worker *worker, unsigned index, bool is_adopted)
{
    const struct config *config = atomic_load(&worker->shared->config);
    struct recovery recovery = {0};
    struct shard_setup setup = {
        .engine = worker->engine,
        .segment_pool = worker->shared->segment_pool,
        .flows = worker->flows,
        .index = index,
        .is_adopted = is_adopted,
        .sink_count = 1,
        .settings = &config->spool,
        .space = &worker->shared->space,
        .hooks = {worker, on_due, on_journaled, on_domain_idle, on_delay_max, on_recovery_failed},
        .recovers_later = true,
    };
    struct shard *shard;
    int error = shard_open(&setup, &shard, &recovery, worker->why);

    if (error < 0)
        return error;
    struct passed *passed = &worker->passed[worker->shard_count];
    passed->letter.open = open_passed;
    passed->shard = shard;
    passed->worker = worker;
    worker->shards[worker->shard_count++] = shard;
    publisher_attach(worker->shared->publisher, index, on_published, passed,
                     shard_durable_position(shard));
    return 0;
}

static int open_shards(struct worker *worker)
{
    struct shared *shared = worker->shared;
    int error = open_shard(worker, worker->index, false);

    if (error < 0)
        return error;
    /* Before any other: a turn of the loop from here on may ask the home for room, also while a
     * start that another shard refused is taken back. */
    delivery_set_home(worker->delivery, worker->shards[0]);
    /* Shards beyond the number of engines lost theirs when `engines` was lowered. */
    for (unsigned i = shared->worker_count + worker->index; error == 0 && i < shared->shard_count;
         i += shared->worker_count)
        error = open_shard(worker, i, true);
    return error;
}

static enum access_tls access_tls_of(enum smtp_tls tls)
{
    switch (tls) {
    case SMTP_TLS_STARTTLS:
        return ACCESS_TLS_STARTTLS;
    case SMTP_TLS_IMPLICIT:
        return ACCESS_TLS_IMPLICIT;
    case SMTP_TLS_NONE:
        break;
    }
    return ACCESS_TLS_NONE;
}

/* Sessions may still point to a slot whose listener went. */
static void set_listeners(struct worker *worker, const struct config *config)
{
    for (unsigned i = 0; i < LISTENERS_MAX; i++) {
        worker->listeners[i] = (struct submission_listener){.name = "submission"};
        worker->inbound_listeners[i] = (struct receive_listener){.name = "inbound"};
        worker->access_listeners[i] = (struct access_listener){0};
    }
    for (unsigned i = 0; i < config->listener_count; i++) {
        const struct config_listener *from = &config->listeners[i];
        unsigned slot = listeners_slot(worker->shared->listeners, &from->address);

        check(slot < LISTENERS_MAX);
        worker->services[slot] = from->service;
        worker->inbound_listeners[slot].tls = from->tls;
        worker->access_listeners[slot].tls = access_tls_of(from->tls);
        worker->access_listeners[slot].plaintext = config->auth_plaintext;
        worker->access_listeners[slot].plaintext_count = config->auth_plaintext_count;
        worker->access_listeners[slot].shared = config->auth_shared;
        worker->access_listeners[slot].shared_count = config->auth_shared_count;
        worker->listeners[slot].tls = from->tls;
        worker->listeners[slot].trust = from->trust;
        worker->listeners[slot].trust_count = from->trust_count;
        worker->listeners[slot].tenant = from->tenant;
        worker->listeners[slot].plaintext = config->auth_plaintext;
        worker->listeners[slot].plaintext_count = config->auth_plaintext_count;
        worker->listeners[slot].shared = config->auth_shared;
        worker->listeners[slot].shared_count = config->auth_shared_count;
    }
}

static struct submission_settings submission_settings(const struct worker *worker,
                                                      const struct config *config)
{
    struct submission_settings settings = config->submission;

    if (config->tls.contexts != NULL)
        settings.tls = config->tls.contexts[worker->index];
    return settings;
}

static struct receive_settings receive_settings(const struct worker *worker,
                                                const struct config *config)
{
    struct receive_settings settings = config->inbound;

    if (config->tls.contexts != NULL)
        settings.tls = config->tls.contexts[worker->index];
    return settings;
}

/* NULL: senders are not rewritten. */
static const struct srs_keys *srs_keys(const struct worker *worker)
{
    return worker->shared->srs.count > 0 ? &worker->shared->srs : NULL;
}

static void create_receive(struct worker *worker, const struct config *config)
{
    const struct receive_setup setup = {
        .engine = worker->engine,
        .shard = worker->shards[0],
        .resolver = worker->resolver,
        .lists = worker->list_resolver,
        .archives = worker->shared->archives,
        .reader = worker->reader,
        .load = &worker->shared->loads[worker->index].sessions,
        .room = on_room,
        .room_context = worker,
        .return_key = worker->shared->return_key,
        .srs = srs_keys(worker),
    };
    struct receive_settings settings = receive_settings(worker, config);

    worker->receive = receive_create(&setup, &settings);
}

/* Of imap or pop3. */
static struct access_settings access_settings(const struct worker *worker,
                                              const struct config *config,
                                              const struct access_settings *configured)
{
    struct access_settings settings = *configured;

    if (config->tls.contexts != NULL)
        settings.tls = config->tls.contexts[worker->index];
    return settings;
}

static struct access *create_access(struct worker *worker, const struct config *config,
                                    const struct access_kind *kind,
                                    const struct access_settings *configured)
{
    const struct access_setup setup = {
        .engine = worker->engine,
        .reader = worker->reader,
        .pool = worker->shared->mail_pool,
        .accounts = worker->shared->mail_accounts,
        .mirrors = worker->shared->mirrors,
        .login_key = worker->shared->login_key,
        .load = &worker->shared->loads[worker->index].sessions,
    };
    struct access_settings settings = access_settings(worker, config, configured);

    return access_create(kind, &setup, &settings);
}

static struct tls_context *client_tls(const struct worker *worker, const struct config *config)
{
    struct tls_context **contexts = config->delivery_tls.contexts;

    return contexts != NULL ? contexts[worker->index] : NULL;
}

/* One reference for the worker, one for its delivery, which may need it for longer. */
static void keep_config(struct worker *worker, struct config *config)
{
    struct config *old = worker->config;

    config_keep(config);
    config_keep(config);
    worker->config = config;
    config_release(&old);
}

void worker_suspend(struct worker *worker)
{
    size_t count;
    const struct suspension *rules = suspension_file_rules(worker->shared->suspensions, &count);

    delivery_suspend(worker->delivery, count, rules);
}

static int build(struct worker *worker)
{
    struct config *config = atomic_load(&worker->shared->config);
    const char *why = NULL;
    int error;

    worker->resolver =
        resolver_create(worker->engine, worker->shared->dns_cache, &config->dns, &why);
    worker->list_resolver =
        resolver_create(worker->engine, worker->shared->list_cache, &config->dns, &why);
    if (worker->resolver == NULL || worker->list_resolver == NULL) {
        snprintf(worker->why, sizeof(worker->why), "dns: %s", why == NULL ? "no memory" : why);
        return -EINVAL;
    }
    worker->reader = snapshot_reader_create(directory_feed(worker->shared->directory));
    struct signer_setup signer = {
        .engine = worker->engine,
        .reader = worker->reader,
        .pool = worker->shared->key_pool,
        .state_dir = config->state_dir,
        .settings = config->signer,
    };
    worker->signer = signer_create(&signer);
    worker->flows = flows_create();
    tenant_watch_start(&worker->tenants, worker);
    worker->clients = smtp_clients_create();
    smtp_clients_speak_tls(worker->clients, client_tls(worker, config));
    smtp_clients_return_by(worker->clients, on_return_path, worker);
    struct filers_setup filers = {
        .store = worker->shared->store,
        .returns = worker->shared->returns,
        .return_key = worker->shared->return_key,
        .reader = worker->reader,
        .scripts = config->sieve_directory,
        .signer = worker->signer,
        .srs = srs_keys(worker),
    };

    worker->filers = filers_create(&filers);
    filers_configure(worker->filers, config->delivery.mx.our_name, config->inbound.postmaster,
                     config->inbound.received_max);
    struct delivery_store store = {
        .carriers = filers_kind(worker->filers),
        .egresses = worker->shared->store_egresses,
        .is_hosted = on_is_hosted,
        .version = on_directory_version,
        .context = worker,
    };
    struct delivery_setup setup = {
        .engine = worker->engine,
        .resolver = worker->resolver,
        .flows = worker->flows,
        .egresses = worker->shared->egresses,
        .sts = worker->shared->sts,
        .carriers = smtp_clients_kind(worker->clients),
        .signer = worker->signer,
        .ages_sure_from_ms = worker->shared->ages_sure_from_ms,
        .store = &store,
        .settings = &config->delivery,
        .settings_unused = on_settings_unused,
        .context = worker,
    };
    keep_config(worker, config);
    worker->delivery = delivery_create(&setup);
    /* Before the shards are opened: what they find due is tried as soon as the loop runs, while
     * other workers are still starting. */
    worker_suspend(worker);
    if ((error = open_shards(worker)) < 0)
        return error;
    struct submission_settings submission = submission_settings(worker, config);
    worker->submission = submission_create(worker->engine, worker->shards[0], &submission,
                                           &worker->shared->loads[worker->index].sessions);
    submission_read(worker->submission, worker->reader);
    submission_sign(worker->submission, worker->signer);
    submission_set_login_key(worker->submission, worker->shared->login_key);
    create_receive(worker, config);
    worker->imap = create_access(worker, config, &imap_access, &config->imap);
    worker->pop3 = create_access(worker, config, &pop3_access, &config->pop3);
    set_listeners(worker, config);
    worker->shared->loads[worker->index].engine = worker->engine;
    worker->shared->loads[worker->index].accepted = on_accepted;
    worker->shared->loads[worker->index].context = worker;
    queue_age_start(&worker->age, worker);
    return 0;
}

static void close_opened(struct worker *worker);

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct engine_settings settings = {.index = worker->index};
    char name[16];

    snprintf(name, sizeof(name), "engine-%u", worker->index);
    pthread_setname_np(pthread_self(), name);
    worker->engine = engine_create(&settings);
    if (worker->engine == NULL) {
        worker->start_error = -errno;
        snprintf(worker->why, sizeof(worker->why), "engine %u: %s: %s", worker->index,
                 engine_setup_why(worker->start_error), strerror(-worker->start_error));
    } else {
        worker->start_error = build(worker);
        if (worker->start_error < 0)
            close_opened(worker);
    }
    sem_post(&worker->started);
    if (worker->start_error == 0)
        engine_run(worker->engine);
    atomic_store(&worker->is_stopped, true);
    return NULL;
}

void worker_start(struct worker *worker, struct shared *shared, unsigned index)
{
    *worker = (struct worker){.shared = shared, .index = index};
    sem_init(&worker->started, 0, 0);
    int error = pthread_create(&worker->thread, NULL, worker_main, worker);
    if (error != 0) {
        snprintf(worker->why, sizeof(worker->why), "engine %u: no thread: %s", index,
                 strerror(error));
        worker->start_error = -error;
        worker->is_threadless = true;
        atomic_store(&worker->is_stopped, true);
        sem_post(&worker->started);
    }
}

int worker_wait_started(struct worker *worker)
{
    while (sem_wait(&worker->started) < 0)
        check(errno == EINTR);
    return worker->start_error;
}

struct shard *worker_shard(struct worker *worker, unsigned index)
{
    for (unsigned i = 0; i < worker->shard_count; i++)
        if (worker->shards[i] != NULL && shard_index(worker->shards[i]) == index)
            return worker->shards[i];
    return NULL;
}

void worker_configure(struct worker *worker, struct config *config)
{
    set_listeners(worker, config); /* first: they point into the one that keep_config() lets go */
    struct submission_settings submission = submission_settings(worker, config);

    struct receive_settings receive = receive_settings(worker, config);
    struct access_settings imap = access_settings(worker, config, &config->imap);
    struct access_settings pop3 = access_settings(worker, config, &config->pop3);

    submission_configure(worker->submission, &submission);
    receive_configure(worker->receive, &receive);
    access_configure(worker->imap, &imap);
    access_configure(worker->pop3, &pop3);
    signer_configure(worker->signer, &config->signer);
    keep_config(worker, config);
    smtp_clients_speak_tls(worker->clients, client_tls(worker, config));
    filers_configure(worker->filers, config->delivery.mx.our_name, config->inbound.postmaster,
                     config->inbound.received_max);
    delivery_configure(worker->delivery, &config->delivery);
}

/* --- calls from other threads ----------------------------------------------------------------- */

struct call {
    struct letter letter;
    struct worker *worker;
    void (*run)(struct worker *worker, void *context);
    void *context;
    sem_t done;
};

static void open_call(struct letter *letter, struct engine *engine)
{
    struct call *call = container_of(letter, struct call, letter);

    (void)engine;
    call->run(call->worker, call->context);
    sem_post(&call->done);
}

void worker_call(struct worker *worker, void (*run)(struct worker *worker, void *context),
                 void *context)
{
    struct call call = {.letter.open = open_call, .worker = worker, .run = run, .context = context};

    sem_init(&call.done, 0, 0);
    engine_post(worker->engine, &call.letter);
    while (sem_wait(&call.done) < 0)
        check(errno == EINTR);
    sem_destroy(&call.done);
}

/* --- stop -------------------------------------------------------------------------------------
 *
 * Sessions and attempts end first, side by side; only then are the shards closed, since both still
 * commit, and keys that are being read are waited for; then the loop ends. */

enum { STOP_NONE, STOP_SERVICES, STOP_SHARDS };

static void part_stopped(void *context)
{
    struct worker *worker = context;

    check(worker->stop_waits > 0);
    if (--worker->stop_waits > 0)
        return;
    if (worker->stop_phase == STOP_SERVICES) {
        worker->stop_phase = STOP_SHARDS;
        worker->stop_waits = worker->shard_count + 2; /* the signer, and one for the loop below */
        for (unsigned i = 0; i < worker->shard_count; i++)
            shard_close(worker->shards[i], part_stopped, worker);
        signer_stop(worker->signer, part_stopped, worker);
        part_stopped(worker);
        return;
    }
    engine_timeout_cancel(worker->engine, &worker->break_off);
    engine_stop(worker->engine);
}

/* A disk that takes nothing: its outcomes are not waited for any longer. */
static void on_break_off(struct timeout *timeout)
{
    struct worker *worker = container_of(timeout, struct worker, break_off);

    log_warn("engine=%u what=\"the disk is not waited for any longer: the time to stop is over\"",
             worker->index);
    for (unsigned i = 0; i < worker->shard_count; i++)
        shard_break_off(worker->shards[i]);
}

/* One of several shards refused the start: those before it have work with the pool already, and
 * handed delivery what they found due. All of it ends as at a stop, with nothing begun. */
static void close_opened(struct worker *worker)
{
    if (worker->shard_count == 0)
        return;
    timeout_init(&worker->break_off, on_break_off);
    worker->stop_phase = STOP_SERVICES;
    worker->stop_waits = 1;
    delivery_stop(worker->delivery, engine_now_ms(worker->engine), part_stopped, worker);
    engine_run(worker->engine);
}

static void open_stop(struct letter *letter, struct engine *engine)
{
    struct worker *worker = container_of(letter, struct worker, stop_letter);

    check(worker->stop_phase == STOP_NONE);
    worker->stop_phase = STOP_SERVICES;
    worker->stop_waits = 5;
    queue_age_stop(&worker->age);
    tenant_watch_stop(&worker->tenants);
    timeout_init(&worker->break_off, on_break_off);
    engine_timeout(engine, &worker->break_off,
                   MAX(worker->break_off_ms - engine_now_ms(engine), (int64_t)1));
    submission_stop(worker->submission, worker->stop_deadline_ms, part_stopped, worker);
    receive_stop(worker->receive, worker->stop_deadline_ms, part_stopped, worker);
    access_stop(worker->imap, worker->stop_deadline_ms, part_stopped, worker);
    access_stop(worker->pop3, worker->stop_deadline_ms, part_stopped, worker);
    delivery_stop(worker->delivery, worker->stop_deadline_ms, part_stopped, worker);
}

static void open_abort(struct letter *letter, struct engine *engine)
{
    struct worker *worker = container_of(letter, struct worker, abort_letter);

    (void)engine;
    submission_abort(worker->submission);
    receive_abort(worker->receive);
    access_abort(worker->imap);
    access_abort(worker->pop3);
    delivery_abort(worker->delivery);
}

void worker_stop(struct worker *worker, int64_t deadline_ms, int64_t break_off_ms)
{
    worker->break_off_ms = break_off_ms;
    worker->stop_deadline_ms = deadline_ms;
    worker->stop_letter.open = open_stop;
    engine_post(worker->engine, &worker->stop_letter);
}

/* The loop may have ended by now: then the letter is never opened, and needs nobody to free it. */
void worker_abort(struct worker *worker)
{
    worker->abort_letter.open = open_abort;
    engine_post(worker->engine, &worker->abort_letter);
}

static void open_count_left(struct letter *letter, struct engine *engine)
{
    struct worker *worker = container_of(letter, struct worker, left.letter);
    struct delivery_status delivery;

    (void)engine;
    atomic_store(&worker->left.is_posted, false);
    delivery_status(worker->delivery, &delivery);
    atomic_store(&worker->left.attempts, delivery.in_attempt);
    atomic_store(&worker->left.sessions,
                 submission_sessions(worker->submission) + receive_sessions(worker->receive) +
                     access_sessions(worker->imap) + access_sessions(worker->pop3));
}

/* As with an abort: a letter that is never opened lies in the worker itself. */
void worker_count_left(struct worker *worker)
{
    if (atomic_exchange(&worker->left.is_posted, true))
        return;
    worker->left.letter.open = open_count_left;
    engine_post(worker->engine, &worker->left.letter);
}

void worker_join(struct worker *worker)
{
    if (!worker->is_threadless)
        pthread_join(worker->thread, NULL);
    sem_destroy(&worker->started);
    if (worker->flows != NULL)
        tenant_watch_stop(&worker->tenants);
    if (worker->submission != NULL)
        submission_free(&worker->submission);
    if (worker->receive != NULL)
        receive_free(&worker->receive);
    if (worker->imap != NULL)
        access_free(&worker->imap);
    if (worker->pop3 != NULL)
        access_free(&worker->pop3);
    if (worker->delivery != NULL)
        delivery_free(&worker->delivery);
    signer_free(&worker->signer);
    if (worker->filers != NULL)
        filers_free(&worker->filers);
    if (worker->reader != NULL)
        snapshot_reader_free(&worker->reader);
    if (worker->clients != NULL)
        smtp_clients_free(&worker->clients);
    for (unsigned i = 0; i < worker->shard_count; i++)
        shard_free(&worker->shards[i]);
    if (worker->resolver != NULL)
        resolver_destroy(&worker->resolver);
    if (worker->list_resolver != NULL)
        resolver_destroy(&worker->list_resolver);
    if (worker->flows != NULL)
        flows_free(&worker->flows);
    config_release(&worker->config);
    if (worker->engine != NULL)
        engine_destroy(&worker->engine);
}
