/* config.c - the keys of ringpost.yaml, their defaults and what must fit together. */
#include "relay/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/metric.h"
#include "relay/config_fields.h"
#include "relay/config_reader.h"
#include "smtp/address.h"

enum {
    CONFIG_ARENA_MAX = 64 << 20,
    FILE_SIZE_MAX = 16 << 20,
    READ_SIZE = 64 << 10,
    SESSIONS_DEFAULT = 20000,
    NESTING_MAX = 32, /* sites, the deepest there is, are 4 */
};

static const char default_state_dir[] = "/var/lib/ringpost";

#define AT(member) offsetof(struct config, member)

static const struct config_key limits_keys[] = {
    {.name = "message_size",
     .kind = CONFIG_SIZE,
     .offset = AT(submission.message_size_max),
     .min = 65536,
     .max = UINT64_C(1) << 31},
    {.name = "recipients",
     .kind = CONFIG_COUNT,
     .offset = AT(submission.recipients_max),
     .min = 100,
     .max = MESSAGE_RECIPIENTS_MAX},
    {.name = "sessions",
     .kind = CONFIG_COUNT,
     .offset = AT(sessions_max),
     .min = 1,
     .max = 1000000},
    {.name = "sessions_per_client",
     .kind = CONFIG_COUNT,
     .offset = AT(submission.sessions_per_client_max),
     .min = 1},
    {.name = "memory", .kind = CONFIG_SIZE, .offset = AT(memory_max), .min = 64 << 20},
    {.name = "line_length",
     .kind = CONFIG_SIZE_SMALL,
     .offset = AT(submission.line_length_max),
     .min = 1000},
    {.name = "errors", .kind = CONFIG_COUNT, .offset = AT(submission.errors_max), .min = 1},
    {.name = "idle_commands",
     .kind = CONFIG_COUNT,
     .offset = AT(submission.idle_commands_max),
     .min = 1},
    {.name = "received", .kind = CONFIG_COUNT, .offset = AT(submission.received_max), .min = 5},
    {.name = "command_timeout",
     .kind = CONFIG_SECONDS,
     .offset = AT(submission.command_timeout_s),
     .min = 1},
    {.name = "content_timeout",
     .kind = CONFIG_SECONDS,
     .offset = AT(submission.content_timeout_s),
     .min = 1},
    {.name = "content_deadline",
     .kind = CONFIG_SECONDS,
     .offset = AT(submission.content_deadline_s),
     .min = 1},
    {.name = "content_rate",
     .kind = CONFIG_SIZE_SMALL,
     .offset = AT(submission.content_rate_min),
     .max = 1 << 20},
    {.name = "strict_syntax", .kind = CONFIG_BOOL, .offset = AT(submission.is_strict)},
    {.name = NULL},
};

static const struct config_key dns_keys[] = {
    {.name = "servers",
     .kind = CONFIG_CUSTOM,
     .offset = AT(dns.servers),
     .read = config_read_servers},
    {.name = "timeout",
     .kind = CONFIG_MILLISECONDS,
     .offset = AT(dns.timeout_ms),
     .min = 50,
     .max = 60000},
    {.name = "tries", .kind = CONFIG_COUNT, .offset = AT(dns.tries), .min = 1, .max = 10},
    {.name = "ttl_min", .kind = CONFIG_SECONDS, .offset = AT(dns.ttl_min_s), .min = 1},
    {.name = "ttl_max", .kind = CONFIG_SECONDS, .offset = AT(dns.ttl_max_s), .min = 1},
    {.name = "negative_ttl_max",
     .kind = CONFIG_SECONDS,
     .offset = AT(dns.negative_ttl_max_s),
     .min = 1},
    {.name = "failure_ttl", .kind = CONFIG_SECONDS, .offset = AT(dns.failure_ttl_s), .min = 1},
    {.name = "stale", .kind = CONFIG_SECONDS, .offset = AT(dns.stale_s), .min = 1},
    {.name = "cache_size", .kind = CONFIG_SIZE, .offset = AT(dns.cache_size), .min = 64 << 10},
    {.name = NULL},
};

