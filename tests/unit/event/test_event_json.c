#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/event_checks.h"
#include "support/unit.h"
#include "tests/unit/event/event_sample.h"

static json_t *render(const struct event *event)
{
    struct buf out;
    json_error_t error;

    buf_init(&out, EVENT_JSON_MAX);
    assert_true(event_json(event, &out));
    struct bytes line = buf_bytes(&out);
    assert_int_equal(line.ptr[line.len - 1], '\n');
    assert_int_equal(bytes_find(line, '\n', 0), line.len - 1);
    json_t *object = json_loadb((const char *)line.ptr, line.len, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL)
        fail_msg("%s at %d: %.*s", error.text, error.position, BYTES_ARG(line));
    buf_free(&out);
    return object;
}

/* Takes "a.b.c" apart. */
static json_t *at(json_t *object, const char *path)
{
    char part[64];

    while (*path != '\0') {
        size_t len = strcspn(path, ".");

        assert_true(len < sizeof(part));
        memcpy(part, path, len);
        part[len] = '\0';
        object = json_object_get(object, part);
        if (object == NULL)
            fail_msg("no key %s", part);
        path += len + (path[len] == '.');
    }
    return object;
}

static void expect_text(json_t *object, const char *path, const char *text)
{
    const char *value = json_string_value(at(object, path));

    if (value == NULL || strcmp(value, text) != 0)
        fail_msg("%s is %s, not %s", path, value == NULL ? "no text" : value, text);
}

static void expect_number(json_t *object, const char *path, int64_t number)
{
    assert_true(json_is_integer(at(object, path)));
    assert_int_equal(json_integer_value(at(object, path)), number);
}

static void expect_null(json_t *object, const char *path)
{
    if (!json_is_null(at(object, path)))
        fail_msg("%s is not null", path);
}

/* Every key, in order; docs/events.md has the same list. */
static const char *const keys[] = {
    "schema",
    "event_id",
    "seq",
    "kind",
    "id",
    "recipient",
    "tenant",
    "time",
    "accepted_time",
    "next_attempt_time",
    "sender",
    "header_message_id",
    "size",
    "campaign",
    "tags",
    "metadata",
    "envid",
    "orcpt",
    "client",
    "client.ip",
    "client.ehlo",
    "client.service",
    "client.session",
    "client.connected_time",
    "dkim",
    "dkim.result",
    "dkim.domain",
    "dkim.selectors",
    "attempt",
    "attempt.number",
    "attempt.time",
    "attempt.times",
    "attempt.times.wait_ms",
    "attempt.times.dns_ms",
    "attempt.times.connect_ms",
    "attempt.times.tls_ms",
    "attempt.times.envelope_ms",
    "attempt.times.content_ms",
    "egress",
    "egress.pool",
    "egress.source",
    "egress.source_ip",
    "egress.site",
    "egress.mx_host",
    "egress.mx_ip",
    "tls",
    "tls.version",
    "tls.cipher",
    "tls.verified",
    "tls.policy",
    "tls.source",
    "tls.result",
    "tls.reason",
    "reply",
    "reply.from",
    "reply.code",
    "reply.enhanced",
    "reply.text",
    "class",
    "rule",
    "checks",
    "late",
};

static size_t count_keys(json_t *object)
{
    size_t count = 0;
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value) count +=
        1 + (json_is_object(value) ? count_keys(value) : 0);
    return count;
}

