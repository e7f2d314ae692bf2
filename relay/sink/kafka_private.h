/*
 * kafka_private.h - the Kafka sink from inside.
 *
 *   kafka.c         begin, take, answers, end
 *   kafka_config.c  settings become a configuration of librdkafka
 *   kafka_event.c   an event as a message: key, headers, and a smaller form of it
 *   kafka_trouble.c librdkafka's errors in our words
 *
 * Private to relay/sink.
 */
#pragma once

#include <librdkafka/rdkafka.h>

#include "base/buf.h"
#include "sink/kafka.h"

enum {
    KAFKA_BATCH_BYTES = 1000000, /* of one request a partition, before compression */
    KAFKA_BATCH_BYTES_MIN = 512, /* below the size of any event: each goes alone */
    KAFKA_CUT_MAX = 16,          /* events known to be too large as they are */
};

/*
 * What is under way to the brokers: handed over together, and nothing behind it before all answers.
 *
 * Of an idempotent producer librdkafka (2.0.2) has one request a partition under way; while events
 * that are due wait behind it, its thread polls without a pause. So a round is what one request a
 * partition takes. It goes as soon as there is no more to hand over, whatever linger.ms says.
 */
struct kafka_round {
    size_t bytes, text_len, unanswered;
    bool is_full, is_sent;
    int64_t sent_ms; /* monotonic */
};

struct kafka {
    struct sink *sink;
    struct kafka_settings settings; /* owned */
    size_t batch_bytes;             /* 0: as many as there may be */
    bool is_asking;                 /* why there is no answer; see ask_why() */
    uint64_t cut[KAFKA_CUT_MAX];    /* hashes of lines that are told cut */
    size_t cut_count;
    struct buf cut_line;
    int64_t probe_ms;          /* monotonic: not before */
    enum sink_problem problem; /* since begin, without an answer */
    /* between begin and end */
    rd_kafka_t *producer;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
    uint8_t *text;        /* the lines of the round, of which it has no copies */
    size_t request_bytes; /* at most in one */
    size_t partitions;    /* at least 1; as answers tell */
    struct kafka_round round;
};

/* --- kafka_config.c --- */

/* What a producer is begun with this time. */
struct kafka_start {
    bool with_brokers;  /* those of the settings; else it is for a check */
    size_t batch_bytes; /* 0: as many as there may be */
    unsigned retries;   /* 0: for ever, or as the options have it */
};
/* NULL with `why`. */
rd_kafka_conf_t *kafka_conf_make(const struct kafka_settings *settings,
                                 const struct kafka_start *start, char why[KAFKA_WHY_MAX]);
/* How many bytes of events one request takes of a partition. */
size_t kafka_conf_request_bytes(const rd_kafka_conf_t *conf);
bool kafka_settings_are_same(const struct kafka_settings *a, const struct kafka_settings *b);
struct kafka_settings kafka_settings_copy(const struct kafka_settings *settings);
void kafka_settings_free(struct kafka_settings *settings);
/* Uses a mechanism that librdkafka before 2.6.1 gets wrong with Kafka 4. */
bool kafka_uses_scram(const struct kafka_settings *settings);

/* --- kafka_event.c --- */

/* NULL: none that says anything. */
rd_kafka_headers_t *kafka_headers(const struct event_line *parts, struct bytes line);
/* The same event with its long texts cut and "cut": true behind its last key; false where it is no
 * JSON object. */
must_use bool kafka_cut(struct bytes line, struct buf *out);

/* --- kafka_trouble.c --- */

enum sink_problem kafka_problem(rd_kafka_resp_err_t error);
/* Asks the brokers for the topic, for at most a second: what is wrong, or SINK_WELL. */
enum sink_problem kafka_probe(struct kafka *kafka, char text[SINK_TEXT_MAX]);
void kafka_log(const rd_kafka_t *producer, int level, const char *facility, const char *text);
