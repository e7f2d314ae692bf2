/*
 * limits.h - what a site may do: the strictest of the rules that apply to it, each limit by itself.
 *
 * Of a domain, a mail host or the site's own name the first rule that matches it applies, and those
 * of the provider (provider.h); "*" only where no other rule applies to any of them. So a site's
 * limits do not depend on which of its domains had mail first; a rule stays until the settings
 * change. Connections and rate are limited twice: by the provider's rules all its sites together,
 * by a site's own that site alone.
 *
 * Thread: the engine's. What is pointed to are the settings' rules.
 */
#pragma once

#include "delivery/line/delivery.h"

/* Of each limit the number of the rule that it is taken from: there are many sites. */
struct limits {
    const struct egress_rule *rules; /* of the settings */
    uint32_t connections, rate, messages, idle, recipients;
    bool is_default; /* no rule but "*" applies */
};

void limits_init(struct limits *limits, const struct delivery_settings *settings);
/* Those of the store: no other rule applies to it. */
void limits_init_store(struct limits *limits, const struct delivery_settings *settings);
/* True: something has become stricter, or is no default any more. */
bool limits_add_rule(struct limits *limits, const struct egress_rule *rule);
/* Likewise for a domain, a host or a site's name: the first rule that matches it. */
bool limits_add(struct limits *limits, const struct delivery_settings *settings, struct bytes name);
/* All rules that `other` has its limits from. */
void limits_add_all(struct limits *limits, const struct limits *other);

const struct egress_rule *limits_connections_rule(const struct limits *limits);
const struct egress_rule *limits_rate_rule(const struct limits *limits);
const struct egress_rule *limits_messages_rule(const struct limits *limits);
const struct egress_rule *limits_recipients_rule(const struct limits *limits);
/* With the defaults filled in. */
unsigned limits_connections(const struct limits *limits);
double limits_rate(const struct limits *limits); /* messages a second; 0: no limit */
unsigned limits_messages(const struct limits *limits);
unsigned limits_idle_s(const struct limits *limits);
unsigned limits_recipients(const struct limits *limits);
