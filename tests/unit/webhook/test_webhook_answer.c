/* test_webhook_answer.c - how long a webhook waits after each answer; a sink that only notes it. */
#include <string.h>

#include "base/clock.h"
#include "support/unit.h"
#include "webhook/webhook_private.h"

enum { RETRY_FOR_S = 86400 };

/* In place of sink.c. */
static struct {
    unsigned answered, restarts, left_out, taken_back, has_room;
    enum sink_problem problem;
    int64_t failed_ms, settle_ms, since_ms;
} noted;

const char *sink_name(const struct sink *sink)
{
    (void)sink;
    return "toy";
}

const char *sink_problem_name(enum sink_problem problem)
{
    (void)problem;
    return "toy";
}

void sink_answered(struct sink *sink, uint64_t ticket)
{
    (void)sink, (void)ticket;
    noted.answered++;
}

void sink_trouble(struct sink *sink, enum sink_problem problem, const char *text)
{
    (void)sink, (void)text;
    noted.problem = problem;
}

void sink_restart(struct sink *sink, enum sink_problem problem, const char *text, bool at_once)
{
    assert_true(at_once);
    sink_trouble(sink, problem, text);
    noted.restarts++;
}

int64_t sink_failed(struct sink *sink, int64_t settle_ms)
{
    (void)sink;
    noted.settle_ms = settle_ms;
    return noted.failed_ms;
}

void sink_leave_out_older(struct sink *sink, int64_t since_ms, const char *reason)
{
    (void)sink;
    assert_string_equal(reason, "webhooks.retry_for");
    noted.since_ms = since_ms;
    noted.left_out++;
}

bool sink_is_restarting(const struct sink *sink)
{
    (void)sink;
    return false;
}

bool sink_is_failing(const struct sink *sink)
{
    (void)sink;
    return false;
}

bool sink_is_paused(const struct sink *sink)
{
    (void)sink;
    return false;
}

bool sink_is_stopping(const struct sink *sink)
{
    (void)sink;
    return false;
}

void sink_has_room(struct sink *sink)
{
    (void)sink;
    noted.has_room++;
}

void sink_take_back(struct sink *sink)
{
    (void)sink;
    noted.taken_back++;
}

void sink_touch(struct sink *sink)
{
    (void)sink;
}

bool sink_is_at_head(const struct sink *sink)
{
    (void)sink;
    return true;
}

void *sink_ground(const struct sink *sink)
{
    (void)sink;
    return NULL;
}

/* --- one that was told something -------------------------------------------------------------- */

static struct webhook make(unsigned events)
{
    static struct webhook_ground ground;

    memset(&noted, 0, sizeof(noted));
    list_init(&ground.starved);
    struct webhook webhook = {
        .ground = &ground,
        .settings.retry_for_s = RETRY_FOR_S,
        .pause_ms = 1000,
        .doing = WEBHOOK_TELLING,
    };
    buf_init(&webhook.sending.body, 64);
    buf_init(&webhook.filling.body, 64);
    webhook.sending.count = events;
    webhook.sending.first = 1;
    webhook.sending.last = events;
    return webhook;
}

/* How long nothing is asked after this answer. */
static int64_t wait_after(struct webhook *webhook, unsigned status, int64_t retry_after_s)
{
    const struct http_answer answer = {
        .end = status == 0 ? HTTP_FAILED : HTTP_ANSWERED,
        .status = status,
        .retry_after_s = retry_after_s,
    };
    int64_t now_ms = clock_monotonic_ms();

    webhook->doing = WEBHOOK_TELLING;
    webhook_take_answer(webhook, &answer);
    assert_int_equal(webhook->doing, WEBHOOK_IDLE);
    return webhook->begin_ms - now_ms;
}

/* Give or take a fifth, and what the test takes. */
static void expect_about(int64_t wait_ms, int64_t wanted_ms)
{
    assert_in_range(wait_ms, wanted_ms - wanted_ms / 5, wanted_ms + wanted_ms / 5 + 500);
}

