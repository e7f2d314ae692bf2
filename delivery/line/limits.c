/* limits.c - the strictest of several rules. */
#include "delivery/line/limits.h"

#include <math.h>
#include <string.h>

#include "delivery/line/router.h"

static unsigned value(unsigned set, unsigned value_default)
{
    return set != 0 ? set : value_default;
}

const struct egress_rule *limits_connections_rule(const struct limits *limits)
{
    return &limits->rules[limits->connections];
}

const struct egress_rule *limits_rate_rule(const struct limits *limits)
{
    return &limits->rules[limits->rate];
}

const struct egress_rule *limits_messages_rule(const struct limits *limits)
{
    return &limits->rules[limits->messages];
}

const struct egress_rule *limits_recipients_rule(const struct limits *limits)
{
    return &limits->rules[limits->recipients];
}

unsigned limits_connections(const struct limits *limits)
{
    return value(limits_connections_rule(limits)->connections, EGRESS_CONNECTIONS_DEFAULT);
}

double limits_rate(const struct limits *limits)
{
    return limits_rate_rule(limits)->messages_per_s;
}

unsigned limits_messages(const struct limits *limits)
{
    return value(limits_messages_rule(limits)->messages_per_connection, EGRESS_MESSAGES_DEFAULT);
}

unsigned limits_idle_s(const struct limits *limits)
{
    return value(limits->rules[limits->idle].idle_s, EGRESS_IDLE_S_DEFAULT);
}

unsigned limits_recipients(const struct limits *limits)
{
    return value(limits_recipients_rule(limits)->recipients, EGRESS_RECIPIENTS_DEFAULT);
}

static double rate_or_any(const struct limits *limits)
{
    return limits_rate(limits) > 0 ? limits_rate(limits) : INFINITY;
}

static bool is_default(const struct egress_rule *rule)
{
    return rule->match == NULL || strcmp(rule->match, "*") == 0; /* NULL: the store's */
}

static struct limits limits_of(const struct egress_rule *rules, uint32_t number)
{
    return (
        struct limits){rules, number, number, number, number, number, is_default(&rules[number])};
}

void limits_init(struct limits *limits, const struct delivery_settings *settings)
{
    uint32_t number = 0;

    check(settings->egress_rule_count > 0 && settings->egress_rule_count <= UINT32_MAX);
    while (!is_default(&settings->egress_rules[number]) && number + 1 < settings->egress_rule_count)
        number++;
    *limits = limits_of(settings->egress_rules, number);
    limits->is_default = true;
}

void limits_init_store(struct limits *limits, const struct delivery_settings *settings)
{
    *limits = limits_of(&settings->filing, 0);
    limits->is_default = true;
}

static bool take_strictest(struct limits *limits, uint32_t number)
{
    const struct limits before = *limits;
    const struct limits one = limits_of(limits->rules, number);

    if (limits_connections(&one) < limits_connections(limits))
        limits->connections = number;
    if (rate_or_any(&one) < rate_or_any(limits))
        limits->rate = number;
    if (limits_messages(&one) < limits_messages(limits))
        limits->messages = number;
    if (limits_idle_s(&one) < limits_idle_s(limits))
        limits->idle = number;
    if (limits_recipients(&one) < limits_recipients(limits))
        limits->recipients = number;
    return before.connections != limits->connections || before.rate != limits->rate ||
           before.messages != limits->messages || before.idle != limits->idle ||
           before.recipients != limits->recipients;
}

static bool add(struct limits *limits, uint32_t number)
{
    if (!limits->is_default)
        return take_strictest(limits, number);
    *limits = limits_of(limits->rules, number);
    return true;
}

bool limits_add_rule(struct limits *limits, const struct egress_rule *rule)
{
    return add(limits, (uint32_t)(rule - limits->rules));
}

bool limits_add(struct limits *limits, const struct delivery_settings *settings, struct bytes name)
{
    const struct egress_rule *rule = router_egress_rule(settings, name);

    return rule != NULL && limits_add_rule(limits, rule);
}

void limits_add_all(struct limits *limits, const struct limits *other)
{
    if (other->is_default)
        return;
    (void)add(limits, other->connections);
    (void)add(limits, other->rate);
    (void)add(limits, other->messages);
    (void)add(limits, other->idle);
    (void)add(limits, other->recipients);
}