TEST(event_json_has_every_key_of_a_delivered_event)
{
    struct event event = event_sample();

    event_set_node(0x0102);
    json_t *object = render(&event);
    expect_number(object, "schema", 1);
    expect_text(object, "event_id", "0102-01-0000000700012340-0");
    expect_number(object, "seq", 2);
    expect_text(object, "kind", "delivered");
    expect_text(object, "id", "010201-07a1b2c3d4e5f");
    expect_text(object, "recipient", "someone@customer.example");
    expect_text(object, "tenant", "acme");
    expect_text(object, "time", "2026-11-24T03:10:00.123Z");
    expect_text(object, "accepted_time", "2026-11-24T03:09:59.001Z");
    expect_null(object, "next_attempt_time");
    expect_text(object, "sender", "bounces+17@mail.sender.example");
    expect_number(object, "size", 4096);
    assert_int_equal(json_array_size(at(object, "tags")), 2);
    assert_int_equal(json_integer_value(json_object_get(at(object, "metadata"), "order")), 17);
    expect_null(object, "client.ip");
    expect_number(object, "attempt.number", 1);
    expect_text(object, "attempt.time", "2026-11-24T03:09:59.010Z");
    expect_number(object, "attempt.times.wait_ms", 9);
    expect_null(object, "attempt.times.tls_ms");
    expect_number(object, "attempt.times.content_ms", 120);
    expect_text(object, "egress.mx_ip", "198.51.100.25");
    expect_text(object, "tls.version", "TLSv1.3");
    expect_text(object, "reply.from", "peer");
    expect_number(object, "reply.code", 250);
    expect_text(object, "reply.enhanced", "2.0.0");
    expect_text(object, "rule", "reply-2xx");
    json_decref(object);
    event_set_node(0);
}

TEST(event_json_has_every_key_of_an_empty_event)
{
    struct event event = {.times = {-1, -1, -1, -1, -1, -1}};
    json_t *object = render(&event);

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        (void)at(object, keys[i]);
    assert_int_equal(count_keys(object), ARRAY_LEN(keys));
    expect_null(object, "id");
    expect_null(object, "recipient");
    expect_null(object, "sender");
    expect_null(object, "time");
    expect_null(object, "tags");
    expect_null(object, "metadata");
    expect_null(object, "checks");
    expect_null(object, "late");
    expect_null(object, "reply.from");
    expect_null(object, "reply.code");
    json_decref(object);
}

TEST(event_json_of_a_late_one_is_not_counted)
{
    struct event event = event_sample();

    event.kind = EVENT_BOUNCED;
    json_t *object = render(&event);
    expect_number(object, "seq", 2);
    assert_true(json_is_false(at(object, "late")));
    json_decref(object);
    event.is_late = true;
    object = render(&event);
    expect_null(object, "seq");
    expect_text(object, "kind", "bounced");
    assert_true(json_is_true(at(object, "late")));
    json_decref(object);
}

TEST(event_json_shows_checks_as_objects)
{
    struct event event = event_sample();
    struct buf checks;

    buf_init(&checks, 4096);
    assert_true(
        event_checks_add(&checks, &(struct event_check){BYTES("dmarc"), BYTES("fail"),
                                                        BYTES("refuse"), BYTES("a\tb\nc\"d")}));
    assert_true(event_checks_add(&checks, &(struct event_check){.name = BYTES("dkim"),
                                                                .result = BYTES("none")}));
    event.checks = buf_bytes(&checks);
    json_t *object = render(&event);
    json_t *first = json_array_get(at(object, "checks"), 0);
    json_t *second = json_array_get(at(object, "checks"), 1);

    assert_int_equal(json_array_size(at(object, "checks")), 2);
    assert_string_equal(json_string_value(json_object_get(first, "check")), "dmarc");
    assert_string_equal(json_string_value(json_object_get(first, "weight")), "refuse");
    assert_string_equal(json_string_value(json_object_get(first, "detail")), "a b c\"d");
    assert_string_equal(json_string_value(json_object_get(second, "result")), "none");
    assert_true(json_is_null(json_object_get(second, "weight")));
    json_decref(object);
    buf_free(&checks);
}

/* As many as there may be: the last one has no more to it than the others. */
TEST(event_json_ends_the_last_check)
{
    struct event event = {.times = {-1, -1, -1, -1, -1, -1}};
    struct buf checks;

    buf_init(&checks, 4096);
    for (unsigned i = 0; i < EVENT_CHECKS_COUNT_MAX; i++)
        assert_true(event_checks_add(&checks, &(struct event_check){.name = BYTES("dkim"),
                                                                    .result = BYTES("none")}));
    event.checks = buf_bytes(&checks);
    json_t *object = render(&event);
    json_t *last = json_array_get(at(object, "checks"), EVENT_CHECKS_COUNT_MAX - 1);

    assert_string_equal(json_string_value(json_object_get(last, "result")), "none");
    assert_true(json_is_null(json_object_get(last, "detail")));
    json_decref(object);
    buf_free(&checks);
}

