/* receiver.c - a thread that accepts connections and runs their sessions. */
#include "bench/sink/receiver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/sink/session.h"

enum {
    FLUSH_MS = 1000,
    ACCEPT_AGAIN_MS = 100,
    SESSIONS_SPARE = 1024, /* beyond sessions_max, to say 421 with */
};

static void accept_done(struct op *op, int result, uint32_t flags)
{
    struct listen *listen = container_of(op, struct listen, accept);
    struct receiver *receiver = listen->receiver;

    if (result >= 0)
        session_open(receiver, result);
    if (!(flags & ENGINE_MORE))
        engine_timeout(receiver->engine, &listen->again, result < 0 ? ACCEPT_AGAIN_MS : 0);
}

static void again_fire(struct timeout *timeout)
{
    struct listen *listen = container_of(timeout, struct listen, again);

    engine_accept(listen->receiver->engine, &listen->accept, listen->fd);
}

static void flush_fire(struct timeout *timeout)
{
    struct receiver *receiver = container_of(timeout, struct receiver, flush);

    ledger_flush(&receiver->ledger);
    engine_timeout(receiver->engine, &receiver->flush, FLUSH_MS);
}

int receiver_init(struct receiver *receiver, struct sink *sink)
{
    const struct sink_settings *settings = &sink->settings;

    *receiver = (struct receiver){.sink = sink};
    list_init(&receiver->open);
    slab_init(&receiver->sessions, sizeof(struct session), settings->sessions_max + SESSIONS_SPARE);
    timeout_init(&receiver->flush, flush_fire);
    for (unsigned i = 0; i < settings->listen_count; i++) {
        struct listen *listen = &receiver->listens[i];

        listen->receiver = receiver;
        listen->fd = tool_listen(&settings->listens[i]);
        op_init(&listen->accept, accept_done);
        timeout_init(&listen->again, again_fire);
        if (listen->fd < 0)
            return listen->fd;
    }
    return ledger_open(&receiver->ledger, settings->ledger, settings->is_ledger_immediate);
}

static void *receiver_main(void *context)
{
    /* Few buffers, used in turn, stay in the cache. */
    static const struct engine_settings engine_settings = {.buffer_count = 512,
                                                           .buffer_size = 8192};
    struct receiver *receiver = context;
    struct engine *engine = engine_create(&engine_settings);

    if (engine == NULL) {
        fprintf(stderr, "engine: %m\n");
        _exit(EXIT_FAILURE);
    }
    receiver->engine = engine;
    for (unsigned i = 0; i < receiver->sink->settings.listen_count; i++)
        engine_accept(engine, &receiver->listens[i].accept, receiver->listens[i].fd);
    engine_timeout(engine, &receiver->flush, FLUSH_MS);
    engine_run(engine);
    ledger_close(&receiver->ledger);
    receiver->engine = NULL;
    engine_destroy(&engine);
    return NULL;
}

void receiver_start(struct receiver *receiver)
{
    check(pthread_create(&receiver->thread, NULL, receiver_main, receiver) == 0);
    while (receiver->engine == NULL)
        usleep(1000);
}

void receiver_stop(struct receiver *receiver)
{
    engine_stop(receiver->engine);
    check(pthread_join(receiver->thread, NULL) == 0);
}

void receiver_free(struct receiver *receiver)
{
    for (unsigned i = 0; i < receiver->sink->settings.listen_count; i++)
        close(receiver->listens[i].fd);
    session_free_all(receiver);
    slab_free_all(&receiver->sessions);
}
