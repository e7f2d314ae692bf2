/* reporter.c - the thread: counts, and sends what is due, once a second. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/program.h"
#include "relay/reporter_private.h"

enum { EVERY_S = 1 };

/* Of the first look, or after one that failed. */
static bool open_tally(struct reporter *r)
{
    char why[TALLY_WHY_MAX] = "";

    pthread_mutex_lock(&r->tally_lock);
    if (r->tally == NULL)
        r->tally = tally_open(r->config->state_dir, false, why);
    if (r->tally != NULL)
        tally_spread(r->tally, r->config->reports.spread_s);
    bool is_open = r->tally != NULL;
    pthread_mutex_unlock(&r->tally_lock);
    if (!is_open)
        log_limited(LOG_LEVEL_ERROR, "what=\"nothing is counted for reports\" why=%s",
                    LOG_STRING(why));
    return is_open;
}

static void forget_old(struct reporter *r)
{
    int64_t day = reporter_day(clock_wall_ms()) - TALLY_DAYS;

    if (day == r->forgot_day)
        return;
    pthread_mutex_lock(&r->tally_lock);
    if (tally_forget(r->tally, day))
        r->forgot_day = day;
    pthread_mutex_unlock(&r->tally_lock);
}

static void look(struct reporter *r)
{
    if (!reporter_is_on(r->config) || !open_tally(r))
        return;
    forget_old(r);
    /* A day is over only once all of its events were read. */
    if (reporter_count(r))
        reporter_send(r);
}

static void take_config(struct reporter *r)
{
    if (r->next == NULL)
        return;
    if (r->config != NULL)
        config_release(&r->config);
    r->config = r->next;
    r->next = NULL;
}

static void *run_thread(void *context)
{
    struct reporter *r = context;
    struct timespec until;

    pthread_mutex_lock(&r->lock);
    while (!atomic_load(&r->is_stopping)) {
        take_config(r);
        r->is_hurried = false;
        pthread_mutex_unlock(&r->lock);
        look(r);
        pthread_mutex_lock(&r->lock);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += EVERY_S;
        while (!atomic_load(&r->is_stopping) && !r->is_hurried &&
               pthread_cond_timedwait(&r->wake, &r->lock, &until) == 0)
            ;
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* --- from outside ----------------------------------------------------------------------------- */

static void init_locks(struct reporter *r)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->tally_lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void reporter_free(struct reporter *r)
{
    if (r->reader != NULL)
        event_reader_close(&r->reader);
    if (r->look != NULL)
        dns_look_close(&r->look);
    tally_close(&r->tally);
    desk_free(&r->desk);
    if (r->config != NULL)
        config_release(&r->config);
    if (r->next != NULL)
        config_release(&r->next);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->tally_lock);
    pthread_mutex_destroy(&r->lock);
    free(r->events);
    free(r);
}

struct reporter *reporter_start(struct program *program, const char *events_directory)
{
    struct reporter *r = calloc(1, sizeof(*r));

    check(r != NULL);
    r->program = program;
    r->events = strdup(events_directory);
    check(r->events != NULL);
    init_locks(r);
    r->desk = desk_open(&program->workers[0]);
    reporter_configure(r, program->config);
    int error = pthread_create(&r->thread, NULL, run_thread, r);

    if (error == 0) {
        pthread_setname_np(r->thread, "reports");
        return r;
    }
    reporter_free(r);
    errno = error;
    return NULL;
}

void reporter_configure(struct reporter *reporter, struct config *config)
{
    const char *why = "";

    config_keep(config);
    pthread_mutex_lock(&reporter->lock);
    if (reporter->next != NULL)
        config_release(&reporter->next);
    reporter->next = config;
    if (reporter_is_on(config) && reporter->look == NULL)
        reporter->look = dns_look_open(&config->dns, &why);
    if (reporter_is_on(config) && reporter->look == NULL)
        log_error("what=\"DNS cannot be asked for who wants reports: none are sent\" why=%s",
                  LOG_STRING(why));
    pthread_mutex_unlock(&reporter->lock);
}

bool reporter_hurry(struct reporter *reporter, enum tally_kind kind, int64_t day,
                    struct bytes domain, uint64_t *count_out, char why[static TALLY_WHY_MAX])
{
    bool is_good = false;

    pthread_mutex_lock(&reporter->tally_lock);
    if (reporter->tally == NULL) {
        snprintf(why, TALLY_WHY_MAX,
                 "nothing is counted: neither reports.dmarc nor reports.tls is "
                 "on");
    } else {
        is_good = tally_hurry(reporter->tally, kind, day, domain, count_out);
        snprintf(why, TALLY_WHY_MAX, "%s", is_good ? "" : tally_why(reporter->tally));
    }
    pthread_mutex_unlock(&reporter->tally_lock);
    pthread_mutex_lock(&reporter->lock);
    reporter->is_hurried = true;
    pthread_cond_signal(&reporter->wake);
    pthread_mutex_unlock(&reporter->lock);
    return is_good;
}

void reporter_ask_stop(struct reporter *reporter)
{
    pthread_mutex_lock(&reporter->lock);
    atomic_store(&reporter->is_stopping, true);
    pthread_cond_signal(&reporter->wake);
    pthread_mutex_unlock(&reporter->lock);
    desk_close(reporter->desk);
}

void reporter_join(struct reporter **reporter)
{
    struct reporter *r = *reporter;

    *reporter = NULL;
    if (r == NULL)
        return;
    pthread_join(r->thread, NULL);
    reporter_free(r);
}
