/* log.c - formats one line and writes it with one system call. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    LINE_MAX_BYTES = 4096,
    TEXT_MAX = 255,
    TEXT_BUFFERS = 4,
};

static const struct {
    const char *name;
    int priority; /* syslog's, also journald's */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", LOG_ERR},
    [LOG_LEVEL_WARN] = {"warn", LOG_WARNING},
    [LOG_LEVEL_INFO] = {"info", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

static enum log_target target_now = LOG_TO_STDERR;
static enum log_level level_now = LOG_LEVEL_INFO;
static bool to_journal;

/* systemd says which stream it connected; stderr may have been redirected since. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    char ours[64];

    if (stream == NULL || fstat(STDERR_FILENO, &status) != 0)
        return false;
    snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    return strcmp(stream, ours) == 0;
}

void log_setup(enum log_target target, enum log_level level)
{
    if (target == LOG_TO_SYSLOG)
        openlog("ringpost", LOG_PID | LOG_NDELAY, LOG_MAIL);
    __atomic_store_n(&to_journal, target == LOG_TO_STDERR && stderr_is_journal(), __ATOMIC_RELAXED);
    __atomic_store_n(&target_now, target, __ATOMIC_RELAXED);
    __atomic_store_n(&level_now, level, __ATOMIC_RELAXED);
}

bool log_enabled(enum log_level level)
{
    return level <= __atomic_load_n(&level_now, __ATOMIC_RELAXED);
}

static size_t format_prefix(char *line, enum log_level level)
{
    char time[CLOCK_TEXT_MAX];
    int len;

    if (__atomic_load_n(&target_now, __ATOMIC_RELAXED) == LOG_TO_SYSLOG)
        return 0;
    if (__atomic_load_n(&to_journal, __ATOMIC_RELAXED)) {
        len = snprintf(line, LINE_MAX_BYTES, "<%d>", levels[level].priority);
    } else {
        clock_format_rfc3339(clock_wall_ms(), time);
        len = snprintf(line, LINE_MAX_BYTES, "%s %s ", time, levels[level].name);
    }
    check(len > 0);
    return (size_t)len;
}

/* One fact is one line, whatever slipped past LOG_TEXT(). */
static void flatten(char *line, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = ' ';
}

void log_line(enum log_level level, const char *format, ...)
{
    static const char cut[] = "...";
    char line[LINE_MAX_BYTES];
    va_list args;

    if (!log_enabled(level))
        return;
    size_t start = format_prefix(line, level);
    size_t room = sizeof(line) - start - 1; /* one byte stays for the newline */

    va_start(args, format);
    int wanted = vsnprintf(line + start, room, format, args);
    va_end(args);
    check(wanted >= 0);
    size_t len = start + MIN((size_t)wanted, room - 1);

    if ((size_t)wanted >= room)
        memcpy(line + len - (sizeof(cut) - 1), cut, sizeof(cut) - 1);
    flatten(line, start, len);
    if (__atomic_load_n(&target_now, __ATOMIC_RELAXED) == LOG_TO_SYSLOG) {
        syslog(levels[level].priority, "%.*s", (int)len, line);
        return;
    }
    line[len++] = '\n';
    /* A log that cannot be written must not stop the mail; there is nowhere left to say so. */
    ssize_t written = write(STDERR_FILENO, line, len);

    (void)written;
}

bool log_limit_pass(struct log_limit *limit, uint32_t *held_back_out)
{
    int64_t now_s = clock_monotonic_ms() / 1000;

    if (__atomic_exchange_n(&limit->window_s, now_s, __ATOMIC_RELAXED) != now_s) {
        __atomic_store_n(&limit->passed, 1, __ATOMIC_RELAXED);
        *held_back_out = __atomic_exchange_n(&limit->held_back, 0, __ATOMIC_RELAXED);
        return true;
    }
    if (__atomic_fetch_add(&limit->passed, 1, __ATOMIC_RELAXED) < LOG_LIMIT_PER_SECOND) {
        *held_back_out = 0;
        return true;
    }
    __atomic_fetch_add(&limit->held_back, 1, __ATOMIC_RELAXED);
    return false;
}

static char *put_escaped(char *out, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    const char *named = c == '\r' ? "\\r" : c == '\n' ? "\\n" : c == '\t' ? "\\t" : NULL;

    if (named != NULL) {
        *out++ = named[0];
        *out++ = named[1];
    } else if (c < ' ' || c >= 0x7f) {
        *out++ = '\\';
        *out++ = 'x';
        *out++ = hex[c >> 4];
        *out++ = hex[c & 15];
    } else {
        if (c == '"' || c == '\\')
            *out++ = '\\';
        *out++ = (char)c;
    }
    return out;
}

const char *log_text(struct bytes text)
{
    /* Every byte may become four, and two quotes, three dots and a NUL are added. */
    static _Thread_local char buffers[TEXT_BUFFERS][TEXT_MAX * 4 + 6];
    static _Thread_local unsigned next;
    char *buffer = buffers[next++ % TEXT_BUFFERS];
    char *out = buffer;

    *out++ = '"';
    for (size_t i = 0; i < text.len && i < TEXT_MAX; i++)
        out = put_escaped(out, text.ptr[i]);
    *out++ = '"';
    for (int i = 0; i < 3 && text.len > TEXT_MAX; i++)
        *out++ = '.';
    *out = '\0';
    return buffer;
}
