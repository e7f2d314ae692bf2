/*
 * setclock.c - a ringpost whose wall clock a test sets, for test_clock.py and soak.py.
 *
 * The linker is told --wrap=clock_gettime, so that the very objects of the program call this
 * instead. The file that RINGPOST_CLOCK_OFFSET names is mapped; its first eight bytes are the
 * milliseconds by which CLOCK_REALTIME is off. Every other clock is the machine's.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

int __real_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now);

static const _Atomic int64_t none;
static const _Atomic int64_t *offset_ms = &none;

/* Before any thread. */
__attribute__((constructor)) static void map_offset(void)
{
    const char *path = getenv("RINGPOST_CLOCK_OFFSET");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped = fd >= 0 ? mmap(NULL, sizeof(none), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (mapped == MAP_FAILED) {
        perror("RINGPOST_CLOCK_OFFSET");
        exit(1);
    }
    close(fd);
    offset_ms = mapped;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *now)
{
    int result = __real_clock_gettime(id, now);

    if (result < 0 || id != CLOCK_REALTIME)
        return result;
    int64_t ms = (int64_t)now->tv_sec * 1000 + now->tv_nsec / 1000000 +
                 atomic_load_explicit(offset_ms, memory_order_relaxed);

    now->tv_sec = ms / 1000;
    now->tv_nsec = ms % 1000 * 1000000 + now->tv_nsec % 1000000;
    return result;
}
