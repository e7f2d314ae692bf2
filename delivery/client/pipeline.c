/* pipeline.c - a small ring of runs. */
#include "delivery/client/pipeline.h"

#include "base/check.h"

void pipeline_clear(struct pipeline *pipeline)
{
    *pipeline = (struct pipeline){0};
}

void pipeline_push(struct pipeline *pipeline, enum client_command command, uint32_t recipient,
                   uint64_t end)
{
    check(command < COMMAND_COUNT);
    if (pipeline->run_count > 0) {
        unsigned last = (pipeline->head + pipeline->run_count - 1U) % PIPELINE_RUNS_MAX;
        struct pipeline_run *run = &pipeline->runs[last];

        if (run->command == command && command == COMMAND_RCPT) {
            check(run->first + run->count == recipient);
            run->count++;
            return;
        }
    }
    check(pipeline->run_count < PIPELINE_RUNS_MAX);
    unsigned next = (pipeline->head + pipeline->run_count) % PIPELINE_RUNS_MAX;

    pipeline->runs[next] = (struct pipeline_run){(uint8_t)command, recipient, 1, end};
    pipeline->run_count++;
}

bool pipeline_is_empty(const struct pipeline *pipeline)
{
    return pipeline->run_count == 0;
}

bool pipeline_first(const struct pipeline *pipeline, struct sent *sent_out)
{
    if (pipeline->run_count == 0)
        return false;
    const struct pipeline_run *run = &pipeline->runs[pipeline->head];

    *sent_out = (struct sent){(enum client_command)run->command, run->first, run->end};
    return true;
}

bool pipeline_pop(struct pipeline *pipeline, struct sent *sent_out)
{
    if (!pipeline_first(pipeline, sent_out))
        return false;
    struct pipeline_run *run = &pipeline->runs[pipeline->head];

    run->first++;
    if (--run->count == 0) {
        pipeline->head = (uint8_t)((pipeline->head + 1) % PIPELINE_RUNS_MAX);
        pipeline->run_count--;
    }
    return true;
}
