/* test_kafka_mock.c - errors that no real broker gives when asked, by librdkafka's mock cluster. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/event_file.h"
#include "sink/kafka.h"
#include "sink/sinks.h"
#include "support/unit.h"

enum {
    PATIENCE_MS = 60000,
    MESSAGES = 10, /* events go round them, so that each has several */
    PARTITIONS = 4,
    PRODUCE = 0, /* of Kafka's protocol */
    EVENTS_MAX = 400,
    TOLD_MAX = 10 * EVENTS_MAX,
};
#define TOPIC "events"

struct fixture {
    rd_kafka_t *owner; /* of the cluster */
    rd_kafka_mock_cluster_t *cluster;
    char directory[64];
    struct event_bounds bounds;
    struct event_file *file;
    struct event_cursors cursors;
    struct sinks *sinks;
    _Atomic bool is_full;
    unsigned appended;
};

static rd_kafka_t *client(rd_kafka_type_t type, const char *brokers)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[256] = "";

    assert_int_equal(rd_kafka_conf_set(conf, "log_level", "0", why, sizeof(why)), 0);
    if (brokers != NULL)
        assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof(why)),
                         0);
    if (type == RD_KAFKA_CONSUMER) {
        assert_int_equal(rd_kafka_conf_set(conf, "group.id", "test", why, sizeof(why)), 0);
        assert_int_equal(rd_kafka_conf_set(conf, "enable.partition.eof", "true", why, 256), 0);
    }
    rd_kafka_t *made = rd_kafka_new(type, conf, why, sizeof(why));
    if (made == NULL)
        fail_msg("%s", why);
    return made;
}

static void fixture_make(struct fixture *f)
{
    char why[256] = "";

    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
    *f = (struct fixture){.directory = "/tmp/ringpost-mock-XXXXXX"};
    assert_non_null(mkdtemp(f->directory));
    f->owner = client(RD_KAFKA_PRODUCER, NULL);
    f->cluster = rd_kafka_mock_cluster_new(f->owner, 3);
    assert_non_null(f->cluster);
    assert_int_equal(rd_kafka_mock_topic_create(f->cluster, TOPIC, PARTITIONS, 3), 0);
    event_bounds_init(&f->bounds);
    const struct event_file_settings files = {.directory = f->directory, .bounds = &f->bounds};
    assert_int_equal(event_file_open(&files, &f->file, &f->cursors), 0);
    const char *brokers = rd_kafka_mock_cluster_bootstraps(f->cluster);
    const struct kafka_settings kafka = {.broker_count = 1,
                                         .brokers = &brokers,
                                         .topic = TOPIC,
                                         .compression = "none"};
    const struct sink_settings sink = {.name = "kafka", .kind = &kafka_kind, .settings = &kafka};
    const struct sinks_settings settings = {.budget = 1 << 30, .count = 1, .sinks = &sink};
    f->sinks = sinks_start(&settings, f->directory, &f->bounds, &f->is_full, why, sizeof(why));
    if (f->sinks == NULL)
        fail_msg("%s", why);
}

static void fixture_remove(struct fixture *f)
{
    char command[128];

    sinks_stop(&f->sinks, clock_monotonic_ms() + 2000);
    event_file_close(&f->file);
    event_bounds_free(&f->bounds);
    rd_kafka_mock_cluster_destroy(f->cluster);
    rd_kafka_destroy(f->owner);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->directory);
    assert_int_equal(system(command), 0);
}

static void add(struct fixture *f, unsigned count)
{
    assert_true(f->appended + count <= EVENTS_MAX);
    for (unsigned i = 0; i < count; i++) {
        char line[256];
        int len = snprintf(line, sizeof(line),
                           "{\"schema\":1,\"event_id\":\"e%03u\",\"seq\":%u,\"kind\":\"accepted\","
                           "\"id\":\"m%u\",\"recipient\":null,\"tenant\":null,"
                           "\"time\":\"2026-11-24T03:00:00.000Z\"}\n",
                           f->appended, f->appended / MESSAGES, f->appended % MESSAGES);

        assert_int_equal(event_file_append(f->file, bytes_range(line, (size_t)len)), 0);
        event_file_mark(f->file, 0, ++f->appended);
    }
    assert_int_equal(event_file_commit(f->file, &f->cursors), 0);
}

