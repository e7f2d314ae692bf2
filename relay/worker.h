/*
 * worker.h - one engine and everything that lives on it: the place where the graph is wired.
 *
 *   listener -> submission -> shard -> (due) -> delivery -> smtp_client -> the world
 *            |-> receive ----/
 *            \-> imap, pop3 --> accounts' mailboxes
 *                               |                  |
 *                               |                  '-> filer -> the store of accounts' mail
 *                               +-- journaled --> publisher (event files)
 *
 * Each worker is one thread. What workers share is small and named here: the egress table, the
 * publisher, the pools for segments and keys, the directory, the listeners' load table.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>

#include "directory/directory.h"
#include "inbound/archives/archive_reader.h"
#include "io/blocking.h"
#include "io/listener.h"
#include "relay/config.h"
#include "relay/listeners.h"
#include "relay/login_key.h"
#include "relay/publisher.h"
#include "relay/queue_age.h"
#include "relay/srs_secret.h"
#include "relay/tenant_watch.h"
#include "signing/signer.h"

enum { WORKER_WHY_MAX = 512 };

struct worker;

/* The publisher's thread says that a shard's events up to `position` are safe with it. One letter a
 * shard, posted again only after it was opened: no memory is taken and none can be left over. */
struct passed {
    struct letter letter;
    struct shard *shard;
    struct worker *worker;
    _Atomic uint64_t position;
    _Atomic bool is_posted;
};

/* What all workers share; program.c makes it before any worker runs. */
struct shared {
    /* The first one. What a reload cannot change is read from it, by any thread, at any time. */
    _Atomic(struct config *) config;
    struct egress_table *egresses;
    struct dns_cache *dns_cache;
    struct sts_store *sts;
    struct dns_cache *list_cache; /* what lists of addresses say */
    struct directory *directory;
    uint8_t login_key[LOGIN_KEY_LEN], return_key[LOGIN_KEY_LEN];
    struct returns *returns;
    struct srs_keys srs; /* count 0: they cannot be read */
    struct publisher *publisher;
    struct blocking_pool *segment_pool, *key_pool;
    struct archive_reader *archives;
    struct blocking_pool *mail_pool;     /* commands that touch mailboxes */
    struct mail_accounts *mail_accounts; /* NULL: they cannot be read now */
    const struct access_mirrors *mirrors;
    struct mail_store *store;
    struct egress_table *store_egresses; /* of the site that it is */
    struct tls_tickets *tickets;         /* the keys of all engines' contexts */
    struct space space;                  /* the space watch and the publisher write it */
    int64_t ages_sure_from_ms;           /* clock_file.h */
    struct listener_load *loads;         /* one a worker */
    const struct listeners *listeners;
    /* Workers begin with them; changed by the holder of program->change only. */
    const struct suspension_file *suspensions;
    unsigned worker_count;
    unsigned shard_count; /* directories 00 .. shard_count-1; the first worker_count are owned */
};

/* What a stop still waits for, as the worker's thread counted it last. */
struct worker_left {
    struct letter letter;
    _Atomic bool is_posted;
    _Atomic uint64_t sessions, attempts;
};

struct worker {
    struct shared *shared;
    struct config *config; /* the newest it was given */
    unsigned index;
    pthread_t thread;
    struct engine *engine;
    struct resolver *resolver;
    struct snapshot_reader *reader; /* of the directory */
    struct flows *flows;
    struct smtp_clients *clients;
    struct filers *filers;
    struct delivery *delivery;
    struct signer *signer;
    struct submission *submission;
    struct submission_listener listeners[LISTENERS_MAX]; /* by slot; trust follows reloads */
    struct resolver *list_resolver; /* of lists of addresses: names that strangers make */
    struct receive *receive;
    struct receive_listener inbound_listeners[LISTENERS_MAX]; /* by the same */
    struct access *imap, *pop3;
    struct access_listener access_listeners[LISTENERS_MAX]; /* by the same */
    enum config_service services[LISTENERS_MAX];            /* whose a slot's clients are */
    unsigned shard_count;
    struct shard *shards[MESSAGE_ID_SHARDS_MAX]; /* [0] is its own; the rest are adopted */
    struct passed passed[MESSAGE_ID_SHARDS_MAX];
    struct queue_age age;
    struct tenant_watch tenants;
    sem_t started;
    int start_error;
    bool is_threadless; /* it could not be started */
    char why[WORKER_WHY_MAX];
    _Atomic int run_error;   /* 0, or -errno: a shard cannot be read, and the program is to stop */
    _Atomic bool is_stopped; /* everything it held has ended */
    /* stopping */
    struct letter stop_letter, abort_letter;
    struct worker_left left;
    int64_t stop_deadline_ms, break_off_ms;
    struct timeout break_off;
    unsigned stop_waits; /* parts that have not ended */
    unsigned stop_phase;
};

/* Starts the thread, which makes its engine, shards and services. */
void worker_start(struct worker *worker, struct shared *shared, unsigned index);
/* Until they stand; or -errno and worker->why. */
must_use int worker_wait_started(struct worker *worker);
/* Any thread, once, later answered by is_stopped: sessions 421, attempts until the deadline, then
 * the spool is flushed and the engine's loop ends. What waits for the disk at break_off_ms is given
 * up. */
void worker_stop(struct worker *worker, int64_t deadline_ms, int64_t break_off_ms);
void worker_abort(struct worker *worker); /* second signal; once, at any time before the join */
/* Has worker->left counted soon, or never where the loop ended. One thread, before the join. */
void worker_count_left(struct worker *worker);
void worker_join(struct worker *worker); /* frees what it had */

/* Runs `run` on the worker's thread; the caller (any other thread) waits. */
void worker_call(struct worker *worker, void (*run)(struct worker *worker, void *context),
                 void *context);
/* On the worker's thread: new sessions and attempts go by `config`. Keeps it while it is used. */
void worker_configure(struct worker *worker, struct config *config);
/* On the worker's thread: mail is held back by shared->suspensions as they are now. */
void worker_suspend(struct worker *worker);
struct shard *worker_shard(struct worker *worker, unsigned shard_index); /* NULL: another's */