TEST(webhook_waits_twice_as_long_up_to_a_quarter_of_an_hour)
{
    static const unsigned failures[] = {500, 503, 429, 404, 301, 403, 0};

    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        struct webhook webhook = make(3);
        int64_t wanted_ms = 1000;

        for (size_t k = 0; k < 20; k++) {
            expect_about(wait_after(&webhook, failures[i], 0), wanted_ms);
            wanted_ms = MIN(2 * wanted_ms, (int64_t)15 * 60 * 1000);
        }
        assert_int_equal(wanted_ms, 15 * 60 * 1000);
        /* What is taken begins it anew. */
        (void)wait_after(&webhook, 204, 0);
        assert_int_equal(noted.answered, 3);
        assert_int_equal(webhook.begin_ms, 0);
        expect_about(wait_after(&webhook, failures[i], 0), 1000);
    }
}

TEST(webhook_waits_differ)
{
    int64_t least = INT64_MAX, most = 0;

    for (size_t i = 0; i < 200; i++) {
        struct webhook webhook = make(1);
        webhook.pause_ms = 15 * 60 * 1000;
        int64_t wait_ms = wait_after(&webhook, 500, 0);
        expect_about(wait_ms, 15 * 60 * 1000);
        least = MIN(least, wait_ms);
        most = MAX(most, wait_ms);
    }
    assert_true(most - least > 3 * 60 * 1000);
}

TEST(webhook_waits_as_long_as_it_is_asked_to_up_to_an_hour)
{
    static const struct {
        unsigned status;
        int64_t asked_s, wait_s;
    } rows[] = {
        {503, 30, 30},     {429, 1800, 1800}, /* more than the quarter of an hour */
        {503, 3600, 3600}, {503, 3601, 3600}, {503, INT64_MAX / 1000, 3600},
        {410, 0, 900},     {410, 7200, 900}, /* it is not coming back: nobody's wish counts */
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct webhook webhook = make(1);
        int64_t wait_ms = wait_after(&webhook, rows[i].status, rows[i].asked_s);

        assert_in_range(wait_ms, 1000 * rows[i].wait_s, 1000 * rows[i].wait_s + 500);
        /* The next one grows as after any failure. */
        expect_about(wait_after(&webhook, 503, 0), 2000);
    }
    /* Less than it would wait anyway shortens nothing. */
    struct webhook webhook = make(1);
    webhook.pause_ms = 15 * 60 * 1000;
    expect_about(wait_after(&webhook, 503, 10), 15 * 60 * 1000);
}

TEST(webhook_gives_up_what_is_older_than_retry_for_once_it_failed_so_long)
{
    struct webhook webhook = make(2);

    noted.failed_ms = 1000 * (int64_t)RETRY_FOR_S - 1;
    (void)wait_after(&webhook, 503, 0);
    assert_int_equal(noted.left_out, 0);
    assert_int_equal(noted.settle_ms, 10 * 60 * 1000);
    assert_int_equal(webhook.again, 2); /* the same batch, once it was read again */
    assert_int_equal(noted.taken_back, 1);
    noted.failed_ms++;
    (void)wait_after(&webhook, 503, 0);
    assert_int_equal(noted.left_out, 1);
    assert_in_range(clock_wall_ms() - noted.since_ms, 1000 * (int64_t)RETRY_FOR_S,
                    1000 * (int64_t)RETRY_FOR_S + 500);
    assert_int_equal(webhook.again, 0);
    /* A short one has a sixth of it for a clock that is set right. */
    webhook = make(1);
    webhook.settings.retry_for_s = 60;
    (void)wait_after(&webhook, 503, 0);
    assert_int_equal(noted.settle_ms, 10 * 1000);
}

