/* test_log.c - one line per fact. */
#include "support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_queue.h"
#include "base/metric.h"
#include "base/text_format.h"

/* stderr goes into a pipe between capture_begin() and capture_end(). */
static struct {
    int stderr_saved;
    int read_end;
    char text[65536];
} capture;

static void capture_begin(void)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    capture.stderr_saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    capture.read_end = ends[0];
}

static const char *capture_end(void)
{
    ssize_t len = read(capture.read_end, capture.text, sizeof(capture.text) - 1);

    dup2(capture.stderr_saved, STDERR_FILENO);
    close(capture.stderr_saved);
    close(capture.read_end);
    capture.text[len < 0 ? 0 : len] = '\0';
    return capture.text;
}

TEST(line_has_time_level_and_one_newline)
{
    log_setup(LOG_TO_STDERR, LOG_LEVEL_INFO);
    capture_begin();
    log_info("id=%s size=%d", "0-1", 7);
    const char *text = capture_end();
    int64_t wall_ms = 0;

    assert_true(strlen(text) > 24);
    assert_true(clock_parse_rfc3339(bytes_range(text, 24), &wall_ms));
    assert_string_equal(text + 24, " info id=0-1 size=7\n");
}

TEST(level_below_the_threshold_is_not_written)
{
    log_setup(LOG_TO_STDERR, LOG_LEVEL_WARN);
    capture_begin();
    log_info("no");
    log_debug("no");
    log_warn("yes");
    assert_non_null(strstr(capture_end(), " warn yes\n"));
    assert_null(strstr(capture.text, "no"));
    assert_true(log_enabled(LOG_LEVEL_ERROR));
    assert_false(log_enabled(LOG_LEVEL_INFO));
}

TEST(journal_gets_priority_prefix_when_stderr_is_the_stream)
{
    struct stat status;
    char stream[64];

    capture_begin();
    fstat(STDERR_FILENO, &status);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_setup(LOG_TO_STDERR, LOG_LEVEL_DEBUG);
    log_error("a");
    log_warn("b");
    log_info("c");
    log_debug("d");
    assert_string_equal(capture_end(), "<3>a\n<4>b\n<6>c\n<7>d\n");
}

TEST(journal_variable_of_another_stream_is_ignored)
{
    setenv("JOURNAL_STREAM", "1:1", 1);
    capture_begin();
    log_setup(LOG_TO_STDERR, LOG_LEVEL_INFO);
    log_info("x");
    assert_true(capture_end()[0] != '<');
    unsetenv("JOURNAL_STREAM");
}

TEST(newlines_and_controls_in_a_line_become_spaces)
{
    log_setup(LOG_TO_STDERR, LOG_LEVEL_INFO);
    capture_begin();
    log_info("a\r\nb\x1b[m");
    assert_non_null(strstr(capture_end(), "a  b [m\n"));
}

TEST(control_becomes_a_space_wherever_it_stands)
{
    log_setup(LOG_TO_STDERR, LOG_LEVEL_INFO);
    for (int at = 0; at < 19; at++) {
        char expected[64];

        capture_begin();
        log_info("%.*s%s%.*s", at, "xxxxxxxxxxxxxxxxxxxx", at % 2 == 0 ? "\x7f" : "\n", 19 - at,
                 "\xc3\xbcxxxxxxxxxxxxxxxxxxxx");
        snprintf(expected, sizeof(expected), " info %.*s %.*s\n", at, "xxxxxxxxxxxxxxxxxxxx",
                 19 - at, "\xc3\xbcxxxxxxxxxxxxxxxxxxxx");
        assert_non_null(strstr(capture_end(), expected));
    }
}

TEST(long_line_is_cut_and_says_so)
{
    char *longest = malloc(10001);

    assert_non_null(longest);
    memset(longest, 'x', 10000);
    longest[10000] = '\0';
    log_setup(LOG_TO_STDERR, LOG_LEVEL_INFO);
    capture_begin();
    log_info("%s", longest);
    const char *text = capture_end();
    size_t len = strlen(text);

    assert_true(len <= 4096 && len > 4000);
    assert_string_equal(text + len - 5, "x...\n");
    free(longest);
}

