/*
 * load.h - a run of the load generator: what is to be sent, by whom, and what became of it.
 *
 * A message has a number; its id is "<run>-<number>", its k-th recipient "<id>-<k>@...", or with
 * `users` "u<n>@...". A client
 * takes a message, keeps it over lost connections and is done with it when the server answered.
 * One thread.
 */
#pragma once

#include "base/list.h"
#include "bench/common/histogram.h"
#include "bench/common/ledger.h"
#include "bench/common/tool.h"
#include "bench/load/content.h"
#include "bench/load/mix.h"
#include "io/engine.h"

struct client;

struct load_settings {
    struct address to;
    uint64_t connections;
    uint64_t messages;   /* 0: until the time is over */
    int64_t run_ms;      /* 0: until the messages are sent */
    uint64_t size;       /* the largest */
    uint64_t size_min;   /* 0: all have `size` */
    uint64_t recipients; /* of a message */
    uint64_t domains;
    struct mix mix; /* instead of `domains` */
    uint64_t users; /* local parts of recipients, used in turn; 0: each has its own */
    uint64_t senders;
    uint64_t rate;           /* messages a second, 0: as fast as answers come */
    uint64_t per_connection; /* messages, then QUIT and a new one; 0: no end */
    int64_t timeout_ms;      /* for a reply */
    int64_t give_up_ms;      /* without any progress */
    uint64_t seed;
    const char *domain_suffix;
    const char *content; /* file that every message is; NULL: they are made */
    const char *run_name;
    const char *ledger;
    bool is_ledger_immediate;
    bool pipelining;
    bool bdat;
    bool quiet;
};

struct load_counts {
    uint64_t accepted; /* messages that got a 250 */
    uint64_t accepted_recipients;
    uint64_t rejected; /* messages that no recipient was taken of, or whose content was not */
    uint64_t rejected_recipients; /* at RCPT */
    uint64_t unknown;             /* connection lost after the content was sent: taken or not */
    uint64_t unanswered;          /* messages given up */
    uint64_t connects;
    uint64_t lost;            /* connections: refused, broken, timed out, 421 */
    uint64_t broken;          /* of these: no SMTP reply where one was due */
    struct code_counts codes; /* of refusals */
};

struct load {
    struct load_settings settings;
    struct engine *engine;
    struct content content;
    struct ledger ledger;
    struct client *clients;
    struct list idle;  /* clients without a message to send yet */
    uint64_t running;  /* clients that are not over */
    uint64_t next;     /* message number */
    bool is_stopping;  /* take no more messages */
    bool has_given_up; /* close everything */
    struct timeout pace;
    struct timeout tick;
    struct load_counts counts;
    struct histogram latency;  /* DATA to 250 */
    struct histogram from_due; /* with a rate: from when it should have been sent to 250 */
    int64_t start_us, end_us;  /* monotonic, of the first message and the last answer */
    int64_t start_wall_us, end_wall_us;
    int64_t progress_ms; /* when the last good answer came */
    uint64_t ticks;
    uint64_t told; /* accepted when the progress line was last written */
};

void load_init(struct load *load, const struct load_settings *settings, struct engine *engine);
void load_free(struct load *load);
/* Turns of the engine until every client is over; *stop_asked ends it early but in good order. */
void load_run(struct load *load, const volatile bool *stop_asked);
/* True if no message is to be sent any more. */
bool load_is_over(const struct load *load);

/* A client can take a message: it gets one now, later, or is told to quit. */
void load_ready(struct load *load, struct client *client);
void load_client_over(struct load *load);
void load_progress(struct load *load);

/* One JSON line. */
void load_report(const struct load *load, FILE *out);
void load_print_progress(struct load *load, FILE *out);