static struct sink_status status(struct fixture *f)
{
    size_t count;
    struct sink_status *all = sinks_status(f->sinks, &count);
    struct sink_status first = all[0];

    assert_int_equal(count, 1);
    free(all);
    return first;
}

static bool is_current(struct fixture *f)
{
    struct sink_status s = status(f);

    return s.behind_events == 0 && s.in_flight == 0;
}

/* The problem has this name; false when all was told without it, or time is over. */
static bool is_seen(struct fixture *f, const char *problem, struct sink_status *seen)
{
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;

    do {
        *seen = status(f);
        if (strcmp(sink_problem_name(seen->problem), problem) == 0)
            return true;
        usleep(1000);
    } while (clock_monotonic_ms() < until_ms && !is_current(f));
    return false;
}

static void wait_current(struct fixture *f)
{
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;

    while (!is_current(f) && clock_monotonic_ms() < until_ms)
        usleep(1000);
    struct sink_status s = status(f);
    if (!is_current(f))
        fail_msg("%llu events behind; %s: %s", (unsigned long long)s.behind_events,
                 sink_problem_name(s.problem), s.text);
    assert_int_equal(s.problem, SINK_WELL);
    assert_int_equal(s.since_ms, 0);
    assert_int_equal(s.gaps, 0);
}

/* --- what stands in the topic ----------------------------------------------------------------- */

struct seen {
    bool events[EVENTS_MAX];
    unsigned next[MESSAGES]; /* seq of the first event that was not seen yet */
    unsigned count, finished;
};

static void look_at(struct seen *seen, const rd_kafka_message_t *message)
{
    unsigned event, seq, id;
    char text[256];

    snprintf(text, sizeof(text), "%.*s", (int)message->len, (const char *)message->payload);
    assert_int_equal(sscanf(text,
                            "{\"schema\":1,\"event_id\":\"e%u\",\"seq\":%u,\"kind\":\"accepted\","
                            "\"id\":\"m%u\"",
                            &event, &seq, &id),
                     3);
    assert_true(event < EVENTS_MAX && id < MESSAGES && event == seq * MESSAGES + id);
    seen->count++;
    if (seen->events[event])
        return;
    assert_int_equal(seq, seen->next[id]); /* its first appearance is in order */
    seen->next[id]++;
    seen->events[event] = true;
}

/* Every event stands in the topic, and of each message they come in order. */
static void expect_all(struct fixture *f)
{
    rd_kafka_t *reader = client(RD_KAFKA_CONSUMER, rd_kafka_mock_cluster_bootstraps(f->cluster));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
    struct seen seen = {.count = 0};

    for (int i = 0; i < PARTITIONS; i++)
        rd_kafka_topic_partition_list_add(list, TOPIC, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    assert_int_equal(rd_kafka_assign(reader, list), 0);
    while (seen.finished < PARTITIONS && clock_monotonic_ms() < until_ms) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader, 100);

        if (message == NULL)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            seen.finished++;
        else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            look_at(&seen, message);
        rd_kafka_message_destroy(message);
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(reader);
    assert_int_equal(seen.finished, PARTITIONS);
    for (unsigned i = 0; i < f->appended; i++)
        if (!seen.events[i])
            fail_msg("event %u is not in the topic", i);
    assert_true(seen.count <= TOLD_MAX);
}

/* --- tests ------------------------------------------------------------------------------------ */

#define NINE(error) error, error, error, error, error, error, error, error, error

