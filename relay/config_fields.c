/* config_fields.c - listeners, routes, sources, rules: keys that hold lists and patterns. */
#include "relay/config_fields.h"

#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "delivery/line/source.h"
#include "smtp/address.h"

const struct retry_rule config_default_retry = {
    .match = "*",
    .first_s = 300,
    .factor = 2,
    .max_s = 4 * 3600,
    .jitter_percent = 20,
    .max_age_s = 3 * 86400,
    .delay_notice_s = 4 * 3600,
};

const struct egress_rule config_default_egress = {
    .match = "*",
    .connections = EGRESS_CONNECTIONS_DEFAULT,
    .messages_per_connection = EGRESS_MESSAGES_DEFAULT,
    .idle_s = EGRESS_IDLE_S_DEFAULT,
    .recipients = EGRESS_RECIPIENTS_DEFAULT,
};

static void read_address(struct config_reader *reader, yaml_node_t *node, void *field)
{
    struct bytes text;
    const char *expected = "an address with a port, such as 127.0.0.1:2525 or [::1]:2525";

    if (!config_scalar(reader, node, expected, &text))
        return;
    if (!address_parse(text, 0, field) || address_port(field) == 0)
        config_error(reader, node, "\"%.*s\" found; expected %s", BYTES_ARG(text), expected);
}

static void read_network(struct config_reader *reader, yaml_node_t *item, void *element)
{
    struct bytes text;
    const char *expected = "a network, such as 192.0.2.0/24 or 2001:db8::/32";

    if (config_scalar(reader, item, expected, &text) && !network_parse(text, element))
        config_error(reader, item, "\"%.*s\" found; expected %s", BYTES_ARG(text), expected);
}

static void read_trust(struct config_reader *reader, yaml_node_t *node, void *field)
{
    struct config_listener *listener = container_of(field, struct config_listener, trust);

    listener->trust = config_read_list(reader, node, sizeof(struct network), NULL, read_network,
                                       &listener->trust_count);
}

static void read_service(struct config_reader *reader, yaml_node_t *node, void *field)
{
    struct bytes text;

    if (!config_scalar(reader, node, "submission", &text))
        return;
    if (bytes_equal(text, BYTES("submission")))
        *(enum config_service *)field = SERVICE_SUBMISSION;
    else
        config_error(reader, node, "\"%.*s\" found; expected submission", BYTES_ARG(text));
}

static void read_listener_address(struct config_reader *reader, yaml_node_t *node, void *field)
{
    struct config_listener *listener = container_of(field, struct config_listener, address);

    read_address(reader, node, field);
    if (node->type == YAML_SCALAR_NODE)
        listener->address_text =
            config_string(reader, bytes_range(node->data.scalar.value, node->data.scalar.length));
}

static const struct config_key listener_keys[] = {
    {.name = "address",
     .kind = CONFIG_CUSTOM,
     .offset = offsetof(struct config_listener, address),
     .read = read_listener_address},
    {.name = "service",
     .kind = CONFIG_CUSTOM,
     .offset = offsetof(struct config_listener, service),
     .read = read_service},
    {.name = "trust",
     .kind = CONFIG_CUSTOM,
     .offset = offsetof(struct config_listener, trust),
     .read = read_trust},
    {.name = NULL},
};

static void read_listener(struct config_reader *reader, yaml_node_t *item, void *element)
{
    struct config_listener *listener = element;

    config_read_mapping(reader, item, listener_keys, listener);
    if (item->type == YAML_MAPPING_NODE && listener->address_text == NULL)
        config_error(reader, item, "no address; expected address: \"127.0.0.1:2525\"");
}

void config_read_listeners(struct config_reader *reader, yaml_node_t *node, void *field)
{
    struct config *config = container_of(field, struct config, listeners);

    config->listeners = config_read_list(reader, node, sizeof(struct config_listener), NULL,
                                         read_listener, &config->listener_count);
}

void config_read_engines(struct config_reader *reader, yaml_node_t *node, void *field)
{
    struct bytes text;
    uint64_t count;

    if (!config_scalar(reader, node, "auto or a number", &text) || bytes_equal(text, BYTES("auto")))
        return;
    if (!bytes_to_u64(text, &count) || count == 0 || count > CONFIG_ENGINES_MAX)
        config_error(reader, node, "\"%.*s\" found; expected auto or a number from 1 to %d",
                     BYTES_ARG(text), CONFIG_ENGINES_MAX);
    else
        *(unsigned *)field = (unsigned)count;
}

