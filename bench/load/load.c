/* load.c - who sends what when. */
#include "bench/load/load.h"

#include <stdlib.h>

#include "base/clock.h"
#include "bench/load/client.h"

enum { TICK_MS = 1000 };

static int64_t due_us(const struct load *load)
{
    return load->start_us + (int64_t)((double)load->next * 1000000.0 / (double)load->settings.rate);
}

bool load_is_over(const struct load *load)
{
    const struct load_settings *settings = &load->settings;

    return load->is_stopping || (settings->messages != 0 && load->next >= settings->messages);
}

static void give_message(struct load *load, struct client *client, int64_t now_us)
{
    if (load->start_us == 0) {
        load->start_us = now_us;
        load->start_wall_us = clock_wall_us();
    }
    int64_t due = load->settings.rate != 0 ? due_us(load) : now_us;

    client_begin(client, load->next++, due);
}

static bool is_due(const struct load *load, int64_t now_us)
{
    return load->settings.rate == 0 || load->start_us == 0 || due_us(load) <= now_us;
}

static void arm_pace(struct load *load, int64_t now_us)
{
    engine_timeout(load->engine, &load->pace, MAX(due_us(load) - now_us, (int64_t)0) / 1000);
}

void load_ready(struct load *load, struct client *client)
{
    if (load_is_over(load)) {
        client_quit(client);
        return;
    }
    int64_t now_us = clock_monotonic_us();

    if (list_is_empty(&load->idle) && is_due(load, now_us)) {
        give_message(load, client, now_us);
        return;
    }
    list_push_back(&load->idle, &client->node);
    arm_pace(load, now_us);
}

static void quit_idle(struct load *load)
{
    struct list_node *node;

    while ((node = list_pop_front(&load->idle)) != NULL)
        client_quit(container_of(node, struct client, node));
}

static void pace_fire(struct timeout *timeout)
{
    struct load *load = container_of(timeout, struct load, pace);
    int64_t now_us = clock_monotonic_us();

    while (!load_is_over(load) && is_due(load, now_us)) {
        struct list_node *node = list_pop_front(&load->idle);

        if (node == NULL)
            return;
        give_message(load, container_of(node, struct client, node), now_us);
    }
    if (load_is_over(load))
        quit_idle(load);
    else if (!list_is_empty(&load->idle))
        arm_pace(load, now_us);
}

void load_client_over(struct load *load)
{
    check(load->running > 0);
    load->running--;
}

void load_progress(struct load *load)
{
    load->progress_ms = engine_now_ms(load->engine);
}

static void stop(struct load *load)
{
    load->is_stopping = true;
    quit_idle(load);
}

static void tick_fire(struct timeout *timeout)
{
    struct load *load = container_of(timeout, struct load, tick);
    const struct load_settings *settings = &load->settings;
    int64_t now_ms = engine_now_ms(load->engine);

    ledger_flush(&load->ledger);
    if (!settings->quiet)
        load_print_progress(load, stderr);
    if (now_ms - load->progress_ms > settings->give_up_ms && !load->has_given_up) {
        load->has_given_up = true;
        stop(load);
    }
    for (uint64_t i = 0; i < settings->connections; i++)
        client_tick(&load->clients[i], now_ms);
    load->ticks++;
    engine_timeout(load->engine, &load->tick, TICK_MS);
}

void load_init(struct load *load, const struct load_settings *settings, struct engine *engine)
{
    *load = (struct load){.settings = *settings, .engine = engine};
    list_init(&load->idle);
    timeout_init(&load->pace, pace_fire);
    timeout_init(&load->tick, tick_fire);
    content_init(&load->content, settings->size_min != 0 ? settings->size_min : settings->size,
                 settings->size, settings->seed);
    load->clients = calloc(settings->connections, sizeof(*load->clients));
    check(load->clients != NULL);
    for (uint64_t i = 0; i < settings->connections; i++)
        client_init(&load->clients[i], load);
}

void load_free(struct load *load)
{
    engine_timeout_cancel(load->engine, &load->pace);
    engine_timeout_cancel(load->engine, &load->tick);
    for (uint64_t i = 0; i < load->settings.connections; i++)
        client_free(&load->clients[i]);
    free(load->clients);
    content_free(&load->content);
}

static bool is_time_over(const struct load *load)
{
    return load->settings.run_ms != 0 && load->start_us != 0 &&
           clock_monotonic_us() - load->start_us >= load->settings.run_ms * 1000;
}

void load_run(struct load *load, const volatile bool *stop_asked)
{
    load->running = load->settings.connections;
    load->progress_ms = clock_monotonic_ms();
    engine_timeout(load->engine, &load->tick, TICK_MS);
    for (uint64_t i = 0; i < load->settings.connections; i++)
        client_start(&load->clients[i]);
    while (load->running > 0) {
        engine_turn(load->engine, 100);
        if (!load->is_stopping && (*stop_asked || is_time_over(load)))
            stop(load);
    }
}