static const struct config_key delivery_keys[] = {
    {.name = "allow_private",
     .kind = CONFIG_CUSTOM,
     .offset = AT(delivery.mx.allow_private),
     .read = config_read_allow_private},
    {.name = "ipv4", .kind = CONFIG_BOOL, .offset = AT(delivery.mx.use_ipv4)},
    {.name = "ipv6", .kind = CONFIG_BOOL, .offset = AT(delivery.mx.use_ipv6)},
    {.name = "connections", .kind = CONFIG_COUNT, .offset = AT(delivery.connections_max), .min = 1},
    {.name = "connect_timeout",
     .kind = CONFIG_SECONDS,
     .offset = AT(delivery.connect_timeout_s),
     .min = 1,
     .max = 600},
    {.name = "dsn_size",
     .kind = CONFIG_SIZE_SMALL,
     .offset = AT(delivery.dsn_size_max),
     .max = 16 << 20},
    {.name = "notice_wait",
     .kind = CONFIG_SECONDS,
     .offset = AT(delivery.notice_wait_s),
     .max = 60},
    {.name = "sites",
     .kind = CONFIG_CUSTOM,
     .offset = AT(delivery.egress_rules),
     .read = config_read_sites},
    {.name = NULL},
};

static const struct config_key spool_keys[] = {
    {.name = "segment_size",
     .kind = CONFIG_SIZE,
     .offset = AT(spool.segment_size),
     .min = 1 << 20,
     .max = 1 << 30},
    {.name = "spare_segments",
     .kind = CONFIG_COUNT,
     .offset = AT(spool.spare_segments),
     .min = 1,
     .max = 64},
    {.name = "resident", .kind = CONFIG_SIZE, .offset = AT(spool.resident_max), .min = 1 << 20},
    {.name = "min_free",
     .kind = CONFIG_SIZE,
     .offset = AT(min_free_bytes),
     .max = INT64_C(1) << 50},
    {.name = "compact_live",
     .kind = CONFIG_PERCENT,
     .offset = AT(spool.compact_live_percent),
     .min = 10,
     .max = 80},
    {.name = NULL},
};

static const struct config_key events_keys[] = {
    {.name = "file_size", .kind = CONFIG_SIZE, .offset = AT(events.file_size), .min = 65536},
    {.name = "file_age", .kind = CONFIG_SECONDS, .offset = AT(events.file_age_s), .min = 1},
    {.name = "retention", .kind = CONFIG_SECONDS, .offset = AT(events.retention_s), .min = 1},
    {.name = "retention_size",
     .kind = CONFIG_SIZE,
     .offset = AT(events.retention_bytes),
     .min = 1 << 20},
    {.name = NULL},
};

static const struct config_key metrics_keys[] = {
    {.name = "listen",
     .kind = CONFIG_CUSTOM,
     .offset = AT(metrics_address),
     .read = config_read_metrics_listen},
    {.name = NULL},
};

static const struct config_key log_keys[] = {
    {.name = "to", .kind = CONFIG_CUSTOM, .offset = AT(log_target), .read = config_read_log_target},
    {.name = "level",
     .kind = CONFIG_CUSTOM,
     .offset = AT(log_level),
     .read = config_read_log_level},
    {.name = NULL},
};

static const struct config_key config_keys[] = {
    {.name = "hostname", .kind = CONFIG_STRING, .offset = AT(hostname)},
    {.name = "state_dir", .kind = CONFIG_STRING, .offset = AT(state_dir)},
    {.name = "user", .kind = CONFIG_STRING, .offset = AT(user)},
    {.name = "engines", .kind = CONFIG_CUSTOM, .offset = AT(engines), .read = config_read_engines},
    {.name = "listeners",
     .kind = CONFIG_CUSTOM,
     .offset = AT(listeners),
     .read = config_read_listeners},
    {.name = "limits", .kind = CONFIG_SECTION, .keys = limits_keys},
    {.name = "dns", .kind = CONFIG_SECTION, .keys = dns_keys},
    {.name = "retry",
     .kind = CONFIG_CUSTOM,
     .offset = AT(delivery.retries),
     .read = config_read_retry},
    {.name = "routes",
     .kind = CONFIG_CUSTOM,
     .offset = AT(delivery.routes),
     .read = config_read_routes},
    {.name = "sources",
     .kind = CONFIG_CUSTOM,
     .offset = AT(delivery.sources),
     .read = config_read_sources},
    {.name = "delivery", .kind = CONFIG_SECTION, .keys = delivery_keys},
    {.name = "spool", .kind = CONFIG_SECTION, .keys = spool_keys},
    {.name = "events", .kind = CONFIG_SECTION, .keys = events_keys},
    {.name = "metrics", .kind = CONFIG_SECTION, .keys = metrics_keys},
    {.name = "log", .kind = CONFIG_SECTION, .keys = log_keys},
    {.name = "stop_timeout", .kind = CONFIG_SECONDS, .offset = AT(stop_timeout_s), .max = 3600},
    {.name = NULL},
};

