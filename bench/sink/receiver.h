/*
 * receiver.h - one thread of the sink: an engine, its listening sockets, its sessions.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/slab.h"
#include "bench/common/ledger.h"
#include "bench/sink/attempts.h"
#include "bench/sink/rules.h"
#include "io/engine.h"

enum { LISTENS_MAX = 64 };

struct sink_settings {
    struct address listens[LISTENS_MAX];
    unsigned listen_count;
    uint64_t threads;
    struct rules rules;
    uint64_t messages; /* then stop; 0: go on */
    int64_t run_ms;
    uint64_t sessions_max;   /* more are told 421 */
    uint64_t close_after;    /* messages of a session; 0: never */
    uint64_t size_max;       /* of a message */
    int64_t slow_ms;         /* between the bytes of a reply; 0: all at once */
    int64_t idle_timeout_ms; /* 0: none */
    bool lacks_pipelining, lacks_8bitmime, lacks_chunking, lacks_size, lacks_smtputf8, lacks_dsn;
    bool verifies;
    const char *ledger;
    bool is_ledger_immediate;
    const char *status_file;
    int64_t interval_ms;
    bool shows_progress;
};

/* What all threads share. */
struct sink {
    struct sink_settings settings;
    struct attempts attempts;
    char greeting[128];
    char ehlo_reply[512];
    atomic_uint_fast64_t sessions;
    atomic_uint_fast64_t sessions_max; /* highest ever */
    atomic_uint_fast64_t target;       /* messages counted, if there is a number to stop at */
};

/* Written by the receiver's thread, read by anybody. */
struct receiver_counts {
    atomic_uint_fast64_t messages;
    atomic_uint_fast64_t recipients;
    atomic_uint_fast64_t bytes; /* of content */
    atomic_uint_fast64_t refusals;
    atomic_uint_fast64_t sessions; /* ever */
    atomic_uint_fast64_t dropped;  /* connections closed without a reply, by rule */
    atomic_uint_fast64_t lost;     /* connections that ended inside a transaction */
    atomic_uint_fast64_t syntax;   /* commands answered 5xx because of what they were */
    atomic_uint_fast64_t verified, changed, unmarked;
    atomic_int_fast64_t first_us, last_us; /* wall; of an accepted message */
};

struct receiver {
    struct sink *sink;
    pthread_t thread;
    _Atomic(struct engine *) engine; /* set once it runs */
    struct listen {
        struct receiver *receiver;
        struct op accept;
        struct timeout again;
        int fd;
    } listens[LISTENS_MAX];
    struct slab sessions;
    struct list open; /* sessions */
    struct ledger ledger;
    struct timeout flush;
    struct code_counts codes; /* read it when the thread has ended */
    struct receiver_counts counts;
};

static inline void count_add(atomic_uint_fast64_t *count, uint64_t n)
{
    /* One writer: no locked instruction needed. */
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Binds the sockets, opens the ledger. 0 or -errno. */
must_use int receiver_init(struct receiver *receiver, struct sink *sink);
void receiver_start(struct receiver *receiver);
void receiver_stop(struct receiver *receiver); /* waits for the thread */
void receiver_free(struct receiver *receiver);
