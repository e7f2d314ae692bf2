/*
 * kafka.c - events to a topic, their answers, and what is done about those that are refused.
 *
 * librdkafka keeps the order within a partition, and so within a message, as long as nothing is
 * refused. What is refused is refused for good: it never comes out of its queue again. With
 * enable.gapless.guarantee nothing of the same partition gets past it; the producer is dead then,
 * and another one begins at the first event without an answer.
 *
 * A refusal for size concerns a whole batch. Batches are halved until one event alone is refused,
 * and that one is told in a smaller form (kafka_cut).
 */
#include "sink/kafka.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/event.h"
#include "sink/kafka_private.h"

enum {
    EVENTS_MAX = 64, /* of librdkafka's, between two looks at what else there is to do */
    PROBE_EVERY_MS = 5000,
    FATAL_WAIT_MS = 500,
    ASK_AFTER_MS = 30000, /* as long as librdkafka waits for an answer to a request */
    ASK_RETRIES = 5,      /* 0.1 s apart, unless the options say otherwise */
    FLUSH_MS = 10,        /* for all partitions to build their request and send it */
    ROUND_BYTES_MAX = 2 * 1024 * 1024,
    SCRAM_MENDED = 0x020601ff, /* librdkafka's version */
};

/* --- settings --------------------------------------------------------------------------------- */

static void *make(const void *settings, struct sink *sink)
{
    struct kafka *kafka = calloc(1, sizeof(*kafka));

    check(kafka != NULL);
    kafka->sink = sink;
    kafka->settings = kafka_settings_copy(settings);
    buf_init(&kafka->cut_line, EVENT_JSON_MAX);
    return kafka;
}

static bool is_same(const void *object, const void *settings)
{
    const struct kafka *kafka = object;

    return kafka_settings_are_same(&kafka->settings, settings);
}

static void free_object(void **object)
{
    struct kafka *kafka = *object;

    *object = NULL;
    check(kafka->producer == NULL);
    buf_free(&kafka->cut_line);
    kafka_settings_free(&kafka->settings);
    free(kafka);
}

/* --- begin ------------------------------------------------------------------------------------ */

static bool begin(void *object)
{
    struct kafka *kafka = object;
    char why[KAFKA_WHY_MAX] = "";

    const struct kafka_start start = {.with_brokers = true,
                                      .batch_bytes = kafka->batch_bytes,
                                      .retries = kafka->is_asking ? ASK_RETRIES : 0};
    rd_kafka_conf_t *conf = kafka_conf_make(&kafka->settings, &start, why);
    if (conf != NULL) {
        kafka->request_bytes = kafka_conf_request_bytes(conf);
        kafka->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    }
    if (kafka->producer == NULL) {
        if (conf != NULL)
            rd_kafka_conf_destroy(conf);
        sink_restart(kafka->sink, SINK_OTHER, why, false);
        return false;
    }
    kafka->topic = rd_kafka_topic_new(kafka->producer, kafka->settings.topic, NULL);
    check(kafka->topic != NULL);
    kafka->queue = rd_kafka_queue_get_main(kafka->producer);
    kafka->problem = SINK_WELL;
    kafka->text = malloc(ROUND_BYTES_MAX + EVENT_JSON_MAX);
    check(kafka->text != NULL);
    kafka->partitions = 1;
    kafka->round = (struct kafka_round){0};
    kafka->probe_ms = clock_monotonic_ms() + PROBE_EVERY_MS;
    return true;
}

/* --- end -------------------------------------------------------------------------------------- */

/* Its threads may be in a name look-up or a handshake, which nothing ends before its time. */
struct farewell {
    rd_kafka_t *producer;
    uint8_t *text; /* that it may still read */
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_over;
    bool is_left; /* nobody waits: whoever is last frees */
};

static void farewell_free(struct farewell *farewell)
{
    pthread_cond_destroy(&farewell->done);
    pthread_mutex_destroy(&farewell->lock);
    free(farewell->text);
    free(farewell);
}

static void *run_farewell(void *context)
{
    struct farewell *farewell = context;

    rd_kafka_destroy(farewell->producer);
    pthread_mutex_lock(&farewell->lock);
    farewell->is_over = true;
    bool is_left = farewell->is_left;
    pthread_cond_signal(&farewell->done);
    pthread_mutex_unlock(&farewell->lock);
    if (is_left)
        farewell_free(farewell);
    return NULL;
}

static bool wait_over(struct farewell *farewell, int64_t until_ms)
{
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    int error = 0;

    pthread_mutex_lock(&farewell->lock);
    while (!farewell->is_over && error == 0)
        error = pthread_cond_timedwait(&farewell->done, &farewell->lock, &until);
    bool is_over = farewell->is_over;
    farewell->is_left = !is_over;
    pthread_mutex_unlock(&farewell->lock);
    return is_over;
}

