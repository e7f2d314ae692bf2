/* log.c - lines: their text, their way to stderr, journal or syslog. */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/eight.h"
#include "base/log_queue.h"
#include "base/metric.h"
#include "base/text_format.h"

enum {
    PREFIX_MAX = 64, /* time, level, newline */
    BATCH_BYTES = 64 << 10,
    LATE_MS = 1000,
    STOP_MS = 1000,
    CRASH_FLUSH_MS = 300, /* the other threads go on meanwhile */
};

static const struct {
    const char *name;
    int priority; /* syslog's, also journald's */
    enum metric metric;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", LOG_ERR, METRIC_LOG_ERROR},
    [LOG_LEVEL_WARN] = {"warn", LOG_WARNING, METRIC_LOG_WARN},
    [LOG_LEVEL_INFO] = {"info", LOG_INFO, METRIC_LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG, METRIC_LOG_DEBUG},
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

/* --- where lines go --------------------------------------------------------------------------- */

/* Digits are written here because this is done for each line; the rest once a second. */
static size_t put_time(char *out, int64_t wall_ms)
{
    static _Thread_local int64_t second = INT64_MIN;
    static _Thread_local char text[CLOCK_TEXT_MAX];
    static _Thread_local size_t len;
    unsigned ms = (unsigned)(wall_ms % 1000);

    if (wall_ms < 0 || wall_ms / 1000 != second) {
        len = clock_format_rfc3339(wall_ms, text);
        second = wall_ms < 0 ? INT64_MIN : wall_ms / 1000;
    } else {
        text[len - 4] = (char)('0' + ms / 100);
        text[len - 3] = (char)('0' + ms / 10 % 10);
        text[len - 2] = (char)('0' + ms % 10);
    }
    memcpy(out, text, len);
    return len;
}

/* The journal and syslog put the time at which they got a line; one that waited says so. */
static size_t put_lateness(char *out, int64_t wall_ms)
{
    static const char late[] = "logged=";

    if (clock_wall_ms() - wall_ms < LATE_MS)
        return 0;
    memcpy(out, late, sizeof(late) - 1);
    size_t len = sizeof(late) - 1 + put_time(out + sizeof(late) - 1, wall_ms);
    out[len++] = ' ';
    return len;
}

static size_t put_prefix(char *out, const struct log_entry *entry)
{
    const char *name = levels[entry->level].name;
    size_t name_len = strlen(name);

    if (__atomic_load_n(&to_journal, __ATOMIC_RELAXED)) {
        out[0] = '<';
        out[1] = (char)('0' + levels[entry->level].priority);
        out[2] = '>';
        return 3 + put_lateness(out + 3, entry->wall_ms);
    }
    size_t len = put_time(out, entry->wall_ms);
    out[len++] = ' ';
    memcpy(out + len, name, name_len);
    len += name_len;
    out[len++] = ' ';
    return len;
}

/* Lines on their way to stderr; only one thread has such a batch. */
static struct {
    size_t len;
    unsigned lines;
    char text[BATCH_BYTES];
} batch;

/* A log that cannot be written must not stop the mail; the metric says that lines are missing. */
static void write_out(const char *text, size_t len, unsigned lines)
{
    while (len > 0) {
        ssize_t written = write(STDERR_FILENO, text, len);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EAGAIN && log_queue_is_running()) {
            /* Somebody made the pipe non-blocking; the writing thread may wait. */
            poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, -1);
            continue;
        }
        if (written <= 0) {
            metric_add(METRIC_LOG_DROPPED, lines);
            return;
        }
        text += written;
        len -= (size_t)written;
    }
}

static void flush_batch(void)
{
    write_out(batch.text, batch.len, batch.lines);
    batch.len = 0;
    batch.lines = 0;
}

static void to_syslog(const struct log_entry *entry)
{
    char late[PREFIX_MAX];
    size_t len = put_lateness(late, entry->wall_ms);

    syslog(levels[entry->level].priority, "%.*s%.*s", (int)len, late, (int)entry->len, entry->text);
}

static size_t put_line(char *out, const struct log_entry *entry)
{
    size_t len = put_prefix(out, entry);

    memcpy(out + len, entry->text, entry->len);
    len += entry->len;
    out[len++] = '\n';
    return len;
}

static void put_batch(const struct log_entry *entry)
{
    if (__atomic_load_n(&target_now, __ATOMIC_RELAXED) == LOG_TO_SYSLOG) {
        to_syslog(entry);
        return;
    }
    if (sizeof(batch.text) - batch.len < LOG_LINE_MAX)
        flush_batch();
    batch.len += put_line(batch.text + batch.len, entry);
    batch.lines++;
}

static void write_at_once(const struct log_entry *entry)
{
    char line[LOG_LINE_MAX];

    if (__atomic_load_n(&target_now, __ATOMIC_RELAXED) == LOG_TO_SYSLOG)
        to_syslog(entry);
    else
        write_out(line, put_line(line, entry), 1);
}

/* --- start and end of the writing thread ------------------------------------------------------ */

/* The signal is raised again when this returns, and then kills: the handler is gone. */
static void on_fatal_signal(int number)
{
    (void)number;
    (void)log_flush(CRASH_FLUSH_MS);
}

/* Only where nobody else handles them, as the sanitizers do. */
static void flush_before_death(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    struct sigaction action = {.sa_handler = on_fatal_signal, .sa_flags = (int)SA_RESETHAND};
    struct sigaction before;

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(signals[i], &action, NULL);
}

bool log_start(void)
{
    static const struct log_sink sink = {put_batch, flush_batch};

    if (!log_queue_start(&sink))
        return false;
    flush_before_death();
    return true;
}

bool log_flush(unsigned timeout_ms)
{
    return log_queue_flush(timeout_ms);
}

/* When it does not end, the queues stay: they take lines until they are full and drop the rest. */
void log_stop(void)
{
    (void)log_queue_stop(STOP_MS);
}

/* --- lines ------------------------------------------------------------------------------------ */

/* One fact is one line, whatever slipped past LOG_TEXT(). */
static void flatten(char *line, size_t len)
{
    size_t at = 0;

    while (at < len) {
        if (len - at >= 8 && eight_is_printable(eight_load(line + at))) {
            at += 8;
            continue;
        }
        for (size_t end = MIN(at + 8, len); at < end; at++)
            line[at] = (unsigned char)line[at] < ' ' || line[at] == 0x7f ? ' ' : line[at];
    }
}

/* The end of a text that was cut, without half a character. */
static size_t cut_end(const char *text, size_t len)
{
    while (len > 0 && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
        len--;
    return len > 0 && (unsigned char)text[len - 1] >= 0xc0 ? len - 1 : len;
}

void log_line(enum log_level level, const char *format, ...)
{
    static const char cut[] = "...";
    char text[LOG_LINE_MAX - PREFIX_MAX];
    const size_t room = sizeof(text) - sizeof(cut);
    va_list args;

    if (!log_enabled(level))
        return;
    va_start(args, format);
    size_t wanted = text_format(text, room, format, args);
    va_end(args);
    size_t len = wanted;

    if (wanted >= room) {
        len = cut_end(text, room - 1);
        memcpy(text + len, cut, sizeof(cut) - 1);
        len += sizeof(cut) - 1;
    }
    flatten(text, len);
    struct log_entry entry = {clock_wall_ms(), level, (uint32_t)len, text};

    metric_inc(levels[level].metric);
    if (log_queue_is_running())
        (void)log_queue_push(&entry); /* what has no room is counted there */
    else
        write_at_once(&entry);
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