/* --- defaults and cross checks ---------------------------------------------------------------- */

uint64_t config_descriptors_other(uint64_t limit)
{
    return MIN(limit / 4, UINT64_C(1000));
}

/* A session and a connection have a descriptor each: where the hard limit gives few, the defaults
 * are fewer. */
static void set_default_counts(struct config *config)
{
    struct rlimit limit;

    config->sessions_max = SESSIONS_DEFAULT;
    config->delivery.connections_max = DELIVERY_CONNECTIONS_DEFAULT;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    uint64_t room = limit.rlim_max - config_descriptors_other(limit.rlim_max);

    if (room >= SESSIONS_DEFAULT + DELIVERY_CONNECTIONS_DEFAULT)
        return;
    config->delivery.connections_max = (unsigned)MAX(room / 5, UINT64_C(1));
    config->sessions_max = (unsigned)MAX(room - room / 5, UINT64_C(1));
    config->is_short_of_descriptors = true;
}

static void set_defaults(struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    char host[256] = "";

    if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
        snprintf(host, sizeof(host), "localhost");
    struct bytes hostname;
    check(arena_copy(&config->arena, bytes_of(host), &hostname)); /* nothing is in there yet */
    config->hostname = (const char *)hostname.ptr;
    config->state_dir = default_state_dir;
    config->engines = cores < 1 ? 1 : (unsigned)MIN(cores, (long)CONFIG_ENGINES_MAX);
    config->submission = (struct submission_settings){
        .message_size_max = 25 << 20,
        .recipients_max = 1000,
        .received_max = SUBMISSION_RECEIVED_DEFAULT,
        .sessions_per_client_max = 1000,
        .errors_max = SMTP_SERVER_ERRORS_DEFAULT,
        .command_timeout_s = 300,
        .content_timeout_s = 180,
        .content_deadline_s = SMTP_SERVER_CONTENT_S_DEFAULT,
        .content_rate_min = SMTP_SERVER_CONTENT_RATE_DEFAULT,
        .idle_commands_max = SMTP_SERVER_IDLE_DEFAULT,
    };
    set_default_counts(config);
    config->memory_max = UINT64_C(2) << 30;
    config->spool = (struct spool_settings){
        .segment_size = 64 << 20,
        .spare_segments = 2,
        .resident_max = 256 << 20,
        .compact_live_percent = 50,
    };
    config->min_free_bytes = 256 << 20;
    config->delivery.mx.use_ipv4 = true;
    config->delivery.mx.use_ipv6 = true;
    config->delivery.mx.port = 25;
    config->delivery.connect_timeout_s = DELIVERY_CONNECT_S_DEFAULT;
    config->delivery.dsn_size_max = DELIVERY_DSN_SIZE_DEFAULT;
    config->delivery.notice_wait_s = DELIVERY_NOTICE_WAIT_S_DEFAULT;
    config->delivery.retries = &config_default_retry;
    config->delivery.retry_count = 1;
    config->delivery.egress_rules = &config_default_egress;
    config->delivery.egress_rule_count = 1;
    config->events = (struct config_events){
        .file_size = 64 << 20,
        .file_age_s = 3600,
        .retention_s = 7 * 86400,
        .retention_bytes = UINT64_C(4) << 30,
    };
    config->log_level = LOG_LEVEL_INFO;
    config->stop_timeout_s = 30;
}

static bool not_yaml(struct config_reader *reader, const yaml_parser_t *parser)
{
    char text[512];

    snprintf(text, sizeof(text), "%s:%zu: not YAML: %s", reader->path,
             parser->problem_mark.line + 1,
             parser->problem == NULL ? "no memory for it" : parser->problem);
    reader->error_count++;
    reader->error(reader->context, text);
    return false;
}

