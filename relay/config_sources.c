/* config_sources.c - the addresses we send from. */
#include <string.h>

#include "delivery/line/source.h"
#include "relay/config_wings.h"
#include "smtp/address.h"

#define SOURCE(member) CONFIG_PLACE(struct source, member)

/* It stands in events, in the log and in keys of tables. */
static bool name_is_valid(struct bytes text)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    bool is_good = text.len <= 64;

    for (size_t i = 0; is_good && i < text.len; i++)
        is_good = strchr(allowed, text.ptr[i]) != NULL;
    return is_good;
}

/* It is said in EHLO as it stands here: nothing but a name or an address literal may be. */
static bool ehlo_is_valid(struct bytes text)
{
    bool is_utf8;

    return smtp_domain_is_valid(text, &is_utf8) && !is_utf8;
}

static const struct config_key source_keys[] = {
    {.name = "name",
     .kind = CONFIG_TEXT,
     .at = SOURCE(name),
     .is_valid = name_is_valid,
     .expected = "a word of up to 64 letters, digits and ._-, such as pool-a-1",
     .is_required = true,
     .is_unique = true,
     .example = "\"pool-a-1\"",
     .says = "Shown in events: a word of up to 64 letters, digits and ._-, each once."},
    {.name = "address",
     .kind = CONFIG_IPV4,
     .at = SOURCE(address4),
     .given_at = SOURCE(has_address4),
     .default_said = "any",
     .says = "An IPv4 address of this machine."},
    {.name = "address6",
     .kind = CONFIG_IPV6,
     .at = SOURCE(address6),
     .given_at = SOURCE(has_address6),
     .default_said = "any",
     .says = "An IPv6 address of this machine."},
    {.name = "ehlo",
     .kind = CONFIG_TEXT,
     .at = SOURCE(ehlo),
     .is_valid = ehlo_is_valid,
     .expected = "a full host name, such as out1.example.net, or an address literal, such as "
                 "\"[192.0.2.1]\"",
     .default_said = "hostname",
     .says = "The name said in EHLO: a host name or an address literal."},
    {.name = "weight",
     .kind = CONFIG_COUNT,
     .at = SOURCE(weight),
     .standard = "1",
     .min = 1,
     .max = 1000000,
     .says = "Its share of the mail."},
    {.kind = CONFIG_END},
};

static const struct config_key source = {.kind = CONFIG_SECTION,
                                         .at = {0, sizeof(struct source)},
                                         .keys = source_keys};

static const struct config_key sources_keys[] = {
    {.name = "sources",
     .kind = CONFIG_LIST,
     .at = AT(delivery.sources),
     .count_at = AT(delivery.source_count),
     .item = &source,
     .min = 1,
     .max = SOURCES_MAX,
     .default_said = "one, of any address",
     .says = "Addresses to send from."},
    {.kind = CONFIG_END},
};

/* Where they stand in the file, for who tries them. */
static void keep_lines(struct config_reader *reader, struct config *config)
{
    const yaml_node_t *list = config_node(reader, "sources");
    size_t *lines = config_alloc(reader, config->delivery.source_count * sizeof(*lines));

    if (lines == NULL)
        return;
    for (size_t i = 0; i < config->delivery.source_count; i++)
        lines[i] = config_item(reader, list, i)->start_mark.line + 1;
    config->source_lines = lines;
}

static void finish(struct config_reader *reader, struct config *config)
{
    struct source *sources = (struct source *)config->delivery.sources; /* the arena's */

    if (config->delivery.source_count > 0) {
        keep_lines(reader, config);
    } else {
        sources = config_alloc(reader, sizeof(*sources));
        if (sources == NULL)
            return;
        *sources = (struct source){.name = "default", .weight = 1};
        config->delivery.sources = sources;
        config->delivery.source_count = 1;
    }
    for (size_t i = 0; i < config->delivery.source_count; i++)
        if (sources[i].ehlo == NULL)
            sources[i].ehlo = config->hostname;
}

const struct config_key config_sources[] = {
    {.kind = CONFIG_PART, .keys = sources_keys, .finish = finish},
    {.kind = CONFIG_END},
};
