/*
 * limits.h - what a site may do: the strictest of the rules that apply to it, each limit by itself.
 *
 * Of a domain, a mail host or the site's own name the first rule that matches it applies, "*" only
 * where no other rule applies to any of them. So a site's limits do not depend on which of its
 * domains had mail first; a rule stays until the settings change.
 *
 * Thread: the engine's. What is pointed to are the settings' rules.
 */
#pragma once

#include "delivery/line/delivery.h"

/* Of each limit the rule that it is taken from. */
struct limits {
    const struct egress_rule *connections, *rate, *messages, *idle, *recipients;
    bool is_default; /* no rule but "*" applies */
};

void limits_init(struct limits *limits, const struct delivery_settings *settings);
/* A domain, a host or a site's name. True: something has become stricter. */
bool limits_add(struct limits *limits, const struct delivery_settings *settings, struct bytes name);

/* With the defaults filled in. */
unsigned limits_connections(const struct limits *limits);
double limits_rate(const struct limits *limits); /* messages a second; 0: no limit */
unsigned limits_messages(const struct limits *limits);
unsigned limits_idle_s(const struct limits *limits);
unsigned limits_recipients(const struct limits *limits);
