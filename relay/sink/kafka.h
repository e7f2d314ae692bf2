/*
 * kafka.h - the sink that tells Apache Kafka, by librdkafka.
 *
 * An idempotent producer, acks=all, that waits for ever: what Kafka refused ends it, and it begins
 * again at the first event without an answer, so that no event of a message overtakes another one.
 * Key: the message's id; headers: schema, kind and, where there is one, tenant.
 *
 * Thread: see sink.h; settings are constants.
 */
#pragma once

#include "sink/sink.h"

struct kafka_option {
    const char *name, *value; /* as librdkafka calls it */
};

struct kafka_settings {
    size_t broker_count;
    const char *const *brokers; /* "host:port" */
    const char *topic;
    const char *compression; /* of librdkafka's names */
    size_t option_count;
    const struct kafka_option *options;
};

extern const struct sink_kind kafka_kind;

enum { KAFKA_WHY_MAX = 512 };

/* May this option stand in the configuration, with this value? False with a sentence. */
must_use bool kafka_option_is_good(const struct kafka_option *option, char why[KAFKA_WHY_MAX]);
/* All of them together, with the files they name; connects to nobody. */
must_use bool kafka_settings_are_good(const struct kafka_settings *settings,
                                      char why[KAFKA_WHY_MAX]);
/* "name" of a topic as brokers take it. */
bool kafka_topic_is_valid(struct bytes topic);
