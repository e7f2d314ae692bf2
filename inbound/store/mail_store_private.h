/*
 * mail_store_private.h - what the files of the store share. Private to this folder.
 */
#pragma once

#include <pthread.h>

#include "base/map.h"
#include "inbound/store/filed_log.h"
#include "inbound/store/mail_store.h"
#include "io/blocking.h"

enum { BATCH_MAX = 256 /* messages */ };

/* What is known of an account while it has work, and for a while after that. */
struct mail_account {
    struct map_node node;    /* key: "DOMAIN/LOCAL", encoded */
    struct list_node in_all; /* longest idle first, while it is idle */
    struct list_node in_ready;
    struct list waiting; /* of filings */
    size_t waiting_count;
    int64_t waiting_since_ms; /* monotonic; of the first */
    bool is_running;
    bool is_slow;     /* its last batch took long */
    bool is_in_doubt; /* its counters are to be counted anew */
    char domain[MAIL_NAME_MAX + 1], local[MAIL_NAME_MAX + 1];
    /* of the batch that it is in */
    struct maildir maildir;
    int error;      /* it could not be opened: why */
    bool has_quota; /* `usage` is known */
    struct maildir_usage usage;
    char key[];
};

struct batch {
    struct chore chore;
    struct mail_store *store;
    bool is_running, has_worked;
    int64_t began_ms;
    size_t count, account_count;
    struct filing *filings[BATCH_MAX];
    struct mail_account *accounts[BATCH_MAX];
};

struct mail_store {
    struct mail_store_settings settings;
    int fd; /* of the directory */
    struct filed_log *log;
    struct blocking_pool *pool;
    pthread_mutex_t mutex; /* of all below */
    struct map accounts;
    struct list ready; /* accounts with work that no batch has */
    struct list idle;
    size_t idle_count;
    struct mail_store_status status;
    bool is_closing;
    struct batch *batches; /* settings.threads */
};

/* mail_batch.c: on the store's thread; every filing has its result afterwards. */
void batch_run(struct batch *batch);
