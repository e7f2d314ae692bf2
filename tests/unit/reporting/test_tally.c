/* test_tally.c - counting into a database: bounds, transactions, days, what is due. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reporting/tally.h"
#include "support/unit.h"

enum { DAY = 20785, MS_A_DAY = 86400000, END_MS = 300000 };

static char directory[64];

static struct tally *open_tally(void)
{
    char why[TALLY_WHY_MAX] = "";

    snprintf(directory, sizeof(directory), "/tmp/tally-XXXXXX");
    assert_non_null(mkdtemp(directory));
    struct tally *tally = tally_open(directory, false, why);

    if (tally == NULL)
        fail_msg("%s", why);
    return tally;
}

static struct tally *open_again(struct tally *tally)
{
    char why[TALLY_WHY_MAX];

    tally_close(&tally);
    tally = tally_open(directory, false, why);
    assert_non_null(tally);
    return tally;
}

static void remove_tally(struct tally *tally)
{
    char path[96];

    tally_close(&tally);
    snprintf(path, sizeof(path), "%s/reports.db", directory);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void add(struct tally *tally, int64_t day, const char *domain, const char *ip,
                uint64_t count)
{
    const struct tally_row row = {.columns = {bytes_of(ip)}, .count = count};

    assert_true(tally_add(tally, TALLY_DMARC, day, bytes_of(domain), BYTES("p=none"), &row));
}

struct seen {
    size_t reports, rows;
    uint64_t total, left_out, counted, first;
    enum tally_state state;
    int64_t day;
};

static bool on_report(void *context, const struct tally_report *report)
{
    struct seen *seen = context;

    seen->reports++;
    seen->total += report->total;
    seen->left_out += report->left_out;
    seen->state = report->state;
    seen->day = report->day;
    return true;
}

static void on_row(void *context, const struct tally_row *row)
{
    struct seen *seen = context;

    if (seen->rows++ == 0)
        seen->first = row->count;
    seen->counted += row->count;
}

static struct seen see(struct tally *tally, int64_t day, const char *domain)
{
    struct seen seen = {0};
    const struct tally_report report = {.kind = TALLY_DMARC,
                                        .day = day,
                                        .domain = bytes_of(domain)};

    assert_true(tally_reports(tally, TALLY_DMARC, day, bytes_of(domain), on_report, &seen));
    assert_true(tally_rows(tally, &report, on_row, &seen));
    return seen;
}

TEST(tally_counts_the_same_row_once)
{
    struct tally *tally = open_tally();

    for (int i = 0; i < 5; i++)
        add(tally, DAY, "a.example", "192.0.2.1", 1);
    add(tally, DAY, "a.example", "192.0.2.2", 7);
    add(tally, DAY, "b.example", "192.0.2.1", 1);
    tally = open_again(tally);
    struct seen seen = see(tally, DAY, "a.example");

    assert_int_equal(seen.reports, 1);
    assert_int_equal(seen.total, 12);
    assert_int_equal(seen.rows, 2);
    assert_int_equal(seen.first, 7); /* the largest first */
    assert_int_equal(see(tally, TALLY_ANY_DAY, "").reports, 2);
    remove_tally(tally);
}

TEST(tally_takes_back_counts_with_their_place)
{
    struct tally *tally = open_tally();
    struct event_place place;

    assert_true(tally_place(tally, &place));
    assert_int_equal(place.number, 0);
    assert_true(tally_begin(tally));
    add(tally, DAY, "a.example", "192.0.2.1", 1);
    assert_true(tally_set_place(tally, (struct event_place){3, 4, 5}));
    assert_true(tally_commit(tally));
    assert_true(tally_begin(tally));
    add(tally, DAY, "a.example", "192.0.2.1", 1);
    assert_true(tally_set_place(tally, (struct event_place){6, 7, 8}));
    tally_take_back(tally);
    assert_int_equal(see(tally, DAY, "a.example").total, 1);
    assert_true(tally_begin(tally));
    add(tally, DAY, "a.example", "192.0.2.1", 1);
    tally = open_again(tally); /* as a crash does */
    assert_true(tally_place(tally, &place));
    assert_int_equal(place.number, 3);
    assert_int_equal(place.offset, 4);
    assert_int_equal(place.events, 5);
    assert_int_equal(see(tally, DAY, "a.example").total, 1);
    remove_tally(tally);
}

