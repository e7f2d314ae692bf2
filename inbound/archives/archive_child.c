/* archive_child.c - one archive after the other, read whole, answered a member at a time. */
#include "inbound/archives/archive_child.h"

#include <errno.h>
#include <iconv.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "inbound/archives/archive_frame.h"
#include "inbound/archives/archive_sandbox.h"

enum { NICE = 5 };

static bool read_all(int fd, void *at, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t got = read(fd, (uint8_t *)at + done, len - done);

        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

/* One call a frame, so that what was told is told whatever happens next. */
static void put_frame(int fd, const struct archive_frame *frame, struct bytes path)
{
    uint8_t room[sizeof(*frame) + ARCHIVE_PATH_MAX];
    size_t len = sizeof(*frame) + path.len;

    memcpy(room, frame, sizeof(*frame));
    if (path.len > 0)
        memcpy(room + sizeof(*frame), path.ptr, path.len);
    for (size_t done = 0; done < len;) {
        ssize_t put = write(fd, room + done, len - done);

        if (put <= 0)
            _exit(1);
        done += (size_t)put;
    }
}

static void take(void *context, const struct archive_member *member)
{
    const struct archive_frame frame = {
        .depth = (uint8_t)member->depth,
        .is_encrypted = member->is_encrypted,
        .is_nested = member->is_nested,
        .path_len = (uint16_t)member->path.len,
    };

    put_frame(*(const int *)context, &frame, member->path);
}

/* Beyond it SIGPROF ends the process. */
static void allow_time(int seconds)
{
    const struct itimerval timer = {.it_value = {.tv_sec = seconds}};

    if (setitimer(ITIMER_PROF, &timer, NULL) != 0)
        _exit(1);
}

static bool answer_one(int fd)
{
    struct archive_request request;

    if (!read_all(fd, &request, sizeof(request)))
        return false;
    uint8_t *bytes = malloc(MAX(request.len, 1u));

    if (bytes == NULL || !read_all(fd, bytes, request.len)) {
        free(bytes);
        return false;
    }
    allow_time(ARCHIVE_CPU_S);
    struct archive_frame end = {.is_end = 1};

    end.result =
        (uint8_t)archive_names(bytes_range(bytes, request.len), request.members_max, take, &fd);
    allow_time(0);
    free(bytes);
    put_frame(fd, &end, BYTES_NONE);
    return true;
}

/* What opens files when it is first used: converting names, of which libarchive has UTF-16 ones. */
static void warm_up(void)
{
    static const char *const from[] = {"UTF-16LE", "UTF-16BE", "CP437"};

    (void)!setlocale(LC_CTYPE, "C.UTF-8");
    for (size_t i = 0; i < ARRAY_LEN(from); i++) {
        iconv_t converter = iconv_open("UTF-8", from[i]);

        if (converter != (iconv_t)-1) /* NOLINT(performance-no-int-to-ptr) */
            iconv_close(converter);
    }
}

int archive_child_run(int fd)
{
    warm_up();
    (void)setpriority(PRIO_PROCESS, 0, NICE);
    if (archive_sandbox_enter() < 0)
        return 1;
    put_frame(fd, &(struct archive_frame){.is_end = 1}, BYTES_NONE); /* it is ready */
    while (answer_one(fd))
        continue;
    _exit(0); /* handlers of exit() need calls that are gone */
}
