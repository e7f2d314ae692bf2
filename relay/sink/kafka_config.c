/* kafka_config.c - settings become a configuration of librdkafka. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/kafka_private.h"

/* What our promises rest on, and what has a key of its own. */
static const struct {
    const char *name, *why;
} reserved[] = {
    {"bootstrap.servers", "it is what kafka.brokers is for"},
    {"metadata.broker.list", "it is what kafka.brokers is for"},
    {"compression.codec", "it is what kafka.compression is for"},
    {"compression.type", "it is what kafka.compression is for"},
    {"enable.idempotence", "it is always true: without it events come twice or out of order"},
    {"enable.gapless.guarantee", "it is always true: without it events come out of order"},
    {"acks", "it is always all: an event must not be lost with one broker"},
    {"request.required.acks", "it is always all: an event must not be lost with one broker"},
    {"message.timeout.ms", "it is always 0: an event waits as long as it takes"},
    {"delivery.timeout.ms", "it is always 0: an event waits as long as it takes"},
    {"transactional.id", "events are told without transactions"},
    {"log.queue", "librdkafka's log is part of ours"},
    {"plugin.library.paths", "no foreign code is loaded"},
};

bool kafka_option_is_good(const struct kafka_option *option, char why[KAFKA_WHY_MAX])
{
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
        if (strcmp(option->name, reserved[i].name) != 0)
            continue;
        snprintf(why, KAFKA_WHY_MAX, "cannot be set here: %s", reserved[i].why);
        return false;
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool is_good = rd_kafka_conf_set(conf, option->name, option->value, why, KAFKA_WHY_MAX) ==
                   RD_KAFKA_CONF_OK;
    rd_kafka_conf_destroy(conf);
    return is_good;
}

bool kafka_topic_is_valid(struct bytes topic)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    bool is_good = topic.len > 0 && topic.len <= 249 && !bytes_equal(topic, BYTES(".")) &&
                   !bytes_equal(topic, BYTES(".."));

    for (size_t i = 0; is_good && i < topic.len; i++)
        is_good = topic.ptr[i] != '\0' && strchr(allowed, topic.ptr[i]) != NULL;
    return is_good;
}

/* --- the whole -------------------------------------------------------------------------------- */

static bool set(rd_kafka_conf_t *conf, const char *name, const char *value, char *why)
{
    return rd_kafka_conf_set(conf, name, value, why, KAFKA_WHY_MAX) == RD_KAFKA_CONF_OK;
}

static bool set_brokers(rd_kafka_conf_t *conf, const struct kafka_settings *settings, char *why)
{
    size_t len = 1;

    for (size_t i = 0; i < settings->broker_count; i++)
        len += strlen(settings->brokers[i]) + 1;
    char *list = calloc(1, len);
    check(list != NULL);
    size_t at = 0;
    for (size_t i = 0; i < settings->broker_count; i++)
        at +=
            (size_t)snprintf(list + at, len - at, "%s%s", i == 0 ? "" : ",", settings->brokers[i]);
    bool is_set = set(conf, "bootstrap.servers", list, why);
    free(list);
    return is_set;
}

/* Ours, which options may change: they are set after. */
static bool set_standards(rd_kafka_conf_t *conf, const struct kafka_settings *settings, char *why)
{
    return set(conf, "client.id", "ringpost", why) && set(conf, "linger.ms", "50", why) &&
           set(conf, "partitioner", "murmur2_random", why) && /* as Java's clients choose */
           set(conf, "compression.codec", settings->compression, why) &&
           set(conf, "reconnect.backoff.max.ms", "2000", why) &&
           set(conf, "topic.metadata.propagation.max.ms", "10000", why) &&
           set(conf, "socket.keepalive.enable", "true", why);
}

static bool set_promises(rd_kafka_conf_t *conf, char *why)
{
    return set(conf, "enable.idempotence", "true", why) &&
           set(conf, "enable.gapless.guarantee", "true", why) && set(conf, "acks", "all", why) &&
           set(conf, "message.timeout.ms", "0", why);
}

/* 0: as it is. */
static bool set_number(rd_kafka_conf_t *conf, const char *name, size_t value, char *why)
{
    char number[24];

    snprintf(number, sizeof(number), "%zu", value);
    return value == 0 || set(conf, name, number, why);
}