static bool refuse_at(struct config_reader *reader, const yaml_event_t *event, const char *what)
{
    const yaml_node_t here = {.start_mark = event->start_mark};

    config_error(reader, &here, "%s", what);
    return false;
}

/* What a walk over the events has seen. */
struct shape {
    unsigned depth, documents;
};

static bool take_event(struct config_reader *reader, const yaml_event_t *event, struct shape *shape)
{
    static const char second[] = "a second document begins; expected one, the first";

    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        shape->documents++;
        return true;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        if (shape->documents > 1)
            return refuse_at(reader, event, second);
        if (++shape->depth > NESTING_MAX)
            return refuse_at(reader, event, "nested too deep; expected no more than 32 levels");
        return true;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        shape->depth--;
        return true;
    case YAML_SCALAR_EVENT: /* "---" with nothing behind it is an empty scalar */
        return shape->documents <= 1 || event->data.scalar.length == 0 ||
               refuse_at(reader, event, second);
    case YAML_ALIAS_EVENT:
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return true;
}

/* One document of a sane depth: libyaml's time grows with the square of the depth. */
static bool check_shape(struct config_reader *reader, yaml_parser_t *parser)
{
    struct shape shape = {0};
    bool is_over = false, is_good = true;

    while (!is_over && is_good) {
        yaml_event_t event;

        if (!yaml_parser_parse(parser, &event))
            return not_yaml(reader, parser);
        is_over = event.type == YAML_STREAM_END_EVENT;
        is_good = take_event(reader, &event, &shape);
        yaml_event_delete(&event);
    }
    return is_good;
}

static void parser_init(yaml_parser_t *parser, struct bytes text)
{
    int is_good = yaml_parser_initialize(parser);

    check(is_good);
    yaml_parser_set_input_string(parser, text.ptr, text.len);
}

static bool load_document(struct config_reader *reader, struct bytes text,
                          yaml_document_t *document)
{
    yaml_parser_t parser;

    parser_init(&parser, text);
    bool is_good = check_shape(reader, &parser);
    yaml_parser_delete(&parser);
    if (!is_good)
        return false;
    parser_init(&parser, text);
    is_good = yaml_parser_load(&parser, document) || not_yaml(reader, &parser);
    yaml_parser_delete(&parser);
    return is_good;
}

/* What the keys must be together; told at the line of the key that could be changed. */
static void finish(struct config_reader *reader, void *object)
{
    struct config *config = object;
    struct bytes normal;
    bool utf8;

    if (!smtp_domain_is_valid(bytes_of(config->hostname), &utf8) || config->hostname[0] == '[' ||
        utf8 || !smtp_domain_normalise(&config->arena, bytes_of(config->hostname), &normal)) {
        config_error(reader, config_node(reader, "hostname"),
                     "hostname: \"%s\" found; expected the full name of this host, such as "
                     "mta1.example.net",
                     config->hostname);
        return;
    }
    if (config->listener_count == 0)
        config_error(reader, config_node(reader, "listeners"),
                     "listeners: none; expected at least one, such as "
                     "{address: \"127.0.0.1:2525\", service: submission, trust: "
                     "[\"127.0.0.0/8\"]}");
    for (size_t i = 0; i < config->listener_count; i++)
        for (size_t k = 0; k < i; k++)
            if (address_equal(&config->listeners[i].address, &config->listeners[k].address) &&
                address_port(&config->listeners[i].address) ==
                    address_port(&config->listeners[k].address))
                config_error(reader, config_item(reader, config_node(reader, "listeners"), i),
                             "listeners[%zu].address: %s stands in listeners[%zu] "
                             "too; expected each address once",
                             i, config->listeners[i].address_text, k);
    if (config->delivery.source_count == 0) {
        struct source *source = config_alloc(reader, sizeof(*source));

        if (source == NULL)
            return;
        *source = (struct source){.name = "default", .weight = 1};
        config->delivery.sources = source;
        config->delivery.source_count = 1;
    }
    for (size_t i = 0; i < config->delivery.source_count; i++) {
        struct source *source = (struct source *)&config->delivery.sources[i];

        if (source->ehlo == NULL)
            source->ehlo = config->hostname;
    }
    if (!config->delivery.mx.use_ipv4 && !config->delivery.mx.use_ipv6)
        config_error(reader, config_node(reader, "delivery"),
                     "delivery: ipv4 and ipv6 are both false; expected one of them");
    config->submission.hostname = config->hostname;
    config->submission.sessions_max = MAX(1U, config->sessions_max / config->engines);
    config->delivery.hostname = config->hostname;
    config->delivery.mx.our_name = normal;
    size_t len = strlen(config->state_dir);
    char *directory = config_alloc(reader, len + sizeof("/spool"));

    if (directory == NULL)
        return;
    memcpy(directory, config->state_dir, len);
    memcpy(directory + len, "/spool", sizeof("/spool"));
    config->spool.directory = directory;
    config->spool.memory_max = config->memory_max;
    config->submission.memory_max = config->memory_max;
}

