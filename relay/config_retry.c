/* config_retry.c - when what failed for now is tried again, and when it is over. */
#include <string.h>

#include "relay/config_wings.h"

#define RULE(member) CONFIG_PLACE(struct retry_rule, member)

static const struct config_key rule_keys[] = {
    {.name = "first",
     .kind = CONFIG_SECONDS,
     .at = RULE(first_s),
     .standard = "5m",
     .min = 1,
     .in_starter = true,
     .says = "The wait after the first failure."},
    {.name = "factor",
     .kind = CONFIG_NUMBER,
     .at = RULE(factor),
     .standard = "2",
     .min = 1,
     .max = 100,
     .in_starter = true,
     .says = "What the wait grows by with each failure."},
    {.name = "max",
     .kind = CONFIG_SECONDS,
     .at = RULE(max_s),
     .standard = "4h",
     .min = 1,
     .in_starter = true,
     .says = "The longest wait."},
    {.name = "jitter",
     .kind = CONFIG_PERCENT,
     .at = RULE(jitter_percent),
     .standard = "20%",
     .max = 90,
     .in_starter = true,
     .says = "By how much a wait varies."},
    {.name = "max_age",
     .kind = CONFIG_SECONDS,
     .at = RULE(max_age_s),
     .standard = "3d",
     .min = 1,
     .in_starter = true,
     .says = "From acceptance; then the recipient expires and the sender is told."},
    {.name = "delay_notice",
     .kind = CONFIG_SECONDS,
     .at = RULE(delay_notice_s),
     .standard = "4h",
     .says = "When a sender who asked for NOTIFY=DELAY is told once; 0: never."},
    {.kind = CONFIG_END},
};

static const struct config_key destination_keys[] = {
    {.name = "match",
     .kind = CONFIG_PATTERN,
     .at = RULE(match),
     .is_required = true,
     .example = "\"example.net\" or \"*.example.net\"",
     .says = "The recipients' domains that the rule is for."},
    {.kind = CONFIG_PART, .keys = rule_keys},
    {.kind = CONFIG_END},
};

static void verify_rule(struct config_reader *reader, const yaml_node_t *node, void *object)
{
    const struct retry_rule *rule = object;

    if (rule->max_s < rule->first_s)
        config_error(reader, node, "max (%us) is shorter than first (%us); expected first <= max",
                     rule->max_s, rule->first_s);
}

static const struct config_key destination = {.kind = CONFIG_SECTION,
                                              .at = {0, sizeof(struct retry_rule)},
                                              .keys = destination_keys,
                                              .verify = verify_rule};

/* The section, of struct config_retry. */
static const struct config_key section_keys[] = {
    {.kind = CONFIG_PART, .at = CONFIG_PLACE(struct config_retry, base), .keys = rule_keys},
    {.name = "destinations",
     .kind = CONFIG_LIST,
     .at = CONFIG_PLACE(struct config_retry, destinations),
     .count_at = CONFIG_PLACE(struct config_retry, destination_count),
     .base_at = CONFIG_PLACE(struct config_retry, base),
     .item = &destination,
     .says = "Rules for single domains, each with any of the keys of retry; the first match "
             "counts."},
    {.kind = CONFIG_END},
};

static void verify_section(struct config_reader *reader, const yaml_node_t *node, void *object)
{
    struct config_retry *retry = object;

    verify_rule(reader, node, &retry->base);
}

static const struct config_key retry_keys[] = {
    {.name = "retry",
     .kind = CONFIG_SECTION,
     .at = AT(retry),
     .keys = section_keys,
     .verify = verify_section,
     .says = "When what failed for now is tried again."},
    {.kind = CONFIG_END},
};

/* The rules of single domains, then the one for all. */
static void finish(struct config_reader *reader, struct config *config)
{
    size_t count = config->retry.destination_count;
    struct retry_rule *rules = config_alloc(reader, (count + 1) * sizeof(*rules));

    if (rules == NULL)
        return;
    if (count > 0)
        memcpy(rules, config->retry.destinations, count * sizeof(*rules));
    rules[count] = config->retry.base;
    rules[count].match = "*";
    config->delivery.retries = rules;
    config->delivery.retry_count = count + 1;
}

const struct config_key config_retry[] = {
    {.kind = CONFIG_PART, .keys = retry_keys, .finish = finish},
    {.kind = CONFIG_END},
};