TEST(log_text_escapes_what_could_forge_a_line)
{
    static const struct {
        struct bytes text;
        const char *expected;
    } rows[] = {
        {BYTES("250 ok"), "\"250 ok\""},
        {BYTES(""), "\"\""},
        {BYTES("a\"b\\c"), "\"a\\\"b\\\\c\""},
        {BYTES("x\r\nid=1"), "\"x\\r\\nid=1\""},
        {BYTES("\t\0\x1b\x7f"), "\"\\t\\x00\\x1b\\x7f\""},
        {BYTES("gr\xc3\xbc\xc3\x9f\xe2\x82\xac"), "\"gr\xc3\xbc\xc3\x9f\xe2\x82\xac\""},
        {BYTES("\xc3"), "\"\\xc3\""},                   /* half a character */
        {BYTES("\xc3\"x"), "\"\\xc3\\\"x\""},           /* must not hide the quote */
        {BYTES("\xc2\x9b[m"), "\"\\xc2\\x9b[m\""},      /* C1: terminals obey it */
        {BYTES("\xff\xc0\x80"), "\"\\xff\\xc0\\x80\""}, /* never UTF-8, overlong */
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(LOG_TEXT(rows[i].text), rows[i].expected);
    assert_string_equal(LOG_TEXT(BYTES_NONE), "\"\"");
}

TEST(log_text_escapes_wherever_it_stands)
{
    for (size_t at = 0; at < 20; at++) {
        char text[] = "xxxxxxxxxxxxxxxxxxxx";
        char expected[64];

        text[at] = '"';
        snprintf(expected, sizeof(expected), "\"%.*s\\\"%.*s\"", (int)at, "xxxxxxxxxxxxxxxxxxxx",
                 (int)(19 - at), "xxxxxxxxxxxxxxxxxxxx");
        assert_string_equal(LOG_TEXT(bytes_of(text)), expected);
    }
}

TEST(log_text_cuts_after_255_bytes)
{
    uint8_t text[300];

    memset(text, 'x', sizeof(text));
    assert_int_equal(strlen(LOG_TEXT(bytes_range(text, 300))), 2 + 255 + 3);
    memset(text, 0xff, sizeof(text));
    assert_int_equal(strlen(LOG_TEXT(bytes_range(text, 255))), 2 + 255 * 4);
    const char *cut = LOG_TEXT(bytes_range(text, 256));

    assert_int_equal(strlen(cut), 2 + 255 * 4 + 3);
    assert_string_equal(cut + strlen(cut) - 4, "\"...");
}

TEST(log_text_cuts_between_characters)
{
    uint8_t text[300];

    memset(text, 'x', sizeof(text));
    memcpy(text + 254, "\xc3\xbc", 2);
    const char *cut = LOG_TEXT(bytes_range(text, 300));

    assert_int_equal(strlen(cut), 2 + 254 + 3);
    assert_string_equal(cut + strlen(cut) - 5, "x\"...");
}

TEST(log_text_keeps_four_results)
{
    const char *a = LOG_TEXT(BYTES("a"));
    const char *b = LOG_TEXT(BYTES("b"));
    const char *c = LOG_TEXT(BYTES("c"));
    const char *d = LOG_TEXT(BYTES("d"));

    assert_string_equal(a, "\"a\"");
    assert_string_equal(b, "\"b\"");
    assert_string_equal(c, "\"c\"");
    assert_string_equal(d, "\"d\"");
}

/* vsnprintf() is the judge of each conversion, plain or not. */
static void expect_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void expect_format(const char *format, ...)
{
    static const size_t rooms[] = {1, 2, 7, 200};

    for (size_t i = 0; i < ARRAY_LEN(rooms); i++) {
        char ours[200], theirs[200];
        va_list args;

        va_start(args, format);
        size_t wanted = text_format(ours, rooms[i], format, args);
        va_end(args);
        va_start(args, format);
        int len = vsnprintf(theirs, rooms[i], format, args);
        va_end(args);
        assert_int_equal(wanted, len);
        assert_memory_equal(ours, theirs, MIN((size_t)len, rooms[i] - 1));
    }
}

TEST(text_format_agrees_with_printf)
{
    expect_format("nothing");
    expect_format("%s=%.*s.", "key", 3, "value");
    expect_format("%.*s|%.*s", 0, "", 9, "short");
    struct bytes none = bytes_range(NULL, 0);
    expect_format("[%.*s]", BYTES_ARG(none));
    expect_format("%d %d %d %d", 0, -1, INT32_MIN, INT32_MAX);
    expect_format("%ld %lld %zd %jd", LONG_MIN, LLONG_MAX, (ssize_t)-7, (intmax_t)7);
    expect_format("%u %lu %llu %zu %ju", 0U, 1UL, ULLONG_MAX, SIZE_MAX, (uintmax_t)9);
    expect_format("%x %02x %08x %016llx %llx", 0xabcU, 5U, 0xdeadbeefU, 0x1234ULL, ULLONG_MAX);
    expect_format("%02u:%02u", 7U, 123U);
    expect_format("%s %llu %d and not plain: %5d %s", "key", ULLONG_MAX, -1, 7, "value");
    expect_format("%5d|%-5s|%c|%p|%%|%.3f|%+d|%04d", 7, "a", 'c', (void *)&capture, 1.5, 3, -4);
}

static void log_often(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        log_limited(LOG_LEVEL_INFO, "peer=x");
}

TEST(log_limited_holds_back_and_counts)
{
    unsigned lines = 0;

    log_setup(LOG_TO_STDERR, LOG_LEVEL_INFO);
    capture_begin();
    log_often(200); /* 10 pass, or 20 when a second ends in between */
    for (const char *at = capture_end(); (at = strstr(at, "peer=x")) != NULL; at++)
        lines++;
    assert_true(lines >= LOG_LIMIT_PER_SECOND && lines <= 2 * LOG_LIMIT_PER_SECOND);
    usleep(1050 * 1000);
    capture_begin();
    log_often(1);
    assert_non_null(strstr(capture_end(), "held_back=1"));
}

/* --- queued ----------------------------------------------------------------------------------- */

/* As capture_begin(), with a pipe that makes its writer wait when it is full. */
static void block_begin(void)
{
    capture_begin();
    fcntl(STDERR_FILENO, F_SETFL, 0);
    log_setup(LOG_TO_STDERR, LOG_LEVEL_INFO);
    assert_true(log_start());
}

/* Reads until the log has been stopped, which it is by a thread of its own. */
static void *stop_log(void *argument)
{
    log_stop();
    *(_Atomic bool *)argument = true;
    return NULL;
}

static char *read_all(void)
{
    enum { ROOM = 8 << 20 };
    char *text = malloc(ROOM);
    size_t len = 0;
    _Atomic bool is_stopped = false;
    pthread_t thread;

    assert_non_null(text);
    assert_int_equal(pthread_create(&thread, NULL, stop_log, &is_stopped), 0);
    for (;;) {
        bool was_stopped = is_stopped;
        ssize_t got = read(capture.read_end, text + len, ROOM - 1 - len);

        if (got > 0)
            len += (size_t)got;
        else if (was_stopped)
            break;
        else
            usleep(1000);
    }
    pthread_join(thread, NULL);
    text[len] = '\0';
    dup2(capture.stderr_saved, STDERR_FILENO);
    close(capture.stderr_saved);
    close(capture.read_end);
    return text;
}

static uint64_t number_at(const char *text)
{
    struct bytes b = bytes_of(text);
    uint64_t number = 0;

    assert_true(bytes_take_u64(&b, &number));
    return number;
}

/* The numbers behind `key` go up by one; returns how many there are. */
static unsigned count_in_order(const char *text, const char *key)
{
    unsigned next = 0;

    for (const char *at = text; (at = strstr(at, key)) != NULL; at++) {
        assert_int_equal(number_at(at + strlen(key)), next);
        next++;
    }
    return next;
}

/* The same where some may be missing. */
static unsigned count_rising(const char *text, const char *key)
{
    unsigned count = 0;
    uint64_t last = 0;

    for (const char *at = text; (at = strstr(at, key)) != NULL; at++) {
        uint64_t number = number_at(at + strlen(key));

        assert_true(count == 0 || number > last);
        last = number;
        count++;
    }
    return count;
}

/* All that the lines about drops say. */
static uint64_t sum_dropped(const char *text)
{
    static const char key[] = " warn dropped=";
    uint64_t sum = 0;

    for (const char *at = text; (at = strstr(at, key)) != NULL; at++)
        sum += number_at(at + strlen(key));
    return sum;
}

TEST(queued_lines_keep_their_order_and_come_before_the_stop)
{
    block_begin();
    for (int i = 0; i < 500; i++)
        log_info("n=%d", i);
    char *text = read_all();
    int64_t first_ms = 0, last_ms = 0;
    const char *last = strstr(text, " info n=499\n");

    assert_int_equal(count_in_order(text, "n="), 500);
    assert_true(clock_parse_rfc3339(bytes_range(text, 24), &first_ms));
    assert_non_null(last);
    assert_true(clock_parse_rfc3339(bytes_range(last - 24, 24), &last_ms));
    assert_true(first_ms <= last_ms);
    free(text);
}

TEST(log_that_nobody_reads_makes_nobody_wait_and_is_told_what_is_missing)
{
    enum { LINES = 20000 }; /* about 2 MB: pipe, batch and queue hold far less */
    char filler[81];
    int64_t dropped_before = metric_sum(METRIC_LOG_DROPPED);

    memset(filler, 'f', 80);
    filler[80] = '\0';
    block_begin();
    alarm(60); /* where a line waits for its reader, this ends the program */
    for (int i = 0; i < LINES; i++)
        log_info("n=%d %s", i, filler);
    log_warn("careful %s%s", filler, filler); /* what is important still has room */
    log_error("last words");
    assert_false(log_flush(20));
    alarm(0);
    char *text = read_all();
    unsigned written = count_rising(text, "n=");

    assert_true(written > 1000 && written < LINES);
    assert_int_equal(sum_dropped(text), LINES - written);
    assert_int_equal(metric_sum(METRIC_LOG_DROPPED) - dropped_before, LINES - written);
    assert_non_null(strstr(text, " warn careful "));
    assert_non_null(strstr(text, " error last words\n"));
    free(text);
}

/* What has come through the pipe so far, until `wanted` is in it; NULL after `timeout_ms`. */
static const char *read_until(const char *wanted, unsigned timeout_ms)
{
    size_t len = 0;

    for (unsigned ms = 0;; ms++) {
        ssize_t got = read(capture.read_end, capture.text + len, sizeof(capture.text) - 1 - len);

        len += got > 0 ? (size_t)got : 0;
        capture.text[len] = '\0';
        if (strstr(capture.text, wanted) != NULL)
            return capture.text;
        if (ms >= timeout_ms)
            return NULL;
        usleep(1000);
    }
}

TEST(line_wakes_a_writer_that_sleeps)
{
    block_begin();
    usleep(50 * 1000); /* many pauses of its own: it sleeps */
    log_info("good morning");
    assert_non_null(read_until("good morning", 10000));
    free(read_all());
}

TEST(flushed_lines_have_been_written)
{
    char text[32];

    block_begin();
    for (unsigned i = 0; i < 200; i++) {
        snprintf(text, sizeof(text), "round=%u.", i);
        log_info("%s", text);
        assert_true(log_flush(10000));
        assert_non_null(read_until(text, 0));
    }
    free(read_all());
}

static void fill_pipe(void)
{
    char zeros[4096] = {0};

    fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK);
    for (size_t len = sizeof(zeros); len > 0; len /= 2)
        while (write(STDERR_FILENO, zeros, len) > 0)
            ;
    fcntl(STDERR_FILENO, F_SETFL, 0);
}

