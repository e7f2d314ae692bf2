/* ledger.c - lines are collected and written whole. */
#include "bench/common/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    LINES_MAX = 1 << 20,
    FLUSH_AT = 1 << 16,
};

int ledger_open(struct ledger *ledger, const char *path, bool is_immediate)
{
    *ledger = (struct ledger){.fd = -1, .is_immediate = is_immediate};
    buf_init(&ledger->lines, LINES_MAX);
    if (path == NULL)
        return 0;
    ledger->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return ledger->fd < 0 ? -errno : 0;
}

void ledger_line(struct ledger *ledger, const struct bytes *parts, size_t count)
{
    if (ledger->fd < 0)
        return;
    for (size_t i = 0; i < count; i++)
        check(buf_append(&ledger->lines, parts[i]));
    check(buf_append_byte(&ledger->lines, '\n'));
    if (ledger->is_immediate || buf_len(&ledger->lines) >= FLUSH_AT)
        ledger_flush(ledger);
}

void ledger_flush(struct ledger *ledger)
{
    while (ledger->fd >= 0 && buf_len(&ledger->lines) > 0) {
        struct bytes b = buf_bytes(&ledger->lines);
        ssize_t written = write(ledger->fd, b.ptr, b.len);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            ledger->has_failed = true;
            buf_clear(&ledger->lines);
            return;
        }
        buf_consume(&ledger->lines, (size_t)written);
    }
}

void ledger_close(struct ledger *ledger)
{
    ledger_flush(ledger);
    if (ledger->fd >= 0)
        close(ledger->fd);
    ledger->fd = -1;
    buf_free(&ledger->lines);
}