static void read_server(struct config_reader *reader, yaml_node_t *item, void *element)
{
    struct address address;
    struct bytes text;
    const char *expected = "a resolver's address, such as 127.0.0.1 or 127.0.0.1:5353";

    if (!config_scalar(reader, item, expected, &text))
        return;
    if (!address_parse(text, 53, &address))
        config_error(reader, item, "\"%.*s\" found; expected %s", BYTES_ARG(text), expected);
    else
        *(struct address *)element = address;
}

void config_read_servers(struct config_reader *reader, yaml_node_t *node, void *field)
{
    size_t count = 0, len = 0;
    struct address *addresses =
        config_read_list(reader, node, sizeof(*addresses), NULL, read_server, &count);
    char *joined = config_alloc(reader, count * (ADDRESS_TEXT_MAX + 1) + 1);

    if (joined == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        char text[ADDRESS_TEXT_MAX];
        size_t text_len;

        if (address_len(&addresses[i]) == 0)
            continue;
        text_len = address_format_port(&addresses[i], text);
        if (len > 0)
            joined[len++] = ',';
        memcpy(joined + len, text, text_len);
        len += text_len;
    }
    *(const char **)field = count == 0 ? NULL : joined;
}

/* A domain pattern: "*", "*.suffix" or a name; kept in lower case. */
static void read_pattern(struct config_reader *reader, yaml_node_t *node, void *field)
{
    struct bytes text, normal, name;
    bool utf8;
    const char *expected = "a domain, \"*.suffix\" or \"*\"";

    if (!config_scalar(reader, node, expected, &text))
        return;
    if (bytes_equal(text, BYTES("*"))) {
        *(const char **)field = "*";
        return;
    }
    name = text;
    bool is_suffix = bytes_take_nocase(&name, BYTES("*."));
    if (!smtp_domain_is_valid(name, &utf8) ||
        !smtp_domain_normalise(reader->arena, name, &normal)) {
        config_error(reader, node, "\"%.*s\" found; expected %s", BYTES_ARG(text), expected);
        return;
    }
    size_t prefix = is_suffix ? 2 : 0;
    char *pattern = config_alloc(reader, prefix + normal.len + 1);

    if (pattern == NULL)
        return;
    memcpy(pattern, "*.", prefix);
    memcpy(pattern + prefix, normal.ptr, normal.len);
    *(const char **)field = pattern;
}

/* "host", "host:port", "10.0.0.9:2500", "[::1]:2500". */
static bool target_is_valid(struct bytes text)
{
    struct address address;
    struct bytes host = text;
    bool utf8;
    uint64_t port = 25;
    size_t colon = bytes_find(text, ':', 0);

    if (address_parse(text, 25, &address))
        return true;
    if (colon < text.len) {
        host = bytes_slice(text, 0, colon);
        if (!bytes_to_u64(bytes_slice(text, colon + 1, text.len), &port))
            return false;
    }
    return port > 0 && port <= 65535 && smtp_domain_is_valid(host, &utf8) && host.ptr[0] != '[';
}

static void read_target(struct config_reader *reader, yaml_node_t *item, void *element)
{
    struct bytes text, host;
    bool utf8;
    const char *expected = "a host or address with an optional port, such as relay.example.net:587"
                           " or 10.0.0.9:2500, or mx:example.net";

    if (!config_scalar(reader, item, expected, &text))
        return;
    host = text;
    bool is_valid = bytes_take_nocase(&host, BYTES("mx:")) ? smtp_domain_is_valid(host, &utf8)
                                                           : target_is_valid(text);
    if (!is_valid)
        config_error(reader, item, "\"%.*s\" found; expected %s", BYTES_ARG(text), expected);
    *(const char **)element = config_string(reader, text);
}

static void read_targets(struct config_reader *reader, yaml_node_t *node, void *field)
{
    struct route *route = container_of(field, struct route, targets);

    route->targets = config_read_list(reader, node, sizeof(const char *), NULL, read_target,
                                      &route->target_count);
    for (size_t i = 0; i < route->target_count; i++) {
        const char *target = route->targets[i];

        if (target == NULL || strncasecmp(target, "mx:", 3) != 0)
            continue;
        if (route->target_count > 1)
            config_error(reader, node, "mx:%s stands beside other targets; expected it alone",
                         target + 3);
        route->use_mx = true;
        route->targets[i] = target + 3;
    }
}