TEST(tally_bounds_the_rows_of_a_report_and_counts_the_rest)
{
    struct tally *tally = open_tally();
    char ip[32];

    assert_true(tally_begin(tally));
    for (int i = 0; i < TALLY_ROWS_MAX + 3; i++) {
        snprintf(ip, sizeof(ip), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        add(tally, DAY, "a.example", ip, 2);
    }
    add(tally, DAY, "a.example", "10.0.0.0", 1); /* one that is there still counts */
    assert_true(tally_commit(tally));
    struct seen seen = see(tally, DAY, "a.example");

    assert_int_equal(seen.rows, TALLY_ROWS_MAX);
    assert_int_equal(seen.total, 2 * (TALLY_ROWS_MAX + 3) + 1);
    assert_int_equal(seen.left_out, 6);
    assert_int_equal(seen.counted, seen.total - seen.left_out);
    remove_tally(tally);
}

static bool next_due(struct tally *tally, int64_t day, int64_t now_ms, struct tally_report *out,
                     char domain[static 64])
{
    bool has;

    assert_true(tally_next_due(tally, day, now_ms, out, &has));
    if (has) {
        snprintf(domain, 64, "%.*s", BYTES_ARG(out->domain));
        out->domain = bytes_of(domain);
        out->policy = out->said = BYTES_NONE;
    }
    return has;
}

TEST(tally_is_due_when_its_day_is_over_and_its_time_has_come)
{
    struct tally *tally = open_tally();
    int64_t over_ms = (DAY + 1) * (int64_t)MS_A_DAY + END_MS;
    struct tally_report report;
    char domain[64];

    add(tally, DAY, "a.example", "192.0.2.1", 1);
    assert_false(next_due(tally, DAY, over_ms, &report, domain)); /* today */
    assert_false(next_due(tally, DAY + 1, over_ms - 1, &report, domain));
    assert_true(next_due(tally, DAY + 1, over_ms, &report, domain));
    assert_int_equal(report.day, DAY);
    assert_true(tally_settle(tally, &report, TALLY_CLOSED, 1, over_ms + 10, "later"));
    assert_false(next_due(tally, DAY + 1, over_ms + 9, &report, domain));
    assert_true(next_due(tally, DAY + 1, over_ms + 10, &report, domain));
    assert_int_equal(report.tries, 1);
    assert_true(tally_settle(tally, &report, TALLY_SENT, 2, 0, "sent"));
    assert_false(next_due(tally, DAY + 9, INT64_MAX, &report, domain));
    remove_tally(tally);
}

TEST(tally_spreads_what_is_due)
{
    struct tally *tally = open_tally();
    int64_t over_ms = (DAY + 1) * (int64_t)MS_A_DAY + END_MS;
    struct tally_report report;
    char domain[64];
    unsigned early = 0;

    tally_spread(tally, 3600);
    for (int i = 0; i < 40; i++) {
        char name[32];

        snprintf(name, sizeof(name), "d%d.example", i);
        add(tally, DAY, name, "192.0.2.1", 1);
    }
    while (next_due(tally, DAY + 1, over_ms + 1800 * 1000, &report, domain)) {
        early++;
        assert_true(tally_settle(tally, &report, TALLY_SENT, 1, 0, ""));
    }
    assert_in_range(early, 5, 35);
    while (next_due(tally, DAY + 1, over_ms + 3600 * 1000, &report, domain)) {
        early++;
        assert_true(tally_settle(tally, &report, TALLY_SENT, 1, 0, ""));
    }
    assert_int_equal(early, 40);
    remove_tally(tally);
}

TEST(tally_hurries_all_but_what_was_sent)
{
    struct tally *tally = open_tally();
    struct tally_report report = {.kind = TALLY_DMARC, .day = DAY};
    char domain[64];
    uint64_t count;

    add(tally, DAY, "a.example", "192.0.2.1", 1);
    add(tally, DAY, "b.example", "192.0.2.1", 1);
    add(tally, DAY, "c.example", "192.0.2.1", 1);
    report.domain = BYTES("a.example");
    assert_true(tally_settle(tally, &report, TALLY_SENT, 1, 0, "sent"));
    report.domain = BYTES("b.example");
    assert_true(tally_settle(tally, &report, TALLY_FAILED, 9, INT64_MAX, "no"));
    assert_true(tally_hurry(tally, TALLY_DMARC, DAY, BYTES_NONE, &count));
    assert_int_equal(count, 2);
    assert_true(next_due(tally, DAY, 0, &report, domain)); /* today's too */
    assert_true(bytes_equal(report.domain, BYTES("b.example")));
    assert_int_equal(report.tries, 0);
    assert_true(tally_hurry(tally, TALLY_DMARC, DAY, BYTES("c.example"), &count));
    assert_int_equal(count, 1);
    assert_true(tally_hurry(tally, TALLY_TLS, DAY, BYTES_NONE, &count));
    assert_int_equal(count, 0);
    remove_tally(tally);
}

TEST(tally_counts_what_comes_for_a_closed_report_to_the_next_open_day)
{
    struct tally *tally = open_tally();
    struct tally_report report = {.kind = TALLY_DMARC, .day = DAY, .domain = BYTES("a.example")};

    add(tally, DAY, "a.example", "192.0.2.1", 1);
    assert_true(tally_settle(tally, &report, TALLY_CLOSED, 0, 0, ""));
    add(tally, DAY, "a.example", "192.0.2.1", 4);
    assert_int_equal(see(tally, DAY, "a.example").total, 1);
    assert_int_equal(see(tally, DAY + 1, "a.example").total, 4);
    report.day = DAY + 1;
    assert_true(tally_settle(tally, &report, TALLY_SENT, 0, 0, ""));
    add(tally, DAY, "a.example", "192.0.2.1", 5);
    assert_int_equal(see(tally, DAY + 2, "a.example").total, 5);
    remove_tally(tally);
}

TEST(tally_remembers_whom_it_served)
{
    struct tally *tally = open_tally();
    const struct tally_report report = {.kind = TALLY_TLS,
                                        .day = DAY,
                                        .domain = BYTES("a.example")};
    bool has = true;

    assert_true(tally_has_target(tally, &report, BYTES("x@a.example"), &has));
    assert_false(has);
    assert_true(tally_add_target(tally, &report, BYTES("x@a.example")));
    assert_true(tally_add_target(tally, &report, BYTES("x@a.example")));
    tally = open_again(tally);
    assert_true(tally_has_target(tally, &report, BYTES("x@a.example"), &has));
    assert_true(has);
    assert_true(tally_has_target(tally, &report, BYTES("y@a.example"), &has));
    assert_false(has);
    remove_tally(tally);
}

static unsigned unclear_of(struct tally *tally, const struct tally_report *report)
{
    unsigned count = 99;

    assert_true(tally_unclear_posts(tally, report, BYTES("https://a.example/r"), &count));
    return count;
}

TEST(tally_counts_posts_that_are_unclear)
{
    struct tally *tally = open_tally();
    const struct tally_report report = {.kind = TALLY_DMARC,
                                        .day = DAY,
                                        .domain = BYTES("a.example")};
    const struct bytes target = BYTES("https://a.example/r");
    uint64_t count;

    add(tally, DAY, "a.example", "192.0.2.1", 1);
    assert_int_equal(unclear_of(tally, &report), 0);
    assert_true(tally_begin_post(tally, &report, target));
    tally = open_again(tally); /* a crash */
    assert_int_equal(unclear_of(tally, &report), 1);
    assert_true(tally_begin_post(tally, &report, target));
    assert_int_equal(unclear_of(tally, &report), 2);
    assert_true(tally_end_post(tally, &report, target));
    assert_int_equal(unclear_of(tally, &report), 1);
    /* Who hurries what is being sent does not make it go out more often; who asks for what was
     * given up does. */
    assert_true(tally_hurry(tally, TALLY_DMARC, DAY, BYTES_NONE, &count));
    assert_int_equal(unclear_of(tally, &report), 1);
    assert_true(tally_settle(tally, &report, TALLY_FAILED, 1, 0, ""));
    assert_true(tally_hurry(tally, TALLY_DMARC, DAY, BYTES("b.example"), &count));
    assert_int_equal(unclear_of(tally, &report), 1);
    assert_true(tally_hurry(tally, TALLY_DMARC, DAY, BYTES("a.example"), &count));
    assert_int_equal(count, 1);
    assert_int_equal(unclear_of(tally, &report), 0);
    assert_true(tally_begin_post(tally, &report, target));
    assert_true(tally_forget(tally, DAY + 1));
    assert_int_equal(unclear_of(tally, &report), 0);
    remove_tally(tally);
}

TEST(tally_forgets_old_days)
{
    struct tally *tally = open_tally();

    add(tally, DAY, "a.example", "192.0.2.1", 1);
    add(tally, DAY + 1, "a.example", "192.0.2.1", 1);
    assert_true(tally_forget(tally, DAY + 1));
    struct seen seen = see(tally, TALLY_ANY_DAY, "a.example");

    assert_int_equal(seen.reports, 1);
    assert_int_equal(seen.day, DAY + 1);
    assert_int_equal(see(tally, DAY, "a.example").rows, 0);
    remove_tally(tally);
}

TEST(tally_that_is_not_there_is_not_made_by_who_reads)
{
    char why[TALLY_WHY_MAX] = "";

    assert_null(tally_open("/tmp/no-such-directory", true, why));
    assert_string_equal(why, "nothing was counted yet: there is no reports.db");
}

TEST(days_are_written_and_read)
{
    char text[TALLY_DAY_TEXT_MAX];
    int64_t day;

    tally_day_format(DAY, text);
    assert_string_equal(text, "2026-11-28");
    assert_true(tally_day_parse(bytes_of(text), &day));
    assert_int_equal(day, DAY);
    assert_false(tally_day_parse(BYTES("2026-13-01"), &day));
    assert_false(tally_day_parse(BYTES("2026-11-2"), &day));
    assert_false(tally_day_parse(BYTES("yesterday."), &day));
}