/* Nothing but ends of lines: as many objects as there may be, and no more bytes than there is room
 * for. */
TEST(event_json_bounds_checks)
{
    static uint8_t text[3072];
    struct event event = {.times = {-1, -1, -1, -1, -1, -1}, .checks = {text, sizeof(text)}};

    memset(text, '\n', sizeof(text));
    json_t *object = render(&event);
    assert_int_equal(json_array_size(at(object, "checks")), EVENT_CHECKS_COUNT_MAX);
    json_decref(object);
}

TEST(event_json_shows_the_null_path_as_empty)
{
    struct event event = {.sender = BYTES("")};
    json_t *object = render(&event);

    expect_text(object, "sender", "");
    json_decref(object);
}

static const struct {
    struct bytes raw;
    const char *shown;
} texts[] = {
    {BYTES("plain text of some length"), "plain text of some length"},
    {BYTES("say \"no\" \\ or / not"), "say \"no\" \\ or / not"},
    {BYTES("line\r\nbreak\tand \x01\x1f\x7f"), "line\r\nbreak\tand \x01\x1f\x7f"},
    {BYTES("nul \x00 inside"), "nul \xef\xbf\xbd inside"},
    {BYTES("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f"},
    {BYTES("\xe2\x82\xac \xf0\x9f\x93\xa8"), "\xe2\x82\xac \xf0\x9f\x93\xa8"},
    {BYTES("gr\xfc\xdf"), "gr\xef\xbf\xbd\xef\xbf\xbd"},             /* Latin-1 */
    {BYTES("cut \xe2\x82"), "cut \xef\xbf\xbd\xef\xbf\xbd"},         /* at the end */
    {BYTES("\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
    {BYTES("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
    {BYTES("\xf4\x90\x80\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {BYTES("1234567\"89012345\\7890123\n"), "1234567\"89012345\\7890123\n"},
};

TEST(event_json_shows_text_whatever_its_bytes)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct event event = {.reply_text = texts[i].raw};
        json_t *object = render(&event);

        expect_text(object, "reply.text", texts[i].shown);
        json_decref(object);
    }
}

static const struct {
    struct bytes raw;
    int size; /* -1: shown as one string */
} tags[] = {
    {BYTES("[]"), 0},
    {BYTES("[ ]"), 0},
    {BYTES(" [\"a\" , \"b\"] "), 2},
    {BYTES("[\"\\u00fc\\n\\\\\\\"\\/ \\ud83d\\ude00 \xc3\xbc\"]"), 1},
    {BYTES("a"), -1},
    {BYTES("["), -1},
    {BYTES("[\"a\""), -1},
    {BYTES("[\"a\"\"b\"]"), -1},
    {BYTES("[\"a\",]"), -1},
    {BYTES("[,\"a\"]"), -1},
    {BYTES("[\"a\"] x"), -1},
    {BYTES("[1]"), -1},
    {BYTES("[[\"a\"]]"), -1},
    {BYTES("[\"\\ud83d\"]"), -1},
    {BYTES("[\"\\ude00\"]"), -1},
    {BYTES("[\"\\u0000\"]"), -1},
    {BYTES("[\"\\x\"]"), -1},
    {BYTES("[\"\\"), -1},
    {BYTES("[\"\xff\"]"), -1},
    {BYTES("[\"a\nb\"]"), -1},
    {BYTES("[\n\"a\"]"), -1}, /* an event stays on one line */
};

TEST(event_json_passes_tags_on_only_as_an_array_of_strings)
{
    for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
        struct event event = {.tags = tags[i].raw};
        json_t *object = render(&event);
        json_t *array = at(object, "tags");

        expect_row(i, json_is_array(array));
        expect_row(i, json_array_size(array) == (size_t)(tags[i].size < 0 ? 1 : tags[i].size));
        if (tags[i].size < 0)
            expect_row(i, strlen(json_string_value(json_array_get(array, 0))) >= tags[i].raw.len);
        json_decref(object);
    }
}

TEST(event_json_writes_times_as_the_clock_does)
{
    random_seed(3);
    for (size_t i = 0; i < 20000; i++) {
        int64_t wall_ms = 1 + (int64_t)random_below(253402300799999);
        struct event event = {.time_ms = wall_ms};
        struct buf out;
        char expected[CLOCK_TEXT_MAX];

        buf_init(&out, EVENT_JSON_MAX);
        assert_true(event_json(&event, &out));
        size_t len = clock_format_rfc3339(wall_ms, expected);
        assert_true(bytes_find_bytes(buf_bytes(&out), bytes_range(expected, len), 0) <
                    buf_len(&out));
        buf_free(&out);
    }
    static const int64_t no_times[] = {0, -1, INT64_MIN, INT64_MAX, 253402300800000};
    for (size_t i = 0; i < ARRAY_LEN(no_times); i++) {
        struct event event = {.time_ms = no_times[i]};
        json_t *object = render(&event);

        expect_null(object, "time");
        json_decref(object);
    }
}

TEST(event_json_fits_the_worst_event)
{
    struct event event = event_sample();
    uint8_t *worst = malloc(8192);

    assert_non_null(worst);
    memset(worst, 1, 8192);
    struct bytes text = {worst, 8192};
    event.recipient = event.sender = event.message_header_id = text;
    event.tenant = event.campaign = event.tags = event.client_ip = event.client_ehlo = text;
    event.service = event.envid = event.orcpt = event.pool = event.source = text;
    event.source_ip = event.site = event.mx_host = event.mx_ip = text;
    event.tls_version = event.tls_cipher = event.tls_policy = event.tls_result = text;
    event.reply_text = event.class = event.rule = event.session = text;
    event.dkim_result = event.dkim_domain = event.dkim_selectors = text;
    event.part = UINT32_MAX;
    event.seq = event.attempt = UINT32_MAX;
    event.size = UINT64_MAX / 2; /* jansson's integers are signed */
    event.position = UINT64_MAX;
    event.times =
        (struct attempt_times){INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX};
    json_decref(render(&event));
    free(worst);
}

TEST(event_json_leaves_a_full_buffer_as_it_is)
{
    struct event event = event_sample();
    struct buf out;

    buf_init(&out, 1000);
    assert_true(buf_append(&out, BYTES("before")));
    assert_false(event_json(&event, &out));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("before")));
    buf_free(&out);
}

