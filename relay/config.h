/*
 * config.h - the configuration file, read into one immutable tree (ringpost.yaml(5)).
 *
 * Every key has a default; unknown keys, wrong types, bad units are errors that name file, line,
 * key and what was expected. A config is never changed once loaded: reload makes another and swaps
 * it whole or not at all. All memory is the config's arena, which goes with the last reference: the
 * program has one of the newest, a worker of each that it still uses.
 */
#pragma once

#include <stdatomic.h>

#include "delivery/line/delivery.h"
#include "dns/resolver.h"
#include "queue/shard.h"
#include "submission/submission.h"

enum config_service { SERVICE_SUBMISSION };

struct config_listener {
    struct address address;
    const char *address_text; /* as written */
    enum config_service service;
    size_t trust_count;
    struct network *trust;
};

struct config_events {
    uint64_t file_size; /* rotate at */
    unsigned file_age_s;
    unsigned retention_s;
    uint64_t retention_bytes;
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
    struct submission_settings submission;
    unsigned sessions_max;        /* of the whole process */
    bool is_short_of_descriptors; /* so that default counts are lower than they would be */
    uint64_t memory_max;
    struct dns_settings dns;
    struct spool_settings spool;
    uint64_t min_free_bytes; /* on the spool's and the events' file systems, or no mail is taken */
    struct delivery_settings delivery;
    const size_t *source_lines; /* in the file; NULL: no sources in it */
    struct config_events events;
    bool has_metrics;
    struct address metrics_address;
    enum { CONFIG_LOG_STDERR, CONFIG_LOG_SYSLOG } log_target;
    int log_level;           /* enum log_level */
    unsigned stop_timeout_s; /* in-flight attempts at a graceful stop */
};

/* Of so many open files, those that are not for sessions and connections. */
uint64_t config_descriptors_other(uint64_t limit);

/* May `next` take over without a restart? False with the key that forbids it in *key_out. */
must_use bool config_can_follow(const struct config *old, const struct config *next,
                                const char **key_out);

/* Reads and checks. NULL on errors, each told as "file:line: key: what is wrong; expected ..." */
struct config *config_load(const char *path, void (*error)(void *context, const char *text),
                           void *context);
void config_keep(struct config *config);
void config_release(struct config **config); /* any thread */

/* Has this machine every address that `sources` send from? False after each that it has not was
 * told. Apart from config_load(): a file may be read elsewhere. */
must_use bool config_check_sources(const struct config *config,
                                   void (*error)(void *context, const char *text), void *context);

/* Only state_dir, for commands that talk to the daemon: they must work while the file is being
 * edited and wrong elsewhere. False after the error was told. */
must_use bool config_load_state_dir(const char *path, char *out, size_t out_size,
                                    void (*error)(void *context, const char *text), void *context);