TEST(line_that_cannot_be_written_is_not_flushed)
{
    block_begin();
    usleep(50 * 1000); /* the writer sleeps, and is at the beginning of a round when it is woken */
    fill_pipe();
    log_info("here");
    assert_false(log_flush(200));
    free(read_all());
}

/* Several times round the ring, lines of many lengths: one of them is cut by its end each time. */
TEST(lines_are_whole_where_the_ring_begins_anew)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    static char long_text[1000];
    size_t logged = 0;

    for (size_t i = 0; i < sizeof(long_text) - 1; i++)
        long_text[i] = alphabet[(i * i + i / 62) % 62];
    block_begin();
    for (int i = 0; logged < 4 * (size_t)LOG_QUEUE_BYTES; i++) {
        int len = 100 + i * 37 % 900;
        char wanted[1100];

        snprintf(wanted, sizeof(wanted), "n=%d %.*s end\n", i, len, long_text);
        log_info("n=%d %.*s end", i, len, long_text);
        logged += (size_t)len;
        assert_true(log_flush(10000));
        assert_non_null(read_until(wanted, 0));
    }
    free(read_all());
}

TEST(line_has_the_time_it_was_logged_not_written)
{
    char filler[2001];
    int64_t logged_ms = 0;

    memset(filler, 'f', 2000);
    filler[2000] = '\0';
    block_begin();
    for (int i = 0; i < 100; i++) /* the pipe is full, the next line waits in the queue */
        log_info("%s", filler);
    usleep(50 * 1000);
    int64_t before_ms = clock_wall_ms();
    log_info("here");
    int64_t after_ms = clock_wall_ms();
    usleep(200 * 1000);
    char *text = read_all();
    const char *line = strstr(text, " info here\n");

    assert_non_null(line);
    assert_true(clock_parse_rfc3339(bytes_range(line - 24, 24), &logged_ms));
    assert_true(logged_ms >= before_ms && logged_ms <= after_ms);
    free(text);
}

