/* config_kafka.c - the brokers that are told of events. */
#include <string.h>

#include "relay/config_wings.h"

enum { BROKERS_MAX = 64, OPTIONS_MAX = 256, HOST_MAX = 255, PORT_MAX = 65535 };

/* "host:port", or "[address]:port"; a scheme or a path is none of either. */
static bool broker_is_valid(struct bytes text)
{
    uint64_t port;
    size_t colon = text.len;

    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    if (colon < 2 || colon - 1 > HOST_MAX ||
        !bytes_to_u64(bytes_slice(text, colon, text.len), &port) || port == 0 || port > PORT_MAX)
        return false;
    struct bytes host = bytes_slice(text, 0, colon - 1);
    bool is_literal = host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    for (size_t i = 0; i < host.len; i++)
        if (host.ptr[i] <= ' ' || host.ptr[i] > '~' || strchr(",/@\"", host.ptr[i]) != NULL ||
            (!is_literal && strchr(":[]", host.ptr[i]) != NULL))
            return false;
    return true;
}

static bool option_is_good(const struct config_option *option, char why[CONFIG_OPTION_WHY_MAX])
{
    const struct kafka_option kafka = {option->name, option->value};

    return kafka_option_is_good(&kafka, why);
}

static const struct config_key broker = {
    .kind = CONFIG_TEXT,
    .at = {0, sizeof(const char *)},
    .is_valid = broker_is_valid,
    .expected = "host:port, such as kafka1.example.net:9092",
};

/* In the order of config_kafka.compression. */
static const char *const compression_names[] = {"none", "lz4", "zstd", "snappy", "gzip", NULL};

static const struct config_key section_keys[] = {
    {.name = "brokers",
     .kind = CONFIG_LIST,
     .at = AT(kafka.brokers),
     .count_at = AT(kafka.broker_count),
     .item = &broker,
     .min = 1,
     .max = BROKERS_MAX,
     .is_required = true,
     .example = "[\"127.0.0.1:9092\"]",
     .says = "Some of the brokers, as host:port; they name the others."},
    {.name = "topic",
     .kind = CONFIG_TEXT,
     .at = AT(kafka.topic),
     .is_valid = kafka_topic_is_valid,
     .expected = "a topic's name of up to 249 letters, digits and ._-",
     .standard = "ringpost.events",
     .says = "Where events are written; the brokers create it if they are set to."},
    {.name = "compression",
     .kind = CONFIG_NAME,
     .at = AT(kafka.compression),
     .names = compression_names,
     .standard = "lz4",
     .says = "How batches are compressed."},
    {.name = "options",
     .kind = CONFIG_OPTIONS,
     .at = AT(kafka.options),
     .count_at = AT(kafka.option_count),
     .option_is_good = option_is_good,
     .max = OPTIONS_MAX,
     .says = "Settings of librdkafka by its own names, such as security.protocol."},
    {.kind = CONFIG_END},
};

static const struct config_key kafka_keys[] = {
    {.name = "kafka",
     .kind = CONFIG_SECTION,
     .keys = section_keys,
     .given_at = AT(kafka.is_given),
     .says = "Events are written to a topic of Apache Kafka."},
    {.kind = CONFIG_END},
};

static const struct kafka_option *copy_options(struct config_reader *reader,
                                               const struct config_kafka *kafka)
{
    struct kafka_option *options =
        config_alloc(reader, (kafka->option_count + 1) * sizeof(*options));

    for (size_t i = 0; options != NULL && i < kafka->option_count; i++)
        options[i] = (struct kafka_option){kafka->options[i].name, kafka->options[i].value};
    return options;
}

static void finish_kafka(struct config_reader *reader, struct config_kafka *kafka)
{
    char why[KAFKA_WHY_MAX] = "";

    kafka->settings = (struct kafka_settings){
        .broker_count = kafka->broker_count,
        .brokers = kafka->brokers,
        .topic = kafka->topic,
        .compression = compression_names[kafka->compression],
        .option_count = kafka->option_count,
        .options = copy_options(reader, kafka),
    };
    if (kafka->settings.options != NULL && !kafka_settings_are_good(&kafka->settings, why))
        config_error(reader, config_node(reader, "kafka"), "kafka: %s", why);
}

static void finish(struct config_reader *reader, struct config *config)
{
    if (config->kafka.is_given)
        finish_kafka(reader, &config->kafka);
}

const struct config_key config_kafka[] = {
    {.kind = CONFIG_PART, .keys = kafka_keys, .finish = finish},
    {.kind = CONFIG_END},
};
