/* queue_age.c - looks through a worker's messages for the oldest, a slice a second. */
#include "relay/queue_age.h"

#include <string.h>

#include "base/clock.h"
#include "relay/worker.h"

enum { TICK_MS = 1000, SLICE_US = 2000, VISIT_BUCKETS = 32 };

static void visit(void *context, struct shard *shard, struct stub *stub)
{
    struct queue_age *age = context;
    int64_t accepted_ms = stub_accepted_ms(stub, age->now_ms);

    (void)shard;
    for (uint32_t i = 0; i < stub->recipient_count; i++) {
        const struct pending *pending = &stub->pendings[i];

        if (pending->state == PENDING_FINAL)
            continue;
        struct queue_oldest *oldest = &age->round[delivery_pending_waits(pending)];
        if (oldest->accepted_ms == 0 || accepted_ms < oldest->accepted_ms)
            *oldest = (struct queue_oldest){accepted_ms, stub->id};
    }
}

static void end_round(struct queue_age *age)
{
    memcpy(age->told, age->round, sizeof(age->told));
    memset(age->round, 0, sizeof(age->round));
    age->shard = 0;
    age->cursor = 0;
}

static void look(struct queue_age *age)
{
    int64_t until_us = clock_monotonic_us() + SLICE_US;

    while (age->shard < age->worker->shard_count) {
        if (!shard_walk(age->worker->shards[age->shard], &age->cursor, VISIT_BUCKETS, visit, age)) {
            age->shard++;
            age->cursor = 0;
        }
        if (clock_monotonic_us() >= until_us)
            return;
    }
    end_round(age);
}

static void on_tick(struct timeout *timeout)
{
    struct queue_age *age = container_of(timeout, struct queue_age, tick);

    age->now_ms = engine_now_ms(age->worker->engine);
    look(age);
    engine_timeout(age->worker->engine, &age->tick, TICK_MS);
}

void queue_age_start(struct queue_age *age, struct worker *worker)
{
    *age = (struct queue_age){.worker = worker};
    timeout_init(&age->tick, on_tick);
    engine_timeout(worker->engine, &age->tick, TICK_MS);
}

void queue_age_stop(struct queue_age *age)
{
    engine_timeout_cancel(age->worker->engine, &age->tick);
}