static void destroy_until(rd_kafka_t *producer, uint8_t *text, int64_t until_ms)
{
    struct farewell *farewell = calloc(1, sizeof(*farewell));
    pthread_condattr_t attributes;
    pthread_t thread;

    check(farewell != NULL);
    farewell->producer = producer;
    farewell->text = text;
    pthread_mutex_init(&farewell->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&farewell->done, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&thread, NULL, run_farewell, farewell) != 0) {
        run_farewell(farewell);
        farewell_free(farewell);
        return;
    }
    pthread_detach(thread);
    if (wait_over(farewell, until_ms))
        farewell_free(farewell);
    else
        log_warn("what=\"a producer of Kafka does not end; it is left behind\"");
}

static void end(void *object, int64_t until_ms)
{
    struct kafka *kafka = object;
    rd_kafka_t *producer = kafka->producer;
    uint8_t *text = kafka->text;

    (void)rd_kafka_purge(producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                       RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_topic_destroy(kafka->topic);
    rd_kafka_queue_destroy(kafka->queue);
    kafka->producer = NULL;
    kafka->text = NULL;
    kafka->topic = NULL;
    kafka->queue = NULL;
    destroy_until(producer, text, until_ms);
}

/* --- what is too large ------------------------------------------------------------------------ */

static size_t find_cut(const struct kafka *kafka, struct bytes line)
{
    size_t at = 0;

    if (kafka->cut_count == 0)
        return 0;
    uint64_t hash = bytes_hash(line);
    while (at < kafka->cut_count && kafka->cut[at] != hash)
        at++;
    return at;
}

static void remember_cut(struct kafka *kafka, struct bytes line)
{
    if (kafka->cut_count == KAFKA_CUT_MAX) {
        kafka->cut_count--;
        memmove(&kafka->cut[0], &kafka->cut[1], kafka->cut_count * sizeof(kafka->cut[0]));
    }
    kafka->cut[kafka->cut_count++] = bytes_hash(line);
}

static bool is_cut(struct bytes line)
{
    return bytes_ends_nocase(line, BYTES(",\"cut\":true}"));
}

/* A batch was refused for its size, in which this event was. */
static void on_too_large(struct kafka *kafka, struct bytes line)
{
    size_t bytes = kafka->batch_bytes == 0 ? KAFKA_BATCH_BYTES : kafka->batch_bytes;
    char text[SINK_TEXT_MAX];
    bool at_once = true;

    if (line.len < bytes && bytes > KAFKA_BATCH_BYTES_MIN) {
        kafka->batch_bytes = MAX(bytes / 2, (size_t)KAFKA_BATCH_BYTES_MIN);
        snprintf(text, sizeof(text), "a batch is larger than the broker takes; trying %zu bytes",
                 kafka->batch_bytes);
    } else if (!is_cut(line) && find_cut(kafka, line) == kafka->cut_count) {
        remember_cut(kafka, line);
        snprintf(text, sizeof(text),
                 "an event of %zu bytes is larger than the broker takes; its "
                 "texts are cut",
                 line.len);
        log_warn("sink=%s event=%s what=\"larger than the broker takes: told with its texts cut\"",
                 LOG_STRING(sink_name(kafka->sink)), LOG_TEXT(bytes_slice(line, 0, 60)));
    } else {
        at_once = false;
        snprintf(text, sizeof(text),
                 "an event of %zu bytes, its texts cut, is larger than the "
                 "broker takes: raise max.message.bytes of the topic",
                 line.len);
    }
    sink_restart(kafka->sink, SINK_TOO_LARGE, text, at_once);
}

/* --- rounds ----------------------------------------------------------------------------------- */

/* A quarter less than fits: keys spread evenly, but not quite. */
static size_t round_bytes_max(const struct kafka *kafka)
{
    return MIN(kafka->request_bytes / 4 * 3 * kafka->partitions, (size_t)ROUND_BYTES_MAX);
}

/* Where the line stands until its answer. */
static uint8_t *round_put(struct kafka *kafka, struct bytes line)
{
    uint8_t *at = kafka->text + kafka->round.text_len;

    check(line.len <= EVENT_JSON_MAX);
    memcpy(at, line.ptr, line.len);
    return at;
}

static void round_add(struct kafka *kafka, size_t line_len, size_t key_len)
{
    kafka->round.unanswered++;
    kafka->round.text_len += line_len;
    kafka->round.bytes += line_len + key_len;
    kafka->round.is_full = kafka->round.bytes >= round_bytes_max(kafka);
}

/* Partitions send one after another, each when the one before is on its way. */
static void round_send(struct kafka *kafka)
{
    kafka->round.is_sent = true;
    kafka->round.sent_ms = clock_monotonic_ms();
    (void)rd_kafka_flush(kafka->producer, FLUSH_MS);
}

static void round_answered(struct kafka *kafka, const rd_kafka_message_t *message)
{
    if (message->partition >= 0)
        kafka->partitions = MAX(kafka->partitions, (size_t)message->partition + 1);
    check(kafka->round.unanswered > 0);
    if (--kafka->round.unanswered == 0)
        kafka->round = (struct kafka_round){0};
}

/* --- take ------------------------------------------------------------------------------------- */

static void on_not_taken(struct kafka *kafka, rd_kafka_resp_err_t error, struct bytes line)
{
    char text[SINK_TEXT_MAX];

    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return;
    if (error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) { /* message.max.bytes of the options */
        bool is_new = !is_cut(line) && find_cut(kafka, line) == kafka->cut_count;

        if (is_new)
            remember_cut(kafka, line);
        sink_restart(kafka->sink, SINK_TOO_LARGE, "an event is larger than message.max.bytes",
                     is_new);
        return;
    }
    snprintf(text, sizeof(text), "topic %s: %s", kafka->settings.topic, rd_kafka_err2str(error));
    sink_restart(kafka->sink, kafka_problem(error), text, false);
}

static bool take(void *object, const struct sink_event *event)
{
    struct kafka *kafka = object;
    struct bytes line = event->line, key = event->parts->id;

    if (kafka->round.is_full || kafka->round.is_sent)
        return false;
    if (find_cut(kafka, line) < kafka->cut_count && kafka_cut(line, &kafka->cut_line))
        line = buf_bytes(&kafka->cut_line);
    rd_kafka_headers_t *headers = kafka_headers(event->parts, event->line);
    const rd_kafka_vu_t fields[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = kafka->topic},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {.ptr = round_put(kafka, line), .size = line.len}},
        {.vtype = RD_KAFKA_VTYPE_KEY, /* which is copied */
         .u.mem = {.ptr = (void *)(uintptr_t)key.ptr, .size = key.len}},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = event->parts->time_ms}, /* 0: now */
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *)(uintptr_t)event->ticket},
    };
    rd_kafka_error_t *error = rd_kafka_produceva(kafka->producer, fields, ARRAY_LEN(fields));
    if (error == NULL) {
        round_add(kafka, line.len, key.len);
        return true;
    }
    rd_kafka_headers_destroy(headers);
    on_not_taken(kafka, rd_kafka_error_code(error), line);
    rd_kafka_error_destroy(error);
    return false;
}

