/* provider.c - hosts against patterns. */
#include "delivery/line/provider.h"

#include <string.h>

#include "smtp/domain_pattern.h"

static bool has_host(const struct provider_rule *provider, struct bytes host)
{
    for (size_t i = 0; i < provider->mx_count; i++)
        if (smtp_domain_matches(provider->mx[i], host))
            return true;
    return false;
}

static bool has_all(const struct provider_rule *provider, const struct hosts *hosts)
{
    for (size_t i = 0; i < hosts->count; i++)
        if (!has_host(provider, hosts->host[i].name))
            return false;
    return hosts->count > 0;
}

const struct provider_rule *provider_of(const struct delivery_settings *settings,
                                        const struct hosts *hosts)
{
    for (size_t i = 0; i < settings->provider_count; i++)
        if (has_all(&settings->providers[i], hosts))
            return &settings->providers[i];
    return NULL;
}

bool provider_is_equal(const struct provider_rule *a, const struct provider_rule *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a->name, b->name) == 0);
}

void limits_of_provider(struct limits *limits, const struct delivery_settings *settings,
                        const struct provider_rule *provider)
{
    limits_init(limits, settings);
    for (size_t i = 0; i < settings->egress_rule_count; i++) {
        const struct egress_rule *rule = &settings->egress_rules[i];

        if (rule->provider != NULL && strcmp(rule->provider, provider->name) == 0)
            (void)limits_add_rule(limits, rule);
    }
    /* "*.example" as a name is below itself and below "*.com", as every host of it is. */
    for (size_t i = 0; i < provider->mx_count; i++)
        (void)limits_add(limits, settings, bytes_of(provider->mx[i]));
}
