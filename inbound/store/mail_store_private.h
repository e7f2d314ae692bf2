/*
 * mail_store_private.h - what the files of the store share. Private to this folder.
 */
#pragma once

#include <pthread.h>

#include "base/map.h"
#include "inbound/store/filed_log.h"
#include "inbound/store/mail_store.h"
#include "inbound/store/mail_use.h"
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
    bool is_slow;       /* its last batch took long */
    bool is_durable;    /* its directories are on disk, whoever made them */
    bool is_in_doubt;   /* its counters are to be counted anew */
    uint8_t bounded;    /* messages filed in bounded folders */
    uint64_t count_for; /* what it holds is asked for, under this quota; 0: nobody asks */
    char domain[MAIL_NAME_MAX + 1], local[MAIL_NAME_MAX + 1];
    /* of the batch that it is in */
    struct maildir maildir;
    int error;           /* it could not be opened: why */
    uint64_t counts_for; /* count_for, where that is all there is to do */
    bool has_quota;      /* find_room() has looked */
    bool has_use;        /* `usage` is known */
    struct maildir_usage usage;
    char key[];
};

struct batch {
    struct chore chore;
    struct mail_store *store;
    bool is_running, has_worked;
    bool only_counts; /* its accounts have no messages, but what they hold is asked for */
    int64_t began_ms;
    size_t count, account_count;
    struct filing *filings[BATCH_MAX];
    struct mail_account *accounts[BATCH_MAX];
};

struct mail_store {
    struct mail_store_settings settings;
    pthread_mutex_t opening; /* of the five below; fd and log stay while a batch has them */
    int fd;                  /* of the directory; -1: it could not be opened yet */
    struct filed_log *log;
    unsigned users; /* batches that have them */
    int open_error;
    int64_t open_again_ms; /* monotonic */
    struct mail_uses *uses;
    struct blocking_pool *pool;
    pthread_mutex_t mutex; /* of all below */
    struct map accounts;
    struct list ready; /* accounts with work that no batch has */
    struct list idle;
    size_t idle_count;
    size_t counts_waiting; /* accounts with a count_for */
    struct mail_store_status status;
    bool is_closing;
    struct batch *batches; /* settings.threads */
};

/* What is known of the account may not be so. Any thread. */
typedef void mail_store_doubt_fn(void *store, struct bytes key);
/* mail_store_files.c: 0 once they are open, and they stay so until they were given back; else
 * -errno, and they are tried again at times. */
must_use int mail_store_take_files(struct mail_store *store, mail_store_doubt_fn *doubt);
void mail_store_give_files(struct mail_store *store);
void mail_store_close_files(struct mail_store *store);
/* mail_batch.c: on the store's thread; every filing has its result afterwards. */
void batch_run(struct batch *batch);
void batch_fail(struct batch *batch, int error); /* the store is not open */
/* mail_count.c: of a batch that only counts. */
void batch_count(struct batch *batch);
