/* clock_file.c - the file `clock`: read at a start, written when the wall clock was set. */
#include "relay/clock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "relay/state_dir.h"

enum {
    LINE_LEN_MAX = 256,
    WRITE_EVERY_MS = 10 * 60 * 1000,
    DRIFT_PER = 1000, /* twice what a clock is slewed by at most is no step */
};

/* The first line of a short file, without its end; empty: there is none. */
static void read_line(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, out, size - 1) : -1;

    if (fd >= 0)
        close(fd);
    out[len > 0 ? len : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

struct moment {
    char boot[BOOT_ID_MAX];
    int64_t now_ms, wall_ms, steady_ms;
};

static bool parse(const char *line, struct moment *out)
{
    char end;

    return sscanf(line, "1 %63s %" SCNd64 " %" SCNd64 " %" SCNd64 "%c", out->boot, &out->now_ms,
                  &out->wall_ms, &out->steady_ms, &end) == 4;
}

/* The wall clock has gone on since as the monotonic one has. */
static bool is_steady(const struct clock_file *file, const struct moment *then, struct clocks now)
{
    if (file->boot[0] == '\0' || strcmp(file->boot, then->boot) != 0 || then->now_ms < 0 ||
        then->now_ms > now.now_ms || then->steady_ms < 0 || then->steady_ms > then->now_ms)
        return false;
    int64_t passed_ms = now.now_ms - then->now_ms;
    int64_t offset_ms, step_ms, bound_ms = CLOCK_STEP_MS + passed_ms / DRIFT_PER;

    return !__builtin_sub_overflow(then->wall_ms, then->now_ms, &offset_ms) &&
           !__builtin_sub_overflow(now.wall_ms - now.now_ms, offset_ms, &step_ms) &&
           step_ms < bound_ms && step_ms > -bound_ms;
}

static void save(struct clock_file *file, struct clocks clocks)
{
    char line[LINE_LEN_MAX], next[sizeof(file->path) + 8];
    int len = snprintf(line, sizeof(line), "1 %s %" PRId64 " %" PRId64 " %" PRId64 "\n", file->boot,
                       clocks.now_ms, clocks.wall_ms, file->steady_ms);

    file->written_ms = clocks.now_ms;
    if (file->boot[0] == '\0' || file->path[0] == '\0')
        return;
    snprintf(next, sizeof(next), "%s.new", file->path);
    int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_written = fd >= 0 && write(fd, line, (size_t)len) == len;

    if (fd >= 0)
        close(fd);
    if (is_written && rename(next, file->path) == 0)
        return;
    log_limited(LOG_LEVEL_WARN,
                "path=%s error=\"%s\" what=\"cannot be written: the next start is not sure of the "
                "ages of mail\"",
                LOG_STRING(file->path), strerror(errno));
}

int64_t clock_file_open(struct clock_file *file, const char *state_dir, struct clocks clocks)
{
    char line[LINE_LEN_MAX];
    struct moment then;

    *file = (struct clock_file){.steady_ms = clocks.now_ms};
    read_line("/proc/sys/kernel/random/boot_id", file->boot, sizeof(file->boot));
    if (!state_dir_file(state_dir, "clock", file->path, sizeof(file->path)))
        file->path[0] = '\0';
    read_line(file->path, line, sizeof(line));
    if (parse(line, &then) && is_steady(file, &then, clocks))
        file->steady_ms = then.steady_ms;
    else if (line[0] != '\0')
        log_info(
            "what=\"the machine was started or its clock was set since the last run: mail from "
            "before is tried for a while before it may expire\"");
    save(file, clocks);
    return file->steady_ms;
}

void clock_file_look(struct clock_file *file, struct clocks clocks, bool was_set)
{
    if (was_set)
        file->steady_ms = clocks.now_ms;
    if (was_set || clocks.now_ms - file->written_ms >= WRITE_EVERY_MS)
        save(file, clocks);
}
