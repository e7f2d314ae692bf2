/* config_providers.c - whose mail hosts judge us as one: the operator's rules and those shipped. */
#include <string.h>

#include "relay/config_wings.h"

#define PROVIDER(member) CONFIG_PLACE(struct provider_rule, member)

/* Microsoft has a host of its own for each customer of Microsoft 365, and others for its own
 * mailboxes, with judgements of their own. The other two name a few hosts for all. */
static const struct {
    const char *name;
    const char *mx[3]; /* ends with NULL */
} shipped[] = {
    {"microsoft", {"*.mail.protection.outlook.com", "*.mx.microsoft"}},
    {"outlook", {"*.olc.protection.outlook.com"}},
    {"google", {"*.google.com", "*.googlemail.com"}},
    {"yahoo", {"*.yahoodns.net"}},
};

bool config_provider_name_is_valid(struct bytes text)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    bool is_good = text.len <= 64;

    for (size_t i = 0; is_good && i < text.len; i++)
        is_good = strchr(allowed, text.ptr[i]) != NULL;
    return is_good;
}

static const struct config_key pattern = {.kind = CONFIG_PATTERN, .at = {0, sizeof(const char *)}};

static const struct config_key provider_keys[] = {
    {.name = "name",
     .kind = CONFIG_TEXT,
     .at = PROVIDER(name),
     .is_valid = config_provider_name_is_valid,
     .expected = "a word of up to 64 letters, digits and ._-, such as example-mail",
     .is_required = true,
     .is_unique = true,
     .example = "\"example-mail\"",
     .says = "Named by rules and shown: a word of up to 64 letters, digits and ._-, each once. One "
             "that ships is replaced."},
    {.name = "mx",
     .kind = CONFIG_LIST,
     .at = PROVIDER(mx),
     .count_at = PROVIDER(mx_count),
     .item = &pattern,
     .is_required = true,
     .example = "[\"*.mx.example.net\"]",
     .says = "Patterns of its MX hosts; an empty list: no sites are this provider's."},
    {.kind = CONFIG_END},
};

static void verify_provider(struct config_reader *reader, const yaml_node_t *node, void *object)
{
    const struct provider_rule *provider = object;

    for (size_t i = 0; i < provider->mx_count; i++)
        if (strcmp(provider->mx[i], "*") == 0)
            config_error(reader, node, "mx: \"*\" found; expected hosts of provider %s alone",
                         provider->name);
}

const struct config_key config_provider = {.kind = CONFIG_SECTION,
                                           .at = {0, sizeof(struct provider_rule)},
                                           .keys = provider_keys,
                                           .verify = verify_provider};

static bool is_in_file(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->provider_count; i++)
        if (strcmp(config->providers[i].name, name) == 0)
            return true;
    return false;
}

bool config_has_provider(const struct config *config, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(shipped); i++)
        if (strcmp(shipped[i].name, name) == 0)
            return true;
    return is_in_file(config, name);
}

void config_finish_providers(struct config_reader *reader, struct config *config)
{
    size_t count = config->provider_count;
    struct provider_rule *rules =
        config_alloc(reader, (count + ARRAY_LEN(shipped)) * sizeof(*rules));

    if (rules == NULL)
        return;
    if (count > 0)
        memcpy(rules, config->providers, count * sizeof(*rules));
    for (size_t i = 0; i < ARRAY_LEN(shipped); i++) {
        if (is_in_file(config, shipped[i].name))
            continue;
        struct provider_rule *rule = &rules[count++];

        *rule = (struct provider_rule){.name = shipped[i].name, .mx = shipped[i].mx};
        while (shipped[i].mx[rule->mx_count] != NULL)
            rule->mx_count++;
    }
    config->delivery.providers = rules;
    config->delivery.provider_count = count;
}