rd_kafka_conf_t *kafka_conf_make(const struct kafka_settings *settings,
                                 const struct kafka_start *start, char why[KAFKA_WHY_MAX])
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    bool is_good = set_standards(conf, settings, why);
    for (size_t i = 0; is_good && i < settings->option_count; i++)
        is_good = set(conf, settings->options[i].name, settings->options[i].value, why);
    is_good = is_good && set_promises(conf, why) &&
              (!start->with_brokers || set_brokers(conf, settings, why)) &&
              set_number(conf, "batch.size", start->batch_bytes, why) &&
              set_number(conf, "retries", start->retries, why);
    if (is_good) {
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
        rd_kafka_conf_set_log_cb(conf, kafka_log);
        return conf;
    }
    rd_kafka_conf_destroy(conf);
    return NULL;
}

static size_t conf_number(const rd_kafka_conf_t *conf, const char *name)
{
    char text[24];
    size_t size = sizeof(text);

    check(rd_kafka_conf_get(conf, name, text, &size) == RD_KAFKA_CONF_OK);
    return strtoul(text, NULL, 10);
}

size_t kafka_conf_request_bytes(const rd_kafka_conf_t *conf)
{
    return MIN(conf_number(conf, "batch.size"), conf_number(conf, "message.max.bytes"));
}

bool kafka_settings_are_good(const struct kafka_settings *settings, char why[KAFKA_WHY_MAX])
{
    const struct kafka_start check_only = {.with_brokers = false};
    rd_kafka_conf_t *conf = kafka_conf_make(settings, &check_only, why);

    if (conf == NULL)
        return false;
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, KAFKA_WHY_MAX);
    if (producer == NULL) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    rd_kafka_destroy(producer);
    return true;
}

bool kafka_uses_scram(const struct kafka_settings *settings)
{
    for (size_t i = 0; i < settings->option_count; i++)
        if ((strcmp(settings->options[i].name, "sasl.mechanism") == 0 ||
             strcmp(settings->options[i].name, "sasl.mechanisms") == 0) &&
            strncmp(settings->options[i].value, "SCRAM", 5) == 0)
            return true;
    return false;
}

/* --- copies ----------------------------------------------------------------------------------- */

static char *copy(const char *text)
{
    char *made = strdup(text);

    check(made != NULL);
    return made;
}

struct kafka_settings kafka_settings_copy(const struct kafka_settings *settings)
{
    const char **brokers = calloc(settings->broker_count + 1, sizeof(*brokers));
    struct kafka_option *options = calloc(settings->option_count + 1, sizeof(*options));

    check(brokers != NULL && options != NULL);
    for (size_t i = 0; i < settings->broker_count; i++)
        brokers[i] = copy(settings->brokers[i]);
    for (size_t i = 0; i < settings->option_count; i++)
        options[i] = (struct kafka_option){copy(settings->options[i].name),
                                           copy(settings->options[i].value)};
    return (struct kafka_settings){
        .broker_count = settings->broker_count,
        .brokers = brokers,
        .topic = copy(settings->topic),
        .compression = copy(settings->compression),
        .option_count = settings->option_count,
        .options = options,
    };
}

static void drop(const char *text)
{
    free((char *)(uintptr_t)text);
}

void kafka_settings_free(struct kafka_settings *settings)
{
    for (size_t i = 0; i < settings->broker_count; i++)
        drop(settings->brokers[i]);
    for (size_t i = 0; i < settings->option_count; i++) {
        drop(settings->options[i].name);
        drop(settings->options[i].value);
    }
    drop(settings->topic);
    drop(settings->compression);
    free((void *)(uintptr_t)settings->brokers);
    free((void *)(uintptr_t)settings->options);
    *settings = (struct kafka_settings){0};
}

bool kafka_settings_are_same(const struct kafka_settings *a, const struct kafka_settings *b)
{
    bool is_same = a->broker_count == b->broker_count && a->option_count == b->option_count &&
                   strcmp(a->topic, b->topic) == 0 && strcmp(a->compression, b->compression) == 0;

    for (size_t i = 0; is_same && i < a->broker_count; i++)
        is_same = strcmp(a->brokers[i], b->brokers[i]) == 0;
    for (size_t i = 0; is_same && i < a->option_count; i++)
        is_same = strcmp(a->options[i].name, b->options[i].name) == 0 &&
                  strcmp(a->options[i].value, b->options[i].value) == 0;
    return is_same;
}
