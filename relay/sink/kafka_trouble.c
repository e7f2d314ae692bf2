/* kafka_trouble.c - librdkafka's errors and log in our words. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "sink/kafka_private.h"

enum { PROBE_MS = 1000, SYSLOG_WARNING = 4, SYSLOG_INFO = 6 };

enum sink_problem kafka_problem(rd_kafka_resp_err_t error)
{
    /* A default: the enumeration is librdkafka's, and most of it never meets a producer. */
    switch ((int)error) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return SINK_WELL;
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
        return SINK_UNREACHABLE;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
    case RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
        return SINK_AUTHENTICATION;
    case RD_KAFKA_RESP_ERR__SSL:
        return SINK_TLS;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
        return SINK_NO_TOPIC;
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
        return SINK_NO_LEADER;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        return SINK_NOT_AUTHORIZED;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
        return SINK_TOO_LARGE;
    default:
        return SINK_OTHER;
    }
}

static rd_kafka_resp_err_t partition_error(const rd_kafka_metadata_partition_t *partition)
{
    if (partition->leader < 0 && partition->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    return partition->err;
}

enum sink_problem kafka_probe(struct kafka *kafka, char text[SINK_TEXT_MAX])
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t error =
        rd_kafka_metadata(kafka->producer, 0, kafka->topic, &metadata, PROBE_MS);

    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        snprintf(text, SINK_TEXT_MAX, "no broker answers: %s", rd_kafka_err2str(error));
        return kafka_problem(error);
    }
    if (metadata->topic_cnt > 0 && metadata->topics[0].err != RD_KAFKA_RESP_ERR_NO_ERROR)
        error = metadata->topics[0].err;
    for (int i = 0; error == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt > 0 &&
                    i < metadata->topics[0].partition_cnt;
         i++)
        error = partition_error(&metadata->topics[0].partitions[i]);
    rd_kafka_metadata_destroy(metadata);
    if (error == RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE) /* one of several: no trouble of ours */
        error = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        snprintf(text, SINK_TEXT_MAX, "topic %s: %s", kafka->settings.topic,
                 rd_kafka_err2str(error));
    return kafka_problem(error);
}

/* On librdkafka's threads. Its errors are told by sink_trouble(), so they are warnings here. */
void kafka_log(const rd_kafka_t *producer, int level, const char *facility, const char *text)
{
    (void)producer;
    if (strcmp(facility, "CONFWARN") == 0) /* of what we set ourselves; each start again */
        log_debug("kafka=%s what=%s", LOG_STRING(facility), LOG_STRING(text));
    else if (level <= SYSLOG_WARNING)
        log_limited(LOG_LEVEL_WARN, "kafka=%s what=%s", LOG_STRING(facility), LOG_STRING(text));
    else if (level <= SYSLOG_INFO)
        log_limited(LOG_LEVEL_INFO, "kafka=%s what=%s", LOG_STRING(facility), LOG_STRING(text));
    else
        log_debug("kafka=%s what=%s", LOG_STRING(facility), LOG_STRING(text));
}