/* --- answers ---------------------------------------------------------------------------------- */

/* And not only what stood behind one that was refused. */
static bool is_cause(const rd_kafka_message_t *message)
{
    return message->err != RD_KAFKA_RESP_ERR__PURGE_QUEUE &&
           message->err != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT &&
           message->err != RD_KAFKA_RESP_ERR__FATAL &&
           message->err != RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE;
}

static void on_refused(struct kafka *kafka, const rd_kafka_message_t *message)
{
    char text[SINK_TEXT_MAX];

    if (kafka_problem(message->err) == SINK_TOO_LARGE) {
        on_too_large(kafka, bytes_range(message->payload, message->len));
        return;
    }
    snprintf(text, sizeof(text), "topic %s: %s", kafka->settings.topic,
             rd_kafka_err2str(message->err));
    sink_restart(kafka->sink, kafka_problem(message->err), text, false);
}

static void on_reports(struct kafka *kafka, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message, *refused = NULL;
    bool has_answer = false;

    while ((message = rd_kafka_event_message_next(event)) != NULL) {
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            round_answered(kafka, message);
            sink_answered(kafka->sink, (uint64_t)(uintptr_t)message->_private);
            has_answer = true;
        } else if (is_cause(message) &&
                   (refused == NULL || (kafka_problem(message->err) == SINK_TOO_LARGE &&
                                        refused->len < message->len))) {
            refused = message; /* if one is too large alone, it is the largest */
        }
    }
    if (has_answer) {
        kafka->problem = SINK_WELL;
        kafka->probe_ms = clock_monotonic_ms() + PROBE_EVERY_MS;
    }
    if (refused != NULL) {
        on_refused(kafka, refused);
    } else if (has_answer && kafka->is_asking && kafka->round.unanswered == 0) {
        kafka->is_asking = false; /* and on with one that does not give up */
        sink_restart(kafka->sink, SINK_WELL, "", true);
    }
}