static const struct config_key route_keys[] = {
    {.name = "match",
     .kind = CONFIG_CUSTOM,
     .offset = offsetof(struct route, match),
     .read = read_pattern},
    {.name = "to",
     .kind = CONFIG_CUSTOM,
     .offset = offsetof(struct route, targets),
     .read = read_targets},
    {.name = NULL},
};

static void read_route(struct config_reader *reader, yaml_node_t *item, void *element)
{
    struct route *route = element;

    config_read_mapping(reader, item, route_keys, route);
    if (reader->error_count == 0 && (route->match == NULL || route->target_count == 0))
        config_error(reader, item,
                     "a route needs both keys; expected {match: \"*.lab.example\", "
                     "to: [\"10.0.0.9:2500\"]}");
}

void config_read_routes(struct config_reader *reader, yaml_node_t *node, void *field)
{
    struct config *config = container_of(field, struct config, delivery.routes);

    config->delivery.routes = config_read_list(reader, node, sizeof(struct route), NULL, read_route,
                                               &config->delivery.route_count);
}

#define RETRY_KEYS \
    {.name = "first", \
     .kind = CONFIG_SECONDS, \
     .offset = offsetof(struct retry_rule, first_s), \
     .min = 1}, \
        {.name = "factor", .kind = CONFIG_NUMBER, .offset = offsetof(struct retry_rule, factor)}, \
        {.name = "max", \
         .kind = CONFIG_SECONDS, \
         .offset = offsetof(struct retry_rule, max_s), \
         .min = 1}, \
        {.name = "jitter", \
         .kind = CONFIG_PERCENT, \
         .offset = offsetof(struct retry_rule, jitter_percent), \
         .max = 90}, \
        {.name = "max_age", \
         .kind = CONFIG_SECONDS, \
         .offset = offsetof(struct retry_rule, max_age_s), \
         .min = 1}, \
    { \
        .name = "delay_notice", .kind = CONFIG_SECONDS, \
        .offset = offsetof(struct retry_rule, delay_notice_s) \
    }

static const struct config_key retry_destination_keys[] = {
    {.name = "match",
     .kind = CONFIG_CUSTOM,
     .offset = offsetof(struct retry_rule, match),
     .read = read_pattern},
    RETRY_KEYS,
    {.name = NULL},
};

static void check_retry(struct config_reader *reader, yaml_node_t *node,
                        const struct retry_rule *rule)
{
    if (rule->factor < 1 || rule->factor > 100)
        config_error(reader, node, "factor is %g; expected 1 to 100", rule->factor);
    if (rule->max_s < rule->first_s)
        config_error(reader, node, "max (%us) is shorter than first (%us); expected first <= max",
                     rule->max_s, rule->first_s);
}

static void read_retry_destination(struct config_reader *reader, yaml_node_t *item, void *element)
{
    struct retry_rule *rule = element;

    rule->match = NULL;
    config_read_mapping(reader, item, retry_destination_keys, rule);
    if (rule->match == NULL && item->type == YAML_MAPPING_NODE)
        config_error(reader, item,
                     "no match; expected match: \"example.net\" or \"*.example.net\"");
    check_retry(reader, item, rule);
}

struct retry_section {
    struct retry_rule base;
    yaml_node_t *destinations;
};

static void keep_node(struct config_reader *reader, yaml_node_t *node, void *field)
{
    (void)reader;
    *(yaml_node_t **)field = node;
}

static const struct config_key retry_keys[] = {
    RETRY_KEYS,
    {.name = "destinations",
     .kind = CONFIG_CUSTOM,
     .offset = offsetof(struct retry_section, destinations),
     .read = keep_node},
    {.name = NULL},
};

/* Destination rules start from the section's own values, wherever `destinations` stands in it. */
void config_read_retry(struct config_reader *reader, yaml_node_t *node, void *field)
{
    struct config *config = container_of(field, struct config, delivery.retries);
    struct retry_section section = {.base = config_default_retry};
    size_t count = 0;
    struct retry_rule *list = NULL;

    config_read_mapping(reader, node, retry_keys, &section);
    check_retry(reader, node, &section.base);
    if (section.destinations != NULL)
        list = config_read_list(reader, section.destinations, sizeof(*list), &section.base,
                                read_retry_destination, &count);
    struct retry_rule *rules = config_alloc(reader, (count + 1) * sizeof(*rules));
    if (rules == NULL)
        return;
    if (count > 0)
        memcpy(rules, list, count * sizeof(*rules));
    rules[count] = section.base;
    config->delivery.retries = rules;
    config->delivery.retry_count = count + 1;
}

