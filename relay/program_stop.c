/* program_stop.c - how long each part of a stop may last, and the wait for the workers. */
#include "relay/program_stop.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/program.h"

enum {
    STAGE_MS_MIN = 1000,
    STAGE_MS_MAX = 2000,
    HANG_MS = 3000,
    COUNT_MOMENTS = 10, /* between counts of what is left, for `status` */
};

bool program_has_stopped(const struct program *program)
{
    for (unsigned i = 0; i < program->worker_count; i++)
        if (!atomic_load(&program->workers[i].is_stopped))
            return false;
    return true;
}

struct stop_times stop_times_of(unsigned timeout_s)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t timeout_ms = (int64_t)timeout_s * 1000;
    int64_t stage_ms = MIN(MAX(timeout_ms / 10, (int64_t)STAGE_MS_MIN), (int64_t)STAGE_MS_MAX);
    struct stop_times times;

    times.attempts_ms = now_ms + timeout_ms - MIN(2 * stage_ms, timeout_ms / 2);
    times.disk_ms = times.attempts_ms + stage_ms;
    times.files_ms = MAX(now_ms + timeout_ms, times.disk_ms + stage_ms);
    times.end_ms = times.files_ms + HANG_MS;
    return times;
}

void program_drain(struct program *program, const sigset_t *signals, const struct stop_times *times)
{
    const struct timespec moment = {.tv_nsec = 20 * 1000000};
    bool is_aborted = false;
    unsigned moments = 0;

    listeners_leave(&program->listeners, &program->workers[0], NULL);
    for (unsigned i = 0; i < program->worker_count; i++)
        worker_stop(&program->workers[i], times->attempts_ms, times->disk_ms);
    while (!program_has_stopped(program)) {
        int signal_number = sigtimedwait(signals, NULL, &moment);

        for (unsigned i = 0; i < program->worker_count && moments % COUNT_MOMENTS == 0; i++)
            worker_count_left(&program->workers[i]);
        moments++;
        if ((signal_number == SIGTERM || signal_number == SIGINT) && !is_aborted) {
            log_warn("what=\"second signal: breaking off sessions and attempts\"");
            is_aborted = true;
            for (unsigned i = 0; i < program->worker_count; i++)
                worker_abort(&program->workers[i]);
        }
    }
}

void program_drop_workers(struct program *program)
{
    for (unsigned i = 0; i < program->worker_count; i++)
        if (program->workers[i].start_error == 0)
            worker_stop(&program->workers[i], clock_monotonic_ms(),
                        clock_monotonic_ms() + STAGE_MS_MIN);
    for (unsigned i = 0; i < program->worker_count; i++)
        while (!atomic_load(&program->workers[i].is_stopped))
            usleep(1000);
}
