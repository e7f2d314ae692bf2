/*
 * config.h - the configuration file, read into one immutable tree (ringpost.yaml(5)).
 *
 * Every key is declared by a row (config_key.h). Unknown keys, wrong types, bad units are errors
 * that name file, line, key and what was expected. A config is never changed once loaded: reload
 * makes another and swaps it whole or not at all. All memory is the config's arena, which goes with
 * the last reference: the program has one of the newest, a worker of each that it still uses.
 */
#pragma once

#include <stdatomic.h>

#include "delivery/line/delivery.h"
#include "dns/resolver.h"
#include "inbound/imap/imap.h"
#include "inbound/pop3/pop3.h"
#include "inbound/receive/receive.h"
#include "queue/shard.h"
#include "relay/config_key.h"
#include "signing/signer.h"
#include "sink/kafka.h"
#include "sink/sinks.h"
#include "submission/submission.h"
#include "webhook/webhook.h"

enum config_service { SERVICE_SUBMISSION, SERVICE_INBOUND, SERVICE_IMAP, SERVICE_POP3 };

const char *config_service_name(enum config_service service); /* "submission" */

struct config_listener {
    struct address address;
    const char *address_text; /* as written */
    enum config_service service;
    enum smtp_tls tls;
    size_t trust_count;
    struct network *trust;
    const char *tenant; /* whose mail it is that they hand in; NULL: nobody's */
};

struct tls_certificate;

struct config_certificate {
    const char *certificate, *key;     /* files */
    size_t certificate_line, key_line; /* of these keys */
    struct tls_certificate *loaded;    /* by certificates.h; NULL: not yet */
};

struct config_tls {
    struct config_certificate first; /* certificate NULL: none */
    size_t more_count;
    struct config_certificate *more;
    struct tls_context **contexts; /* one an engine, by certificates.h; NULL: none */
};

struct tls_authorities;

/* TLS with other servers. */
struct config_delivery_tls {
    int level; /* enum tls_level */
    size_t destination_count;
    struct tls_rule *destinations; /* as read; with `level` for all they are delivery.tls_rules */
    const char *ca;                /* file; NULL: the system's */
    size_t ca_line;
    struct config_certificate shown;     /* to who asks; certificate NULL: none */
    struct tls_authorities *authorities; /* by delivery_tls.h; NULL: not yet */
    struct tls_context **contexts;       /* one an engine, by delivery_tls.h; NULL: none */
};

/* As read; config_retry.c makes delivery.retries of it. */
struct config_retry {
    struct retry_rule base;
    size_t destination_count;
    struct retry_rule *destinations;
};

struct config_events {
    uint64_t file_size; /* rotate at */
    unsigned file_age_s;
    unsigned retention_s;
    uint64_t retention_bytes;
    uint64_t sink_budget; /* of files that sinks still need */
    int sink_full;        /* enum sinks_full */
};

struct config_kafka {
    bool is_given;
    size_t broker_count;
    const char **brokers;
    const char *topic;
    enum {
        CONFIG_KAFKA_NONE,
        CONFIG_KAFKA_LZ4,
        CONFIG_KAFKA_ZSTD,
        CONFIG_KAFKA_SNAPPY,
        CONFIG_KAFKA_GZIP
    } compression;
    size_t option_count;
    struct config_option *options;
    struct kafka_settings settings; /* of all this */
};

/* What is told to other domains (reporter.h). */
struct config_reports {
    bool dmarc, tls;
    const char *organization; /* NULL: hostname */
    const char *email;        /* NULL only while both are off */
    const char *contact;      /* NULL: none */
    unsigned spread_s;
    const char *ca; /* for https; NULL: the system's */
    size_t allow_count;
    struct network *allow; /* not public, and may be posted to all the same */
};

struct config {
    struct arena arena;
    _Atomic unsigned references; /* config_load() gives the first */
    const char *path;
    const char *hostname;
    const char *state_dir;
    const char *user; /* whom a program started as root serves as; NULL: stays who it is */
    unsigned engines; /* resolved: at least 1 */
    size_t listener_count;
    struct config_listener *listeners;
    struct config_tls tls;
    size_t auth_plaintext_count;
    struct network *auth_plaintext; /* may log in without TLS */
    size_t auth_shared_count;
    struct network *auth_shared;           /* are many users each */
    struct submission_settings submission; /* tls: each engine has its own */
    struct receive_settings inbound;       /* the same */
    struct access_settings imap;           /* the same */
    unsigned imap_threads;
    struct access_settings pop3; /* the same */
    const char *rspamd;          /* as read; inbound.rspamd has it taken apart */
    bool scans_submissions;      /* ... and submission.rspamd */
    size_t attachment_count;
    const char **attachments; /* as read; inbound.attachments has them taken apart */
    size_t dnsbl_count;
    const char **dnsbl; /* as read; inbound.door has them taken apart */
    int dkim_forms;     /* as read; config_dkim.c makes signer of it */
    struct signer_settings signer;
    unsigned sessions_max;        /* of the whole process, all services together */
    bool is_short_of_descriptors; /* so that default counts are lower than they would be */
    uint64_t memory_max;
    uint64_t claims_max; /* idempotency keys that are remembered */
    size_t dns_server_count;
    struct address *dns_servers; /* as read; the resolver has them as dns.servers */
    struct dns_settings dns;
    struct spool_settings spool;
    const char *mail_directory;  /* state_dir/mail */
    const char *sieve_directory; /* state_dir/sieve */
    unsigned store_threads;
    uint64_t min_free_bytes; /* on the spool's and the events' file systems, or no mail is taken */
    struct config_retry retry;
    size_t site_count;
    struct egress_rule *sites; /* as read; with the rule for all they are delivery.egress_rules */
    size_t provider_count;
    struct provider_rule *providers; /* as read; with those that ship they are delivery.providers */
    struct config_delivery_tls delivery_tls;
    struct delivery_settings delivery;
    bool is_dane_given;         /* delivery.dane is in the file */
    const size_t *source_lines; /* in the file; NULL: no sources in it */
    struct config_events events;
    struct config_kafka kafka;
    size_t webhook_count;
    struct webhook_settings *webhooks;
    struct sinks_settings sinks; /* of events, kafka and webhooks */
    struct config_reports reports;
    bool has_metrics;
    struct address metrics_address;
    enum { CONFIG_LOG_STDERR, CONFIG_LOG_SYSLOG } log_target;
    int log_level;           /* enum log_level */
    unsigned stop_timeout_s; /* in-flight attempts at a graceful stop */
};

/* Does the hard limit of open files do for all sessions and connections there may be? If not, the
 * limit and what would do are in the two. */
bool config_descriptors_suffice(const struct config *config, uint64_t *limit_out,
                                uint64_t *wanted_out);

/* The rows of all keys (config_key.h). */
const struct config_key *config_keys(void);

/* May `next` take over without a restart? False with a key that forbids it in key_out. */
must_use bool config_can_follow(const struct config *old, const struct config *next,
                                char key_out[static CONFIG_PATH_MAX]);

/* Reads and checks. NULL on errors, each told as "file:line: key: what is wrong; expected ..." */
struct config *config_load(const char *path, void (*error)(void *context, const char *text),
                           void *context);
void config_keep(struct config *config);
void config_release(struct config **config); /* any thread */

/* Only state_dir, for commands that talk to the daemon: they must work while the file is being
 * edited and wrong elsewhere. False after the error was told. */
must_use bool config_load_state_dir(const char *path, char *out, size_t out_size,
                                    void (*error)(void *context, const char *text), void *context);