static bool read_error(struct config_reader *reader, int error)
{
    config_error(reader, NULL, "%s%s", strerror(error),
                 error == ENOENT   ? "; `ringpost init` writes a working one"
                 : error == EISDIR ? "; expected a file"
                 : error == EFBIG  ? "; expected no more than 16 MiB"
                                   : "");
    return false;
}

static bool read_text(struct config_reader *reader, struct buf *text)
{
    FILE *file = fopen(reader->path, "re");
    size_t got = 1;
    int error = 0;

    if (file == NULL)
        return read_error(reader, errno);
    while (got > 0 && error == 0) {
        uint8_t *room = buf_reserve(text, READ_SIZE);

        got = room == NULL ? 0 : fread(room, 1, READ_SIZE, file);
        if (room == NULL)
            error = EFBIG;
        else if (got == 0 && ferror(file))
            error = errno;
        buf_extend(text, got);
    }
    fclose(file);
    return error == 0 || read_error(reader, error);
}

/* Runs the tables over the whole file, then `finish_reading` unless something was wrong; false
 * after errors were told. */
static bool read_file(struct config_reader *reader, const struct config_key *keys, void *object,
                      void (*finish_reading)(struct config_reader *reader, void *object))
{
    yaml_document_t document;
    struct buf text;

    buf_init(&text, FILE_SIZE_MAX);
    if (read_text(reader, &text) && load_document(reader, buf_bytes(&text), &document)) {
        yaml_node_t *root = yaml_document_get_root_node(&document);

        reader->document = &document;
        if (root != NULL)
            config_read_mapping(reader, root, keys, object);
        if (finish_reading != NULL && reader->error_count == 0)
            finish_reading(reader, object);
        yaml_document_delete(&document);
    }
    reader->document = NULL; /* its life ends here */
    buf_free(&text);
    return reader->error_count == 0;
}

struct config *config_load(const char *path, void (*error)(void *context, const char *text),
                           void *context)
{
    struct config *config = calloc(1, sizeof(*config));

    check(config != NULL);
    config->references = 1;
    metric_inc(METRIC_CONFIGS);
    arena_init(&config->arena, CONFIG_ARENA_MAX);
    struct config_reader reader = {.path = path,
                                   .arena = &config->arena,
                                   .error = error,
                                   .context = context};
    config->path = config_string(&reader, bytes_of(path));
    set_defaults(config);
    if (!read_file(&reader, config_keys, config, finish))
        config_release(&config);
    return config;
}

bool config_load_state_dir(const char *path, char *out, size_t out_size,
                           void (*error)(void *context, const char *text), void *context)
{
    struct config_state_dir {
        const char *state_dir;
    } found = {.state_dir = default_state_dir};
    const struct config_key keys[] = {
        {.name = "state_dir",
         .kind = CONFIG_STRING,
         .offset = offsetof(struct config_state_dir, state_dir)},
        {.name = NULL},
    };
    struct arena arena;

    arena_init(&arena, CONFIG_ARENA_MAX);
    struct config_reader reader = {
        .path = path, .arena = &arena, .error = error, .context = context, .ignores_others = true};
    bool is_good = read_file(&reader, keys, &found, NULL);
    if (is_good && snprintf(out, out_size, "%s", found.state_dir) >= (int)out_size)
        is_good = false;
    arena_free(&arena);
    return is_good;
}

