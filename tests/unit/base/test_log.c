/* test_log.c - one line per fact. */
#include "support/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

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

    assert_true(len <= 4096 && len > 4090);
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
        {BYTES("\t\0\x1b\x7f\xc3\xa4"), "\"\\t\\x00\\x1b\\x7f\\xc3\\xa4\""},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(LOG_TEXT(rows[i].text), rows[i].expected);
    assert_string_equal(LOG_TEXT(BYTES_NONE), "\"\"");
}

TEST(log_text_cuts_after_255_bytes)
{
    uint8_t text[300];

    memset(text, 0xff, sizeof(text));
    assert_int_equal(strlen(LOG_TEXT(bytes_range(text, 255))), 2 + 255 * 4);
    const char *cut = LOG_TEXT(bytes_range(text, 256));

    assert_int_equal(strlen(cut), 2 + 255 * 4 + 3);
    assert_string_equal(cut + strlen(cut) - 4, "\"...");
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