static void push(struct fixture *f, rd_kafka_resp_err_t error)
{
    rd_kafka_mock_push_request_errors(f->cluster, PRODUCE, 9, NINE(error));
}

TEST(whatever_the_brokers_answer_is_named_and_nothing_is_lost_or_out_of_order)
{
    static const struct {
        rd_kafka_resp_err_t error;
        const char *problem; /* NULL: librdkafka tries again by itself */
    } rows[] = {
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "not-authorized"},
        {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, "not-authorized"},
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "too-large"}, /* of a batch that it had taken */
        {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, "other"},
        {RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "other"},
        {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, NULL},
        {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, NULL},
        {RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, NULL},
        {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t before_ms = clock_wall_ms();
        struct sink_status seen;
        struct fixture f;

        fixture_make(&f);
        add(&f, 50);
        wait_current(&f);
        push(&f, rows[i].error);
        add(&f, 100);
        if (rows[i].problem != NULL) {
            if (!is_seen(&f, rows[i].problem, &seen))
                fail_msg("%s was never told as %s", rd_kafka_err2name(rows[i].error),
                         rows[i].problem);
            assert_true(seen.since_ms >= before_ms && seen.text[0] != '\0');
            assert_true(seen.behind_events > 0);
        }
        add(&f, 50);
        wait_current(&f);
        expect_all(&f);
        fixture_remove(&f);
    }
}

/* librdkafka tries again without a word. */
TEST(refusal_that_does_not_pass_is_named_though_it_might)
{
    struct sink_status seen;
    struct fixture f;

    fixture_make(&f);
    add(&f, 50);
    wait_current(&f);
    for (size_t i = 0; i < 400; i++)
        push(&f, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
    add(&f, 50);
    assert_true(is_seen(&f, "slow", &seen));
    int64_t since_ms = seen.since_ms;
    assert_true(is_seen(&f, "no-leader", &seen));
    assert_int_equal(seen.since_ms, since_ms);
    assert_non_null(strstr(seen.text, "in-sync replicas"));
    rd_kafka_mock_clear_request_errors(f.cluster, PRODUCE);
    wait_current(&f);
    /* From here on it is patient again. */
    uint64_t restarts = status(&f).restarts;
    push(&f, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
    add(&f, 50);
    wait_current(&f);
    assert_int_equal(status(&f).restarts, restarts);
    expect_all(&f);
    fixture_remove(&f);
}

TEST(partition_without_a_leader_is_named_and_holds_up_nothing_for_good)
{
    struct sink_status seen;
    struct fixture f;

    fixture_make(&f);
    add(&f, 50);
    wait_current(&f);
    for (int i = 0; i < PARTITIONS; i++)
        rd_kafka_mock_partition_set_leader(f.cluster, TOPIC, i, -1);
    add(&f, 50);
    assert_true(is_seen(&f, "no-leader", &seen));
    assert_true(seen.since_ms > 0);
    assert_non_null(strstr(seen.text, TOPIC));
    for (int i = 0; i < PARTITIONS; i++)
        rd_kafka_mock_partition_set_leader(f.cluster, TOPIC, i, 1 + i % 3);
    wait_current(&f);
    expect_all(&f);
    fixture_remove(&f);
}

TEST(cluster_that_goes_away_and_comes_back_is_told_what_it_missed)
{
    struct sink_status seen;
    struct fixture f;

    fixture_make(&f);
    add(&f, 50);
    wait_current(&f);
    for (int32_t broker = 1; broker <= 3; broker++)
        assert_int_equal(rd_kafka_mock_broker_set_down(f.cluster, broker), 0);
    add(&f, 50);
    assert_true(is_seen(&f, "unreachable", &seen));
    for (int32_t broker = 1; broker <= 3; broker++)
        assert_int_equal(rd_kafka_mock_broker_set_up(f.cluster, broker), 0);
    wait_current(&f);
    expect_all(&f);
    fixture_remove(&f);
}