/* Prints what docs/events.md quotes (release build); the bound is for sanitizers too. */
TEST(event_json_is_cheap)
{
    enum { ROUNDS = 100000 };
    struct event event = event_sample();
    struct buf out;

    buf_init(&out, EVENT_JSON_MAX);
    int64_t start_us = event_cpu_us();
    for (size_t i = 0; i < ROUNDS; i++) {
        buf_clear(&out);
        event.seq = (uint32_t)i;
        assert_true(event_json(&event, &out));
    }
    int64_t end_us = event_cpu_us();
    printf("json_ns=%lld json_bytes=%zu\n", (long long)((end_us - start_us) * 1000 / ROUNDS),
           buf_len(&out));
    assert_true(end_us - start_us < 50LL * ROUNDS);
    buf_free(&out);
}

/* It stands beside the events of a message that it may name. */
TEST(event_json_of_what_is_not_counted_has_no_seq)
{
    static const struct {
        enum event_kind kind;
        const char *name;
    } kinds[] = {
        {EVENT_DAMAGED, "damaged"}, {EVENT_RETRIED, "retried"}, {EVENT_SUSPENDED, "suspended"},
        {EVENT_RESUMED, "resumed"}, {EVENT_CHANGED, "changed"},
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        json_t *object = render(&(struct event){
            .kind = kinds[i].kind,
            .id = {77},
            .reply_is_ours = true,
            .reply_text = BYTES("one sentence"),
            .class = BYTES("a class"),
            .rule = BYTES("a rule"),
        });

        expect_row(i, !event_kind_is_counted(kinds[i].kind));
        expect_text(object, "kind", kinds[i].name);
        expect_null(object, "seq");
        expect_text(object, "reply.from", "relay");
        expect_text(object, "reply.text", "one sentence");
        expect_text(object, "rule", "a rule");
        json_decref(object);
    }
}
