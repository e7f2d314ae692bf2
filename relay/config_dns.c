/* config_dns.c - whom we ask for names, and how long answers count. */
#include <string.h>

#include "relay/config_wings.h"

static const struct config_key server = {
    .kind = CONFIG_ADDRESS,
    .at = {0, sizeof(struct address)},
    .port = 53,
    .expected = "a resolver's address, such as 127.0.0.1 or 127.0.0.1:5353",
};

static const struct config_key name_keys[] = {
    {.name = "servers",
     .kind = CONFIG_LIST,
     .at = AT(dns_servers),
     .count_at = AT(dns_server_count),
     .item = &server,
     .default_said = "the system's",
     .needs_restart = true,
     .example = "\"127.0.0.1:53\"",
     .in_starter = true,
     .says = "Resolvers, with an optional port."},
    {.name = "trusted",
     .kind = CONFIG_BOOL,
     .at = AT(dns.is_trusted),
     .standard = "false",
     .needs_restart = true,
     .in_starter = true,
     .says = "They validate DNSSEC and nobody can change their answers on the way: DANE needs it."},
    {.name = "timeout",
     .kind = CONFIG_MILLISECONDS,
     .at = AT(dns.timeout_ms),
     .standard = "2s",
     .min = 50,
     .max = 60000,
     .needs_restart = true,
     .says = "Time for one try of a query."},
    {.name = "tries",
     .kind = CONFIG_COUNT,
     .at = AT(dns.tries),
     .standard = "3",
     .min = 1,
     .max = 10,
     .needs_restart = true,
     .says = "Tries of one query, over all servers."},
    {.name = "ttl_min",
     .kind = CONFIG_SECONDS,
     .at = AT(dns.ttl_min_s),
     .standard = "5s",
     .min = 1,
     .needs_restart = true,
     .says = "An answer is kept for so long at least."},
    {.name = "ttl_max",
     .kind = CONFIG_SECONDS,
     .at = AT(dns.ttl_max_s),
     .standard = "1d",
     .min = 1,
     .needs_restart = true,
     .says = "An answer is kept for so long at most."},
    {.name = "negative_ttl_max",
     .kind = CONFIG_SECONDS,
     .at = AT(dns.negative_ttl_max_s),
     .standard = "1h",
     .min = 1,
     .needs_restart = true,
     .says = "That a name does not exist is kept for so long at most."},
    {.name = "failure_ttl",
     .kind = CONFIG_SECONDS,
     .at = AT(dns.failure_ttl_s),
     .standard = "30s",
     .min = 1,
     .needs_restart = true,
     .says = "That the resolvers failed is kept for so long."},
    {.name = "stale",
     .kind = CONFIG_SECONDS,
     .at = AT(dns.stale_s),
     .standard = "1h",
     .min = 1,
     .needs_restart = true,
     .says = "How long past its time an answer serves while the resolvers fail."},
    {.name = "cache_size",
     .kind = CONFIG_SIZE,
     .at = AT(dns.cache_size),
     .standard = "4MiB",
     .min = 64 << 10,
     .needs_restart = true,
     .says = "Memory for answers, of all engines together."},
    {.kind = CONFIG_END},
};

static const struct config_key dns_keys[] = {
    {.name = "dns", .kind = CONFIG_SECTION, .keys = name_keys, .says = "How names are looked up."},
    {.kind = CONFIG_END},
};

/* The resolver takes its servers as one text. */
static void finish(struct config_reader *reader, struct config *config)
{
    size_t count = config->dns_server_count, len = 0;

    if (count == 0)
        return;
    char *joined = config_alloc(reader, count * (ADDRESS_TEXT_MAX + 1));
    if (joined == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        char text[ADDRESS_TEXT_MAX];
        size_t text_len = address_format_port(&config->dns_servers[i], text);

        if (len > 0)
            joined[len++] = ',';
        memcpy(joined + len, text, text_len);
        len += text_len;
    }
    config->dns.servers = joined;
}

const struct config_key config_dns[] = {
    {.kind = CONFIG_PART, .keys = dns_keys, .finish = finish},
    {.kind = CONFIG_END},
};
