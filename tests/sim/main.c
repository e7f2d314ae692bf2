/*
 * main.c - sim [--seconds N | --rounds N] [--seed N] [--jobs N]: power cuts and failing disks.
 *
 * Round N is seed N: a long history with cuts, or (every fourth) a short one that is run again for
 * each of its disk operations, which fails. A round is a process of its own: whatever ends it, an
 * assertion or a sanitizer, the seed is printed, and --seed N (or $SIM_SEED) does the same again.
 *
 * What it was seen to catch, each put into the code for that purpose and taken out again:
 *   flush      written without DSYNC; told before the write ended; a short write taken for whole; a
 *              failed accept told 0; the failed segment appended to; no CUT behind a failed write
 *   segments   made without a sync of the file, or of the directory; used again without the sync of
 *              the new header, or of the directory; removed without one; spares without a sync of
 *              their header; spares with the salt that a torn flush was sealed with
 *   reclaim    not oldest first; live messages, pins, sinks, content in earlier segments not heeded
 *   compaction a message moved while an outcome is staged; copies without attempts; outcomes of
 *              moved messages left out of footers
 *   recovery   batches in part; CUTs not read; outcomes missing in footers; where data ends,
 *              attempts, serials forgotten; with mail accepted while the queue is read: serials of
 *              unread segments not known, new messages counted and scheduled twice
 * And what it found when it was new: the spool's own name not synced; a footer whose trailer was
 * torn away taken for damage; a file removed because its size could not be asked; a moved message
 * that names content lost with a failed write; an event lost to a cursor at a block's boundary.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metric.h"
#include "tests/sim/life.h"

enum { JOBS_MAX = 64, TAIL_MAX = 4000 };

/* Of a round, shared with its process; numbers alone. */
struct figures {
    struct life_counts life;
    uint64_t rounds, flushes, failures, reclaimed, moved, torn_bytes;
};

struct job {
    pid_t pid;
    uint64_t seed;
    struct figures *figures;
    int output;
};

struct options {
    uint64_t seconds, rounds, seed;
    unsigned jobs;
};

static struct figures totals;

static void add_figures(const struct figures *figures)
{
    const uint64_t *from = (const uint64_t *)figures;
    uint64_t *to = (uint64_t *)&totals;

    for (size_t i = 0; i < sizeof(totals) / sizeof(uint64_t); i++)
        to[i] += from[i];
}

static bool is_fault_round(uint64_t seed)
{
    return seed % 4 == 0;
}

static struct disk_sim_fault fault_at(uint64_t at, uint64_t seed)
{
    static const struct disk_sim_fault kinds[] = {
        {.count = 1, .error = EIO},
        {.count = 1, .error = ENOSPC},
        {.count = 1, .error = 0},
        {.count = 30, .error = ENOSPC, .spares_reads = true},
        {.count = 3, .error = EIO, .spares_reads = true},
        {.count = 5, .error = 0},
    };
    struct disk_sim_fault fault = kinds[(at + seed / 4) % ARRAY_LEN(kinds)];

    fault.at = at;
    return fault;
}

static void run_round(uint64_t seed, struct life_counts *counts)
{
    if (!is_fault_round(seed)) {
        (void)life_run(&(struct life_plan){.seed = seed, .steps = 160, .cuts = 60}, counts);
        return;
    }
    struct life_plan plan = {.seed = seed, .steps = 30, .is_reopened = true};
    uint64_t operations = life_run(&plan, counts);
    plan.cuts = 2;
    for (uint64_t at = 1; at <= operations; at++) {
        plan.fault = fault_at(at, seed);
        fprintf(stderr, "operation %ju fails\n", (uintmax_t)at);
        (void)life_run(&plan, counts);
    }
}

/* --- processes ------------------------------------------------------------------------------- */

