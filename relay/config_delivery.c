/* config_delivery.c - connections to other servers, and what each site may get of them. */
#include <string.h>

#include "relay/config_wings.h"
#include "smtp/address.h"

#define RULE(member) CONFIG_PLACE(struct egress_rule, member)

static const struct config_key network = {.kind = CONFIG_NETWORK,
                                          .at = {0, sizeof(struct network)}};

static const struct config_key site_keys[] = {
    {.name = "match",
     .kind = CONFIG_PATTERN,
     .at = RULE(match),
     .example = "\"example.net\" or \"*\"",
     .default_said = "none; this key or provider is required",
     .says = "The recipients' domains, mail hosts or sites that the rule is for; each site by "
             "itself."},
    {.name = "provider",
     .kind = CONFIG_TEXT,
     .at = RULE(provider),
     .is_valid = config_provider_name_is_valid,
     .expected = "the name of a provider",
     .says = "In place of match: the provider whose sites all together the rule is for."},
    {.name = "connections",
     .kind = CONFIG_COUNT,
     .at = RULE(connections),
     .standard = "20",
     .min = 1,
     .max = 100000,
     .says = "Connections at once, of the whole process."},
    {.name = "rate",
     .kind = CONFIG_RATE,
     .at = RULE(messages_per_s),
     .standard = "none",
     .word = "none",
     .says = "Messages a second, a minute or an hour."},
    {.name = "messages_per_connection",
     .kind = CONFIG_COUNT,
     .at = RULE(messages_per_connection),
     .standard = "1000",
     .min = 1,
     .says = "Messages after which a connection ends."},
    {.name = "idle",
     .kind = CONFIG_SECONDS,
     .at = RULE(idle_s),
     .standard = "5s",
     .max = 300,
     .says = "How long a connection without mail is kept."},
    {.name = "recipients",
     .kind = CONFIG_COUNT,
     .at = RULE(recipients),
     .standard = "100",
     .min = 1,
     .max = 100000,
     .says = "Recipients in one transaction."},
    {.kind = CONFIG_END},
};

/* Who looks for a name's rule finds that of a provider under none. */
static void verify_site(struct config_reader *reader, const yaml_node_t *node, void *object)
{
    struct egress_rule *rule = object;

    if ((rule->match == NULL) == (rule->provider == NULL))
        config_error(reader, node, "%s; expected one of match and provider",
                     rule->match == NULL ? "match is missing"
                                         : "match and provider are both given");
    if (rule->match == NULL)
        rule->match = "";
}

static const struct config_key site = {.kind = CONFIG_SECTION,
                                       .at = {0, sizeof(struct egress_rule)},
                                       .keys = site_keys,
                                       .verify = verify_site};

static const struct config_key section_keys[] = {
    {.name = "allow_private",
     .kind = CONFIG_LIST,
     .at = AT(delivery.mx.allow_private),
     .count_at = AT(delivery.mx.allow_private_count),
     .item = &network,
     .example = "\"10.0.0.0/8\"",
     .in_starter = true,
     .says = "Networks outside the public range that may be delivered to."},
    {.name = "ipv4",
     .kind = CONFIG_BOOL,
     .at = AT(delivery.mx.use_ipv4),
     .standard = "true",
     .says = "Deliver to IPv4 addresses."},
    {.name = "ipv6",
     .kind = CONFIG_BOOL,
     .at = AT(delivery.mx.use_ipv6),
     .standard = "true",
     .says = "Deliver to IPv6 addresses."},
    {.name = "connections",
     .kind = CONFIG_COUNT,
     .at = AT(delivery.connections_max),
     .standard = "5000",
     .min = 1,
     .needs_restart = true, /* the egress table has it */
     .says = "Connections to all sites together."},
    {.name = "connect_timeout",
     .kind = CONFIG_SECONDS,
     .at = AT(delivery.connect_timeout_s),
     .standard = "30s",
     .min = 1,
     .max = 600,
     .says = "Time for a connection to be made."},
    {.name = "dsn_size",
     .kind = CONFIG_SIZE,
     .at = AT(delivery.dsn_size_max),
     .standard = "64KiB",
     .max = 16 << 20,
     .says = "How much of a message a bounce returns."},
    {.name = "notice_wait",
     .kind = CONFIG_SECONDS,
     .at = AT(delivery.notice_wait_s),
     .standard = "5s",
     .max = 60,
     .says = "How long a recipient that failed waits for others of its message, so that one bounce "
             "tells of all; 0s: not at all."},
    {.kind = CONFIG_PART, .keys = config_demand},
    {.kind = CONFIG_PART, .keys = config_delivery_tls},
    {.name = "sites",
     .kind = CONFIG_LIST,
     .at = AT(sites),
     .count_at = AT(site_count),
     .item = &site,
     .says = "What a site, or a provider's together, may get from one source, for the whole "
             "process."},
    {.name = "providers",
     .kind = CONFIG_LIST,
     .at = AT(providers),
     .count_at = AT(provider_count),
     .item = &config_provider,
     .max = 1000,
     .default_said = "microsoft, outlook, google and yahoo",
     .says = "Sets of mail hosts that judge us as one; the first match counts, those that ship "
             "come last."},
    {.kind = CONFIG_END},
};

static void verify_section(struct config_reader *reader, const yaml_node_t *node, void *object)
{
    const struct config *config = object;

    if (!config->delivery.mx.use_ipv4 && !config->delivery.mx.use_ipv6)
        config_error(reader, node, "ipv4 and ipv6 are both false; expected one of them");
    for (size_t i = 0; i < config->site_count; i++) {
        const char *provider = config->sites[i].provider;

        if (provider != NULL && !config_has_provider(config, provider))
            config_error(reader, node,
                         "sites[%zu].provider: \"%s\" found; expected one that ships "
                         "or stands in delivery.providers",
                         i, provider);
    }
}

static const struct config_key delivery_keys[] = {
    {.name = "delivery",
     .kind = CONFIG_SECTION,
     .keys = section_keys,
     .verify = verify_section,
     .says = "How mail goes out; private targets are refused unless named."},
    {.kind = CONFIG_END},
};

static void prepare(struct config *config)
{
    config->delivery.mx.port = 25;
}

/* The rules for single sites, then the one for all. */
static void add_sites(struct config_reader *reader, struct config *config)
{
    size_t count = config->site_count;
    struct egress_rule *rules = config_alloc(reader, (count + 1) * sizeof(*rules));

    if (rules == NULL)
        return;
    if (count > 0)
        memcpy(rules, config->sites, count * sizeof(*rules));
    config_set_standards(reader, site_keys, &rules[count]);
    rules[count].match = "*";
    config->delivery.egress_rules = rules;
    config->delivery.egress_rule_count = count + 1;
}

static void finish(struct config_reader *reader, struct config *config)
{
    struct bytes name;

    add_sites(reader, config);
    config_finish_providers(reader, config);
    config_finish_delivery_tls(reader, config);
    config->delivery.hostname = config->hostname;
    if (smtp_domain_normalise(&config->arena, bytes_of(config->hostname), &name))
        config->delivery.mx.our_name = name;
    else if (reader->error_count == 0) /* else it was told that it is no name */
        config_error(reader, config_node(reader, "hostname"),
                     "hostname: \"%s\" found; expected a name that DNS can have", config->hostname);
}

const struct config_key config_delivery[] = {
    {.kind = CONFIG_PART, .keys = delivery_keys, .prepare = prepare, .finish = finish},
    {.kind = CONFIG_END},
};