static void *log_some(void *argument)
{
    for (int i = 0; i < 1000; i++)
        log_info("%s%d", (const char *)argument, i);
    return NULL;
}

TEST(lines_of_several_threads_are_all_there_each_in_order)
{
    static char names[4][3] = {"a=", "b=", "c=", "d="};
    pthread_t threads[4];

    block_begin();
    for (int round = 0; round < 2; round++) { /* the second ones take over what the first left */
        names[0][0] = (char)('a' + 4 * round);
        for (size_t i = 0; i < 4; i++) {
            names[i][0] = (char)('a' + 4 * round + (int)i);
            assert_int_equal(pthread_create(&threads[i], NULL, log_some, names[i]), 0);
        }
        for (size_t i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
    }
    char *text = read_all();

    for (char name = 'a'; name < 'a' + 8; name++)
        assert_int_equal(count_in_order(text, (char[]){' ', name, '=', '\0'}), 1000);
    free(text);
}

/* What a dying child wrote to its stderr. */
static const char *last_words(void (*die)(void))
{
    static char text[4096];
    int ends[2];
    size_t len = 0;
    ssize_t got;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL); /* cmocka's handler would long-jump */
        dup2(ends[1], STDERR_FILENO);
        log_setup(LOG_TO_STDERR, LOG_LEVEL_INFO);
        if (log_start())
            die();
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)got;
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    text[len] = '\0';
    return text;
}