static void start(struct job *job, uint64_t seed)
{
    char path[] = "/tmp/ringpost-sim-XXXXXX";

    job->seed = seed;
    job->output = mkstemp(path);
    job->figures = mmap(NULL, sizeof(*job->figures), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (job->output < 0 || job->figures == MAP_FAILED) {
        perror("sim");
        exit(2);
    }
    unlink(path);
    fflush(stdout);
    job->pid = fork();
    if (job->pid != 0)
        return;
    dup2(job->output, STDERR_FILENO);
    dup2(job->output, STDOUT_FILENO);
    run_round(seed, &job->figures->life);
    job->figures->rounds = 1;
    job->figures->flushes = (uint64_t)metric_sum(METRIC_SPOOL_FLUSHES);
    job->figures->failures = (uint64_t)metric_sum(METRIC_SPOOL_WRITE_FAILURES);
    job->figures->reclaimed = (uint64_t)metric_sum(METRIC_SPOOL_SEGMENTS_RECLAIMED);
    job->figures->moved = (uint64_t)metric_sum(METRIC_SPOOL_COMPACTED_MESSAGES);
    job->figures->torn_bytes = (uint64_t)metric_sum(METRIC_SPOOL_TORN_BYTES);
    _exit(0);
}

static void show_tail(int fd)
{
    char text[TAIL_MAX];
    off_t end = lseek(fd, 0, SEEK_END);
    ssize_t len = pread(fd, text, sizeof(text), end > TAIL_MAX ? end - TAIL_MAX : 0);

    if (len > 0)
        fwrite(text, 1, (size_t)len, stderr);
}

/* True: it ended well. */
static bool end(struct job *job, int status)
{
    bool is_good = WIFEXITED(status) && WEXITSTATUS(status) == 0;

    if (!is_good) {
        show_tail(job->output);
        fprintf(stderr, "sim: seed %ju failed (%s %d); again: ./dev sim --seed %ju\n",
                (uintmax_t)job->seed, WIFSIGNALED(status) ? "signal" : "exit",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), (uintmax_t)job->seed);
    }
    add_figures(job->figures);
    munmap(job->figures, sizeof(*job->figures));
    close(job->output);
    job->pid = 0;
    return is_good;
}

static uint64_t now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static unsigned run(const struct options *options)
{
    struct job jobs[JOBS_MAX] = {0};
    uint64_t next = options->seed, end_s = now_s() + options->seconds;
    unsigned running = 0, failed = 0;

    for (;;) {
        bool is_over =
            options->rounds != 0 ? next >= options->seed + options->rounds : now_s() >= end_s;

        for (unsigned i = 0; i < options->jobs && !is_over && failed == 0; i++) {
            if (jobs[i].pid != 0)
                continue;
            start(&jobs[i], next++);
            running++;
            is_over = options->rounds != 0 && next >= options->seed + options->rounds;
        }
        if (running == 0)
            return failed;
        int status;
        pid_t pid = wait(&status);
        for (unsigned i = 0; pid > 0 && i < options->jobs; i++) {
            if (jobs[i].pid != pid)
                continue;
            running--;
            failed += !end(&jobs[i], status);
        }
    }
}

static void show_totals(void)
{
    const struct life_counts *t = &totals.life;

    printf("rounds %ju: histories %ju, cuts %ju (%ju in recoveries), "
           "histories with a fault %ju (%ju starts prevented)\n"
           "accepted %ju, refused %ju, outcomes %ju, messages finished %ju, contents compared %ju, "
           "orderly restarts %ju, adopted until empty %ju\n"
           "flushes %ju, failed %ju; segments reclaimed %ju, messages moved %ju, bytes torn %ju\n",
           (uintmax_t)totals.rounds, (uintmax_t)t->histories, (uintmax_t)t->cuts,
           (uintmax_t)t->recovery_cuts, (uintmax_t)t->faults, (uintmax_t)t->failed_starts,
           (uintmax_t)t->accepted, (uintmax_t)t->refused, (uintmax_t)t->outcomes,
           (uintmax_t)t->finished, (uintmax_t)t->compared, (uintmax_t)t->reopened,
           (uintmax_t)t->vacant, (uintmax_t)totals.flushes, (uintmax_t)totals.failures,
           (uintmax_t)totals.reclaimed, (uintmax_t)totals.moved, (uintmax_t)totals.torn_bytes);
}

/* --- command --------------------------------------------------------------------------------- */

static bool take_number(const char *text, uint64_t *out)
{
    char *rest;

    errno = 0;
    *out = strtoull(text, &rest, 10);
    return errno == 0 && rest != text && *rest == '\0';
}

static bool parse(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i += 2) {
        uint64_t value;

        if (i + 1 >= argc || !take_number(argv[i + 1], &value))
            return false;
        if (strcmp(argv[i], "--seconds") == 0) {
            options->seconds = value;
            options->rounds = 0;
        } else if (strcmp(argv[i], "--rounds") == 0) {
            options->rounds = value;
        } else if (strcmp(argv[i], "--jobs") == 0 && value >= 1 && value <= JOBS_MAX) {
            options->jobs = (unsigned)value;
        } else if (strcmp(argv[i], "--seed") == 0) {
            options->seed = value;
            options->rounds = 1;
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {.rounds = 8, .seed = 1, .jobs = 1};
    const char *seed = getenv("SIM_SEED");

    if (seed != NULL) {
        if (!take_number(seed, &options.seed)) {
            fprintf(stderr, "sim: SIM_SEED=%s is no number\n", seed);
            return 64;
        }
        options.rounds = 1;
    }
    if (!parse(argc, argv, &options)) {
        fprintf(stderr, "usage: sim [--seconds N | --rounds N] [--seed N] [--jobs N]\n");
        return 64;
    }
    log_setup(LOG_TO_STDERR, LOG_LEVEL_INFO);
    unsigned failed = run(&options);
    show_totals();
    return failed == 0 ? 0 : 1;
}
