/* sink.c - a sink begins and ends, and what others ask of it meanwhile. */
#include "sink/sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sink/sink_private.h"

/* --- start and stop --------------------------------------------------------------------------- */

static void sink_free(struct sink **sink)
{
    struct sink *s = *sink;

    if (s->object != NULL)
        s->kind->free(&s->object);
    if (s->next_object != NULL)
        s->kind->free(&s->next_object);
    window_free(&s->window);
    pthread_mutex_destroy(&s->order_lock);
    free(s);
    *sink = NULL;
}

static int read_cursor(struct sink *sink, uint64_t owner)
{
    int error = sink_cursor_read(sink->host->directory_fd, sink->name, &sink->cursor);

    sink->is_cursor_saved = error == 0;
    sink->saved = sink->cursor.at;
    sink->saved_go = sink->cursor.go;
    if (error == 0 && owner != 0 && sink->cursor.owner != owner)
        error = -ENOENT; /* of one that had the name before */
    if (error != -ENOENT && error != -EBADMSG)
        return error;
    sink->cursor = (struct sink_cursor){.at = event_bounds_committed(sink->host->bounds),
                                        .time_ms = clock_wall_ms(),
                                        .owner = owner};
    log_line(error == -ENOENT ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
             "sink=%s file=%llu offset=%llu what=\"%s; it is told what happens from now on\"",
             LOG_STRING(sink->name), (unsigned long long)sink->cursor.at.number,
             (unsigned long long)sink->cursor.at.offset,
             error == -ENOENT ? "a new sink" : "its cursor file is damaged");
    sink->is_cursor_saved = false; /* the first round does that */
    sink->saved = sink->cursor.at;
    return 0;
}

static void init_nodes(struct sink *sink)
{
    list_node_init(&sink->posted);
    list_node_init(&sink->node);
    list_node_init(&sink->ready);
    list_node_init(&sink->shown);
    list_node_init(&sink->unsaved);
    list_node_init(&sink->waiting);
    listener_init(&sink->listener);
}

struct sink *sink_start(struct sink_host *host, const struct sink_settings *settings, char *why,
                        size_t why_len)
{
    struct sink *sink = calloc(1, sizeof(*sink));

    check(sink != NULL);
    snprintf(sink->name, sizeof(sink->name), "%s", settings->name);
    sink->kind = settings->kind;
    sink->host = host;
    sink->pause_ms = SINK_PAUSE_MS_MIN;
    memcpy(sink->status.name, sink->name, sizeof(sink->status.name));
    sink->status.kind = settings->kind->name;
    sink->status.owner = settings->owner;
    init_nodes(sink);
    pthread_mutex_init(&sink->order_lock, NULL);
    window_init(&sink->window, settings->kind->window);
    int error = read_cursor(sink, settings->owner);
    if (error < 0) {
        snprintf(why, why_len, "the sink %s does not start: %s%s", sink->name, strerror(-error),
                 error == -ENOTSUP ? "; a newer version has written its cursor" : "");
        sink_free(&sink);
        return NULL;
    }
    sink->saved_ms = clock_monotonic_ms();
    sink_go_to_cursor(sink);
    sink->object = settings->kind->make(settings->settings, sink);
    pthread_mutex_lock(&host->lock);
    sink_status_tell(sink);
    sink_host_post(sink);
    pthread_mutex_unlock(&host->lock);
    return sink;
}

void sink_ask_stop(struct sink *sink, int64_t until_ms)
{
    pthread_mutex_lock(&sink->host->lock);
    sink->until_ms = until_ms;
    sink->is_asked_to_stop = true;
    sink_host_post(sink);
    pthread_mutex_unlock(&sink->host->lock);
}

void sink_join(struct sink **sink)
{
    struct sink_host *host = (*sink)->host;

    pthread_mutex_lock(&host->lock);
    while (!(*sink)->has_ended)
        pthread_cond_wait(&host->done, &host->lock);
    pthread_mutex_unlock(&host->lock);
    sink_free(sink);
}

/* --- what others ask -------------------------------------------------------------------------- */

void sink_configure(struct sink *sink, const struct sink_settings *settings)
{
    pthread_mutex_lock(&sink->host->lock);
    void *newest = sink->next_object != NULL ? sink->next_object : sink->object;
    bool is_same = sink->kind->is_same(newest, settings->settings);
    pthread_mutex_unlock(&sink->host->lock);
    if (is_same)
        return;
    void *next = sink->kind->make(settings->settings, sink);
    pthread_mutex_lock(&sink->host->lock);
    void *dropped = sink->next_object;
    sink->next_object = next;
    sink_host_post(sink);
    pthread_mutex_unlock(&sink->host->lock);
    if (dropped != NULL)
        sink->kind->free(&dropped);
}

void sink_give_up(struct sink *sink, uint64_t number)
{
    pthread_mutex_lock(&sink->host->lock);
    sink->give_up = number;
    sink_host_post(sink);
    pthread_mutex_unlock(&sink->host->lock);
}

static int give_order(struct sink *sink, struct sink_order *order)
{
    struct sink_host *host = sink->host;

    pthread_mutex_lock(&sink->order_lock);
    pthread_mutex_lock(&host->lock);
    sink->order = order;
    sink_host_post(sink);
    while (!order->is_done && !sink->has_ended)
        pthread_cond_wait(&host->done, &host->lock);
    sink->order = NULL;
    pthread_mutex_unlock(&host->lock);
    pthread_mutex_unlock(&sink->order_lock);
    return order->is_done ? order->result : -ECANCELED;
}

int sink_pause(struct sink *sink, bool is_paused)
{
    struct sink_order order = {.kind = is_paused ? ORDER_PAUSE : ORDER_RESUME};

    return give_order(sink, &order);
}

int sink_replay(struct sink *sink, struct event_place place, int64_t since_ms, uint64_t *count_out)
{
    struct sink_order order = {.kind = ORDER_REPLAY, .place = place, .since_ms = since_ms};

    int error = give_order(sink, &order);
    *count_out = order.count;
    return error;
}