#define EGRESS_KEYS \
    {.name = "connections", \
     .kind = CONFIG_COUNT, \
     .offset = offsetof(struct egress_rule, connections), \
     .min = 1, \
     .max = 100000}, \
        {.name = "rate", \
         .kind = CONFIG_RATE, \
         .offset = offsetof(struct egress_rule, messages_per_s)}, \
        {.name = "messages_per_connection", \
         .kind = CONFIG_COUNT, \
         .offset = offsetof(struct egress_rule, messages_per_connection), \
         .min = 1}, \
        {.name = "idle", \
         .kind = CONFIG_SECONDS, \
         .offset = offsetof(struct egress_rule, idle_s), \
         .max = 300}, \
    { \
        .name = "recipients", .kind = CONFIG_COUNT, \
        .offset = offsetof(struct egress_rule, recipients), .min = 1, .max = 100000 \
    }

static const struct config_key egress_keys[] = {
    {.name = "match",
     .kind = CONFIG_CUSTOM,
     .offset = offsetof(struct egress_rule, match),
     .read = read_pattern},
    EGRESS_KEYS,
    {.name = NULL},
};

static void read_egress_rule(struct config_reader *reader, yaml_node_t *item, void *element)
{
    struct egress_rule *rule = element;

    rule->match = NULL;
    config_read_mapping(reader, item, egress_keys, rule);
    if (rule->match == NULL && item->type == YAML_MAPPING_NODE)
        config_error(reader, item, "no match; expected match: \"example.net\" or \"*\"");
}

void config_read_sites(struct config_reader *reader, yaml_node_t *node, void *field)
{
    struct config *config = container_of(field, struct config, delivery.egress_rules);
    size_t count = 0;
    struct egress_rule *list = config_read_list(reader, node, sizeof(*list), &config_default_egress,
                                                read_egress_rule, &count);
    struct egress_rule *rules = config_alloc(reader, (count + 1) * sizeof(*rules));

    if (rules == NULL)
        return;
    if (count > 0)
        memcpy(rules, list, count * sizeof(*rules));
    rules[count] = config_default_egress;
    config->delivery.egress_rules = rules;
    config->delivery.egress_rule_count = count + 1;
}

void config_read_allow_private(struct config_reader *reader, yaml_node_t *node, void *field)
{
    struct mx_rules *rules = container_of(field, struct mx_rules, allow_private);

    rules->allow_private = config_read_list(reader, node, sizeof(struct network), NULL,
                                            read_network, &rules->allow_private_count);
}

/* False after an error. */
static bool read_source_ip(struct config_reader *reader, yaml_node_t *node, sa_family_t family,
                           struct address *out)
{
    struct address address;
    struct bytes text;
    const char *expected = family == AF_INET ? "an IPv4 address of this machine, without a port"
                                             : "an IPv6 address of this machine, without a port";

    if (!config_scalar(reader, node, expected, &text))
        return false;
    if (!address_parse(text, 0, &address) || address_port(&address) != 0 ||
        address.any.sa_family != family) {
        config_error(reader, node, "\"%.*s\" found; expected %s", BYTES_ARG(text), expected);
        return false;
    }
    *out = address;
    return true;
}

static void read_source_ipv4(struct config_reader *reader, yaml_node_t *node, void *field)
{
    struct source *source = container_of(field, struct source, address4);

    source->has_address4 = read_source_ip(reader, node, AF_INET, &source->address4);
}

static void read_source_ipv6(struct config_reader *reader, yaml_node_t *node, void *field)
{
    struct source *source = container_of(field, struct source, address6);

    source->has_address6 = read_source_ip(reader, node, AF_INET6, &source->address6);
}

/* It stands in events, in the log and in keys of tables. */
static void read_source_name(struct config_reader *reader, yaml_node_t *node, void *field)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const char *expected = "a word of up to 64 letters, digits and ._-, such as pool-a-1";
    struct bytes text;

    if (!config_scalar(reader, node, expected, &text))
        return;
    bool is_good = text.len > 0 && text.len <= 64;
    for (size_t i = 0; is_good && i < text.len; i++)
        is_good = text.ptr[i] != '\0' && strchr(allowed, text.ptr[i]) != NULL;
    if (is_good)
        *(const char **)field = config_string(reader, text);
    else
        config_error(reader, node, "\"%.*s\" found; expected %s",
                     BYTES_ARG(bytes_slice(text, 0, 80)), expected);
}