void config_keep(struct config *config)
{
    unsigned before = atomic_fetch_add(&config->references, 1);

    check(before > 0);
}

void config_release(struct config **config)
{
    struct config *released = *config;

    *config = NULL;
    if (released == NULL)
        return;
    unsigned before = atomic_fetch_sub(&released->references, 1);

    check(before > 0);
    if (before > 1)
        return;
    metric_dec(METRIC_CONFIGS);
    arena_free(&released->arena);
    free(released);
}

static bool dns_is_equal(const struct dns_settings *a, const struct dns_settings *b)
{
    bool same_servers = a->servers == b->servers || (a->servers != NULL && b->servers != NULL &&
                                                     strcmp(a->servers, b->servers) == 0);

    return same_servers && a->timeout_ms == b->timeout_ms && a->tries == b->tries &&
           a->ttl_min_s == b->ttl_min_s && a->ttl_max_s == b->ttl_max_s &&
           a->negative_ttl_max_s == b->negative_ttl_max_s && a->failure_ttl_s == b->failure_ttl_s &&
           a->stale_s == b->stale_s && a->cache_size == b->cache_size &&
           a->in_flight_max == b->in_flight_max;
}

bool config_can_follow(const struct config *old, const struct config *next, const char **key_out)
{
    const char *key = NULL;

    if (strcmp(old->hostname, next->hostname) != 0)
        key = "hostname";
    else if (strcmp(old->state_dir, next->state_dir) != 0)
        key = "state_dir";
    else if ((old->user == NULL) != (next->user == NULL) ||
             (old->user != NULL && strcmp(old->user, next->user) != 0))
        key = "user";
    else if (old->engines != next->engines)
        key = "engines";
    else if (old->listener_count != next->listener_count)
        key = "listeners";
    else if (old->has_metrics != next->has_metrics ||
             (old->has_metrics &&
              (!address_equal(&old->metrics_address, &next->metrics_address) ||
               address_port(&old->metrics_address) != address_port(&next->metrics_address))))
        key = "metrics";
    else if (memcmp(&old->events, &next->events, sizeof(old->events)) != 0)
        key = "events";
    else if (old->spool.segment_size != next->spool.segment_size ||
             old->spool.spare_segments != next->spool.spare_segments ||
             old->spool.resident_max != next->spool.resident_max ||
             old->spool.compact_live_percent != next->spool.compact_live_percent)
        key = "spool";
    else if (old->memory_max != next->memory_max)
        key = "limits.memory";
    else if (old->delivery.connections_max != next->delivery.connections_max)
        key = "delivery.connections"; /* the egress table has it */
    for (size_t i = 0; key == NULL && i < old->listener_count; i++)
        if (strcmp(old->listeners[i].address_text, next->listeners[i].address_text) != 0)
            key = "listeners";
    if (key == NULL && !dns_is_equal(&old->dns, &next->dns))
        key = "dns";
    *key_out = key;
    return key == NULL;
}

static int try_bind(const struct address *address)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error = 0;

    if (fd < 0)
        return -errno;
    if (bind(fd, &address->any, address_len(address)) < 0)
        error = -errno;
    close(fd);
    return error;
}

bool config_check_sources(const struct config *config,
                          void (*error)(void *context, const char *text), void *context)
{
    bool is_good = true;

    for (size_t i = 0; config->source_lines != NULL && i < config->delivery.source_count; i++) {
        const struct source *source = &config->delivery.sources[i];
        const struct address *addresses[] = {source->has_address4 ? &source->address4 : NULL,
                                             source->has_address6 ? &source->address6 : NULL};

        for (size_t k = 0; k < ARRAY_LEN(addresses); k++) {
            char address[ADDRESS_TEXT_MAX], text[512];
            int failed = addresses[k] == NULL ? 0 : try_bind(addresses[k]);

            if (failed == 0)
                continue;
            address_format(addresses[k], address);
            snprintf(text, sizeof(text),
                     "%s:%zu: sources[%zu].%s: this machine cannot send from %s: %s", config->path,
                     config->source_lines[i], i, k == 0 ? "address" : "address6", address,
                     strerror(-failed));
            error(context, text);
            is_good = false;
        }
    }
    return is_good;
}