static void fail_a_check(void)
{
    for (int i = 0; i < 20; i++)
        log_info("n=%d", i);
    check(1 + 1 == 3);
}

static void abort_itself(void)
{
    for (int i = 0; i < 20; i++)
        log_info("n=%d", i);
    abort();
}

TEST(lines_before_a_broken_claim_come_out_before_it)
{
    const char *text = last_words(fail_a_check);

    assert_int_equal(count_in_order(text, "info n="), 20);
    assert_true(strstr(text, "broken claim") > strstr(text, "n=19"));
}

TEST(lines_before_an_abort_come_out)
{
    assert_int_equal(count_in_order(last_words(abort_itself), "info n="), 20);
}

/* Nobody reads: it must end all the same. */
static void fail_with_a_full_pipe(void)
{
    static char filler[4000];

    memset(filler, 'f', sizeof(filler) - 1);
    for (int i = 0; i < 200; i++)
        log_info("%s", filler);
    check(1 + 1 == 3);
}

TEST(broken_claim_ends_although_nobody_reads)
{
    int ends[2], status = 0;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL); /* cmocka's handler would long-jump */
        dup2(ends[1], STDERR_FILENO);
        log_setup(LOG_TO_STDERR, LOG_LEVEL_INFO);
        alarm(60);
        if (log_start())
            fail_with_a_full_pipe();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    close(ends[0]);
    close(ends[1]);
}