TEST(webhook_halves_a_batch_that_is_too_large_and_waits_for_one_event_alone)
{
    const struct http_answer answer = {.end = HTTP_ANSWERED, .status = 413};
    struct webhook webhook = make(5);

    webhook_take_answer(&webhook, &answer);
    assert_int_equal(noted.restarts, 1);
    assert_int_equal(webhook.events_max, 3);
    assert_int_equal(noted.problem, SINK_TOO_LARGE);
    webhook = make(1);
    expect_about(wait_after(&webhook, 413, 0), 1000);
    assert_int_equal(noted.restarts, 0);
    assert_int_equal(noted.problem, SINK_TOO_LARGE);
}

TEST(webhook_waits_for_memory_until_others_give_some_back)
{
    struct webhook holder = make(1), waiting = make(1);
    bool fits = buf_append(&holder.sending.body, BYTES("12345678"));

    assert_true(fits);
    list_node_init(&waiting.starved);
    struct webhook_ground *ground = holder.ground;
    ground->held = 8;
    assert_true(webhook_has_memory(&waiting));
    ground->held = 256 * 1024 * 1024;
    assert_false(webhook_has_memory(&waiting));
    assert_false(webhook_has_memory(&waiting)); /* it waits once */
    webhook_batch_clear(&holder, &holder.sending);
    assert_int_equal(noted.has_room, 0); /* too little for anybody */
    ground->held /= 2;
    webhook_batch_clear(&holder, &holder.sending);
    assert_int_equal(noted.has_room, 1);
    assert_true(webhook_has_memory(&waiting));
    ground->held = 0;
}

/* What failed was many small events; a replay puts large ones in their place. */
TEST(webhook_makes_no_batch_larger_than_any_in_place_of_one_that_failed)
{
    enum { LINE_LEN = 16 * 1024 };
    static char line[LINE_LEN];
    struct webhook webhook = make(WEBHOOK_EVENTS_MAX);
    const struct event_line parts = {.kind = BYTES("delivered")};
    struct sink_event event = {.line = bytes_range(line, sizeof(line)), .parts = &parts};

    memset(line, 'x', sizeof(line));
    line[0] = '{';
    line[sizeof(line) - 1] = '}';
    webhook.events_max = webhook.settings.batch_events = WEBHOOK_EVENTS_MAX;
    webhook.settings.batch_bytes = WEBHOOK_BYTES_MIN;
    list_node_init(&webhook.starved);
    buf_init(&webhook.ground->object, LINE_LEN);
    buf_init(&webhook.filling.body, 2 * WEBHOOK_BYTES_MAX);
    (void)wait_after(&webhook, 503, 0);
    assert_int_equal(webhook.again, WEBHOOK_EVENTS_MAX);
    webhook.begin_ms = 0;
    while (event.ticket < WEBHOOK_EVENTS_MAX && webhook_kind.take(&webhook, &event))
        event.ticket++;
    assert_true(webhook.filling.is_full);
    assert_in_range(buf_len(&webhook.filling.body), WEBHOOK_BYTES_MIN - LINE_LEN,
                    WEBHOOK_BYTES_MIN + LINE_LEN);
    webhook_batch_clear(&webhook, &webhook.filling);
    buf_free(&webhook.ground->object);
}

static void on_called(void *context)
{
    (void)context;
}

TEST(webhook_that_ends_waits_for_memory_no_longer)
{
    static const struct http_client_calls calls = {.called = on_called};
    const struct http_rules rules = {.timeout_s = 1};
    struct webhook holder = make(1), waiting = make(1);
    struct webhook_ground *ground = holder.ground;
    void *object = &waiting;

    ground->pool = http_pool_open();
    waiting.client = http_client_open(ground->pool, &rules, &calls, &waiting);
    list_node_init(&waiting.starved);
    ground->held = 256 * 1024 * 1024;
    assert_false(webhook_has_memory(&waiting));
    webhook_kind.end(object, 0);
    assert_true(list_is_empty(&ground->starved));
    ground->held = 0;
    webhook_batch_clear(&holder, &holder.sending);
    assert_int_equal(noted.has_room, 0);
    http_pool_close(&ground->pool);
}