/* The producer is dead. Its cause is told by the reports that come with it, or are on their way. */
static void on_fatal(struct kafka *kafka)
{
    int64_t until_ms = clock_monotonic_ms() + FATAL_WAIT_MS;
    char text[SINK_TEXT_MAX] = "";
    rd_kafka_resp_err_t error = rd_kafka_fatal_error(kafka->producer, text, sizeof(text));

    (void)rd_kafka_purge(kafka->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                              RD_KAFKA_PURGE_F_NON_BLOCKING);
    while (!sink_is_restarting(kafka->sink) && clock_monotonic_ms() < until_ms &&
           rd_kafka_outq_len(kafka->producer) > 0) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(kafka->queue, 50);

        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
            on_reports(kafka, event);
        if (event != NULL)
            rd_kafka_event_destroy(event);
    }
    if (!sink_is_restarting(kafka->sink))
        sink_restart(kafka->sink, kafka_problem(error), text, false);
}

static void on_error(struct kafka *kafka, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    char text[SINK_TEXT_MAX];

    if (error == RD_KAFKA_RESP_ERR__FATAL) {
        on_fatal(kafka);
        return;
    }
    /* One broker of several that is gone is no trouble yet. */
    if (error == RD_KAFKA_RESP_ERR__TRANSPORT || error == RD_KAFKA_RESP_ERR__RESOLVE)
        return;
    bool is_scram = error == RD_KAFKA_RESP_ERR__AUTHENTICATION &&
                    kafka_uses_scram(&kafka->settings) && rd_kafka_version() < SCRAM_MENDED;
    snprintf(text, sizeof(text), "%s%s",
             is_scram ? "librdkafka before 2.6.1 cannot log in by SCRAM to Kafka 4, use PLAIN over "
                        "TLS: "
                      : "",
             rd_kafka_event_error_string(event));
    /* That nobody answers follows from who may not log in. */
    if (kafka_problem(error) == SINK_UNREACHABLE && kafka->problem != SINK_WELL)
        return;
    kafka->problem = kafka_problem(error);
    sink_trouble(kafka->sink, kafka->problem, text);
}

/*
 * A refusal that may pass, such as for too few replicas in sync, is retried by librdkafka without a
 * word, for ever. Brokers, topic and leaders are there and nothing is answered: then another
 * producer begins that gives up soon and says what it was told, until it is told something good.
 */
static void ask_why(struct kafka *kafka, int64_t now_ms)
{
    if (kafka->is_asking || !kafka->round.is_sent || now_ms - kafka->round.sent_ms < ASK_AFTER_MS)
        return;
    kafka->is_asking = true;
    sink_restart(kafka->sink, SINK_SLOW, "no answer to what was sent 30 s ago; asks again why",
                 true);
}

/* While there is no answer: what is wrong, and whether it still is. */
static void look_closer(struct kafka *kafka)
{
    int64_t now_ms = clock_monotonic_ms();
    char text[SINK_TEXT_MAX] = "";

    if (now_ms < kafka->probe_ms)
        return;
    kafka->probe_ms = now_ms + PROBE_EVERY_MS;
    if (kafka->problem == SINK_WELL && !sink_has_unanswered(kafka->sink))
        return;
    enum sink_problem problem = kafka_probe(kafka, text);
    bool is_known = problem == SINK_UNREACHABLE && kafka->problem != SINK_WELL;
    if (problem == SINK_WELL && sink_has_unanswered(kafka->sink))
        ask_why(kafka, now_ms);
    if (is_known || (problem == SINK_WELL && sink_has_unanswered(kafka->sink)))
        return;
    kafka->problem = problem;
    sink_trouble(kafka->sink, problem, text);
}

static void work(void *object, int64_t wait_ms)
{
    struct kafka *kafka = object;

    bool is_whole = kafka->round.is_full || wait_ms > 0; /* 0: there is more to take */

    if (kafka->round.unanswered > 0 && !kafka->round.is_sent && is_whole)
        round_send(kafka);
    for (size_t i = 0; i < EVENTS_MAX && !sink_is_restarting(kafka->sink); i++) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(kafka->queue, i == 0 ? (int)wait_ms : 0);

        if (event == NULL)
            break;
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
            on_reports(kafka, event);
        else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
            on_error(kafka, event);
        rd_kafka_event_destroy(event);
    }
    if (!sink_is_restarting(kafka->sink))
        look_closer(kafka);
    if (!kafka->round.is_full && !kafka->round.is_sent)
        sink_has_room(kafka->sink);
}

static void wake(void *object)
{
    struct kafka *kafka = object;

    rd_kafka_queue_yield(kafka->queue);
}

const struct sink_kind kafka_kind = {
    .name = "kafka",
    .window = 32768,
    .slow_ms = 10000,
    .make = make,
    .is_same = is_same,
    .free = free_object,
    .begin = begin,
    .end = end,
    .take = take,
    .work = work,
    .wake = wake,
};
