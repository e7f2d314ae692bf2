/* tool.c - small things that load and sink share. */
#include "bench/common/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/engine.h"

enum { BACKLOG = 4096 };

static const char *const stage_names[STAGE_COUNT] = {
    [STAGE_CONNECT] = "connect", [STAGE_HELO] = "helo", [STAGE_MAIL] = "mail",
    [STAGE_RCPT] = "rcpt",       [STAGE_DATA] = "data", [STAGE_DOT] = "dot",
};

const char *stage_name(enum stage stage)
{
    return stage_names[stage];
}

bool stage_parse(struct bytes name, enum stage *out)
{
    for (unsigned i = 0; i < STAGE_COUNT; i++) {
        if (bytes_equal(name, bytes_of(stage_names[i]))) {
            *out = (enum stage)i;
            return true;
        }
    }
    return false;
}

static bool print_stage(const uint64_t *counts, const char *name, const char *before, FILE *out)
{
    const char *comma = "";

    for (unsigned code = 0; code < CODE_MAX; code++) {
        if (counts[code] == 0)
            continue;
        if (comma[0] == '\0')
            fprintf(out, "%s\"%s\": {", before, name);
        fprintf(out, "%s\"%03u\": %" PRIu64, comma, code, counts[code]);
        comma = ", ";
    }
    if (comma[0] != '\0')
        fputs("}", out);
    return comma[0] != '\0';
}

void code_counts_print(const struct code_counts *counts, FILE *out)
{
    const char *before = "";

    fputs("{", out);
    for (unsigned i = 0; i < STAGE_COUNT; i++) {
        if (print_stage(counts->counts[i], stage_names[i], before, out))
            before = ", ";
    }
    fputs("}", out);
}

static int64_t us_of(struct timeval time)
{
    return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

int64_t tool_cpu_us(void)
{
    struct rusage usage;

    check(getrusage(RUSAGE_SELF, &usage) == 0);
    return us_of(usage.ru_utime) + us_of(usage.ru_stime);
}

void tool_raise_fds(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        fprintf(stderr, "descriptors stay limited: %m\n");
}

static int listen_fail(int fd)
{
    int error = -errno;

    close(fd);
    return error;
}

int tool_listen(const struct address *address)
{
    int on = 1;
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
        bind(fd, &address->any, address_len(address)) < 0 || listen(fd, BACKLOG) < 0)
        return listen_fail(fd);
    return fd;
}

void tool_no_delay(int fd)
{
    int on = 1;

    /* Only speed is lost without it. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

bool tool_probe(void)
{
    const char *why;

    if (engine_probe(&why) == 0)
        return true;
    fprintf(stderr, "%s\n", why);
    return false;
}

struct bytes tool_digits(uint64_t value, uint8_t space[static TOOL_DIGITS_MAX])
{
    size_t at = TOOL_DIGITS_MAX;

    do {
        space[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return (struct bytes){space + at, TOOL_DIGITS_MAX - at};
}