/* It is said in EHLO as it stands here: nothing but a name or an address literal may be. */
static void read_ehlo(struct config_reader *reader, yaml_node_t *node, void *field)
{
    const char *expected = "a full host name, such as out1.example.net, or an address literal, "
                           "such as \"[192.0.2.1]\"";
    struct bytes text;
    bool is_utf8;

    if (!config_scalar(reader, node, expected, &text))
        return;
    if (smtp_domain_is_valid(text, &is_utf8) && !is_utf8)
        *(const char **)field = config_string(reader, text);
    else
        config_error(reader, node, "\"%.*s\" found; expected %s",
                     BYTES_ARG(bytes_slice(text, 0, 80)), expected);
}

static const struct config_key source_keys[] = {
    {.name = "name",
     .kind = CONFIG_CUSTOM,
     .offset = offsetof(struct source, name),
     .read = read_source_name},
    {.name = "address",
     .kind = CONFIG_CUSTOM,
     .offset = offsetof(struct source, address4),
     .read = read_source_ipv4},
    {.name = "address6",
     .kind = CONFIG_CUSTOM,
     .offset = offsetof(struct source, address6),
     .read = read_source_ipv6},
    {.name = "ehlo",
     .kind = CONFIG_CUSTOM,
     .offset = offsetof(struct source, ehlo),
     .read = read_ehlo},
    {.name = "weight",
     .kind = CONFIG_COUNT,
     .offset = offsetof(struct source, weight),
     .min = 1,
     .max = 1000000},
    {.name = NULL},
};

static void read_source(struct config_reader *reader, yaml_node_t *item, void *element)
{
    struct source *source = element;

    unsigned errors_before = reader->error_count;

    config_read_mapping(reader, item, source_keys, source);
    if (reader->error_count == errors_before && source->name == NULL)
        config_error(reader, item, "no name; expected name: \"pool-a-1\"");
}

void config_read_sources(struct config_reader *reader, yaml_node_t *node, void *field)
{
    static const struct source defaults = {.weight = 1};
    struct config *config = container_of(field, struct config, delivery.sources);
    size_t count = 0;
    struct source *list =
        config_read_list(reader, node, sizeof(*list), &defaults, read_source, &count);

    if (list == NULL)
        return; /* no list, which was told */
    if (count == 0)
        config_error(reader, node, "an empty list; expected at least one source");
    if (count > SOURCES_MAX)
        config_error(reader, node, "%zu sources found; expected at most %d", count, SOURCES_MAX);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            if (list[i].name != NULL && list[k].name != NULL &&
                strcmp(list[i].name, list[k].name) == 0)
                config_error(reader, config_item(reader, node, i),
                             "the name \"%s\" stands in sources[%zu] too; expected each once",
                             list[i].name, k);
    size_t *lines = config_alloc(reader, (count + 1) * sizeof(*lines));
    if (lines == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        lines[i] = config_item(reader, node, i)->start_mark.line + 1;
    config->source_lines = lines;
    config->delivery.sources = list;
    config->delivery.source_count = count;
}

void config_read_log_target(struct config_reader *reader, yaml_node_t *node, void *field)
{
    struct bytes text;

    if (!config_scalar(reader, node, "stderr or syslog", &text))
        return;
    if (bytes_equal(text, BYTES("syslog")))
        *(int *)field = CONFIG_LOG_SYSLOG;
    else if (bytes_equal(text, BYTES("stderr")))
        *(int *)field = CONFIG_LOG_STDERR;
    else
        config_error(reader, node, "\"%.*s\" found; expected stderr or syslog", BYTES_ARG(text));
}

void config_read_log_level(struct config_reader *reader, yaml_node_t *node, void *field)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    struct bytes text;

    if (!config_scalar(reader, node, "error, warn, info or debug", &text))
        return;
    for (int level = 0; level < (int)ARRAY_LEN(names); level++) {
        if (bytes_equal(text, bytes_of(names[level]))) {
            *(int *)field = level;
            return;
        }
    }
    config_error(reader, node, "\"%.*s\" found; expected error, warn, info or debug",
                 BYTES_ARG(text));
}

void config_read_metrics_listen(struct config_reader *reader, yaml_node_t *node, void *field)
{
    container_of(field, struct config, metrics_address)->has_metrics = true;
    read_address(reader, node, field);
}
