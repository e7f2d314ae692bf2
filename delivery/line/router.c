/* router.c - which rule is for a domain, and where a route leads. */
#include "delivery/line/router.h"

#include <string.h>

#include "smtp/address.h"
#include "smtp/domain_pattern.h"

const struct route *router_route(const struct delivery_settings *settings, struct bytes domain)
{
    for (size_t i = 0; i < settings->route_count; i++)
        if (smtp_domain_matches(settings->routes[i].match, domain))
            return &settings->routes[i];
    return NULL;
}

const struct retry_rule *router_retry(const struct delivery_settings *settings, struct bytes domain)
{
    return retry_rule_for(settings->retries, settings->retry_count, domain);
}

const struct egress_rule *router_egress_rule(const struct delivery_settings *settings,
                                             struct bytes name)
{
    const struct egress_rule *rules = settings->egress_rules;

    for (size_t i = 0; i < settings->egress_rule_count; i++)
        if (rules[i].provider == NULL && strcmp(rules[i].match, "*") != 0 &&
            smtp_domain_matches(rules[i].match, name))
            return &rules[i];
    return NULL;
}

/* NULL: there are no rules at all. */
static const struct tls_rule *tls_rule(const struct delivery_settings *settings,
                                       struct bytes domain)
{
    for (size_t i = 0; i < settings->tls_rule_count; i++)
        if (smtp_domain_matches(settings->tls_rules[i].match, domain))
            return &settings->tls_rules[i];
    return NULL;
}

struct tls_policy *router_tls_policy(const struct delivery_settings *settings, struct bytes domain)
{
    const struct tls_rule *rule = tls_rule(settings, domain);

    if (rule == NULL)
        return NULL;
    size_t number = (size_t)(rule - settings->tls_rules);

    return tls_policy_of_rule(rule, number, number + 1 < settings->tls_rule_count);
}

bool router_tls_is_own(const struct delivery_settings *settings, struct bytes domain)
{
    const struct tls_rule *rule = tls_rule(settings, domain);

    return rule != NULL && (size_t)(rule - settings->tls_rules) + 1 < settings->tls_rule_count;
}

bool router_tls_is_equal(const struct delivery_settings *a, const struct delivery_settings *b,
                         struct bytes domain)
{
    const struct tls_rule *one = tls_rule(a, domain);
    const struct tls_rule *other = tls_rule(b, domain);

    return one == NULL || other == NULL ? one == other : tls_rule_is_equal(one, other);
}

bool router_parse_target(struct bytes text, uint16_t port_default, struct route_target *out)
{
    struct route_target target = {.port = port_default};
    uint64_t port;

    if (address_parse(text, port_default, &target.address)) {
        target.is_numeric = true;
        target.port = address_port(&target.address);
        *out = target;
        return true;
    }
    size_t colon = bytes_find(text, ':', 0);

    target.host = bytes_slice(text, 0, colon);
    if (colon < text.len) {
        if (!bytes_to_u64(bytes_slice(text, colon + 1, text.len), &port) || port == 0 ||
            port > UINT16_MAX)
            return false;
        target.port = (uint16_t)port;
    }
    bool is_utf8;

    /* A literal in brackets that did not parse is no name either. */
    if (target.host.len == 0 || target.host.ptr[0] == '[' ||
        !smtp_domain_is_valid(target.host, &is_utf8))
        return false;
    *out = target;
    return true;
}
