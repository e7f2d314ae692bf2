/* modules: event sink */
/* producer.c - ringpost-bench-producer: what librdkafka alone costs for the same events, in CPU. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "event/event_line.h"

enum {
    EVENTS_MAX = 100 * 1000,
    PIECE = 1024 * 1024,
    ROUND_BYTES = 2 * 1024 * 1024, /* the sink's */
    FLUSH_MS = 10,
    WARM_UP_PART = 10,
    PATIENCE_MS = 30000,
    EXIT_WRONG_USE = 64,
};

/* As the sink has them by default. */
static const char *const settings[][2] = {
    {"enable.idempotence", "true"},
    {"enable.gapless.guarantee", "true"},
    {"acks", "all"},
    {"message.timeout.ms", "0"},
    {"partitioner", "murmur2_random"},
    {"linger.ms", "50"},
    {"log_level", "3"},
};

struct bench {
    rd_kafka_t *producer;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
    struct buf text;
    struct bytes *lines;
    struct event_line *parts; /* of each line: what the sink finds in it is known here */
    size_t count;
    size_t unanswered;
};

static double cpu_s(void)
{
    struct timespec now;

    check(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool begin(struct bench *bench, const char *broker, const char *topic,
                  const char *compression)
{
    char why[512] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool is_good = rd_kafka_conf_set(conf, "bootstrap.servers", broker, why, sizeof(why)) ==
                       RD_KAFKA_CONF_OK &&
                   rd_kafka_conf_set(conf, "compression.codec", compression, why, sizeof(why)) ==
                       RD_KAFKA_CONF_OK;

    for (size_t i = 0; is_good && i < ARRAY_LEN(settings); i++)
        is_good = rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof(why)) ==
                  RD_KAFKA_CONF_OK;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
    if (is_good)
        bench->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (bench->producer == NULL) {
        fprintf(stderr, "ringpost-bench-producer: %s\n", why);
        return false;
    }
    bench->topic = rd_kafka_topic_new(bench->producer, topic, NULL);
    bench->queue = rd_kafka_queue_get_main(bench->producer);
    return true;
}

/* Lines of standard input, as `ringpost events --json` writes them. */
static bool read_events(struct bench *bench)
{
    size_t got;

    buf_init(&bench->text, (size_t)EVENTS_MAX * 4096);
    do {
        uint8_t *room = buf_reserve(&bench->text, PIECE);

        check(room != NULL);
        got = fread(room, 1, PIECE, stdin);
        buf_extend(&bench->text, got);
    } while (got > 0);
    bench->lines = calloc(EVENTS_MAX, sizeof(*bench->lines));
    bench->parts = calloc(EVENTS_MAX, sizeof(*bench->parts));
    check(bench->lines != NULL && bench->parts != NULL);
    struct bytes rest = buf_bytes(&bench->text), line;
    while (bench->count < EVENTS_MAX && bytes_take_until(&rest, '\n', &line))
        if (event_line_parse(line, &bench->parts[bench->count]))
            bench->lines[bench->count++] = line;
    return bench->count > 0;
}

static void add_header(rd_kafka_headers_t *headers, const char *name, struct bytes value)
{
    (void)rd_kafka_header_add(headers, name, -1, value.ptr, (ssize_t)value.len);
}

static void hand_over(struct bench *bench, size_t at)
{
    struct event_line *parts = &bench->parts[at];
    rd_kafka_headers_t *headers = rd_kafka_headers_new(3);

    add_header(headers, "schema", BYTES("1"));
    add_header(headers, "kind", parts->kind);
    if (parts->tenant.len > 0)
        add_header(headers, "tenant", parts->tenant);
    const rd_kafka_vu_t fields[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = bench->topic},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {.ptr = (void *)(uintptr_t)bench->lines[at].ptr, .size = bench->lines[at].len}},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {.ptr = (void *)(uintptr_t)parts->id.ptr, .size = parts->id.len}},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = parts->time_ms},
    };
    check(rd_kafka_produceva(bench->producer, fields, ARRAY_LEN(fields)) == NULL);
    bench->unanswered++;
}

static bool wait_answers(struct bench *bench)
{
    const rd_kafka_message_t *message;
    bool is_good = true;

    (void)rd_kafka_flush(bench->producer, FLUSH_MS);
    while (is_good && bench->unanswered > 0) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(bench->queue, PATIENCE_MS);

        is_good = event != NULL;
        while ((message = rd_kafka_event_message_next(event)) != NULL) {
            is_good &= message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
            bench->unanswered--;
        }
        if (event != NULL)
            rd_kafka_event_destroy(event);
    }
    return is_good;
}

/* In rounds, as the sink does: the next when all of one is answered. */
static bool produce(struct bench *bench, size_t count)
{
    bool is_good = true;

    for (size_t at = 0; is_good && at < count;) {
        for (size_t bytes = 0; at < count && bytes < ROUND_BYTES; at++) {
            hand_over(bench, at);
            bytes += bench->lines[at].len;
        }
        is_good = wait_answers(bench);
    }
    return is_good;
}

int main(int argc, char **argv)
{
    static struct bench bench;

    if (argc != 4) {
        fprintf(stderr, "usage: ringpost-bench-producer HOST:PORT TOPIC COMPRESSION <EVENTS\n"
                        "prints the CPU that an event takes, in us; the broker has the topic\n");
        return EXIT_WRONG_USE;
    }
    if (!read_events(&bench) || !begin(&bench, argv[1], argv[2], argv[3]) ||
        !produce(&bench, bench.count / WARM_UP_PART + 1))
        return EXIT_FAILURE;
    double before = cpu_s();
    bool is_good = produce(&bench, bench.count);
    printf("%.3f\n", (cpu_s() - before) * 1e6 / (double)bench.count);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
