/* check.c - the end of a process whose state is broken. */
#include "base/check.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

enum { PATIENCE_MS = 300 };

void check_failed(const char *claim, const char *file, int line, const char *function)
{
    char text[1024];
    int len = snprintf(text, sizeof(text), "ringpost: broken claim: %s (%s:%d, %s)\n", claim, file,
                       line, function);

    /* What was logged may tell why. Neither may hang: stderr can be a pipe that nobody reads. */
    (void)log_flush(PATIENCE_MS);
    if (len > 0 && poll(&(struct pollfd){.fd = 2, .events = POLLOUT}, 1, PATIENCE_MS) > 0) {
        /* Not stdio's stderr: its lock may be held by the very thread that failed. */
        ssize_t written = write(2, text, MIN((size_t)len, sizeof(text) - 1));

        (void)written;
    }
    abort();
}
