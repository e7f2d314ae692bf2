/*
 * log.h - one line per fact, key=value, id first.
 *
 *   log_info("id=%s to=%s outcome=deferred reply=%s", id, LOG_TEXT(address), LOG_TEXT(reply))
 *
 * info = business fact, warn = an operator may act, error = something was lost, debug = for us.
 * Lines go to stderr with the priority prefix journald understands ("<6>") when stderr is the
 * journal, plainly with a time otherwise, or to syslog. Text that came from outside is passed
 * through LOG_TEXT(), which quotes it and escapes control characters (tests/lint/log.py holds every
 * %s to that); credentials and content never. What a peer can trigger goes through log_limited(),
 * which passes a bounded number a second and says how many it held back. Any thread.
 *
 * Between log_start() and log_stop() no line waits for whoever reads the log: it is put, with the
 * time it was logged, into its thread's bounded queue, and one thread writes (log_queue.h). What
 * finds no room is counted (ringpost_log_dropped_total) and the log says so. Outside of these two
 * a line is written before log_line() returns.
 */
#pragma once

#include "base/bytes.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_target { LOG_TO_STDERR, LOG_TO_SYSLOG };

void log_setup(enum log_target target, enum log_level level);
/* Starts the writing thread, and has what kills the process (SIGSEGV, SIGABRT and their like) flush
 * first. False when there is no thread to be had: lines are written at once then, as before. */
must_use bool log_start(void);
/* Waits until every line logged before is written, at most that long; false when it took longer.
 * Safe in a signal handler. */
bool log_flush(unsigned timeout_ms);
/* Flushes within a second and ends the thread. A log that nobody reads is left behind: then lines
 * logged later are dropped. */
void log_stop(void);

bool log_enabled(enum log_level level);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) \
    do { \
        if (log_enabled(LOG_LEVEL_DEBUG)) \
            log_line(LOG_LEVEL_DEBUG, __VA_ARGS__); \
    } while (0)

/* One a call site; zero-initialised static. */
struct log_limit {
    int64_t window_s; /* updated with relaxed atomics: an approximate bound is enough */
    uint32_t passed;
    uint32_t held_back;
};
enum { LOG_LIMIT_PER_SECOND = 10 };
bool log_limit_pass(struct log_limit *limit, uint32_t *held_back_out);
#define log_limited(level, ...) \
    do { \
        static struct log_limit limit_; \
        uint32_t held_back_; \
        if (log_limit_pass(&limit_, &held_back_)) { \
            if (held_back_ != 0) \
                log_line(level, "held_back=%u what=\"lines like the next one\"", held_back_); \
            log_line(level, __VA_ARGS__); \
        } \
    } while (0)

/* `text` quoted and escaped for a log line: quotes, backslashes, controls, and every byte that is
 * no part of a UTF-8 character; such characters stay as they are. Only its first 255 bytes, "..."
 * behind the quotes says that more follows. Valid until the fourth next call of this thread. */
const char *log_text(struct bytes text);
#define LOG_TEXT(b) log_text(b)
#define LOG_STRING(s) log_text(bytes_of(s)) /* of a NUL-terminated string */
