/* limits.c - the strictest of several rules. */
#include "delivery/line/limits.h"

#include <math.h>
#include <string.h>

#include "delivery/line/router.h"

static unsigned value(unsigned set, unsigned value_default)
{
    return set != 0 ? set : value_default;
}

unsigned limits_connections(const struct limits *limits)
{
    return value(limits->connections->connections, EGRESS_CONNECTIONS_DEFAULT);
}

double limits_rate(const struct limits *limits)
{
    return limits->rate->messages_per_s;
}

unsigned limits_messages(const struct limits *limits)
{
    return value(limits->messages->messages_per_connection, EGRESS_MESSAGES_DEFAULT);
}

unsigned limits_idle_s(const struct limits *limits)
{
    return value(limits->idle->idle_s, EGRESS_IDLE_S_DEFAULT);
}

unsigned limits_recipients(const struct limits *limits)
{
    return value(limits->recipients->recipients, EGRESS_RECIPIENTS_DEFAULT);
}

static double rate_or_any(const struct limits *limits)
{
    return limits_rate(limits) > 0 ? limits_rate(limits) : INFINITY;
}

static bool is_default(const struct egress_rule *rule)
{
    return strcmp(rule->match, "*") == 0;
}

static struct limits limits_of(const struct egress_rule *rule)
{
    return (struct limits){rule, rule, rule, rule, rule, is_default(rule)};
}

void limits_init(struct limits *limits, const struct delivery_settings *settings)
{
    const struct egress_rule *rule = settings->egress_rules;

    check(settings->egress_rule_count > 0);
    while (!is_default(rule) && rule + 1 < settings->egress_rules + settings->egress_rule_count)
        rule++;
    *limits = limits_of(rule);
    limits->is_default = true;
}

static bool take_strictest(struct limits *limits, const struct egress_rule *rule)
{
    const struct limits before = *limits;
    const struct limits one = limits_of(rule);

    if (limits_connections(&one) < limits_connections(limits))
        limits->connections = rule;
    if (rate_or_any(&one) < rate_or_any(limits))
        limits->rate = rule;
    if (limits_messages(&one) < limits_messages(limits))
        limits->messages = rule;
    if (limits_idle_s(&one) < limits_idle_s(limits))
        limits->idle = rule;
    if (limits_recipients(&one) < limits_recipients(limits))
        limits->recipients = rule;
    return before.connections != limits->connections || before.rate != limits->rate ||
           before.messages != limits->messages || before.idle != limits->idle ||
           before.recipients != limits->recipients;
}

bool limits_add(struct limits *limits, const struct delivery_settings *settings, struct bytes name)
{
    const struct egress_rule *rule = router_egress_rule(settings, name);

    if (rule == NULL)
        return false;
    if (limits->is_default) {
        *limits = limits_of(rule);
        return true;
    }
    return take_strictest(limits, rule);
}
