/*
 * reporter_private.h - what the files of the reporter share. Private to them; its thread's but for
 * what `lock` guards.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "event/event_reader.h"
#include "relay/cli/dns_look.h"
#include "relay/config.h"
#include "relay/reporter.h"
#include "relay/reporter_desk.h"
#include "reporting/report_write.h"
#include "reporting/tls_count.h"

struct reporter {
    struct program *program;
    pthread_t thread;
    char *events; /* the directory */
    atomic_bool is_stopping;
    pthread_mutex_t lock; /* of the next three; held for a look */
    pthread_cond_t wake;
    struct config *next; /* the newest configuration */
    bool is_hurried;
    pthread_mutex_t tally_lock; /* of the next; held while a batch is counted, a report written */
    struct tally *tally;        /* NULL: not opened yet, or it failed */
    struct dns_look *look;      /* made once, while no others are */
    /* the thread's */
    struct config *config;
    struct desk *desk;
    struct event_reader *reader;
    struct tls_count_seen seen;
    int64_t forgot_day;
};

/* reporter_count.c: counts some more events. True: all there are now were; false: there may be
 * more, or it failed, which was logged. */
must_use bool reporter_count(struct reporter *reporter);
/* reporter_send.c: sends what is due. The tally is locked while it is used, and not while others
 * are waited for. */
void reporter_send(struct reporter *reporter);

static inline bool reporter_is_on(const struct config *config)
{
    return config->reports.dmarc || config->reports.tls;
}

static inline int64_t reporter_day(int64_t wall_ms)
{
    return wall_ms / (86400 * INT64_C(1000));
}
